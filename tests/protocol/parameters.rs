//! Tables, offsets, handles and modes of a request: statements 31 to 59.

use serde_json::{Value, json};

use super::{A, ITEMS, Server, insert};

const NOT_THERE: &str = "does not exist. If the table name contains capitals or special characters you must quote it.";

/// Panics unless each query is refused with exactly these errors.
async fn refuses(server: &Server, cases: &[(&str, Value)]) {
    for (query, errors) in cases {
        assert_eq!(&server.refusal(query).await, errors, "{query}");
    }
}

#[actix_rt::test]
async fn c031_c032_c033_c034_c035_c036_c037_c038_c039_what_is_no_table() {
    let server = Server::new(ITEMS).await;
    let table = |text: &str| json!({"table": [text]});
    let long = "a".repeat(64);
    let blank = "can't be blank";
    refuses(
        &server,
        &[
            ("", json!({"offset": [blank]})),
            ("table=items", json!({"offset": [blank]})),
            ("offset=-1", table(blank)),
            ("offset=-1&table=", table(blank)),
            ("offset=-1&table=%20", table(blank)),
            ("offset=-1&table=nonexistent", table(&format!(r#"Table "public"."nonexistent" {NOT_THERE}"#))),
            ("offset=-1&table=other.items", table(&format!(r#"Table "other"."items" {NOT_THERE}"#))),
            ("offset=-1&table=foo.bar.baz", table("Invalid relation identifier, too many delimiters: foo.bar.baz")),
            ("offset=-1&table=foob%40r", table("Invalid unquoted identifier contains special characters: foob@r")),
            ("offset=-1&table=%22%22", table("Invalid zero-length delimited identifier")),
            ("offset=-1&table=%22Foo%22Bar%22", table(r#"Invalid identifier with unescaped quote: Foo"Bar"#)),
            (&format!("offset=-1&table={long}"), table("Identifier is too long (max length is 63)")),
        ],
    )
    .await;
}

#[actix_rt::test]
async fn c040_c041_c042_c043_names_of_tables() {
    let more = r#"CREATE TABLE "My Table" (id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM items;"#;
    let server = Server::new(&format!("{ITEMS} {more}")).await;
    let handle = server.get("table=items&offset=-1").await.is(200).handle();
    for same in ["ITEMS", "public.items", "%22items%22", "Public.Items", "%22public%22.%22items%22"] {
        assert_eq!(server.get(&format!("table={same}&offset=-1")).await.is(200).handle(), handle, "{same}");
    }
    server.get("table=%22My%20Table%22&offset=-1").await.is(200);
    server.get("table=%22My+Table%22&offset=-1").await.is(200);
    let not_found = |name: &str| json!({"table": [format!(r#"Table "public"."{name}" {NOT_THERE}"#)]});
    refuses(
        &server,
        &[("table=%22ITEMS%22&offset=-1", not_found("ITEMS")), ("table=seen&offset=-1", not_found("seen"))],
    )
    .await;
}

#[actix_rt::test]
async fn c044_c045_c046_c047_c048_offsets_and_handles() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    for wrong in
        ["10", "1_2_3", "0_-1", "10_32.1", "1_2%20", "x", "%201_2", "_", "1_", "_1", "now_1", "-2", "-1_1", "1_INF"]
    {
        let errors = server.refusal(&format!("table=items&offset={wrong}")).await;
        assert_eq!(errors, json!({"offset": ["has invalid format"]}), "{wrong}");
    }
    let first = server.get("table=items&offset=-1").await.is(200);
    let handle = first.handle();
    let padded = server.get(&format!("table=items&offset=0_02&handle={handle}")).await.is(200);
    let etag = padded.header("etag").expect("an etag").to_owned();
    assert!(etag.starts_with(&format!("\"{handle}:0_2:")), "{etag} names another offset");
    let behind = server.get(&format!("table=items&offset=0_inf&handle={handle}")).await.is(200);
    assert_eq!(behind.header("electric-up-to-date"), Some(""));
    for without in ["0_0", "0_inf", "0_0&handle="] {
        let errors = server.refusal(&format!("table=items&offset={without}")).await;
        assert_eq!(errors, json!({"handle": ["can't be blank when offset != -1"]}), "{without}");
    }
    let ignored = server.get("table=items&offset=-1&handle=whatever").await.is(200);
    assert_eq!((ignored.handle(), &ignored.body), (handle, &first.body));
}

#[actix_rt::test]
async fn c049_c050_c051_c052_c053_c054_live() {
    let server = Server::new(ITEMS).await;
    let at_start = json!({"live": ["can't be true when offset == -1"]});
    let alone = json!({"live_sse": ["can't be true unless live is also true"]});
    refuses(
        &server,
        &[
            ("table=items&offset=-1&live=true", at_start.clone()),
            ("table=items&offset=-1&live", at_start.clone()),
            ("table=items&offset=-1&live=", at_start.clone()),
            ("table=items&offset=-1&live=True", at_start.clone()),
            ("table=items&offset=-1&live=TRUE", at_start.clone()),
            ("table=items&offset=-1&live=1", at_start),
            ("table=items&offset=now&live=true", json!({"live": ["can't be true when offset is 'now'"]})),
            ("table=items&offset=0_0&handle=h&live_sse=true", alone.clone()),
            ("table=items&offset=0_0&handle=h&experimental_live_sse=true", alone),
        ],
    )
    .await;
    let plain = server.get("table=items&offset=-1&live=false").await.is(200);
    assert_eq!(plain.header("electric-cursor"), None);
}

#[actix_rt::test]
async fn c055_c056_c057_c058_c059_modes_and_unknown_parameters() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let invalid = json!(["is invalid"]);
    refuses(
        &server,
        &[
            ("table=items&offset=-1&replica=foo", json!({"replica": invalid})),
            ("table=items&offset=-1&log=foo", json!({"log": invalid})),
            ("table=items&replica=foo", json!({"replica": invalid, "offset": ["can't be blank"]})),
        ],
    )
    .await;
    let plain = server.get("table=items&offset=-1").await.is(200);
    let unrelated = [
        "unrelated=foo",
        "cache-buster=5",
        "expired_handle=1-2",
        "cursor=abc",
        "cursor=",
        "subset_where=x",
        "replica=default&log=full",
        "replica=&log=&where=&columns=&handle=",
    ];
    for more in unrelated {
        let reply = server.get(&format!("table=items&offset=-1&{more}")).await;
        assert_eq!((reply.status, reply.text()), (200, plain.text()), "{more}");
        assert_eq!(reply.handle(), plain.handle(), "{more}");
    }
}
