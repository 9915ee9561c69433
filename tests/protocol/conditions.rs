//! The where clause, by the numbers of the protocol's checklist (14.9): 225 to 245.

use std::time::Duration;

use tokio_postgres::Client;

use crate::support::{Database, Engine, Reply, eventually};

const SOON: Duration = Duration::from_secs(60);
const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE items (id int PRIMARY KEY, value text, n int, d date, flag bool, e mood, tags text[], nums int[], at timestamp, tz timestamptz);
    INSERT INTO items VALUES
      (1, 'yes', 1, '2024-01-01', true, 'sad', '{a,b}', '{1,2,3}', '2024-01-01 12:00', '2024-01-01 12:00+00'),
      (2, 'YES please', 5, '2024-02-29', false, 'ok', '{}', '{3}', '2024-02-29 00:00', '2024-02-29 00:00+00'),
      (3, 'no', 10, '2023-12-31', NULL, 'happy', '{b,c}', '{4,5}', '2001-02-16 20:38:40', '2001-02-16 20:38:40+00'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
      (5, '100%', -3, '2024-12-31', true, 'ok', '{NULL}', '{1,NULL}', 'infinity', '-infinity');";
const COPY: &str = "INSERT INTO items SELECT id + 100, value, n, d, flag, e, tags, nums, at, tz FROM items";

const ALL: &[i32] = &[1, 2, 3, 4, 5];
const NONE: &[i32] = &[];

/// A filter, its parameters, and the ids of the rows that it matches.
type Case = (&'static str, &'static [&'static str], &'static [i32]);

struct Scene {
    engine: Engine,
    client: Client,
    _database: Database,
}

impl Scene {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(TABLES).await.expect("the table");
        let engine = Engine::start(&database).await;
        Self { engine, client, _database: database }
    }

    /// The first answer to a filter.
    async fn ask(&self, filter: &str, params: &[&str]) -> Reply {
        self.shape(filter, params).first().await
    }

    fn shape(&self, filter: &str, params: &[&str]) -> crate::support::Shape {
        let mut shape = self.engine.shape("items").with("where", filter);
        for (at, value) in params.iter().enumerate() {
            shape = shape.with(&format!("params[{}]", at + 1), value);
        }
        shape
    }

    /// Panics unless each filter finds its rows in the snapshot, and the same rows when they are inserted again, in the log.
    async fn finds(&self, cases: &[Case]) {
        let mut shapes = Vec::new();
        for (filter, params, expected) in cases {
            let shape = self.shape(filter, params);
            let first = shape.first().await;
            assert_eq!(first.status, 200, "{filter}: {}", first.text());
            assert_eq!(ids(&first), *expected, "the snapshot of {filter}");
            shapes.push((shape, first));
        }
        self.client.batch_execute(COPY).await.expect("copies");
        for ((filter, _, expected), (shape, first)) in cases.iter().zip(&shapes) {
            let copies: Vec<i32> = expected.iter().map(|id| id + 100).collect();
            let mut seen = Vec::new();
            // What an inserted row is told by; the log of a filter that matches none of them stays empty.
            eventually(SOON, &format!("the log of {filter}"), async || {
                let more = shape.get(&[("handle", &first.handle()), ("offset", &first.offset())]).await;
                seen = if more.status == 200 { ids(&more) } else { vec![-1] };
                if seen == copies && self.followed().await { Ok(()) } else { Err(format!("{seen:?}, not {copies:?}")) }
            })
            .await;
        }
    }

    /// Whether the stream is past the copies.
    async fn followed(&self) -> bool {
        let sentinel = self.engine.shape("items").with("where", "id = 105").first().await;
        ids(&sentinel) == [105]
    }

    /// Panics unless a filter is refused with a 400 that blames `where`; returns the text.
    async fn refused(&self, filter: &str) -> String {
        let reply = self.ask(filter, &[]).await;
        assert_eq!(reply.status, 400, "{filter}: {}", reply.text());
        let body = reply.json();
        assert_eq!(body["message"], "Invalid request", "{filter}");
        let texts = body["errors"]["where"].as_array().unwrap_or_else(|| panic!("{filter}: {body}"));
        assert_eq!(texts.len(), 1, "{filter}: {body}");
        texts[0].as_str().expect("a text").to_owned()
    }

    async fn refused_with(&self, filter: &str, part: &str) {
        let text = self.refused(filter).await;
        assert!(text.contains(part), "{filter}: {text}");
    }
}

fn ids(reply: &Reply) -> Vec<i32> {
    let id = |message: &crate::support::Message| message.column("id").and_then(|id| id.parse().ok()).expect("an id");
    let mut ids: Vec<i32> = reply.changes().iter().map(id).collect();
    ids.sort_unstable();
    ids
}

#[actix_rt::test]
async fn c225_like_and_ilike_filter_snapshot_and_log_alike() {
    let cases: &[Case] = &[
        ("value ILIKE 'yes%'", &[], &[1, 2]),
        ("value LIKE 'yes%'", &[], &[1]),
        ("value NOT LIKE 'yes%'", &[], &[2, 3, 5]),
        ("value NOT ILIKE 'yes%'", &[], &[3, 5]),
        ("value LIKE '100\\%'", &[], &[5]),
        ("value LIKE $1", &["_o"], &[3]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c226_lists_and_array_parameters_work() {
    let cases: &[Case] = &[
        ("id IN (1, 3, 9)", &[], &[1, 3]),
        ("id % 100 NOT IN (1, 3)", &[], &[2, 4, 5]),
        ("value = ANY($1)", &["{yes,no}"], &[1, 3]),
        ("n = ANY($1)", &["{1,10}"], &[1, 3]),
        ("n IN ($1, $2)", &["5", "-3"], &[2, 5]),
        ("n NOT IN (1, NULL)", &[], NONE),
    ];
    let scene = Scene::new().await;
    scene.finds(&cases[1..]).await;
    assert_eq!(ids(&scene.ask(cases[0].0, &[]).await), cases[0].2);
}

#[actix_rt::test]
async fn c227_between_works_for_numbers_and_dates() {
    let cases: &[Case] = &[
        ("n BETWEEN 1 AND 5", &[], &[1, 2]),
        ("n BETWEEN 5 AND 1", &[], NONE),
        ("n BETWEEN SYMMETRIC 5 AND 1", &[], &[1, 2]),
        ("n NOT BETWEEN 1 AND 5", &[], &[3, 5]),
        ("n NOT BETWEEN SYMMETRIC 5 AND 1", &[], &[3, 5]),
        ("d BETWEEN '2024-01-01' AND '2024-02-29'", &[], &[1, 2]),
        ("d BETWEEN SYMMETRIC $1 AND $2", &["2024-02-29", "2024-01-01"], &[1, 2]),
        ("d NOT BETWEEN '2024-01-01' AND '2024-12-30'", &[], &[3, 5]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c228_null_and_truth_tests_work() {
    let cases: &[Case] = &[
        ("value IS NULL", &[], &[4]),
        ("value IS NOT NULL", &[], &[1, 2, 3, 5]),
        ("tags IS NULL", &[], &[4]),
        ("n IS DISTINCT FROM 1", &[], &[2, 3, 4, 5]),
        ("n IS NOT DISTINCT FROM NULL", &[], &[4]),
        ("d IS DISTINCT FROM '2024-01-01'", &[], &[2, 3, 4, 5]),
        ("flag IS TRUE", &[], &[1, 5]),
        ("flag IS NOT TRUE", &[], &[2, 3, 4]),
        ("flag IS FALSE", &[], &[2]),
        ("flag IS NOT FALSE", &[], &[1, 3, 4, 5]),
        ("flag IS UNKNOWN", &[], &[3, 4]),
        ("flag IS NOT UNKNOWN", &[], &[1, 2, 5]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c229_logic_is_three_valued() {
    let cases: &[Case] = &[
        // Constants: the table of 8.11.
        ("1 IN (NULL, 1)", &[], ALL),
        ("2 IN (1, NULL)", &[], NONE),
        ("NULL IN (NULL, 1)", &[], NONE),
        ("'test' NOT IN ('hello', 'world')", &[], ALL),
        ("1 IS DISTINCT FROM NULL", &[], ALL),
        ("NULL IS NOT DISTINCT FROM NULL", &[], ALL),
        ("2 BETWEEN SYMMETRIC 3 AND 1", &[], ALL),
        ("1 BETWEEN 3 AND 1", &[], NONE),
        ("NULL IS UNKNOWN", &[], ALL),
        ("null IS NOT FALSE", &[], ALL),
        ("(1 = NULL) IS NULL", &[], ALL),
        ("'hello' LIKE 'h%o' AND 'hello' NOT LIKE 'hell\\%'", &[], ALL),
        ("concat('a', NULL::text, 'b') = 'ab'", &[], ALL),
        ("'a' || NULL::text || 'b' = 'ab'", &[], NONE),
        ("greatest(NULL::int4, 2, 3) = 3", &[], ALL),
        ("coalesce(n, 1, 1 / n) = 1", &[], &[1, 4]),
        // Columns.
        ("flag AND n > 0", &[], &[1]),
        ("NOT (flag AND n > 0)", &[], &[2, 5]),
        ("flag OR n > 0", &[], &[1, 2, 3, 5]),
        ("NOT (flag OR n > 100)", &[], &[2]),
        ("NOT flag", &[], &[2]),
        ("flag AND NULL", &[], NONE),
        ("(flag AND NULL) IS NULL", &[], &[1, 3, 4, 5]),
        ("flag OR NULL", &[], &[1, 5]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c230_arrays_work() {
    let cases: &[Case] = &[
        ("tags @> '{b}'", &[], &[1, 3]),
        ("tags <@ ARRAY['a','b']", &[], &[1, 2]),
        ("tags && $1", &["{a,c}"], &[1, 3]),
        ("nums[1] = 1", &[], &[1, 5]),
        ("nums[7] IS NULL", &[], ALL),
        ("nums[2:3] = '{2,3}'", &[], &[1]),
        ("nums[:1] = ARRAY[1]", &[], &[1, 5]),
        ("nums[2:] = ARRAY[5]", &[], &[3]),
        ("nums = ARRAY[1,2,3]", &[], &[1]),
        ("nums <> ARRAY[1,2,3]", &[], &[2, 3, 5]),
        ("3 = ANY (nums)", &[], &[1, 2]),
        ("2 < ALL (nums)", &[], &[2, 3]),
        ("3 > ANY ('{1, 2, 3}')", &[], ALL),
        ("1::bigint = ANY ('{1,2}'::int[])", &[], ALL),
        ("'{1,2,3}'::int[] @> '{2,1,2}'", &[], ALL),
        ("'{1,2,1}'::int[] && '{2,3,4}'::int[]", &[], ALL),
        ("nums || 9 = '{3,9}'", &[], &[2]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c231_dates_and_times_are_calculated() {
    let cases: &[Case] = &[
        ("timestamp '2001-02-16 20:38:40' at time zone 'America/Denver' = '2001-02-17 03:38:40+00'", &[], ALL),
        ("date '2024-01-01' < interval '1 month 1 hour' + date '2023-12-01'", &[], ALL),
        ("at AT TIME ZONE 'America/Denver' = '2001-02-17 03:38:40+00'", &[], &[3]),
        ("tz AT TIME ZONE 'America/Denver' = '2001-02-16 13:38:40'", &[], &[3]),
        ("d + 1 = '2024-03-01'", &[], &[2]),
        ("d - date '2023-12-31' = 1", &[], &[1]),
        ("d + interval '1 month' = '2024-03-29'", &[], &[2]),
        ("at - interval '12 hours' = timestamp '2024-01-01'", &[], &[1]),
        ("CASE WHEN at < 'infinity' THEN at - timestamp '2024-01-01' = interval '12 hours' END", &[], &[1]),
        ("d <> '2024-01-01'", &[], &[2, 3, 5]),
        ("at > '2024-01-01'", &[], &[1, 2, 5]),
    ];
    Scene::new().await.finds(cases).await;
}

/// The checklist has `enum_col = 'x'` refused in the main filter, as upstream does. Users ask for it, and so it works here.
#[actix_rt::test]
async fn c232_enums_compare_with_text_and_with_literals() {
    let cases: &[Case] = &[
        ("e::text = 'ok'", &[], &[2, 5]),
        ("e::text IN ('sad', 'happy')", &[], &[1, 3]),
        ("e::text LIKE '%a%'", &[], &[1, 3]),
        ("e = 'ok'", &[], &[2, 5]),
        ("e = $1", &["happy"], &[3]),
        ("e <> 'ok'", &[], &[1, 3]),
        ("e IN ('ok', 'sad')", &[], &[1, 2, 5]),
        ("e IS NULL", &[], &[4]),
    ];
    let scene = Scene::new().await;
    scene.finds(cases).await;
    scene.refused_with("e = 'furious'", "invalid syntax for type enum").await;
}

#[actix_rt::test]
async fn c233_a_syntax_error_is_told_with_its_place() {
    let text = Scene::new().await.refused("1 x 1").await;
    assert_eq!(text, "At location 17: syntax error at or near \"x\"");
}

#[actix_rt::test]
async fn c234_an_unknown_column_is_told_with_its_place() {
    let scene = Scene::new().await;
    assert_eq!(scene.refused("foo = 1").await, "At location 0: unknown reference foo");
    assert_eq!(scene.refused("id = 1 AND \"Foo\" = 1").await, "At location 11: unknown reference \"Foo\"");
}

#[actix_rt::test]
async fn c235_functions_of_the_session_are_refused() {
    let scene = Scene::new().await;
    scene.refused_with("value = now()::text", "unknown or unsupported function now/0").await;
    for filter in [
        "n = random()",
        "value = current_user",
        "d = current_date",
        "tz < current_timestamp",
        "d = 'today'",
        "tz < 'now'",
    ] {
        scene.refused(filter).await;
    }
}

#[actix_rt::test]
async fn c236_aggregates_are_refused() {
    let scene = Scene::new().await;
    scene.refused_with("count(*) = 1", "aggregation is not supported in this context").await;
    scene.refused("max(id) = 1").await;
}

/// The checklist has CASE refused, as upstream does. Users ask for it, and so it works here.
#[actix_rt::test]
async fn c237_case_works() {
    let cases: &[Case] = &[
        ("CASE WHEN true THEN true END", &[], ALL),
        ("CASE WHEN n > 4 THEN true WHEN n IS NULL THEN true ELSE false END", &[], &[2, 3, 4]),
        ("CASE n WHEN 1 THEN 'one' WHEN 5 THEN 'five' END = 'five'", &[], &[2]),
    ];
    Scene::new().await.finds(cases).await;
}

#[actix_rt::test]
async fn c238_what_is_no_boolean_is_refused() {
    let scene = Scene::new().await;
    for filter in ["1", "'x'", "id + 1", "value"] {
        let text = scene.refused(filter).await;
        let told = text == "WHERE clause must return a boolean" || text.contains("is not castable to bool");
        assert!(told, "{filter}: {text}");
    }
    assert_eq!(scene.refused("1").await, "WHERE clause must return a boolean");
}

/// No number of the list. The snapshot's query fails on a row; that is no fault of ours, and what is in the row is nobody's business.
#[actix_rt::test]
async fn a_condition_that_fails_on_a_row_is_refused_without_its_values() {
    let scene = Scene::new().await;
    for (filter, code) in [("1 / (id - 3) = 1", "22012"), ("value::int = 1", "22P02"), ("id * 2147483647 > 1", "22003")]
    {
        let text = scene.refused(filter).await;
        assert!(text.contains(code) && !text.contains("yes"), "{filter}: {text}");
    }
    let guarded = "CASE WHEN id <> 3 THEN 1 / (id - 3) = 1 END";
    assert_eq!(ids(&scene.ask(guarded, &[]).await.is(200)), [4]);
}

#[actix_rt::test]
async fn c239_a_second_statement_is_refused() {
    let scene = Scene::new().await;
    assert_eq!(scene.refused("true; DROP TABLE items").await, "unescaped \";\" causing statement split");
    let shape = scene.ask("value = ';'", &[]).await;
    assert_eq!(shape.status, 200, "within a text it is a character: {}", shape.text());
}

#[actix_rt::test]
async fn c240_other_clauses_are_refused() {
    let scene = Scene::new().await;
    for clause in [
        "ORDER BY 1",
        "GROUP BY id",
        "LIMIT 1",
        "OFFSET 1",
        "HAVING true",
        "UNION SELECT 1",
        "FOR UPDATE",
        "WINDOW w AS ()",
    ] {
        scene.refused(&format!("true {clause}")).await;
    }
    assert_eq!(scene.refused("true ORDER BY 1").await, "malformed query ending with SQL clauses");
}

/// By POST: a URL of this length is refused by the HTTP server before anybody looks into it.
#[actix_rt::test]
async fn c241_a_very_long_filter_is_refused() {
    let scene = Scene::new().await;
    let url = format!("{}/v1/shape?table=items&offset=-1", scene.engine.binary.url());
    let post = async |filter: String| {
        // `subset` makes the rest of the body parameters of the shape; its own are then those of a part.
        let body = serde_json::json!({"where": filter, "subset": {}}).to_string();
        let mut response = scene.engine.http.post(&url).send_body(body).await.expect("an answer");
        let text = String::from_utf8_lossy(&response.body().limit(1 << 20).await.expect("a body")).into_owned();
        (response.status().as_u16(), text)
    };
    let (status, text) = post(format!("value = '{}'", "a".repeat(70_000))).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("bigger than maximum size"), "{text}");
    let (status, text) = post(format!("value <> '{}'", "a".repeat(60_000))).await;
    assert!(!text.contains("bigger than maximum size"), "{status} {text}");
}

#[actix_rt::test]
async fn c242_truth_tests_want_a_boolean() {
    let scene = Scene::new().await;
    scene.refused_with("id IS TRUE", "argument of IS TRUE must be bool").await;
    scene.refused_with("id IS NOT FALSE", "argument of IS NOT FALSE must be bool").await;
    scene.refused_with("id IS UNKNOWN", "argument of IS UNKNOWN must be bool").await;
}

#[actix_rt::test]
async fn c243_other_subqueries_than_in_are_refused() {
    let scene = Scene::new().await;
    let only = "only `value IN (SELECT ...)` sublinks are supported right now";
    for filter in ["EXISTS (SELECT id FROM items)", "id = (SELECT id FROM items)", "id > ANY (SELECT id FROM items)"] {
        scene.refused_with(filter, only).await;
    }
}

#[actix_rt::test]
async fn c244_the_same_filter_written_otherwise_is_the_same_shape() {
    let scene = Scene::new().await;
    let handle = scene.ask("id > 1 AND value LIKE 'y%'", &[]).await.is(200).handle();
    for same in [
        "id>1 and value like 'y%'",
        "  ID > 1\n\tAND\n  value  LIKE  'y%' ",
        "id > /* c */ 1 AND value LIKE 'y%' -- end",
    ] {
        assert_eq!(scene.ask(same, &[]).await.is(200).handle(), handle, "{same}");
    }
    assert_ne!(scene.ask("id > 2 AND value LIKE 'y%'", &[]).await.is(200).handle(), handle);
    assert_ne!(scene.ask("id > 1 AND value LIKE 'Y%'", &[]).await.is(200).handle(), handle);
}

#[actix_rt::test]
async fn c245_other_parameters_make_another_shape() {
    let scene = Scene::new().await;
    let one = scene.ask("n = $1", &["1"]).await.is(200);
    let five = scene.ask("n = $1", &["5"]).await.is(200);
    let again = scene.ask("n = $1", &["1"]).await.is(200);
    assert_ne!(one.handle(), five.handle());
    assert_eq!(one.handle(), again.handle());
    assert_eq!((ids(&one), ids(&five)), (vec![1], vec![2]));
}
