//! DELETE: statements 209 to 215.

use serde_json::json;

use super::{A, ITEMS, Server, insert};

const ALLOWED: &[(&str, &str)] = &[("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true")];
/// Definitions that differ in one parameter each.
const DEFINITIONS: [&str; 6] = [
    "table=items",
    "table=items&where=value%20%3D%20%27a%27",
    "table=items&where=value%20%3D%20%241&params[1]=b",
    "table=items&columns=id,value",
    "table=items&replica=full",
    "table=items&log=changes_only",
];

#[actix_rt::test]
async fn c209_deletion_must_be_allowed() {
    let server = Server::new(ITEMS).await;
    let handle = server.get("table=items&offset=-1").await.is(200).handle();
    let refused = server.delete("table=items").await.is(405);
    assert_eq!(refused.json(), json!({"message": "DELETE not allowed"}));
    assert_eq!(server.get("table=items&offset=-1").await.is(200).handle(), handle);
}

#[actix_rt::test]
async fn c210_by_table_by_handle_and_by_both() {
    let server = Server::with(&format!("{ITEMS} {}", insert(A, "a")), ALLOWED).await;
    let mut handles = Vec::new();
    for by in ["table", "handle", "both"] {
        let handle = server.get("table=items&offset=-1").await.is(200).handle();
        let query = match by {
            "table" => "table=items".to_owned(),
            "handle" => format!("handle={handle}"),
            _ => format!("table=items&handle={handle}"),
        };
        let deleted = server.delete(&query).await.is(202);
        assert_eq!((deleted.text().as_str(), deleted.header("cache-control")), ("", Some("no-cache")), "{by}");
        server.get(&format!("table=items&offset=0_0&handle={handle}")).await.is(409);
        handles.push(handle);
        let next = server.get("table=items&offset=-1").await.is(200);
        assert!(!handles.contains(&next.handle()), "{by}: {handles:?}");
        assert_eq!(next.changes().len(), 1, "{by}");
    }
}

#[actix_rt::test]
async fn c211_by_every_part_of_a_definition() {
    let server = Server::with(ITEMS, ALLOWED).await;
    let handles = async || {
        let mut handles = Vec::new();
        for definition in DEFINITIONS {
            handles.push(server.get(&format!("{definition}&offset=-1")).await.is(200).handle());
        }
        handles
    };
    let mut before = handles().await;
    for (n, definition) in DEFINITIONS.iter().enumerate() {
        server.delete(definition).await.is(202);
        let after = handles().await;
        let changed: Vec<_> = (0..DEFINITIONS.len()).filter(|&of| before[of] != after[of]).collect();
        assert_eq!(changed, [n], "{definition}");
        before = after;
    }
}

#[actix_rt::test]
async fn c212_c213_c214_c215_deletions_that_find_nothing() {
    let server = Server::with(ITEMS, ALLOWED).await;
    for query in ["", "offset=-1", "table=&handle="] {
        let errors = Server::errors(server.delete(query).await);
        assert_eq!(errors, json!({"handle": ["can't be blank when shape definition is missing"]}), "{query}");
    }
    let none = json!({"message": "No existing shape found"});
    // The second time tells that the first made none.
    for query in ["handle=1-2", "table=items", "table=items", "table=items&replica=full"] {
        assert_eq!(server.delete(query).await.is(404).json(), none, "{query}");
    }
    let plain = server.get("table=items&offset=-1").await.is(200).handle();
    let full = server.get("table=items&replica=full&offset=-1").await.is(200).handle();
    let refused = server.delete(&format!("table=items&handle={full}")).await.is(400).json();
    let text = "The specified shape definition and handle do not match.";
    assert!(refused["message"].as_str().is_some_and(|message| message.starts_with(text)), "{refused}");
    assert_eq!(server.get("table=items&offset=-1").await.is(200).handle(), plain);
    assert_eq!(server.get("table=items&replica=full&offset=-1").await.is(200).handle(), full);
}
