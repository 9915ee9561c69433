//! What must hold for any text, and the limits. Meaning is judged by Postgres: `tests/filter/chosen/json.rs`.

use super::tree::{MAX_DEPTH, Tree, normal};
use super::{as_text, at_path, compare, count, element, field, scan};

/// Texts that end anywhere.
fn beginnings(text: &str) -> impl Iterator<Item = &[u8]> {
    (0..=text.len()).map(|end| &text.as_bytes()[..end])
}

#[test]
fn a_text_that_is_cut_short_is_no_json() {
    for text in ["{\"a\": [1, true, null, \"x\\u00e4\"]}", "[[], {}, -1.5e+3]", "\"\\ud83d\\ude00\""] {
        for beginning in beginnings(text) {
            assert_eq!(scan::is_valid(beginning), beginning.len() == text.len(), "{text} up to {}", beginning.len());
            // Rows are valid JSON, but nothing may panic where they are not.
            let _ = field(beginning, b"a");
            let _ = element(beginning, -1);
            let _ = count(beginning);
            let _ = as_text(beginning);
            let _ = at_path(beginning, &[b"a", b"1"]);
            let _ = scan::has_text(beginning);
            let _ = Tree::read(beginning);
            let _ = compare::exists(beginning, b"a");
        }
    }
}

#[test]
fn deep_values_are_read_up_to_the_limit_and_fail_beyond() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let (deepest, deeper) = (nested(MAX_DEPTH), nested(MAX_DEPTH + 1));
    assert_eq!(normal(deepest.as_bytes()), Ok(deepest.clone().into_bytes()));
    assert_eq!(compare::contains(deepest.as_bytes(), deepest.as_bytes()), Ok(true));
    assert!(compare::equal(deepest.as_bytes(), deepest.replace('1', "1.0").as_bytes()).is_ok_and(|equal| equal));
    assert!(normal(deeper.as_bytes()).is_err());
    let deepest = nested(1_000_000);
    assert!(scan::is_valid(deepest.as_bytes()), "going over a value needs no stack");
    assert_eq!(element(deepest.as_bytes(), 0).map(|part| part.map(<[u8]>::len)), Ok(Some(deepest.len() - 2)));
    let path = vec![b"0".as_slice(); MAX_DEPTH + 1];
    assert!(at_path(deepest.as_bytes(), &path).is_err());
}

#[test]
fn short_numbers_cannot_fill_the_memory() {
    let numbers = format!("[{}]", vec!["1e131071"; 1_000].join(","));
    assert!(normal(numbers.as_bytes()).is_err());
    assert_eq!(normal(b"1e131071").map(|text| text.len()), Ok(131_072));
    for number in ["1e131072", "1e-16384", "1e9999999999999999999", "-1e-9999999999999999999"] {
        assert!(normal(number.as_bytes()).is_err(), "{number}");
    }
    assert_eq!(normal(b"0e99999999"), Ok(b"0".to_vec()));
}
