//! What must hold for any text. Meaning is judged by Postgres: `tests/filter/chosen/arrays.rs`.

use super::edit::Bounds;
use super::{Array, MAX_DIMENSIONS};

#[test]
fn what_is_read_is_printed_in_postgres_form() {
    let cases = [
        ("{}", "{}"),
        (" { a , \"b c\" , null } ", "{a,\"b c\",NULL}"),
        ("{\"null\",\"\",\"a\\\"b\\\\\"}", "{\"null\",\"\",\"a\\\"b\\\\\"}"),
        ("{{1,2},{3,4},{5,6}}", "{{1,2},{3,4},{5,6}}"),
        ("{{{1},{2}}}", "{{{1},{2}}}"),
        ("[1:2]={1,2}", "{1,2}"),
        ("[0:1][-3:-3]={{1},{2}}", "[0:1][-3:-3]={{1},{2}}"),
        ("{a\\,b, \\ c\\ \t,\\null}", "{\"a,b\",\" c \",\"null\"}"),
        ("{a b}", "{\"a b\"}"),
    ];
    for (text, printed) in cases {
        let array = Array::read(text.as_bytes()).unwrap_or_else(|| panic!("{text} is an array"));
        assert_eq!(String::from_utf8_lossy(&array.print()), printed, "{text}");
    }
}

#[test]
fn what_is_no_array_is_refused() {
    let deep = |depth: usize| format!("{}1{}", "{".repeat(depth), "}".repeat(depth));
    assert!(Array::read(deep(MAX_DIMENSIONS).as_bytes()).is_some());
    let too_deep = deep(MAX_DIMENSIONS + 1);
    let cases = [
        "",
        "1",
        "{",
        "}",
        "{1",
        "{1}}",
        "{1}x",
        "x{1}",
        "{,}",
        "{1,}",
        "{,1}",
        "{1,,2}",
        "{{1},2}",
        "{1,{2}}",
        "{{1,2},{3}}",
        "{{1},{{2}}}",
        "{\"a}",
        "{\"a\\",
        "{a\"b\"}",
        "{\"a\"b}",
        "{{}}",
        "{{},{}}",
        "[1]={1}",
        "[1:1]{1}",
        "[1:2]={1}",
        "[2:1]={}",
        "[1:1]={{1}}",
        "[1:99999999999]={1}",
        "[2147483647:2147483647]={1}",
        too_deep.as_str(),
    ];
    for text in cases {
        assert_eq!(Array::read(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn bounds_beyond_the_array_do_not_overflow() {
    let array = Array::read(b"[-5:-4][2147483640:2147483641]={{1,2},{3,4}}").expect("an array");
    let all = Bounds { low: Some(i32::MIN), high: Some(i32::MAX) };
    assert_eq!(array.slice(&[all, all]).print(), b"{{1,2},{3,4}}");
    assert_eq!(array.element(&[i32::MIN, i32::MAX]), None);
    assert_eq!(array.element(&[-4, 2_147_483_640]), Some(b"3".as_slice()));
    assert_eq!(array.slice(&[Bounds { low: Some(3), high: None }]).print(), b"{}");
}
