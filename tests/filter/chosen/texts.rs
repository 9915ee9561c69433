//! Strings.

use super::Chosen;
use crate::support::Database;

async fn chosen() -> Chosen {
    let rows = [
        "'abc', 'b', 'abc', 'abc', 'abc', 2, 1, '{a,b}'",
        "'', '', '', '', '', 0, 0, '{}'",
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "'  pad  ', ' ', '  x ', 'v ', 'n ', -1, 5, NULL",
        "'Émile Zoë 😀', 'É', 'ß 😀', 'ÀÉ', 'naïve', 3, 2, '{é}'",
        "'a,b,,c', ',', 'a,b', ',,', 'x', 4, -2, '{\"\"}'",
        "'aaa', 'aa', 'aaa', 'a', 'aa', -3, 100, '{aa}'",
        "'hello WORLD foo_bar 9x', 'o', 'Hello', 'WORLD', 'Foo Bar', 1, 3, '{o}'",
        "E'tab\\tnew\\nline\\\\', E'\\n', E'\\t', '\\', '%', 65, 2147483647, '{\"\\n\"}'",
        "'it''s \"q\"', '''', '\"', '''', '''', -2147483648, -2147483648, '{\"''\"}'",
        "'İıſK', 'i', 'K', 'I', 'İ', 233, 7, '{i}'",
        "'日本語テキスト', '本', '日', '語', 'テ', 128512, 1, '{日}'",
    ];
    Chosen::new("s text COLLATE \"C\", u text COLLATE \"C\", c char(6) COLLATE \"C\", v varchar COLLATE \"C\", n name, i int4, k int4, a text[]", &rows).await
}

#[tokio::test]
async fn functions_on_strings_give_what_postgres_gives() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for string in ["s", "c", "v", "n", "'x y '"] {
        for call in [
            "length(X)",
            "char_length(X)",
            "character_length(X)",
            "octet_length(X)",
            "bit_length(X)",
            "lower(X)",
            "upper(X)",
            "reverse(X)",
            "btrim(X)",
            "ltrim(X)",
            "rtrim(X)",
            "trim(X)",
            "trim(both ' ' from X)",
            "trim(leading ' a' from X)",
            "trim(trailing u from X)",
            "trim(X, 'a')",
            "initcap(X)",
            "ascii(X)",
            "md5(X)",
            "left(X, 2)",
            "right(X, 2)",
            "left(X, i)",
            "right(X, i)",
            "substring(X from 2 for 3)",
            "substring(X from i)",
            "substring(X for 2)",
            "substr(X, 2)",
            "substr(X, 0, 2)",
            "substring(X, i, k)",
            "substring(X, -1, 3)",
            "position('b' in X)",
            "strpos(X, 'l')",
            "starts_with(X, 'a')",
            "X ^@ 'a'",
            "replace(X, 'a', 'xy')",
            "translate(X, 'abc', 'xé')",
            "repeat(X, 2)",
            "lpad(X, 8, 'xé')",
            "rpad(X, 3)",
            "split_part(X, 'b', 1)",
            "X || '!'",
            "X || 1",
            "X || true",
            "concat(X, 1, NULL, true)",
            "overlay(X placing 'zz' from 2 for 1)",
            "overlay(X placing 'zz' from 1)",
            "X || u",
            "coalesce(X, 'none')",
        ] {
            expressions.push(call.replace('X', string));
        }
    }
    expressions.extend(
        [
            "replace(s, u, v)",
            "replace(s, u, '')",
            "translate(s, u, v)",
            "strpos(s, u)",
            "position(u in s)",
            "starts_with(s, u)",
            "split_part(s, u, 1)",
            "split_part(s, u, 2)",
            "split_part(s, u, -1)",
            "split_part(s, u, -2)",
            "split_part(s, u, i)",
            "split_part(s, '', 1)",
            "split_part(s, '', -1)",
            "split_part(s, '', 2)",
            "split_part(s, 'zz', 1)",
            "split_part(s, 'zz', 2)",
            "btrim(s, u)",
            "ltrim(s, u)",
            "rtrim(s, 'fx9')",
            "repeat(u, i)",
            "lpad(s, i)",
            "lpad(u, 7, v)",
            "rpad(u, 7, v)",
            "rpad(s, i, u)",
            "lpad(s, 5, '')",
            "rpad(s, 20, '')",
            "chr(i)",
            "chr(0)",
            "chr(55296)",
            "chr(1114112)",
            "concat(s, u, c, v, n, i, a)",
            "concat(a, true, 1.50, '2024-01-01'::date)",
            "concat(NULL)",
            "concat_ws(',', s, NULL, u, i)",
            "concat_ws(u, s, 'x')",
            "concat_ws(NULL, s)",
            "concat_ws(',', a, c)",
            "s || NULL",
            "i || s",
            "s || a[1]",
            "c || c",
            "c || s",
            "c || i",
            "n || n",
            "'a' || 'b' || s",
            "overlay(s placing u from i)",
            "overlay(s placing u from 2 for k)",
            "overlay(s placing u from 2 for 0)",
            "overlay(s placing u from 2 for -1)",
            "substring(s from 2 for 0)",
            "substring(s from -5 for 7)",
            "substring(s from 1 for 2147483647)",
            "substring(s from 2147483647 for 2147483647)",
            "substr(s, k, i)",
            "left(s, k)",
            "right(s, k)",
            "left(s, -100)",
            "right(s, -2147483648)",
            "length(s) > 3 AND left(s, 1) = 'a'",
            "upper(s) = 'ABC'",
            "lower(left(s, 1)) || substring(s from 2)",
            "length(trim(s)) = length(s)",
            "md5('')",
            "md5(s || 'é')",
            "reverse(reverse(s)) = s",
            "s = ANY (a)",
            "s LIKE u || '%'",
            "length(c) = length(c::text)",
            "octet_length(c) - octet_length(c::text)",
            "nullif(trim(s), '')",
            "concat(c, '|')",
            "c::text || '|'",
            "concat_ws('|', c, v)",
            "s || c || '|'",
            "left('añb', 2)",
            "ascii('')",
            "ascii('€')",
            "chr(8364)",
            "initcap('hello wORLD-foo_bar 9x')",
            "translate('abcabc', 'aab', 'xyz')",
            "replace('aaaa', 'aa', 'b')",
            "lpad('hi', 7, 'xyz')",
            "rpad('hi', 1)",
            "split_part('a~@~b~@~c', '~@~', 2)",
            "split_part('aaa', 'aa', -1)",
            "split_part('aaa', 'aa', 2)",
            "i::text || k::text",
            "length(i::text)",
            "'a' < upper('b')",
            "s || u LIKE '%a%'",
        ]
        .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// In the collation of the database, which maps letters of all scripts, in `C`, and where one stands beside the other.
#[tokio::test]
async fn letters_are_mapped_as_the_database_maps_them() {
    let rows = [
        "'Müller', 'Müller', 'Müller', '[\"MÜLLER\"]', 'müller', '{Ü,ü}', 1",
        "'MÜLLER', 'MÜLLER', 'MÜLLER', '{\"0\":\"Ü\"}', 'MULLER', '{É}', 2",
        "'İıſK ǅ ẞß', 'İıſK ǅ ẞß', 'İıſK ǅ ẞß', '[\"ΑΣ\"]', 'İ', '{ß}', 3",
        "'ΑΣ ᾳ ЯЖ ԱՒ', 'ΑΣ ᾳ ЯЖ ԱՒ', 'ΑΣ ᾳ ЯЖ ԱՒ', '[\"яж\"]', 'Ž', '{}', 4",
        "'abc ABC', 'abc ABC', 'abc ABC', '[]', 'aBc', '{A}', 5",
        "'日本 😀', '日本 😀', '日本 😀', 'null', '', NULL, 6",
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    ];
    let columns = "s text, c text COLLATE \"C\", x text COLLATE \"C.utf8\", j jsonb, n name, a text[], i int4";
    let chosen = Chosen::of(Database::with_letters_of("C.UTF-8").await, columns, &rows).await;
    chosen
        .agree(&[
            "lower(s)",
            "upper(s)",
            "lower(c)",
            "upper(c)",
            "lower(n)",
            "upper(n::text)",
            "lower(j ->> 0)",
            "upper(j ->> '0')",
            "lower(a[1])",
            "upper(s || 'é')",
            "lower(c || 'É')",
            "lower(s || c)",
            "lower(i::text || 'É')",
            "lower(coalesce(s, 'É'))",
            "upper(case when i > 2 then s else 'é' end)",
            "lower(concat(s, 'É'))",
            "lower('É')",
            "upper('straße')",
            "lower(upper(s)) = lower(s)",
            "s ILIKE 'mü%'",
            "s ILIKE '%Ü%'",
            "s NOT ILIKE '%ЯЖ%'",
            "lower(s) LIKE 'mü%'",
            "s ILIKE '%σ%'",
            "s ILIKE '%k%'",
            "(j ->> 0) ILIKE 'αΣ'",
            "'É' ILIKE 'é'",
            "s ILIKE ANY ('{mü%,%я%}')",
            "s ~~* ALL (a)",
            "lower(s) = lower('MÜLLER')",
            "lower(s) IN ('müller', 'x')",
            "s ~~* s",
            "lower(replace(s, 'M', 'Ö'))",
            "lower(a::text)",
            "upper(left(s, 3))",
            "lower(reverse(s))",
        ])
        .await;
    chosen.agree(&["c ILIKE '%ü%'", "c ILIKE 'MÜ%'", "n ILIKE 'müller'"]).await;
    // How other collations map letters beyond ASCII is not known.
    chosen.refused(&[
        ("x ILIKE '%ü%'", "At location 2: \"ü\" cannot be matched regardless of case in this collation"),
        ("(s || x) ILIKE '%ü%'", "cannot be matched regardless of case in this collation"),
        ("s ILIKE '%𐐀%'", "cannot be matched regardless of case in this collation"),
    ]);
}

#[tokio::test]
async fn what_is_not_sure_of_strings_is_refused() {
    chosen().await.refused(&[
        ("substring(s from 'a.c') = 'x'", "Could not select a function overload for substring(text, unknown)"),
        ("length(i) = 1", "Could not select a function overload for length(int4)"),
        ("length(NULL::bytea) = 1", "Could not select a function overload for length(bytea)"),
        ("to_char(i, '9') = '1'", "unknown or unsupported function to_char/2"),
        ("chr(0) = s", "Failed to apply function to constant arguments"),
        ("trim(both from s) = 'x'", "At location 30: syntax error at or near \"s\""),
        ("format('%s', s) = s", "unknown or unsupported function format/2"),
    ]);
}
