//! Conditions as long or as deep as a request can carry them: an answer in bounded time, on a stack of ordinary size.

use std::time::{Duration, Instant};

use bytes::Bytes;
use plue_sync::engine::filter::Filter;

use super::conditions::table;

/// What the engine's threads have; a process that overflows it is gone.
const STACK_BYTES: usize = 2 << 20;
const BOUND: Duration = Duration::from_secs(20);
/// Just under the protocol's limit on a condition.
const LENGTH: usize = 65_000;

/// What stands before, what is repeated, what is in the middle, what is repeated after it, what stands after.
const DEEP: &[(&str, &str, &str, &str, &str)] = &[
    ("", "(", "ba", ")", ""),
    ("", "NOT ", "ba", "", ""),
    ("", "not(", "ba", ")", ""),
    ("", "ba AND ", "ba", "", ""),
    ("", "ba OR ", "ba", "", ""),
    ("", "NOT ba OR ", "ba", "", ""),
    ("", "(ba AND NOT (bb OR ", "ba", "))", ""),
    ("ia = ", "- ", "1", "", ""),
    ("ia = ", "+", "1", "", ""),
    ("ia = ", "~", "1", "", ""),
    ("ga = ", "@ ", "1", "", ""),
    ("ia = ", "1+", "1", "", ""),
    ("ia = ", "(1-", "1", ")", ""),
    ("na = ", "2*", "2", "", ""),
    ("ga = ", "2^", "2", "", ""),
    ("ta = ", "'a'||", "'a'", "", ""),
    ("ta = ", "ta||", "ta", "", ""),
    ("ta = ", "lower(", "ta", ")", ""),
    ("ta = ", "concat(ta,", "ta", ")", ""),
    ("ia = ", "coalesce(ia,", "1", ")", ""),
    ("ia = ", "greatest(ia,", "1", ")", ""),
    ("ia = ", "abs(", "1", ")", ""),
    ("", "CASE WHEN ", "ba", " THEN ba END", ""),
    ("ba = ", "CASE WHEN bb THEN ba ELSE ", "bb", " END", ""),
    ("ia = ", "", "1", "::int4", ""),
    ("ia::text = ", "", "ta", "::varchar::text", ""),
    ("ia = ", "CAST(", "1", " AS int)", ""),
    ("ba ", "", "", " IS TRUE", ""),
    ("", "(", "ba", ") IS TRUE", ""),
    ("ia IN (", "1,", "1", "", ")"),
    ("ta IN (", "'a',", "'b'", "", ")"),
    ("ia = ANY (ARRAY[", "1,", "1", "", "])"),
    ("ia = ANY ('{", "1,", "1", "", "}')"),
    ("xia = ", "ARRAY[", "1", "]", ""),
    ("xia = '", "{", "1", "}", "'"),
    ("xia = ", "xia||", "xia", "", ""),
    ("(xia)", "[1]", "", "", " = 1"),
    ("", "oa->'a' IS NULL AND ", "ba", "", ""),
    ("oa", "->'a'", "", "", " IS NULL"),
    ("oa @> '", "[", "", "]", "'"),
    ("oa @> '", "{\"a\":", "1", "}", "'"),
    ("oa = '", "[", "", "]", "'"),
    ("(", "ia,", "ia", "", ") = (1,2)"),
    ("", "ROW(", "1", ")", " IS NULL"),
    ("ia BETWEEN ", "1 AND 2 AND ia BETWEEN ", "1", "", " AND 2"),
    ("", "ia = 1 = ", "true", "", ""),
    ("ta LIKE '", "%a", "", "", "'"),
    ("ta LIKE '", "%_", "", "", "b'"),
    ("ta ~ '", "(", "a", ")", "'"),
    ("ta ~ '", "(a*)*", "b", "", "'"),
    ("ta ~ '", "a{100}", "", "", "'"),
    ("ta ~ '", "(a|b)?", "", "", "c'"),
    ("ta ~ '", "[a", "", "]", "'"),
    ("ta ~ '((", "a{10}){10}(", "b", "", "))'"),
    ("na = ", "9", "", "", ""),
    ("na = 1e", "9", "", "", ""),
    ("na = 0.", "0", "1", "", ""),
    ("na * na * ", "na * ", "na", "", " = 1"),
    ("ia = 1 ", "", "", "/* ", ""),
    ("", "/*", "", "*/", " ba"),
    ("ba -- ", "-", "", "", ""),
    ("\"", "a", "", "", "\" = 1"),
    ("ta = '", "''", "", "", "'"),
    ("ta = $", "9", "", "", ""),
    ("ya = '", "1 day ", "", "", "'"),
    ("", "ia IN (SELECT id FROM odd WHERE ", "ba", ")", ""),
];

/// Values that make a bad matcher slow.
fn long_row(length: usize) -> Vec<Option<Bytes>> {
    let value = |name: &str| match name.trim_end_matches(['a', 'b']) {
        "t" | "v" | "c" | "k" => "a".repeat(length),
        "i" | "id" | "l" | "s" => "2".into(),
        "n" | "m" => "1234567890".repeat(length / 100),
        "" => "t".into(),
        "o" | "j" => format!("{}1{}", "[".repeat(length / 10), "]".repeat(length / 10)),
        "xi" => format!("{{{}1}}", "1,".repeat(length)),
        _ => "1".into(),
    };
    table().columns.iter().map(|column| Some(Bytes::from(value(&column.name)))).collect()
}

#[test]
fn deep_conditions_neither_overflow_nor_take_long() {
    let (table, row) = (table(), long_row(2_000));
    let mut slow = Vec::new();
    for (before, left, middle, right, after) in DEEP {
        let most = (LENGTH - before.len() - middle.len() - after.len()) / (left.len() + right.len()).max(1);
        for times in [most, 1_000.min(most), 40.min(most)] {
            let text = format!("{before}{}{middle}{}{after}", left.repeat(times), right.repeat(times));
            let started = Instant::now();
            std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
                let judged = || {
                    // On its way out it is dropped here, which goes as deep as it was built.
                    if let Ok(filter) = Filter::compile(&text, &[], &table) {
                        filter.matches(&row);
                        filter.matches(&vec![None; row.len()]);
                    }
                };
                // An overflow ends the process; this line then tells which condition it was.
                println!("{before}{left}..{right}{after} {times} times");
                thread.spawn_scoped(scope, judged).expect("a thread").join().expect("no panic");
            });
            let took = started.elapsed();
            if took > BOUND {
                slow.push(format!("{before}{left}..{right}{after} {times} times: {took:?}"));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
