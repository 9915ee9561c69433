//! Values and keys: statements 108 to 124.

use super::{A, ITEMS, Server, insert, key};
use crate::support::Message;

/// The number of the statement, the type of a column, what is written, and what is told; more than one where clients take both.
type Case = (usize, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (108, "int8", "9223372036854775807", &["9223372036854775807"]),
    (109, "bool", "true", &["true", "t"]),
    (109, "bool", "false", &["false", "f"]),
    (110, "bytea", r"'\x0001FFFE'", &[r"\x0001fffe"]),
    (111, "float8[]", "'{Infinity,-Infinity,NaN}'", &["{Infinity,-Infinity,NaN}"]),
    (111, "float8", "'-Infinity'", &["-Infinity"]),
    (112, "jsonb", r#"'{"foo":"bar"}'"#, &[r#"{"foo": "bar"}"#]),
    (112, "json", r#"'{"foo":"bar"}'"#, &[r#"{"foo":"bar"}"#]),
    (112, "json", r#"'{ "b" : 1,"a":2 }'"#, &[r#"{ "b" : 1,"a":2 }"#]),
    (113, "int4[]", "'{{1,2,3},{4,5,6}}'", &["{{1,2,3},{4,5,6}}"]),
    (114, "pair[]", "ARRAY[(1.1,2.2)::pair, (3.3,4.4)::pair]", &[r#"{"(1.1,2.2)","(3.3,4.4)"}"#]),
    (115, "mood", "'happy'", &["happy"]),
    (115, "positive", "5", &["5"]),
    (116, "timestamptz", "'2024-01-31 12:34:56.789+02'", &["2024-01-31 10:34:56.789+00"]),
    (116, "timestamptz[]", "'{2024-07-31 12:00:00+00}'", &[r#"{"2024-07-31 12:00:00+00"}"#]),
    (117, "interval", "'1 day 2 hours'", &["P1DT2H"]),
    (117, "interval", "'1 year 2 mons -3 days 04:05:06.5'", &["P1Y2M-3DT4H5M6.5S"]),
    (118, "char(5)", "'ab'", &["ab   "]),
];
const TYPES: &str = "CREATE TYPE pair AS (x float8, y float8); CREATE TYPE mood AS ENUM ('sad', 'happy'); \
                     CREATE DOMAIN positive AS int CHECK (VALUE > 0);";
/// Defaults of a database that would print values in other ways.
const DEFAULTS: [&str; 5] = [
    "timezone = 'America/Denver'",
    "intervalstyle = 'postgres_verbose'",
    "datestyle = 'SQL, DMY'",
    "bytea_output = 'escape'",
    "extra_float_digits = '-10'",
];

#[actix_rt::test]
async fn c108_c109_c110_c111_c112_c113_c114_c115_c116_c117_c118_c119_text_of_values() {
    let columns: Vec<_> = CASES.iter().enumerate().map(|(n, (_, of, ..))| format!("c{n} {of}")).collect();
    let table = format!("{TYPES} CREATE TABLE t (id int PRIMARY KEY, nothing text, {});", columns.join(", "));
    let database = DEFAULTS.map(|setting| {
        format!("EXECUTE format('ALTER DATABASE %I SET {}', current_database());", setting.replace('\'', "''"))
    });
    let written: Vec<_> = CASES.iter().map(|(_, _, written, _)| *written).collect();
    let row = |id| format!("INSERT INTO t VALUES ({id}, NULL, {});", written.join(", "));
    // The engine's own sessions begin with these defaults.
    let server = Server::new(&format!("{table} DO $$ BEGIN {} END $$; {}", database.concat(), row(1))).await;
    let snapshot = server.get("table=t&offset=-1").await.is(200).changes();
    let mut tail = server.tail("table=t").await;
    server.sql(&row(2)).await;
    let log = tail.changes(1).await;
    let mut wrong = Vec::new();
    for (message, place) in [(&snapshot[0], "snapshot"), (&log[0], "log")] {
        wrong.extend(told(message, place));
        assert_eq!(message.column("nothing"), None, "119, NULL in the {place}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[actix_rt::test]
async fn c120_c121_c122_c123_c124_keys() {
    let tables = r#"
        CREATE TABLE pairs (b text, z int, a text, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES ('x/y', 1, 'p//q');
        CREATE TABLE bare (b text, a int); INSERT INTO bare VALUES ('x', NULL);
        CREATE TABLE flags (flag bool, at inet, PRIMARY KEY (flag, at)); INSERT INTO flags VALUES (true, '10.0.0.1');"#;
    let server = Server::new(&format!("{ITEMS} {} {tables}", insert(A, "a"))).await;
    let first =
        async |table: &str| server.get(&format!("table={table}&offset=-1")).await.is(200).changes()[0].key.clone();
    assert_eq!(first("items").await, Some(key(A)));
    // a is first in the key, and second in the table.
    let pairs = r#""public"."pairs"/"p////q"/"x//y""#;
    assert_eq!(first("pairs").await.as_deref(), Some(pairs));
    assert_eq!(first("bare").await.as_deref(), Some(r#""public"."bare"/"x"/_"#));

    let mut tail = server.tail("table=pairs").await;
    server.sql("UPDATE pairs SET z = 2").await;
    assert_eq!(tail.changes(1).await[0].key.as_deref(), Some(pairs));
    let mut tail = server.tail("table=items").await;
    server.sql("UPDATE items SET value = 'b'").await;
    assert_eq!(tail.changes(1).await[0].key, Some(key(A)));
    let flags = first("flags").await;
    let mut tail = server.tail("table=flags").await;
    server.sql("DELETE FROM flags").await;
    assert_eq!(tail.changes(1).await[0].key, flags);
    let mut tail = server.tail("table=bare").await;
    server.sql("DELETE FROM bare").await;
    assert_eq!(tail.changes(1).await[0].key.as_deref(), Some(r#""public"."bare"/"x"/_"#));
}

fn told(message: &Message, place: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (n, (number, of, written, expected)) in CASES.iter().enumerate() {
        let seen = message.column(&format!("c{n}"));
        if !seen.is_some_and(|seen| expected.contains(&seen)) {
            wrong.push(format!("{number}, {of} {written}: {seen:?} in the {place}, not {expected:?}"));
        }
    }
    wrong
}
