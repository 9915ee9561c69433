//! Columns of a shape: statements 60 to 65 and 68 to 71.

use serde_json::json;

use super::{A, ITEMS, Server, insert};

#[actix_rt::test]
async fn c060_c061_c062_columns_that_are_refused() {
    let server = Server::new(ITEMS).await;
    for (columns, text) in [
        ("value", "The list of columns must include all primary key columns, missing: id"),
        ("id,invalid", "The following columns are not found on the table: invalid"),
        ("id,", "Invalid zero-length delimited identifier"),
        ("id,%20value", "Invalid unquoted identifier contains special characters:  value"),
    ] {
        let errors = server.refusal(&format!("table=items&offset=-1&columns={columns}")).await;
        assert_eq!(errors, json!({"columns": [text]}), "{columns}");
    }
}

#[actix_rt::test]
async fn c063_c064_c065_columns_and_identity() {
    let server = Server::new(ITEMS).await;
    let listed = server.get("table=items&offset=-1&columns=id,value").await.is(200).handle();
    for same in ["%22id%22,%22value%22", "value,id", "ID,Value", "id%2Cvalue"] {
        let handle = server.get(&format!("table=items&offset=-1&columns={same}")).await.is(200).handle();
        assert_eq!(handle, listed, "{same}");
    }
    assert_ne!(server.get("table=items&offset=-1").await.is(200).handle(), listed);
}

#[actix_rt::test]
async fn c068_c069_c070_c071_queryable_columns() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let errors = server.refusal("table=items&offset=-1&queryable_columns=id&columns=id,value").await;
    assert_eq!(errors, json!({"columns": ["The following columns are not found on the table: value"]}));

    let only = server.get("table=items&offset=-1&queryable_columns=id").await.is(200);
    assert_eq!(only.json()[0]["value"], json!({"id": A}));
    let schema = only.header("electric-schema").expect("a schema");
    let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
    assert_eq!(schema.as_object().map(|of| of.keys().cloned().collect::<Vec<_>>()), Some(vec!["id".to_owned()]));

    let errors = server.refusal("table=items&offset=-1&queryable_columns=value").await;
    let text = "The list of queryable columns must include all primary key columns, missing: id";
    assert_eq!(errors, json!({"queryable_columns": [text]}));

    let filter = server
        .ask(&[("table", "items"), ("offset", "-1"), ("queryable_columns", "id"), ("where", "value = 'a'")])
        .await;
    let rows = filter.is(200).changes();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0].value.as_ref().map(|value| value.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["id".to_owned()])
    );
}
