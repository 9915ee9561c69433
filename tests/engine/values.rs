//! Values as text: the same in the snapshot and in the log, whatever the database's own settings are.

use super::{Scene, Tail};
use crate::support::Row;

/// Type, value in SQL, and its text.
const VALUES: &[(&str, &str, Option<&str>)] = &[
    ("int8", "9223372036854775807", Some("9223372036854775807")),
    ("int2", "'-32768'", Some("-32768")),
    ("float8", "0.1::float8 + 0.2", Some("0.30000000000000004")),
    ("float8", "'-Infinity'", Some("-Infinity")),
    ("float4", "'NaN'", Some("NaN")),
    ("float8[]", "'{Infinity,-Infinity,NaN}'", Some("{Infinity,-Infinity,NaN}")),
    ("numeric", "'1.10'", Some("1.10")),
    ("numeric(10,2)", "5", Some("5.00")),
    ("bool", "true", Some("t")),
    ("bool", "false", Some("f")),
    ("bool[]", "'{t,f,NULL}'", Some("{t,f,NULL}")),
    ("bytea", "'\\x0001FFfe'", Some("\\x0001fffe")),
    ("text", "E'\\u0001 \\t\\n\\r \"q\" \\\\ / é 😀 \\u2028'", Some("\u{1} \t\n\r \"q\" \\ / é 😀 \u{2028}")),
    ("text", "''", Some("")),
    ("text", "NULL", None),
    ("char(5)", "'ab'", Some("ab   ")),
    ("varchar(5)", "'ab '", Some("ab ")),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("json", "'{\"foo\":\"bar\"}'", Some("{\"foo\":\"bar\"}")),
    ("jsonb", "'{\"foo\":\"bar\"}'", Some("{\"foo\": \"bar\"}")),
    ("date", "'2024-01-31'", Some("2024-01-31")),
    ("time", "'12:34:56.789'", Some("12:34:56.789")),
    ("timetz", "'12:34:56+02'", Some("12:34:56+02")),
    ("timestamp", "'2024-01-31 12:34:56.789'", Some("2024-01-31 12:34:56.789")),
    ("timestamptz", "'2024-01-31 12:34:56.789+02'", Some("2024-01-31 10:34:56.789+00")),
    ("timestamptz[]", "'{2024-07-31 12:34:56+02}'", Some("{\"2024-07-31 10:34:56+00\"}")),
    ("tstzrange", "'[2024-01-31 12:00+02,)'", Some("[\"2024-01-31 10:00:00+00\",)")),
    ("interval", "'1 day 2 hours'", Some("P1DT2H")),
    ("interval", "'-1 month 3.5 seconds'", Some("P-1MT3.5S")),
    ("int[][]", "'{{1,2,3},{4,5,6}}'", Some("{{1,2,3},{4,5,6}}")),
    ("text[]", "ARRAY['a b', NULL, '', '\"']", Some("{\"a b\",NULL,\"\",\"\\\"\"}")),
    ("int[]", "'{}'", Some("{}")),
    ("mood", "'very happy'", Some("very happy")),
    ("mood[]", "'{ok,\"very happy\"}'", Some("{ok,\"very happy\"}")),
    ("positive", "7", Some("7")),
    ("point2", "(1.1, 2.2)", Some("(1.1,2.2)")),
    ("point2[]", "ARRAY[(1.1, 2.2)::point2, (3.3, 4.4)::point2]", Some("{\"(1.1,2.2)\",\"(3.3,4.4)\"}")),
    ("int4range", "'[1,5)'", Some("[1,5)")),
    ("inet", "'10.0.0.1'", Some("10.0.0.1")),
    ("cidr", "'10.0.0.0/8'", Some("10.0.0.0/8")),
    ("bit(4)", "B'0101'", Some("0101")),
    ("xml", "'<a/>'", Some("<a/>")),
    ("money", "12.5", Some("$12.50")),
];
const TYPES: &str = "CREATE TYPE mood AS ENUM ('ok', 'very happy'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
                     CREATE TYPE point2 AS (x float8, y float8);";

fn columns(of: impl Fn(usize, &str, &str) -> String) -> String {
    VALUES.iter().enumerate().map(|(at, (ty, value, _))| of(at, ty, value)).collect::<Vec<_>>().join(", ")
}

#[actix_rt::test]
async fn a_value_has_the_same_text_in_the_snapshot_and_in_the_log() {
    let table = format!("CREATE TABLE odd (id bool PRIMARY KEY, {});", columns(|at, ty, _| format!("c{at} {ty}")));
    let settings = [("timezone", "'America/New_York'"), ("intervalstyle", "sql_standard"), ("bytea_output", "escape")]
        .into_iter()
        .chain([
            ("datestyle", "'SQL, DMY'"),
            ("extra_float_digits", "0"),
            ("lc_monetary", "'C'"),
            ("xmloption", "content"),
        ]);
    let settings = settings.map(|(name, value)| {
        format!("EXECUTE format('ALTER DATABASE %I SET {name} = %L', current_database(), {});", quoted(value))
    });
    let settings = format!("DO $do$ BEGIN {} END $do$;", settings.collect::<String>());
    let scene = Scene::new(&format!("{TYPES} {table} {settings}")).await;
    let before = scene.engine.shape("odd").with("where", "id");
    let mut tail = Tail::of(&before).await;
    scene.sql(&format!("INSERT INTO odd VALUES (true, {})", columns(|_, ty, value| format!("{value}::{ty}")))).await;
    let log = tail.next().await;
    let snapshot = scene.engine.shape("odd").first().await.is(200).changes();
    assert_eq!((log.len(), snapshot.len()), (1, 1));
    let (logged, read) = (log[0].value.as_ref().expect("a value"), snapshot[0].value.as_ref().expect("a value"));
    for (at, (ty, value, text)) in VALUES.iter().enumerate() {
        let of = |row: &Row| row[&format!("c{at}")].clone();
        let text = if *ty == "money" { of(read) } else { text.map(str::to_owned) };
        assert_eq!(of(read), text, "{ty} {value} in the snapshot");
        assert_eq!(of(logged), text, "{ty} {value} in the log");
    }
    assert_eq!(log[0].key, snapshot[0].key);
    assert_eq!(logged, read);
    scene.sql("UPDATE odd SET id = id, c0 = 1").await;
    let update = tail.next().await;
    assert_eq!(update[0].key, snapshot[0].key);
    assert_eq!(update[0].value.as_ref().map(|value| value.len()), Some(2), "{update:?}");
}

fn quoted(value: &str) -> String {
    if value.starts_with('\'') { value.to_owned() } else { format!("'{value}'") }
}

#[actix_rt::test]
async fn the_schema_header_describes_the_selected_columns() {
    let table = "CREATE TABLE typed (id bigint PRIMARY KEY, name varchar(40) NOT NULL, c3 char(3), c1 char, p numeric(10,2), p5 numeric(5), \
                 n numeric, at timestamptz(3), span interval day to second(3), bits bit(4), grid int8[][], names varchar(10)[], m mood, \
                 d positive)";
    let scene = Scene::new(&format!("{TYPES} {table}")).await;
    let reply = scene.engine.shape("typed").first().await.is(200);
    let schema: serde_json::Value =
        serde_json::from_str(reply.header("electric-schema").expect("a schema")).expect("JSON");
    let expected = serde_json::json!({
        "id": {"type": "int8", "pk_index": 0, "not_null": true},
        "name": {"type": "varchar", "not_null": true, "max_length": 40},
        "c3": {"type": "bpchar", "length": 3},
        "c1": {"type": "bpchar", "length": 1},
        "p": {"type": "numeric", "precision": 10, "scale": 2},
        "p5": {"type": "numeric", "precision": 5, "scale": 0},
        "n": {"type": "numeric"},
        "at": {"type": "timestamptz", "precision": 3},
        "span": {"type": "interval", "fields": "DAY TO SECOND", "precision": 3},
        "bits": {"type": "bit", "length": 4},
        "grid": {"type": "int8", "dims": 2},
        "names": {"type": "varchar", "dims": 1, "max_length": 10},
        "m": {"type": "mood"},
        "d": {"type": "positive"},
    });
    assert_eq!(schema, expected);
    let some = scene.engine.shape("typed").with("columns", "p,id").first().await.is(200);
    let schema: serde_json::Value =
        serde_json::from_str(some.header("electric-schema").expect("a schema")).expect("JSON");
    assert_eq!(
        schema.as_object().map(|columns| columns.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["id".into(), "p".into()])
    );
}
