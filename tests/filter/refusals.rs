//! What is refused when the shape is asked for, and what the refusal says.

use plue_sync::engine::filter::Filter;

use super::compare::names_its_place;
use super::oracle::{BY_CODE_POINT, Oracle};
use crate::support::Random;

/// Conditions whose meaning depends on more than the row.
const MOVING: &[&str] = &[
    "za < now()",
    "ga < random()",
    "ta = current_user",
    "ta = session_user",
    "ta = user",
    "da = current_date",
    "za < current_timestamp",
    "ha < current_time",
    "pa < localtimestamp",
    "ha < localtime",
    "ta = current_schema",
    "ta = current_setting('TimeZone')",
    "za < clock_timestamp()",
    "za < statement_timestamp()",
    "za < transaction_timestamp()",
    "ua = gen_random_uuid()",
    "ia = nextval('s')",
    "da = 'today'",
    "da = 'now'::date",
    "za < 'now'",
    "pa > 'yesterday'",
    "za > timestamptz 'tomorrow'",
    "da = 'TODAY'",
    "pa < ' now '",
    "ia = pg_backend_pid()",
    "ta = version()",
    "pg_sleep(1) IS NULL",
    "za < timeofday()::timestamptz",
    "da = ANY ('{today}')",
    "pa = ANY ('{now,epoch}'::timestamp[])",
    "age(pa) > '1 day'",
    "za = ANY (ARRAY['now']::timestamptz[])",
    "ha < 'now'::time",
];

/// Conditions that are none, or that no row could be judged by.
const WRONG: &[&str] = &[
    "",
    " ",
    "-- nothing",
    "ia",
    "1",
    "'true' 'x'",
    "ia = ",
    "= 1",
    "(ia = 1",
    "ia = 1)",
    "ia == 1",
    "nope = 1",
    "odd.ia = 1",
    "ctid = '(0,1)'",
    "xmin = 1",
    "ia = $1",
    "1/0 = 1",
    "1 % 0 = 1",
    "ia = 'x'",
    "da = '2023-02-29'",
    "ua = 'x'",
    "ba = 'maybe'",
    "ea = 'glad'",
    "ta = 1",
    "ba > 'x'",
    "ia = ta",
    "ia IS TRUE",
    "ia AND ba",
    "NOT ia",
    "ta LIKE 1",
    "ia LIKE '1'",
    "count(*) = 1",
    "max(ia) = 1",
    "sum(ia) OVER () = 1",
    "nope(ia) = 1",
    "ia = ALL",
    "ia = ANY (1)",
    "EXISTS (SELECT 1)",
    "ia = (SELECT 1)",
    "ia IN (SELECT 1, 2)",
    "ia IN ()",
    "ia BETWEEN 1",
    "true; false",
    "true;",
    "ia = 1 ORDER BY ia",
    "ia = 1 LIMIT 1",
    "ia = 1 UNION SELECT true",
    "ia = 1 FOR UPDATE",
    "*",
    "odd.*",
    "DEFAULT",
    "ta COLLATE nope = 'a'",
    "ia::nope = 1",
    "ta ~ '('",
    "ta ~ '['",
    "ta ~ 'a**'",
    "xia @> '{a}'",
    "xia @> xta",
    "oa @> '{'",
    "oa -> true IS NULL",
    "ARRAY[1, 'a'] = xia",
    "ARRAY[] = xia",
    "date_trunc('nope', pa) = pa",
    "extract(nope FROM pa) = 1",
    "pa AT TIME ZONE 'Nope/Nope' = za",
    "\0",
    "ta = '\0'",
    "B'1' = B'1'",
    "U&'\\zzzz' = ta",
    "E'\\xff' = ta",
    "ta = 'a",
    "ta = \"a",
    "ta = $$a",
    "/* ba",
    "ia = 1 AND",
    "OR ba",
    "ia NOT",
    "CASE END",
    "CASE WHEN ba THEN END",
    "CASE WHEN ia THEN ba END",
    "CASE ia WHEN 'a' THEN ba END",
    "(ia, ib) = (1)",
    "(ia, ib) = (1, 2, 3)",
    "ROW() = ROW()",
    "(ia, ib) < (1, 'a')",
    "f(VARIADIC xia)",
    "concat(VARIADIC xta) = 'a'",
    "ia = 1 = 1",
    "ia < 1 < 2",
    "ia IS DISTINCT 1",
    "ia OPERATOR(pg_catalog.=) 1 OPERATOR(=) 2",
    "ia <=> 1",
    "ia := 1",
    "ia = :x",
    "ia = ?",
    "ta = @x",
    "coalesce() = 1",
    "nullif(1) = 1",
    "lower(1) = 'a'",
    "substring(ia FROM 1) = 'a'",
];

#[tokio::test]
async fn what_is_no_condition_on_a_row_is_refused_with_its_place() {
    let oracle = Oracle::new(&mut Random::new(1, 0), BY_CODE_POINT).await;
    let (mut accepted, mut placeless) = (Vec::new(), Vec::new());
    for text in MOVING.iter().chain(WRONG) {
        match Filter::compile(text, &[], &oracle.table) {
            Ok(filter) => accepted.push(format!("{text}   as   {}", filter.sql())),
            Err(error) => {
                assert!(error.field == "where" || error.field == "params", "{text}: {error:?}");
                if !names_its_place(&error) {
                    placeless.push(format!("{text}   {error}"));
                }
            }
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    assert!(placeless.is_empty(), "refused, but where? {placeless:#?}");
}

#[tokio::test]
async fn a_refusal_of_what_changes_with_the_session_says_so() {
    let oracle = Oracle::new(&mut Random::new(1, 0), BY_CODE_POINT).await;
    for text in ["za < now()", "ga < random()", "ta = current_user", "da = current_date", "da = 'today'"] {
        let error = Filter::compile(text, &[], &oracle.table).expect_err(text);
        assert!(error.message.len() > 30, "{text}: a reason is longer than {:?}", error.message);
        println!("{text}: {error}");
    }
}
