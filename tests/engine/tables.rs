//! Tables of every kind of key and name.

use super::{Scene, Tail};
use crate::support::Reader;

#[actix_rt::test]
async fn a_table_of_an_odd_name_is_followed_under_that_name() {
    let sql = r#"CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."It's ""A"" b.c/d" ("Id" int PRIMARY KEY, "a ""b"", c" text);
                 INSERT INTO "My.Schema"."It's ""A"" b.c/d" VALUES (1, 'one')"#;
    let scene = Scene::new(sql).await;
    let table = r#""My.Schema"."It's ""A"" b.c/d""#;
    let shape =
        scene.engine.shape(table).with("columns", r#""Id","a ""b"", c""#).with("where", r#""a ""b"", c" <> 'x'"#);
    let snapshot = shape.first().await.is(200).changes();
    let mut tail = Tail::of(&shape).await;
    scene.sql(&format!("INSERT INTO {table} VALUES (2, 'two'), (3, 'x')")).await;
    scene.sql(&format!("INSERT INTO {table} VALUES (4, 'four')")).await;
    let log = tail.before("/\"4\"").await;
    assert_eq!((snapshot.len(), log.len()), (1, 1), "{snapshot:?} {log:?}");
    for (message, id, text) in [(&snapshot[0], "1", "one"), (&log[0], "2", "two")] {
        assert_eq!(message.key, Some(format!("{table}/\"{id}\"")));
        assert_eq!(message.column(r#"a "b", c"#), Some(text));
        assert_eq!(message.headers.relation, Some(["My.Schema".to_owned(), r#"It's "A" b.c/d"#.to_owned()]));
    }
}

#[actix_rt::test]
async fn the_parts_of_a_key_come_in_the_order_of_the_key() {
    let sql =
        "CREATE TABLE pairs (note text, b text, a int, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES ('n', 'x/y', 7)";
    let scene = Scene::new(sql).await;
    let shape = scene.engine.shape("pairs");
    let first = shape.first().await.is(200);
    let schema: serde_json::Value =
        serde_json::from_str(first.header("electric-schema").expect("a schema")).expect("JSON");
    assert_eq!((&schema["a"]["pk_index"], &schema["b"]["pk_index"]), (&0.into(), &1.into()), "{schema}");
    assert!(schema["note"].get("pk_index").is_none(), "{schema}");
    let mut tail = Tail::of(&shape).await;
    scene.sql("UPDATE pairs SET note = 'm'; UPDATE pairs SET b = '/'; DELETE FROM pairs").await;
    scene.sql("INSERT INTO pairs VALUES ('', 'end', 0)").await;
    let log = tail.told_before("/\"0\"/\"end\"").await;
    assert_eq!(first.changes()[0].key.as_deref(), Some(r#""public"."pairs"/"7"/"x//y""#));
    let expected = [
        r#"update "7"/"x//y": a=7 b=x/y note=m"#,
        r#"delete "7"/"x//y": a=7 b=x/y, to "7"/"//""#,
        r#"insert "7"/"//": a=7 b=/ note=m, from "7"/"x//y""#,
        r#"delete "7"/"//": a=7 b=/"#,
    ];
    assert_eq!(log, expected);
}

#[actix_rt::test]
async fn without_a_key_all_columns_are_the_key_and_an_update_is_a_delete_and_an_insert() {
    let scene = Scene::new("CREATE TABLE loose (b text, a int); INSERT INTO loose VALUES ('x', NULL), (NULL, 2)").await;
    let shape = scene.engine.shape("loose");
    let first = shape.first().await.is(200);
    let mut keys: Vec<_> = first.changes().into_iter().filter_map(|message| message.key).collect();
    keys.sort();
    assert_eq!(keys, [r#""public"."loose"/"x"/_"#, r#""public"."loose"/_/"2""#]);
    assert!(!first.header("electric-schema").expect("a schema").contains("pk_index"));
    let mut tail = Tail::of(&shape).await;
    scene.sql("UPDATE loose SET a = 1 WHERE b = 'x'; UPDATE loose SET a = a; DELETE FROM loose WHERE b IS NULL").await;
    scene.sql("INSERT INTO loose VALUES ('end', 0)").await;
    let expected = [
        r#"delete "x"/_: a=null b=x, to "x"/"1""#,
        r#"insert "x"/"1": a=1 b=x, from "x"/_"#,
        r#"delete _/"2": a=2 b=null"#,
    ];
    assert_eq!(tail.told_before(r#"/"end"/"0""#).await, expected);
    Reader::up_to_date(&shape).await;
}

#[actix_rt::test]
async fn a_column_added_or_dropped_before_the_shape_leaves_no_trace() {
    let sql = "CREATE TABLE items (id int, gone text, title text, late int, PRIMARY KEY (id)); ALTER TABLE items DROP gone; \
               ALTER TABLE items ADD added text DEFAULT 'd'; INSERT INTO items VALUES (1, 't', 5)";
    let scene = Scene::new(sql).await;
    let shape = scene.engine.shape("items").with("where", "late = 5");
    let mut tail = Tail::of(&shape).await;
    scene.sql("UPDATE items SET title = 'u'; INSERT INTO items VALUES (2, 'v', 5, NULL), (3, 'w', 6, NULL)").await;
    scene.sql("INSERT INTO items VALUES (4, 'end', 5, '')").await;
    let expected = [r#"update "1": id=1 title=u"#, r#"insert "2": added=null id=2 late=5 title=v"#];
    assert_eq!(tail.told_before("/\"4\"").await, expected);
    assert_eq!(Reader::up_to_date(&shape).await.rows.len(), 3);
}
