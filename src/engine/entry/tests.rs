use super::*;
use crate::engine::tables::Column;
use crate::shape::TableName;

fn column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        type_oid: 25,
        type_name: "text".to_owned(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Default::default(),
        casing: Default::default(),
    }
}

/// Columns `b`, `a` and `c`; the key is `(a, b)`, or everything.
fn table(has_primary_key: bool) -> Table {
    Table {
        oid: 1,
        name: TableName { schema: "public".to_owned(), name: "it\"ems".to_owned() },
        columns: ["b", "a", "c"].map(column).into(),
        key: if has_primary_key { vec![1, 0] } else { vec![0, 1, 2] },
        has_primary_key,
    }
}

fn encoder(has_primary_key: bool, columns: &[usize], replica: Replica) -> Encoder {
    Encoder::new(&table(has_primary_key), Projection { columns: columns.to_vec(), replica })
}

fn row(values: [Option<&'static str>; 3]) -> Vec<Option<Bytes>> {
    values.map(|value| value.map(Bytes::from)).into()
}

const AT: Position = Position { commit: Lsn(900), xid: 7, op: 4 };
/// In order of name: a, b, c.
const ALL: [usize; 3] = [1, 0, 2];

/// The members of a message, without those that every message of these tests has.
fn read(message: &Bytes) -> (String, serde_json::Value, serde_json::Value) {
    let whole = [message.as_ref(), b"}}"].concat();
    let mut message: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    let headers = &message["headers"];
    assert_eq!(headers["relation"], serde_json::json!(["public", "it\"ems"]));
    assert_eq!((&headers["lsn"], &headers["txids"]), (&"900".into(), &serde_json::json!([7])));
    let operation = headers["operation"].as_str().expect("an operation").to_owned();
    (operation, message["value"].take(), message["old_value"].take())
}

#[test]
fn readers_see_a_row_enter_stay_or_leave_their_shape() {
    //   old matches, new matches, readers are told
    let cases = [
        (true, true, Some(Operation::Update)),
        (false, true, Some(Operation::Insert)),
        (true, false, Some(Operation::Delete)),
        (false, false, None),
    ];
    for (old, new, told) in cases {
        assert_eq!(Operation::for_readers(old, new), told, "old {old}, new {new}");
    }
}

#[test]
fn which_columns_appear_depends_on_operation_replica_mode_and_key() {
    let old = row([Some("x"), Some("1"), None]);
    let new = row([Some("x"), Some("1"), Some("new")]);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    //   replica, has a key, operation, value, old value
    let cases = [
        (Replica::Default, true, Operation::Insert, r#"{"a":"1","b":"x","c":"new"}"#, "null"),
        (Replica::Default, true, Operation::Update, r#"{"a":"1","b":"x","c":"new"}"#, "null"),
        (Replica::Default, true, Operation::Delete, r#"{"a":"1","b":"x"}"#, "null"),
        (Replica::Default, false, Operation::Delete, r#"{"a":"1","b":"x","c":"new"}"#, "null"),
        (Replica::Full, true, Operation::Insert, r#"{"a":"1","b":"x","c":"new"}"#, "null"),
        (Replica::Full, true, Operation::Update, r#"{"a":"1","b":"x","c":"new"}"#, r#"{"c":null}"#),
        (Replica::Full, true, Operation::Delete, r#"{"a":"1","b":"x","c":"new"}"#, "null"),
    ];
    for (replica, has_key, operation, value, old_value) in cases {
        let old = (operation == Operation::Update).then_some(old.as_slice());
        let message = encoder(has_key, &ALL, replica).change(operation, &new, old, AT);
        let expected = (operation.name().to_owned(), json(value), json(old_value));
        assert_eq!(read(&message), expected, "{replica:?} {operation:?}, key {has_key}");
    }
}

#[test]
fn an_update_shows_its_key_and_what_changed() {
    let old = row([Some("x"), Some("1"), Some("same")]);
    let new = row([Some("y"), Some("1"), Some("same")]);
    let by_key = Encoder::new(
        &Table { key: vec![1], ..table(true) },
        Projection { columns: ALL.to_vec(), replica: Replica::Default },
    );
    let (_, value, _) = read(&by_key.change(Operation::Update, &new, Some(&old), AT));
    assert_eq!(value, serde_json::json!({"a": "1", "b": "y"}));
    assert!(by_key.shows(&old, &new));
    assert!(!encoder(true, &[2], Replica::Default).shows(&old, &new), "no selected column changed");
}

#[test]
fn keys_name_the_table_and_each_part_in_key_order() {
    //   row, has a key, key
    let cases = [
        (row([Some("x"), Some("1"), None]), true, r#""public"."it""ems"/"1"/"x""#),
        (row([Some("a/b"), Some("\"q\""), None]), true, r#""public"."it""ems"/""q""/"a//b""#),
        (row([Some("x"), None, None]), false, r#""public"."it""ems"/"x"/_/_"#),
        (row([Some("/"), Some("\\\n"), None]), true, "\"public\".\"it\"\"ems\"/\"\\\n\"/\"//\""),
    ];
    for (row, has_key, key) in cases {
        let encoder = encoder(has_key, &ALL, Replica::Default);
        let mut snapshot = Vec::new();
        encoder.snapshot_row(&mut snapshot, &row);
        let change = [encoder.change(Operation::Insert, &row, None, AT).as_ref(), b"}}"].concat();
        for message in [snapshot, change] {
            let message: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(message["key"], key, "snapshot and log agree");
        }
    }
}

#[test]
fn a_change_of_key_is_a_delete_and_an_insert_that_name_each_other() {
    let (old, new) = (row([Some("x"), Some("1"), None]), row([Some("x"), Some("2"), None]));
    let encoder = encoder(true, &ALL, Replica::Default);
    assert!(!encoder.same_key(&old, &new));
    let [gone, come] = encoder.key_change(&old, &new, AT).map(|half| [half.as_ref(), b"}}"].concat());
    let [gone, come]: [serde_json::Value; 2] = [gone, come].map(|half| serde_json::from_slice(&half).expect("JSON"));
    assert_eq!((&gone["headers"]["op_position"], &come["headers"]["op_position"]), (&4.into(), &5.into()));
    assert_eq!(gone["headers"]["key_change_to"], come["key"]);
    assert_eq!(come["headers"]["key_change_from"], gone["key"]);
    assert_eq!(gone["value"], serde_json::json!({"a": "1", "b": "x"}));
    assert_eq!(come["value"], serde_json::json!({"a": "2", "b": "x", "c": null}));
}

#[test]
fn text_is_escaped_as_json_wants_it() {
    let all: String = (0..0x80_u8).map(char::from).chain("é🦀\u{2028}".chars()).collect();
    assert_eq!(serde_json::from_slice::<String>(&json_string(all.as_bytes())).expect("JSON"), all);
    assert!(json_string(all.as_bytes()).iter().all(|byte| *byte >= 0x20), "no raw control characters");
}
