//! `docs/PROTOCOL.md` and the tests name the same statements.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const STATEMENTS: usize = 280;

/// The tests by number: names such as `c047_c048_…` here, and in the tests of the official client.
fn tests() -> BTreeMap<String, Vec<usize>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeMap::new();
    for (folder, before) in [("tests/protocol", "fn "), ("tests/node", "scenario('"), ("tests/node", "test('")] {
        for file in fs::read_dir(root.join(folder)).expect("a folder of tests") {
            let path = file.expect("a file").path();
            if path.is_dir() {
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source");
            for at in source.split(before).skip(1) {
                let name = if before == "fn " { at.split('(') } else { at.split('\'') }.next().unwrap_or_default();
                let of = numbers(name);
                if !of.is_empty() {
                    assert!(names.insert(name.to_owned(), of).is_none(), "two tests are named {name}");
                }
            }
        }
    }
    names
}

/// The numbers at a name's beginning: 47 and 48 of `c047_c048_…`.
fn numbers(name: &str) -> Vec<usize> {
    let parts = name.split(['_', ' ']);
    let digits = parts.map_while(|part| part.strip_prefix('c').filter(|digits| digits.len() == 3));
    digits.map_while(|digits| digits.parse().ok()).collect()
}

/// The rows of the table: number, statement, tests.
fn rows() -> Vec<(usize, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    let text = fs::read_to_string(path).expect("the table");
    let cells = |line: &str| -> Option<(usize, String, String)> {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let number = cells.next()?.parse().ok()?;
        let (words, how) = (cells.next()?.trim().to_owned(), cells.next()?.trim().to_owned());
        assert_eq!(cells.next(), None, "one cell too many: {line}");
        Some((number, words, how))
    };
    text.lines().filter_map(cells).collect()
}

#[test]
fn every_statement_is_in_the_table_with_its_test_or_a_reason() {
    let (tests, rows) = (tests(), rows());
    let found: Vec<usize> = rows.iter().map(|(number, ..)| *number).collect();
    assert_eq!(found, (1..=STATEMENTS).collect::<Vec<_>>(), "each number once, in order");
    for (number, words, how) in &rows {
        assert!(!words.is_empty() && !how.is_empty(), "{number} says nothing");
        for name in how.split('`').skip(1).step_by(2) {
            let of = tests.get(name).unwrap_or_else(|| panic!("{number} names a test that is not there: {name}"));
            assert!(of.contains(number), "{number} names a test of {of:?}: {name}");
        }
    }
    for (name, of) in &tests {
        for number in of {
            let (_, _, how) = rows.iter().find(|row| row.0 == *number).unwrap_or_else(|| panic!("{name}: {number}?"));
            assert!(how.contains(&format!("`{name}`")), "{number} does not name its test {name}");
        }
    }
}

#[test]
fn numbers_are_read_from_names() {
    assert_eq!(numbers("c047_c048_a_handle_is_needed"), [47, 48]);
    assert_eq!(numbers("c276 c277 the client follows"), [276, 277]);
    assert_eq!(numbers("changes_of_c047"), [] as [usize; 0]);
}
