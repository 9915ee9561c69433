//! The header that tells the columns' types: statements 125 to 133 and 135.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{A, B, ITEMS, Server, insert};
use crate::support::Reply;

const TABLE: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (id bigint PRIMARY KEY, name varchar(40) NOT NULL, \
    code char(3), letter char, price numeric(10,2), whole numeric(5), free numeric, at timestamptz(3), span interval day to second(3), \
    bits bit(4), grid int8[][], feeling mood, plain text, names varchar(10)[]);";

fn schema(reply: &Reply) -> Value {
    serde_json::from_str(reply.header("electric-schema").expect("a schema")).expect("JSON")
}

#[actix_rt::test]
async fn c125_c126_c127_c128_c129_c130_c131_c132_c133_schema() {
    let server = Server::new(TABLE).await;
    let expected = json!({
        "id": {"type": "int8", "pk_index": 0, "not_null": true},
        "name": {"type": "varchar", "max_length": 40, "not_null": true},
        "code": {"type": "bpchar", "length": 3},
        "letter": {"type": "bpchar", "length": 1},
        "price": {"type": "numeric", "precision": 10, "scale": 2},
        "whole": {"type": "numeric", "precision": 5, "scale": 0},
        "free": {"type": "numeric"},
        "at": {"type": "timestamptz", "precision": 3},
        "span": {"type": "interval", "fields": "DAY TO SECOND", "precision": 3},
        "bits": {"type": "bit", "length": 4},
        "grid": {"type": "int8", "dims": 2},
        "feeling": {"type": "mood"},
        "plain": {"type": "text"},
        "names": {"type": "varchar", "dims": 1, "max_length": 10},
    });
    let all = schema(&server.get("table=t&offset=-1").await.is(200));
    for (column, of) in expected.as_object().expect("columns") {
        assert_eq!(&all[column], of, "{column}");
    }
    assert_eq!(all, expected, "exactly the selected columns");
    let some = schema(&server.get("table=t&offset=-1&columns=id,at").await.is(200));
    assert_eq!(some, json!({"id": expected["id"], "at": expected["at"]}));
}

#[actix_rt::test]
async fn c135_no_schema_on_live_answers_and_304() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let tail = server.tail("table=items").await;
    server.sql(&insert(B, "b")).await;
    let live = tail.poll().await.is(200);
    assert_eq!(live.header("electric-schema"), None);
    let first = server.get("table=items&offset=-1").await.is(200);
    let etag = first.header("etag").expect("an etag");
    let unchanged = server.send(Method::GET, "table=items&offset=-1", &[("if-none-match", etag)], b"").await.is(304);
    assert_eq!(unchanged.header("electric-schema"), None);
}
