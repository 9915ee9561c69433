//! Column lists against tables with one key, a composite key, none, and a generated column.

use super::*;
use crate::shape::{Dialect, TableName};

/// A table of these columns; a leading `+` marks a generated one.
fn table(columns: &[&str], key: &[usize]) -> Table {
    let column = |text: &&str| Column {
        name: text.trim_start_matches('+').to_owned(),
        type_oid: 25,
        type_name: "text".to_owned(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: text.starts_with('+'),
        deterministic: true,
        labels: Default::default(),
        casing: Default::default(),
    };
    Table {
        oid: 1,
        name: TableName { schema: "public".to_owned(), name: "t".to_owned() },
        columns: columns.iter().map(column).collect(),
        key: if key.is_empty() { (0..columns.len()).collect() } else { key.to_vec() },
        has_primary_key: !key.is_empty(),
        partitions: None,
    }
}

fn resolve(query: &str, table: &Table) -> Result<Selection, Invalid> {
    let query = format!("table=t&offset=-1&{query}");
    let request = ShapeRequest::parse(&query, None, Dialect::Protocol).expect("a valid request");
    Selection::resolve(&request, table)
}

#[test]
fn columns_are_selected_by_name_in_sorted_order() {
    use Chosen::{All, Listed, Queryable};
    let items = table(&["value", "id", "Big"], &[1]);
    let cases: &[(&str, &[&str], Chosen)] = &[
        ("", &["Big", "id", "value"], All),
        ("columns=", &["Big", "id", "value"], All),
        ("columns=value,id", &["id", "value"], Listed),
        ("columns=id,VALUE", &["id", "value"], Listed),
        ("columns=%22id%22,%22value%22", &["id", "value"], Listed),
        ("columns=id,id,value,id", &["id", "value"], Listed),
        ("columns=id,value,%22Big%22", &["Big", "id", "value"], Listed),
        ("queryable_columns=id", &["id"], Queryable),
        ("queryable_columns=value,id,id", &["id", "value"], Queryable),
        ("queryable_columns=id,value&columns=id", &["id"], Listed),
    ];
    for (query, columns, chosen) in cases {
        let selection = resolve(query, &items).expect(query);
        assert_eq!(selection.columns, *columns, "{query}");
        assert_eq!(selection.chosen, *chosen, "{query}");
    }
}

#[test]
fn positions_follow_the_names_until_a_column_is_gone() {
    let selection = resolve("columns=id,value", &table(&["value", "id"], &[1])).expect("valid");
    assert_eq!(selection.positions(&table(&["value", "id"], &[1])), Some(vec![1, 0]));
    assert_eq!(selection.positions(&table(&["id", "new", "value"], &[0])), Some(vec![0, 2]));
    assert_eq!(selection.positions(&table(&["id", "renamed"], &[0])), None);
}

#[test]
fn lists_that_do_not_fit_the_table_are_refused_with_the_first_reason() {
    let items = table(&["id", "value"], &[0]);
    let composite = table(&["a", "b", "c"], &[2, 0]);
    let keyless = table(&["a", "b"], &[]);
    let key_missing = "The list of columns must include all primary key columns, missing: ";
    let not_found = "The following columns are not found on the table: ";
    let queryable_key = "The list of queryable columns must include all primary key columns, missing: ";
    let cases = [
        (&items, "columns=value", "columns", format!("{key_missing}id")),
        (&items, "columns=invalid", "columns", format!("{key_missing}id")),
        (&items, "columns=id,invalid", "columns", format!("{not_found}invalid")),
        (&items, "columns=x,id,y,x", "columns", format!("{not_found}x, y")),
        (&items, "columns=%22ID%22,id", "columns", format!("{not_found}ID")),
        (&items, "columns=id,", "columns", "Invalid zero-length delimited identifier".to_owned()),
        (
            &items,
            "columns=id, value",
            "columns",
            "Invalid unquoted identifier contains special characters:  value".to_owned(),
        ),
        (&composite, "columns=b", "columns", format!("{key_missing}c, a")),
        (&keyless, "columns=a", "columns", format!("{key_missing}b")),
        (&items, "queryable_columns=id&columns=id,value", "columns", format!("{not_found}value")),
        (&items, "queryable_columns=value", "queryable_columns", format!("{queryable_key}id")),
        (
            &items,
            "queryable_columns=id,nope&columns=nope",
            "queryable_columns",
            "The following queryable columns are not found on the table: nope".to_owned(),
        ),
        (
            &items,
            "queryable_columns=id,%22%22",
            "queryable_columns",
            "Invalid zero-length delimited identifier".to_owned(),
        ),
    ];
    for (table, query, field, text) in cases {
        assert_eq!(resolve(query, table), Err(Invalid::one(field, text)), "{query}");
    }
}

#[test]
fn generated_columns_that_the_stream_lacks_are_refused() {
    let generated = table(&["id", "+sum", "+avg", "v"], &[0]);
    let listed = "The following columns are generated and cannot be included in the shape: ";
    let advice = ". You can exclude them from the shape by explicitly listing which columns to fetch in the 'columns' \
                  query param";
    let cases = [
        ("columns=id,v", None),
        ("columns=id,sum", Some(format!("{listed}sum"))),
        ("columns=avg,id,sum", Some(format!("{listed}sum, avg"))),
        ("", Some(format!("{listed}sum, avg{advice}"))),
        ("queryable_columns=id,avg", Some(format!("{listed}avg{advice}"))),
        ("queryable_columns=id,v", None),
        ("queryable_columns=id,avg&columns=id", None),
    ];
    for (query, refusal) in cases {
        let refused = resolve(query, &generated).err();
        assert_eq!(refused, refusal.map(|text| Invalid::one("columns", text)), "{query}");
    }
}
