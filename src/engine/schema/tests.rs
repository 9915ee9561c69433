//! Schema headers against the examples of protocol 4.4 and against the modifiers that a real Postgres stores.

use serde_json::{Value, json};

use super::*;
use crate::shape::TableName;

fn column(name: &str, type_name: &str, type_modifier: i32) -> Column {
    Column {
        name: name.to_owned(),
        type_oid: 0,
        type_name: type_name.to_owned(),
        type_kind: 'b',
        type_modifier,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Default::default(),
        casing: Default::default(),
    }
}

fn table(columns: Vec<Column>, key: Vec<usize>, has_primary_key: bool) -> Table {
    let name = TableName { schema: "public".to_owned(), name: "t".to_owned() };
    Table { oid: 1, name, columns, key, has_primary_key }
}

fn header(table: &Table, columns: &[usize]) -> Value {
    serde_json::from_str(&schema_header(table, columns)).expect("the header is JSON")
}

#[test]
fn the_header_lists_the_selected_columns_with_their_keys() {
    let columns = vec![
        Column { not_null: true, ..column("id", "int8", -1) },
        Column { not_null: true, ..column("name", "varchar", 44) },
        Column { dims: 1, ..column("tags", "text", -1) },
        column("price", "numeric", 655_366),
        column("at", "timestamptz", 3),
    ];
    let keyed = table(columns.clone(), vec![0], true);
    let expected = json!({
        "id": {"type": "int8", "pk_index": 0, "not_null": true},
        "name": {"type": "varchar", "not_null": true, "max_length": 40},
        "tags": {"type": "text", "dims": 1},
        "price": {"type": "numeric", "precision": 10, "scale": 2},
        "at": {"type": "timestamptz", "precision": 3},
    });
    assert_eq!(header(&keyed, &[0, 1, 2, 3, 4]), expected);
    assert_eq!(header(&keyed, &[2]), json!({"tags": {"type": "text", "dims": 1}}));

    let composite = table(columns.clone(), vec![2, 0], true);
    let expected = json!({
        "id": {"type": "int8", "pk_index": 1, "not_null": true},
        "tags": {"type": "text", "dims": 1, "pk_index": 0},
    });
    assert_eq!(header(&composite, &[0, 2]), expected);

    let keyless = table(columns, vec![0, 1, 2, 3, 4], false);
    assert_eq!(header(&keyless, &[2]), json!({"tags": {"type": "text", "dims": 1}}));
}

#[test]
fn modifiers_are_decoded_by_type() {
    // Type and `atttypmod` as PostgreSQL 15 stores them for the declaration on the right.
    let cases = [
        ("varchar", 44, json!({"max_length": 40}), "varchar(40)"),
        ("varchar", -1, json!({}), "varchar"),
        ("bpchar", 7, json!({"length": 3}), "char(3)"),
        ("bpchar", 5, json!({"length": 1}), "char"),
        ("bpchar", -1, json!({}), "bpchar"),
        ("bit", 4, json!({"length": 4}), "bit(4)"),
        ("bit", 1, json!({"length": 1}), "bit"),
        ("varbit", 9, json!({"length": 9}), "varbit(9)"),
        ("varbit", -1, json!({}), "varbit"),
        ("numeric", 655_366, json!({"precision": 10, "scale": 2}), "numeric(10,2)"),
        ("numeric", 327_684, json!({"precision": 5, "scale": 0}), "numeric(5)"),
        ("numeric", -1, json!({}), "numeric"),
        ("numeric", 133_121, json!({"precision": 2, "scale": -3}), "numeric(2,-3)"),
        ("numeric", 65_537_004, json!({"precision": 1000, "scale": 1000}), "numeric(1000,1000)"),
        ("numeric", 65_537_052, json!({"precision": 1000, "scale": -1000}), "numeric(1000,-1000)"),
        ("time", 2, json!({"precision": 2}), "time(2)"),
        ("timetz", 6, json!({"precision": 6}), "timetz(6)"),
        ("timestamp", 0, json!({"precision": 0}), "timestamp(0)"),
        ("timestamptz", 3, json!({"precision": 3}), "timestamptz(3)"),
        ("timestamptz", -1, json!({}), "timestamptz"),
        ("interval", -1, json!({}), "interval"),
        ("interval", 2_147_418_115, json!({"precision": 3}), "interval(3)"),
        ("interval", 2_147_418_112, json!({"precision": 0}), "interval(0)"),
        ("interval", 327_679, json!({"fields": "YEAR"}), "interval year"),
        ("interval", 470_286_339, json!({"fields": "DAY TO SECOND", "precision": 3}), "interval day to second(3)"),
        ("interval", 268_435_462, json!({"fields": "SECOND", "precision": 6}), "interval second(6)"),
        ("interval", 458_751, json!({"fields": "YEAR TO MONTH"}), "interval year to month"),
        ("geometry", 1107, json!({"type_mod": 1107}), "an extension's type"),
        ("int8", -1, json!({}), "int8"),
        ("varchar", i32::MAX, json!({"max_length": i32::MAX - 4}), "the largest modifier"),
    ];
    for (type_name, modifier, expected, declared) in cases {
        let decoded = serde_json::to_value(Modifier::decode(type_name, modifier)).expect("JSON");
        assert_eq!(decoded, expected, "{declared}");
    }
}

#[test]
fn every_range_of_interval_fields_has_its_words() {
    let bits = |numbers: &[i32]| numbers.iter().fold(0, |set, number| set | 1 << number);
    let (month, year, day, hour, minute, second) = (1, 2, 3, 10, 11, 12);
    let cases = [
        (bits(&[month]), Some("MONTH")),
        (bits(&[day]), Some("DAY")),
        (bits(&[hour]), Some("HOUR")),
        (bits(&[minute]), Some("MINUTE")),
        (bits(&[day, hour]), Some("DAY TO HOUR")),
        (bits(&[day, hour, minute]), Some("DAY TO MINUTE")),
        (bits(&[hour, minute]), Some("HOUR TO MINUTE")),
        (bits(&[hour, minute, second]), Some("HOUR TO SECOND")),
        (bits(&[minute, second]), Some("MINUTE TO SECOND")),
        (bits(&[year, second]), None),
        (0x7FFF, None),
    ];
    for (range, words) in cases {
        assert_eq!(interval_fields(range), words, "{range:#x}");
    }
}

#[test]
fn names_outside_ascii_are_escaped_and_read_back() {
    for name in ["größe", "😀", "a\u{7f}b", "q\"\\", "new\nline"] {
        let table = table(vec![column(name, "mood", -1)], vec![0], false);
        let text = schema_header(&table, &[0]);
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert_eq!(header(&table, &[0]), json!({name: {"type": "mood"}}));
    }
}
