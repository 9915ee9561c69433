//! The limits. Meaning is judged by Postgres: `tests/filter/chosen/patterns.rs`.

use super::compile;

#[test]
fn a_pattern_cannot_eat_the_memory_or_the_stack() {
    for pattern in
        ["(a{255}){255}", "((a{100}){100}){100}", "[^a]{255}".repeat(100).as_str(), "(".repeat(1_000).as_str()]
    {
        assert!(compile(pattern, false).is_err(), "{pattern:.40}");
    }
    let balanced = format!("{}{}", "(".repeat(101), ")".repeat(101));
    assert_eq!(compile(&balanced, false).map(|_| ()), Err("the regular expression is nested too deeply".into()));
}

#[test]
fn every_pattern_is_compiled_or_refused_without_a_panic() {
    let pieces = [
        "a", "(", ")", "[", "]", "{", "}", "1", ",", "*", "?", "+", "|", "\\", "^", "$", "-", ":", "é", "😀", "(?",
        "[[:", ":]", "\\u", "\\m", ".",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let pattern = format!("{first}{second}{third}");
                if let Ok(regex) = compile(&pattern, true) {
                    let _ = regex.is_match("aé😀1");
                }
            }
        }
    }
}
