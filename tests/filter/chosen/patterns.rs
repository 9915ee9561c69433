//! LIKE, ILIKE and regular expressions.

use super::Chosen;

async fn chosen() -> Chosen {
    let mut rows: Vec<String> = [
        "abc",
        "",
        "ABC",
        "aBc",
        "a b",
        " a",
        "a ",
        "abcabc",
        "aab",
        "a.c",
        "a\nc",
        "a\n",
        "\n",
        "foo_bar",
        "foo-bar",
        "foo bar baz",
        "über",
        "Über",
        "ÜBER",
        "straße",
        "😀",
        "a😀c",
        "x1y22z",
        "1.5",
        "-1",
        "a\\c",
        "50%",
        "[x]",
        "{x}",
        "a{2}",
        "^a$",
        "tab\there",
        "İ",
        "K",
        "ſ",
        "\u{7f}",
        "\u{9f}",
        "\u{a0}",
        "\u{2003}",
        "٣",
        "aaaa",
        "a,b;c",
        "()",
        "|",
        "*",
        "+?",
        "é",
        "e\u{301}",
        "_",
        "A1_",
        "a-b",
        "]",
        "a]b",
        "\u{b}\u{c}\r",
    ]
    .iter()
    .map(|text| {
        let text = text.replace('\'', "''");
        format!("E'{}', '{text}', '{text}'", text.replace('\\', "\\\\"))
    })
    .collect();
    rows.push("NULL, NULL, NULL".into());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    Chosen::new("s text COLLATE \"C\", c char(12) COLLATE \"C\", n name", &rows).await
}

#[tokio::test]
async fn like_and_ilike_match_what_postgres_matches() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for pattern in [
        "a%",
        "%A%",
        "_b_",
        "%\\%",
        "a\\_",
        "",
        "%",
        "_",
        "%k%",
        "a%c",
        "A B",
        "ABC%",
        "%ß%",
        "😀",
        "_😀_",
        "%\\\\%",
        "foo\\_BAR",
    ] {
        for operator in ["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE", "~~", "~~*", "!~~", "!~~*"] {
            if pattern.contains('ß') && operator.contains("ILIKE") | operator.ends_with('*') {
                continue;
            }
            for column in ["s", "c", "n"] {
                expressions.push(format!("{column} {operator} '{pattern}'"));
            }
        }
    }
    expressions.extend(
        ["s ILIKE s", "s ~~* n", "s ILIKE NULL", "NULL ILIKE s", "upper(s) ILIKE lower(s)", "'ABC' ILIKE 'a_c'"]
            .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// What the translation takes, Postgres reads in the same way.
const PATTERNS: &[&str] = &[
    "a",
    "^a",
    "a$",
    "^a$",
    "^$",
    "",
    "a|b",
    "(a|b)c",
    "a*",
    "ab+",
    "ab?c",
    "a.c",
    "^.$",
    "^..$",
    "[abc]",
    "[^abc]",
    "^[a-c]+$",
    "[]x]",
    "[^]x]",
    "[a-]",
    "[-a]",
    "[^-a]",
    "[a\\-z]",
    "[\\]]",
    "[\\n\\t]",
    "[\\d]",
    "[\\w-]",
    "[^\\s]",
    "[[:alpha:]]",
    "[^[:alpha:]]",
    "[[:digit:][:space:]]",
    "^[[:alnum:]_]+$",
    "[[:upper:]]",
    "[[:lower:]]",
    "[[:punct:]]",
    "[[:cntrl:]]",
    "^[[:print:]]+$",
    "^[[:graph:]]+$",
    "[[:blank:]]",
    "[[:xdigit:]]{2}",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "^\\w+$",
    "^\\W+$",
    "\\d{2}",
    "a{2}",
    "a{2,}",
    "a{1,3}b",
    "(ab|c){2}",
    "(?:ab)+",
    "(abc)(abc)",
    "a{0}",
    "a{0,0}b",
    "a{,2}",
    "a{x",
    "{x}",
    "x}",
    "a*?",
    "a+?b",
    "a??",
    "a{1,2}?",
    "\\.",
    "\\*",
    "\\\\",
    "\\$",
    "\\^",
    "\\|",
    "\\(\\)",
    "\\[",
    "\\]",
    "\\{",
    "\\_",
    "\\-",
    "\\A",
    "\\Aa",
    "c\\Z",
    "\\mfoo\\M",
    "\\mb",
    "r\\M",
    "\\yfoo\\y",
    "\\ybar",
    "\\n",
    "\\t",
    "\\a",
    "\\e",
    "\\f",
    "\\v",
    "\\r",
    "\\b",
    "\\B",
    "\\u0061",
    "\\U0001F600",
    "\\u00fc",
    "ü",
    "[ü]",
    "[à-ÿ]",
    "^[^ü]+$",
    "😀",
    "[😀-😂]",
    "a😀c",
    "a^b",
    "a$b",
    "(^a|b$)",
    "(|a)",
    "a|",
    "|a",
    "()",
    "a()b",
    "(a*)*",
    "(a+)+b",
    "^(a|ab)(c|bcd)?$",
    "foo[ _-]bar",
    "^[^\\n]*$",
    "(?i)ABC",
    "(?c)abc",
    "(?i)[A-C]+$",
    "(?s)a.c",
    "%",
    "50%",
    "#",
    "a b",
    "&&",
    "[a&&b]",
    "[a~~b]",
    "[a--b]",
    "x-y",
    "\\x",
    "[[:word:]]",
];

#[tokio::test]
async fn regular_expressions_match_what_postgres_matches() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for pattern in PATTERNS {
        for operator in ["~", "~*", "!~", "!~*"] {
            let condition = format!("s {operator} '{pattern}'");
            // What Postgres refuses or has a meaning of its own for is refused here: `refused` below.
            if chosen.compile(&condition).is_err() {
                continue;
            }
            for column in ["s", "c", "n"] {
                expressions.push(format!("{column} {operator} '{pattern}'"));
            }
        }
    }
    assert!(
        expressions.len() > PATTERNS.len() * 11,
        "{} of {} patterns are taken",
        expressions.len() / 12,
        PATTERNS.len()
    );
    expressions.extend(
        [
            "s ~ NULL",
            "'abc' ~ 'B'",
            "'abc' ~* 'B'",
            "lower(s) ~ '^a'",
            "NOT s ~ 'a' AND s !~* 'b'",
            "(s ~ 'a') = (n ~ 'a')",
        ]
        .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn patterns_of_which_we_are_not_sure_are_refused() {
    let chosen = chosen().await;
    for pattern in [
        "a**",
        "*a",
        "^*",
        "+",
        "?",
        "(*)",
        "a|*",
        "\\y+",
        "$?",
        "(a",
        "a)",
        "[a",
        "[",
        "[]",
        "[^]",
        "a{3,2}",
        "a{256}",
        "a{1",
        "a{1x}",
        "(a)\\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?<n>a)",
        "a(?i)b",
        "(?x)a b",
        "(?n)a",
        "***:a",
        "***=a",
        "[[.a.]]",
        "[[=a=]]",
        "[[:nope:]]",
        "[z-a]",
        "[a-c-e]",
        "[\\d-z]",
        "[a-\\d]",
        "[[:alpha:]-z]",
        "\\",
        "a\\",
        "\\x41",
        "\\cA",
        "\\0",
        "\\12",
        "\\Y",
        "\\q",
        "\\é",
        "\\u00",
        "\\u0000",
        "\\ud800",
        "[\\W]",
        "[\\D]",
        "((a{255}){255}){255}",
        "[[:<:]]a",
        "[a[.b.]]",
    ] {
        chosen.refused(&[(&format!("s ~ '{pattern}'"), "At location 2: ")]);
    }
    chosen.refused(&[
        ("s ~ n", "At location 2: a regular expression must be a constant"),
        ("s ~* 'ü'", "At location 2: only ASCII letters match regardless of case, not \"ü\""),
        ("s ~* '[à-ÿ]'", "only ASCII letters match regardless of case"),
        ("s ~ '(?i)ü'", "only ASCII letters match regardless of case"),
        ("s ILIKE 'x\\'", "LIKE pattern must not end with escape character"),
        ("s SIMILAR TO 'a'", "At location 0: expression SIMILAR TO of :AEXPR_SIMILAR is not currently supported"),
    ]);
}
