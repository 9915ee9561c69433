//! Which requests ask for the same shape.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::Scene;
use crate::support::Shape;

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text, grp int); \
                     INSERT INTO items SELECT n, 'v' || n, n % 5 FROM generate_series(1, 100) n;";

/// Groups of definitions: those of one group are one shape, and no two groups are.
const GROUPS: &[&[&[(&str, &str)]]] = &[
    &[&[], &[("where", "")], &[("replica", "default")], &[("log", "full")], &[("params[1]", "x")]],
    &[&[("replica", "full")]],
    &[&[("log", "changes_only")], &[("log", "changes_only"), ("experimental_compaction", "true")]],
    &[&[("columns", "id,value")], &[("columns", "value,id")], &[("columns", "\"id\",VALUE")]],
    &[&[("columns", "id,value,grp")]],
    &[
        &[("where", "grp = 5 AND value = 'a'")],
        &[("where", "grp=5 and value='a'")],
        &[("where", "  GRP  =  5\nAnd\t(value = 'a')")],
        &[("where", "((grp = 5) AND value = 'a')")],
        &[("where", "grp = $1 AND value = $2"), ("params[1]", "5"), ("params[2]", "a")],
        &[("where", "grp = $2 AND value = $1"), ("params[1]", "a"), ("params[2]", "5")],
    ],
    &[&[("where", "value = 'a' AND grp = 5")]],
    &[
        &[("where", "grp = $1"), ("params[1]", "5")],
        &[("where", "grp = $1"), ("params[1]", "5"), ("params[2]", "unused")],
    ],
    &[&[("where", "grp = $1"), ("params[1]", "6")]],
    &[&[("where", "value = 'A'")]],
];

#[actix_rt::test]
async fn definitions_that_mean_the_same_share_a_handle_and_no_others() {
    let scene = Scene::new(ITEMS).await;
    let mut known: Vec<String> = Vec::new();
    for group in GROUPS {
        let mut own = None;
        for params in *group {
            let shape = params.iter().fold(scene.engine.shape("items"), |shape, (name, value)| shape.with(name, value));
            let handle = shape.first().await.is(200).handle();
            let own = own.get_or_insert_with(|| handle.clone());
            assert_eq!(*own, handle, "{}: the same as {:?}", shape.name(), group[0]);
        }
        let own = own.expect("a group");
        assert!(
            !known.contains(&own),
            "{group:?}: the same as {:?}",
            GROUPS[known.iter().position(|k| *k == own).unwrap_or(0)]
        );
        known.push(own);
    }
}

#[actix_rt::test]
async fn first_requests_at_once_get_one_shape() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items").with("where", "grp <> 3");
    let replies = join_all((0..20).map(|_| shape.first())).await;
    let handles: BTreeSet<_> = replies.iter().map(|reply| reply.handle()).collect();
    assert_eq!(handles.len(), 1);
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
}

#[actix_rt::test]
async fn a_handle_that_is_not_the_shapes_is_told_the_right_one() {
    let scene = Scene::new(ITEMS).await;
    let one = scene.engine.shape("items").with("where", "grp = 1");
    let two = scene.engine.shape("items").with("where", "grp = 2");
    let told = async |shape: &Shape, handle: &str| {
        let reply = shape.get(&[("offset", "0_0"), ("handle", handle)]).await.is(409);
        assert_eq!(reply.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
        let next = reply.handle();
        for (name, value) in [
            ("cache-control", Some("public, max-age=60, must-revalidate")),
            ("etag", Some(&*format!("\"{next}::\""))),
            ("electric-offset", None),
            ("electric-has-data", None),
            ("electric-schema", None),
            ("location", None),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        next
    };
    let made = told(&one, "123-456").await;
    assert_eq!(one.first().await.is(200).handle(), made, "a shape that the refusal made");
    assert_eq!(told(&one, "123-456").await, made);
    let other = told(&two, &made).await;
    assert_ne!(other, made);
    assert_eq!(two.first().await.is(200).handle(), other);
    let live = [("offset", "0_0"), ("handle", "nobody's"), ("live", "true"), ("live_sse", "true")];
    let reply = two.get(&live).await.is(409);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "no stream");
}
