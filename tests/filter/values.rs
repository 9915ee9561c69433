//! The columns of the odd table: every type, and values that are known for trouble.

/// A type of column. The table has two columns of each, `<name>a` and `<name>b`.
pub struct Kind {
    pub name: &'static str,
    /// As in `CREATE TABLE`.
    pub sql: &'static str,
    /// What the grammar calls it: its own class first, then wider ones.
    pub classes: &'static [&'static str],
    /// As text. Those that the server does not take (infinite intervals before version 17) are left out.
    pub values: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    sql: &'static str,
    classes: &'static [&'static str],
    values: &'static [&'static str],
) -> Kind {
    Kind { name, sql, classes, values }
}

/// Types and collations that the tables need before they can be made.
pub const DECLARED: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy', 'it''s'); \
                            CREATE TYPE pair AS (x int4, y text); CREATE DOMAIN positive AS int4 CHECK (VALUE > 0); \
                            CREATE COLLATION lenient (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

pub const KINDS: &[Kind] = &[
    kind("b", "bool", &["bool"], &["true", "false"]),
    kind("s", "int2", &["int2", "int", "num"], &["0", "1", "-1", "2", "5", "32767", "-32768"]),
    kind(
        "i",
        "int4",
        &["int4", "int", "num"],
        &["0", "1", "-1", "2", "3", "5", "7", "100", "2147483647", "-2147483648"],
    ),
    kind(
        "l",
        "int8",
        &["int8", "int", "num"],
        &["0", "1", "-1", "5", "2147483648", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    ),
    kind(
        "f",
        "float4",
        &["float4", "float", "num"],
        &[
            "0", "-0", "1", "1.1", "1.5", "2.5", "-2.5", "0.1", "16777217", "2147483648", "3e38", "1e-45", "NaN",
            "Infinity", "-Infinity",
        ],
    ),
    kind(
        "g",
        "float8",
        &["float8", "float", "num"],
        &[
            "0", "-0", "1", "1.1", "1.5", "0.5", "2.5", "0.1", "100", "9007199254740993", "9223372036854775808",
            "1e308", "5e-324", "1e-5", "123456789012345680", "NaN", "Infinity", "-Infinity",
        ],
    ),
    kind(
        "n",
        "numeric",
        &["numeric", "num"],
        &[
            "0", "0.00", "1", "1.0", "1.10", "1.1", "-2.5", "0.5", "1.5", "2.5", "0.1", "0.00001",
            "12345678901234567890123456789012345678901234567890.5",
            "12345678901234567890123456789012345678901234567890.50001", "NaN", "Infinity", "-Infinity",
            "9007199254740993", "32767.5", "-32768.5", "2147483647.4999",
        ],
    ),
    kind("m", "numeric(8,3)", &["numeric", "num"], &["0", "1", "-1.5", "12345.678", "0.001", "NaN"]),
    kind("t", "text", &["text", "str"], TEXTS),
    kind("v", "varchar(30)", &["varchar", "str"], TEXTS),
    kind("c", "char(8)", &["bpchar", "str"], &["", "a", "A", "ab", "ab c", "é", "a_b", "100%", "1", "a\\", "😀", "\t"]),
    kind("k", "name", &["name", "str"], &["", "a", "A", "ab", "a ", "é", "a_b", "100%", "1"]),
    kind(
        "u",
        "uuid",
        &["uuid"],
        &[
            "00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "7fffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    kind(
        "d",
        "date",
        &["date", "moment"],
        &[
            "2024-02-29", "2024-01-01", "2024-01-31", "2000-01-01", "1999-12-31", "1970-01-01", "0044-03-15 BC",
            "0001-12-31 BC", "0001-01-01", "4714-11-24 BC", "5874897-12-31", "12024-05-06", "infinity", "-infinity",
        ],
    ),
    kind(
        "h",
        "time",
        &["time"],
        &["00:00:00", "24:00:00", "12:34:56", "12:34:56.789", "12:34:56.000001", "23:59:59.999999", "01:02:03.5"],
    ),
    kind("p", "timestamp", &["timestamp", "moment"], MOMENTS),
    kind("z", "timestamptz", &["timestamptz", "moment"], MOMENTS),
    kind(
        "y",
        "interval",
        &["interval"],
        &[
            "0", "1 day", "24 hours", "1 mon", "30 days", "1 mon -1 day", "-1 year +2 days -03:04:05.678", "1 year",
            "360 days", "12 mons 5 days 04:05:06", "-00:00:00.000001", "00:00:01.5", "100 years", "1 day -24:00:00",
            "-1 mon +30 days", "178000000 years", "2147483647 days", "2562047788:00:54.775807", "infinity",
            "-infinity", "3 days 25:00:00", "45 days",
        ],
    ),
    kind("e", "mood", &["mood"], &["sad", "ok", "very happy", "it's"]),
    kind("j", "json", &["json"], JSON),
    kind("o", "jsonb", &["jsonb"], JSON),
    kind("x", "bytea", &["other"], &["\\x", "\\x00", "\\xdeadbeef", "\\x61"]),
    kind("q", "inet", &["other"], &["10.0.0.1", "10.0.0.0/8", "::1"]),
    kind("w", "point", &["other"], &["(0,0)", "(1,-2)"]),
    kind("r", "int4range", &["other"], &["empty", "[1,5)", "(,)"]),
    kind("tz", "timetz", &["other"], &["12:00:00+00", "12:00:00+02", "24:00:00-08"]),
    kind("mo", "money", &["other"], &["0", "1.50", "-3"]),
    kind("bi", "bit(3)", &["other"], &["000", "101"]),
    kind("ps", "positive", &["domain"], &["1", "5", "2147483647"]),
    // All fields NULL: `IS NULL` is true for such a row though it is not NULL.
    kind("pr", "pair", &["composite"], &["(1,a)", "(,)", "(1,)", "(,\"\")"]),
    kind(
        "xi",
        "int4[]",
        &["int4[]", "array"],
        &["{}", "{1}", "{1,2,3}", "{3,2,1}", "{NULL}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:2]={5,6,7}", "{2147483647}", "{1,1}"],
    ),
    kind(
        "xl",
        "int8[]",
        &["int8[]", "array"],
        &["{}", "{1}", "{1,2,3}", "{9007199254740993}", "{NULL,1}", "{{1},{2}}", "{-9223372036854775808}"],
    ),
    kind(
        "xt",
        "text[]",
        &["text[]", "array"],
        &[
            "{}", "{a}", "{a,b}", "{\"\"}", "{NULL}", "{\"NULL\"}", "{\"a,b\",\"{c}\"}", "{\"q\\\"q\",\"b\\\\s\"}",
            "{é,😀,it's}", "{{a,b},{c,d}}", "{\" a \",\"line\nbreak\"}", "[2:3]={a,b}", "{A}", "{1}",
        ],
    ),
    kind("xg", "float8[]", &["float8[]", "array"], &["{}", "{1.5}", "{NaN,1}", "{0,-0}", "{Infinity,NULL}", "{0.1,0.2}"]),
    kind(
        "xn",
        "numeric[]",
        &["numeric[]", "array"],
        &["{}", "{1.0}", "{1.00}", "{NaN}", "{1,2.5,NULL}", "{12345678901234567890.5}"],
    ),
    kind("xb", "bool[]", &["bool[]", "array"], &["{}", "{t}", "{f,NULL}", "{t,f}"]),
    kind("xd", "date[]", &["date[]", "array"], &["{}", "{2024-02-29}", "{\"0044-03-15 BC\"}", "{infinity,NULL}"]),
    kind(
        "xp",
        "timestamp[]",
        &["timestamp[]", "array"],
        &["{}", "{\"2024-02-29 12:34:56\"}", "{infinity,NULL}", "{\"2024-01-01 00:00:00\",\"1999-12-31 23:59:59.999999\"}"],
    ),
    kind(
        "xz",
        "timestamptz[]",
        &["timestamptz[]", "array"],
        &["{}", "{\"2024-02-29 12:34:56+00\"}", "{-infinity,NULL}", "{\"2024-01-01 00:00:00+00\"}"],
    ),
    kind(
        "xu",
        "uuid[]",
        &["uuid[]", "array"],
        &["{}", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{NULL,00000000-0000-0000-0000-000000000000}"],
    ),
    kind("xe", "mood[]", &["mood[]", "array"], &["{}", "{sad}", "{\"very happy\",NULL}", "{it's,ok}"]),
    kind("xy", "interval[]", &["interval[]", "array"], &["{}", "{\"1 day\"}", "{\"24:00:00\",NULL}", "{\"1 mon\",\"30 days\"}"]),
];

pub const TEXTS: &[&str] = &[
    "", " ", "a", "A", "ab", "ab ", " ab", "abc", "b", "é", "É", "e\u{301}", "ß", "İ", "Σας", "😀", "a😀b", "it's", "\"q\"",
    "a\\b", "a\\", "\\", "%", "_", "100%", "a_b", "a%b", "line\nbreak", "\t", "\r\n", "1", "1.0", "-5", "1e3", "true",
    "2024-02-29", "\u{ffff}", "\u{10000}", "\u{a0}", "z", "Zz", "aaa", "foo bar", "NULL", "{1,2}", "x.y", "a-b",
];

/// Servers before version 16 calculate its distance from early moments wrongly, without an error.
pub const LAST_MOMENT: &str = "294276-12-31 23:59:59.999999";
const MOMENTS: &[&str] = &[
    "2024-02-29 12:34:56", "2024-01-01 00:00:00", "2024-01-31 23:00:00", "2024-01-01 00:00:00.000001",
    "1999-12-31 23:59:59.999999", "2024-03-31 02:30:00", "2024-11-03 05:30:00", "1970-01-01 00:00:00",
    "0044-03-15 12:00:00 BC", "0001-12-31 23:59:59.5 BC", "4714-11-24 00:00:00 BC", "287000-12-31 23:59:59.999999", LAST_MOMENT,
    "12024-05-06 07:08:09.1", "1883-11-18 12:00:00", "infinity", "-infinity",
];

const JSON: &[&str] = &[
    "null", "true", "1", "1.0", "1e2", "-0", "\"a\"", "\"\"", "{}", "[]", "{\"a\":1}", "{\"a\": 1.0, \"b\": null}",
    "{\"a\":\"x\",\"a\":\"y\"}", "{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]}}", "[1,2,[3]]", "[\"a\",\"b\"]",
    "{\"b\":\"\\u00e9\\n\\\"\",\"a\":\"it's\"}", "{\"\":1,\"é\":\"😀\"}", "[null]", "{\"a\":[]}", "{\"a\" : [ 1 , 2 ] }",
    "{\"a\":12345678901234567890.123456789}", "\"\\ud83d\\ude00\"", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}",
    "[0,1,2,3,4,5,6,7,8,9,10]", "{\"1\":\"one\"}", "[[1],[2]]", "{\"a\":true,\"b\":{\"a\":false}}",
];

/// Numbers as they stand in a condition.
pub const NUMBERS: &[&str] = &[
    "0", "1", "-1", "2", "3", "5", "7", "10", "- 5", "32767", "32768", "2147483647", "2147483648", "-2147483648",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.5", "1.1", "0.1", "0.5", "1.10", ".5",
    "2.", "1e3", "1e-5", "-2.5", "9007199254740993", "9007199254740992", "16777217", "1E+2", "0.30000000000000004",
    "12345678901234567890123456789012345678901234567890.5", "007", "2.50",
];

/// Texts that a type's input function reads, or refuses, or that mean another thing tomorrow.
pub const SPELLINGS: &[(&str, &[&str])] = &[
    ("bool", &["yes", " of", "1", "ON", "tru", "o", "TRUE ", "n", "2", ""]),
    ("int4", &[" 5 ", "+5", "1.5", "0x10", "1_000", "", "99999999999", "-0", "5a"]),
    ("int8", &[" 5", "9223372036854775808", "1e3"]),
    ("float8", &[" inf ", "nan", "1e400", "1e-400", ".5", "5.", "+1", "0x1p3", "INFINITY", "-inf", "1e"]),
    ("numeric", &[" 1 ", "1e-10", "inf", "nan", "+.5", "1e", "1_0", "-Infinity", "5."]),
    (
        "date",
        &[
            "epoch", "January 8, 1999", "19990108", "1999-1-8", "J2451187", "99-01-08", " 2024-02-29 ", "2023-02-29",
            "2024-02-29 12:34:56", "1/8/1999", "13/1/1999", "8-Jan-1999", "2024-W09", "0000-01-01", "2024-366", "Infinity",
        ],
    ),
    (
        "time",
        &["04:05", "040506", "04:05 PM", "04:05:06.789-8", "24:00:00.1", "allballs", "T040506", "12:00 am", "23:59:60", "4:5:6"],
    ),
    (
        "timestamp",
        &[
            "epoch", "2024-02-29T12:34:56Z", "2024-02-29 12:34", "2024-02-29", "2024-02-29 24:00:00",
            "2024-02-29 12:34:56+02", "Feb 29 2024 12:34:56", "2024-02-29 23:59:60", "20240229T123456", "2024-02-29 12:34:56.1234567",
        ],
    ),
    (
        "timestamptz",
        &[
            "epoch", "2024-02-29T12:34:56Z", "2024-02-29 12:34", "2024-02-29 12:34:56+02", "2024-02-29 12:34:56-08:30",
            "2024-02-29 12:34:56 America/New_York", "2024-02-29 12:34:56 EST", "2024-02-29 12:34:56 UTC", "2024-02-29",
            "2024-03-10 02:30:00 America/New_York", "2024-02-29 12:34:56+05:30:15",
        ],
    ),
    (
        "interval",
        &[
            "P1Y2M3DT4H5M6S", "P0001-02-03T04:05:06", "1-2", "1 2:03:04", "@ 1 minute ago", "1.5 days", "1.5 months", "-1-2 +3 -4:05:06",
            "1 week", "2 decades", "5", "1h 2m", "1 fortnight", "", "P1.5Y", "1 mon 2", "0.1 years", "+1 -2:03", "PT0.000001S",
        ],
    ),
    (
        "uuid",
        &[
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc99", " a0eebc999c0b4ef8bb6d6bb9bd380a11",
        ],
    ),
    ("mood", &["SAD", "", "sad ", "glad"]),
    ("jsonb", &[" { \"a\" : 1 } ", "{a:1}", "'a'", "01", "{\"a\":1,}", "", "nul", "{\"b\":2, \"a\":1}"]),
    ("int4[]", &[" { 1 , 2 } ", "{1,2", "1", "{1,,2}", "{null}", "[1:2]={1,2}", "{{1},{2,3}}", "{\"1\"}", "{{}}", "{1.5}"]),
    ("text[]", &["{a, b}", "{ a b }", "{NULL, null, \"null\"}", "{a\\,b}", "{\"a\"b}", "{}x", "{'a'}"]),
];

/// Patterns of `LIKE`.
pub const PATTERNS: &[&str] = &[
    "%", "_", "a%", "%b", "%a%", "_b", "a_b", "a\\_b", "a\\%b", "100\\%", "__", "%_", "_%", "%%", "", "a\\\\b", "\\\\",
    "%é%", "É%", "_😀_", "%ab", "ab%%_", "%\\\\", "a%b%", "\\a", "%_b", "%c%b", "a\\", "%%%_%", "ss", "i%", "%ΑΣ",
];

/// Regular expressions, in Postgres' dialect.
pub const REGEXES: &[&str] = &[
    "", "a", "^a", "b$", "^ab?$", "[a-z]+", "a|b", "(a)(b)", "(?:ab)+", ".", "^.$", "^..$", "\\d", "\\D", "\\w+", "^\\w$", "\\s", "^\\s*$", "\\S",
    "a{2}", "a{2,}", "a{0,1}b", "[[:alpha:]]", "[[:space:]]", "[[:digit:]]+", "^[^a]", "(a)\\1", "a*?b", "(?i)A", "***=a.b",
    "***:a", "é", "É", "\\ma", "a\\M", "\\y", "\\Aab", "b\\Z", "\\.", "[.]", "a\\\\b", "\\\\", "[\\]", "[a\\]b]", "(", "a**",
    "x{", "^$", "$", "line$", "^break", "line.break", "(?n)line$", "\\n", "\\t", "\\u00e9", "\\x41", "[[.a.]]", "[[:<:]]a", "(?=a)", "(?!a)", "😀",
    "[é-ñ]", "ß", "^(a|ab)(c|bcd)?$", "\\bq", "[A-z]", "[b-a]", "a+b+", "(a*)*", "{1}", "a{1", "]", "^a\\Wb", "\\A\\w+\\Z", "(?x) a b", "[\\w]", "[\\s]",
];
