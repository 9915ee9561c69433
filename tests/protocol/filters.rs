//! Filters and their parameters: statements 72 to 81, 86 and 87.

use serde_json::{Value, json};

use super::{A, B, ITEMS, Server, insert};

fn filtered(server: &Server, filter: &str, more: &[(&str, &str)]) -> impl Future<Output = crate::support::Reply> {
    let own = [("table", "items"), ("offset", "-1"), ("where", filter)];
    let query = super::encoded(&[&own, more].concat());
    let http = server.http.clone();
    async move { http.get(&format!("/v1/shape?{query}")).await }
}

#[actix_rt::test]
async fn c072_c073_c074_c075_c076_c077_parameters_of_a_filter() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let errors = Server::errors(filtered(&server, "value = $1", &[]).await);
    let text = errors["where"][0].as_str().expect("a text");
    assert!(text.ends_with("parameter $1 was not provided"), "{errors}");
    for (name, text) in [
        ("params[2]", "Parameters must be numbered sequentially, starting from 1"),
        ("params[a]", "Parameters can only use numbers as keys"),
    ] {
        let errors = Server::errors(filtered(&server, "value = 'a'", &[(name, "x")]).await);
        assert_eq!(errors, json!({"params": [text]}), "{name}");
    }
    let extra = filtered(&server, "value = $1", &[("params[1]", "a"), ("params[2]", "unused")]).await.is(200);
    assert_eq!(extra.changes().len(), 1);
    server.get("table=items&offset=-1&params[1]=x").await.is(200);
    for query in ["params=abc", "params=abc&where=true", "params=%7B%221%22%3A%22v%22%7D&where=true"] {
        let errors = server.refusal(&format!("table=items&offset=-1&{query}")).await;
        assert_eq!(errors, json!({"params": ["is invalid"]}), "{query}");
    }
}

#[actix_rt::test]
async fn c078_a_parameter_is_never_sql() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let texts =
        ["'; DROP TABLE items; --", "' OR true --", "\\'; DROP TABLE items; --", "a' || '", "$1", "\" OR \"\"=\""];
    for text in texts {
        let reply = filtered(&server, "value = $1", &[("params[1]", text)]).await;
        assert_eq!(reply.status, 200, "{text}: {}", reply.text());
        assert_eq!(reply.changes(), [], "{text}");
    }
    // One that is really there is found.
    let statement = "INSERT INTO items VALUES ($1::text::uuid, $2)";
    server.client.execute(statement, &[&B, &"it's; -- \\ \"x\""]).await.expect("a row");
    let found = filtered(&server, "value = $1", &[("params[1]", "it's; -- \\ \"x\"")]).await.is(200);
    assert_eq!(found.changes().len(), 1);
    assert_eq!(server.get("table=items&offset=-1&replica=full").await.is(200).changes().len(), 2);
}

#[actix_rt::test]
async fn c079_an_empty_filter_is_none() {
    let server = Server::new(ITEMS).await;
    let handle = server.get("table=items&offset=-1").await.is(200).handle();
    for same in ["where=", "where", "where=%20"] {
        assert_eq!(server.get(&format!("table=items&offset=-1&{same}")).await.is(200).handle(), handle, "{same}");
    }
}

#[actix_rt::test]
async fn c080_c081_headers_of_a_refusal() {
    let server = Server::new(ITEMS).await;
    for query in
        ["", "table=nonexistent&offset=-1", "table=items&offset=-1&columns=value", "table=items&offset=-1&where=1"]
    {
        let reply = server.get(query).await.is(400);
        for (name, value) in [
            ("cache-control", Some("no-store")),
            ("surrogate-control", Some("no-store")),
            ("electric-handle", None),
            ("electric-offset", None),
            ("electric-has-data", None),
            ("etag", None),
        ] {
            assert_eq!(reply.header(name), value, "{name} of {query}");
        }
    }
}

#[actix_rt::test]
async fn c086_compaction_is_true_or_false() {
    let server = Server::new(ITEMS).await;
    let errors = server.refusal("table=items&offset=-1&experimental_compaction=banana").await;
    assert_eq!(errors, json!({"experimental_compaction": ["is invalid"]}));
    let plain = server.get("table=items&offset=-1").await.is(200).handle();
    for fine in ["true", "false", "1", "0", ""] {
        let reply = server.get(&format!("table=items&offset=-1&experimental_compaction={fine}")).await.is(200);
        assert_eq!(reply.handle(), plain, "{fine}");
    }
}

#[actix_rt::test]
async fn c087_compaction_excludes_subqueries() {
    let server = Server::new(&format!("{ITEMS} CREATE TABLE parents (id uuid PRIMARY KEY);")).await;
    let filter = "id IN (SELECT id FROM parents)";
    let errors: Value = Server::errors(filtered(&server, filter, &[("experimental_compaction", "true")]).await);
    assert_eq!(errors, json!({"experimental_compaction": ["can't be enabled for shapes with subqueries"]}));
}
