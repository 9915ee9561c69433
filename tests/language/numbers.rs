//! Numbers: operators, functions, and casts in all directions.

use super::{Judge, products};

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "(-1)",
    "7",
    "(-7)",
    "2147483647",
    "(-2147483648)",
    "2147483648",
    "9223372036854775807",
    "(-9223372036854775808)",
    "'32767'::int2",
    "'-32768'::int2",
    "'2'::int2",
    "'-5'::int8",
    "31",
    "32",
    "63",
    "NULL::int4",
    "NULL::int2",
];
const NUMERICS: &[&str] = &[
    "0.0",
    "1.5",
    "(-1.5)",
    "2.5",
    "(-0.5)",
    "0.05",
    "1e3",
    "12345678901234567890",
    "99999999999999999999.99999",
    ".5",
    "5.",
    "'NaN'::numeric",
    "'Infinity'::numeric",
    "'-Infinity'::numeric",
    "0.000000000000000000001",
    "7.000",
    "(-7.10)",
    "32767.5",
    "2147483647.5",
    "9223372036854775807.4",
    "9223372036854775807.5",
    "(-32768.5)",
    "1234.5678",
    "NULL::numeric",
    "1e-7",
    "1e20",
];
const FLOATS: &[&str] = &[
    "'0'::float8",
    "'-0'::float8",
    "'1.5'::float8",
    "'-2.5'::float8",
    "'0.1'::float8",
    "'1e23'::float8",
    "'NaN'::float8",
    "'Infinity'::float8",
    "'-Infinity'::float8",
    "'1e308'::float8",
    "'5e-324'::float8",
    "'1e15'::float8",
    "'123456789012345678'::float8",
    "'0.00001'::float8",
    "'9007199254740993'::float8",
    "'2'::float8",
    "'3'::float8",
    "'2147483647.5'::float8",
    "'9223372036854775807'::float8",
    "'-9223372036854775808'::float8",
    "'0.5'::float8",
    "'0.1'::float4",
    "'-0'::float4",
    "'1e10'::float4",
    "'16777217'::float4",
    "'3.4e38'::float4",
    "'1e-40'::float4",
    "'NaN'::float4",
    "'Infinity'::float4",
    "'1234567.8'::float4",
    "'32767.4'::float4",
    "'2.5'::float4",
    "NULL::float8",
    "'123456.7'::float8",
    "'-1e-5'::float8",
    "'8.41e21'::float8",
    "'1e22'::float4",
    "'33554432'::float4",
];
const BINARY: &[&str] = &[
    "$a + $b",
    "$a - $b",
    "$a * $b",
    "$a / $b",
    "$a % $b",
    "mod($a, $b)",
    "$a = $b",
    "$a <> $b",
    "$a < $b",
    "$a >= $b",
    "$a IS DISTINCT FROM $b",
    "greatest($a, $b)",
    "least($a, $b)",
    "coalesce($a, $b)",
    "nullif($a, $b)",
    "CASE WHEN $a > $b THEN $a ELSE $b END",
    "CASE $a WHEN $b THEN 1 END",
    "$a IN ($b, 7, NULL)",
    "$a BETWEEN $b AND 100",
];
const UNARY: &[&str] = &[
    "- $a",
    "+ $a",
    "@ $a",
    "abs($a)",
    "sign($a)",
    "ceil($a)",
    "ceiling($a)",
    "floor($a)",
    "round($a)",
    "trunc($a)",
    "|/ $a",
    "$a::int2",
    "$a::int4",
    "$a::int8",
    "$a::float4",
    "$a::float8",
    "$a::numeric",
    "$a::text",
    "$a::text::numeric",
    "$a::text::float8",
    "$a::text::float4",
    "$a::text::int4",
    "CAST($a AS varchar)",
    "~ $a",
    "$a::bool",
    "round($a, 2)",
    "round($a, -1)",
    "trunc($a, 1)",
    "trunc($a, -2)",
    "scale($a)",
    "min_scale($a)",
    "trim_scale($a)",
    "sqrt($a)",
    "$a IS NULL",
    "int4($a)",
    "float8($a)",
    "int8($a)",
];

fn joined(lists: &[&[&'static str]]) -> Vec<&'static str> {
    lists.concat()
}

/// The last digits of these are not surely the same.
fn may_be_refused(expression: &str) -> bool {
    expression.starts_with("sqrt(")
        || expression.starts_with("|/ '")
        || expression.starts_with("+ '")
        || expression.starts_with("@ '")
}

#[tokio::test]
async fn operators_of_two_numbers() {
    let judge = Judge::new().await;
    let all = joined(&[INTEGERS, NUMERICS, FLOATS]);
    judge.compare(&products(&BINARY[..4], &all, &all), |_| false).await;
    judge.compare(&products(&BINARY[4..], &all, &all), |_| false).await;
}

#[tokio::test]
async fn functions_and_casts_of_one_number() {
    let judge = Judge::new().await;
    let all = joined(&[INTEGERS, NUMERICS, FLOATS, &["true", "false", "NULL::bool", "'12'", "'1.5'"]]);
    judge.compare(&products(UNARY, &all, &[]), may_be_refused).await;
}

#[tokio::test]
async fn bits_and_divisors_of_integers() {
    let judge = Judge::new().await;
    let templates = ["$a & $b", "$a | $b", "$a # $b", "gcd($a, $b)", "lcm($a, $b)", "div($a, $b)"];
    judge.compare(&products(&templates, INTEGERS, INTEGERS), |_| false).await;
    let shifts = ["0", "1", "5", "15", "31", "33", "(-1)", "NULL"];
    judge.compare(&products(&["$a << $b", "$a >> $b"], INTEGERS, &shifts), |_| false).await;
}

#[tokio::test]
async fn powers_and_roots_of_floats() {
    let judge = Judge::new().await;
    let numbers = joined(&[FLOATS, &["2", "10", "(-3)", "0", "64"]]);
    judge.compare(&products(&["$a ^ $b", "power($a, $b)"], &numbers, &numbers), |_| false).await;
    judge.compare(&products(&["|/ $a", "sqrt($a)"], &numbers, &[]), |_| false).await;
}

#[tokio::test]
async fn precise_numbers() {
    let judge = Judge::new().await;
    let templates = ["$a % $b", "div($a, $b)", "$a / $b", "$a * $b", "mod($a, $b)"];
    judge.compare(&products(&templates, NUMERICS, NUMERICS), |_| false).await;
    let digits = ["0", "1", "3", "25", "(-1)", "(-5)", "NULL"];
    judge.compare(&products(&["round($a, $b)", "trunc($a, $b)"], NUMERICS, &digits), |_| false).await;
}

#[tokio::test]
async fn texts_of_numbers() {
    let judge = Judge::new().await;
    let texts = [
        "' 12 '",
        "'+5'",
        "'- 5'",
        "'1e3'",
        "'.5'",
        "'5.'",
        "'nan'",
        "'-inf'",
        "'0x10'",
        "'-0X1.8p1'",
        "'0x.8'",
        "'0x'",
        "'0x1p'",
        "'0x1fp-3'",
        "''",
        "' '",
        "'1_000'",
        "'1e'",
        "'--1'",
        "'99999999999999999999'",
        "'-0'",
        "'1e-400'",
        "'1e400'",
        "'infinity'",
        "'+Infinity'",
        "'1.0000000000000000000001'",
        "'t'",
        "'yes'",
        "'off'",
        "'of'",
        "'o'",
        "'1'",
        "'00012'",
        "'1 2'",
        "'0.0000001'",
        "'1E5'",
        "'1.e5'",
        "'+nan'",
        "'-nan'",
    ];
    let templates = [
        "$a::int2",
        "$a::int4",
        "$a::int8",
        "$a::float4",
        "$a::float8",
        "$a::numeric",
        "$a::bool",
        "$a::text::int4",
        "$a::text::float8",
        "$a::text::numeric",
        "$a::text::bool",
        "numeric $a",
        "bool $a",
    ];
    // Later versions read more forms of integers.
    let newer =
        |expression: &str| (expression.contains("0x") || expression.contains("1_000")) && !expression.contains("float");
    let expressions: Vec<String> = products(&templates, &texts, &[]).into_iter().filter(|text| !newer(text)).collect();
    judge.compare(&expressions, |_| false).await;
}
