//! Arrays.

use super::Chosen;

async fn chosen() -> Chosen {
    let columns = "a int4[], b int4[], t text[], u text[], n numeric[], f float8[], c char(4)[], m mood[], q bool[], d date[], \
                   j jsonb[], i int4, k int8, s text";
    let rows = [
        "'{1,2,3}', '{2}', '{a,b}', '{b}', '{1.0,2}', '{1,-0,NaN}', '{ab,c}', '{sad,ok}', '{t,f}', '{2024-02-29}', '{1,\"{\\\"a\\\":1}\"}', 2, 3, 'b'",
        "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 1, 1, ''",
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "'{1,NULL,3}', '{NULL}', '{NULL,\"NULL\",\"\"}', '{NULL}', '{NULL,NaN}', '{Infinity,NULL}', '{NULL}', '{NULL,sad}', '{NULL}', '{NULL,infinity}', '{NULL,null}', 0, -1, 'NULL'",
        "'{{1,2},{3,4}}', '{3,4}', '{{a,b},{c,d}}', '{c,d}', '{{1,2.50}}', '{{1e100,1e-7}}', '{{ab,\"a \"}}', '{{ok}}', '{{t}}', '{{-infinity}}', '{{\"1.0\"}}', 4, 2, 'c'",
        "'[0:2]={1,2,3}', '[2:2]={2}', '[-1:0]={x,y}', '[5:5]={x}', '[0:0]={1.00}', '[0:0]={0}', '[2:2]={ab}', '[0:0]={ok}', '[0:0]={f}', '[3:3]={\"0044-03-15 BC\"}', '[0:0]={\"\\\"b\\\"\"}', 3, 0, 'x'",
        "'{3,2,1}', '{1,2}', '{\"a b\",\"a,b\",\"{}\",\"\\\"\",\"\\\\\"}', '{\"a,b\"}', '{1.0,1.00}', '{0.1,0.30000000000000004}', '{\"a\"}', '{ok,sad}', '{t}', '{2024-01-01,2023-12-31}', '{\"[1, 2]\"}', 1, 1, 'a,b'",
        "'{1,2}', '{1,2,3}', '{😀,ß,É}', '{😀}', '{1}', '{1}', '{ß}', '{sad}', '{f,t}', '{2024-02-29,2024-02-29}', '{true}', -2147483648, 9223372036854775807, '😀'",
        "'{{{1},{2}},{{3},{4}}}', '{{1}}', '{aB,Ab}', '{ab}', '{-1,0}', '{-1}', '{\"\"}', '{ok,ok}', '{t,NULL}', '{2024-02-28}', '{\"{\\\"b\\\": [1.50]}\"}', 2147483647, 2, 'aB'",
    ];
    Chosen::new(columns, &rows).await
}

#[tokio::test]
async fn arrays_compare_contain_and_overlap() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for (left, right) in
        [("a", "b"), ("b", "a"), ("t", "u"), ("a", "a"), ("n", "n"), ("f", "f"), ("c", "c"), ("q", "q"), ("d", "d")]
    {
        for sign in ["=", "<>", "<", "<=", ">", ">=", "@>", "<@", "&&", "IS DISTINCT FROM"] {
            expressions.push(format!("{left} {sign} {right}"));
        }
    }
    for condition in [
        "a = '{1,2,3}'",
        "a <> '{1,2}'",
        "a < '{1,2,NULL}'",
        "a >= '{{1,2},{3,4}}'",
        "a = '[0:2]={1,2,3}'",
        "t = '{NULL,\"NULL\",\"\"}'",
        "n = '{1,2.0}'",
        "n @> '{1.000}'",
        "f @> '{0}'",
        "f && '{NaN}'",
        "c @> '{\"ab  \"}'",
        "c = '{ab,c}'",
        "m = '{sad,ok}'",
        "m <> m",
        "m @> '{ok}'",
        "m = ARRAY['sad','ok']::mood[]::text[]::text[]::mood[] OR true",
        "j = j",
        "j @> ARRAY['1'::jsonb]",
        "j && '{1,true}'",
        "a @> '{}'",
        "a <@ '{1,2,3,4}'",
        "a && '{NULL,3}'",
        "a @> '{NULL}'",
        "a @> ARRAY[1,2]",
        "t @> ARRAY['a']",
        "t && ARRAY[s]",
        "ARRAY[i] <@ a",
        "a IN ('{1,2,3}', '{}')",
        "a NOT IN ('{1,2,3}', NULL)",
        "a BETWEEN '{1}' AND '{2}'",
        "coalesce(a, b)",
        "greatest(a, b)",
        "nullif(a, b)",
        "a::int8[] @> '{1}'::int8[]",
        "a::numeric[] = n",
        "d @> '{2024-02-29}'",
        "q = '{true,no}'",
    ] {
        if !condition.contains("mood[]") {
            expressions.push(condition.into());
        }
    }
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn arrays_are_cut_and_put_together() {
    let chosen = chosen().await;
    chosen
        .agree(&[
            "a[1]",
            "a[0]",
            "a[-1]",
            "a[i]",
            "a[2][1]",
            "a[1][i]",
            "a[1][2][1]",
            "a[NULL]",
            "a[k]",
            "a['2']",
            "a[1.5]",
            "a[2.5]",
            "t[1]",
            "t[3]",
            "n[1]",
            "f[2]",
            "c[2]",
            "m[1]::text",
            "q[1]",
            "d[1]",
            "j[1]",
            "(a)[1]",
            "(a || b)[2]",
            "(ARRAY[1,2,3])[2]",
            "('{1,2,3}'::int[])[i]",
            "a[1:2]",
            "a[2:]",
            "a[:2]",
            "a[:]",
            "a[i:]",
            "a[:i]",
            "a[i:k]",
            "a[2:1]",
            "a[0:1]",
            "a[NULL:1]",
            "a[1:2][1:1]",
            "a[1:2][2]",
            "a[:][:1]",
            "a[1:1][2:]",
            "a[2][1:1]",
            "a[1:1][1:1][1:1]",
            "a[1:2][:][:][:]",
            "t[1:2]",
            "t[-1:0]",
            "c[1:1]",
            "m[1:1]",
            "a[-2147483648:2147483647]",
            "a || b",
            "b || a",
            "a || 5",
            "5 || a",
            "a || NULL",
            "NULL::int4[] || a",
            "a || NULL::int4",
            "NULL::int4 || a",
            "t || u",
            "t || 'x'::text",
            "'x'::text || t",
            "a || i",
            "i || a",
            "a || k",
            "t || s",
            "n || a",
            "a || '{7,8}'",
            "ARRAY[1] || 2 || 3",
            "a || '{}'",
            "a || ARRAY[[5,6]]",
            "ARRAY[5,6] || a",
            "m || m",
            "q || q",
            "d || d",
            "j || j[1]",
            "array_cat(a, b)",
            "array_append(a, 4)",
            "array_prepend(0, a)",
            "array_append(NULL, 1)",
            "array_append(t, NULL)",
            "array_prepend(s, t)",
            "array_append(c, 'x')",
            "array_length(a, 1)",
            "array_length(a, 2)",
            "array_length(a, 0)",
            "array_length(a, i)",
            "array_length(a, NULL)",
            "cardinality(a)",
            "cardinality(t)",
            "array_ndims(a)",
            "array_upper(a, 1)",
            "array_lower(a, 1)",
            "array_upper(a, 2)",
            "array_lower(t, 1)",
            "array_position(a, 2)",
            "array_position(a, NULL)",
            "array_position(t, s)",
            "array_position(t, 'NULL')",
            "array_position(a, 3, 2)",
            "array_position(a, 1, i)",
            "array_position(n, 1)",
            "array_position(n, 'NaN')",
            "array_position(f, '-0')",
            "array_position(m, 'ok')",
            "array_position(a, k)",
            "array_position(c, 'ab')",
            "ARRAY[i, 1, NULL]",
            "ARRAY[a, b]",
            "ARRAY[b, b]",
            "ARRAY[[i, 1], [2, 3]]",
            "ARRAY[s, 'x', NULL]",
            "ARRAY[i, k, 1.5]",
            "ARRAY[1, 2.50]",
            "ARRAY[]::int4[]",
            "ARRAY['1', '2']::int4[]",
            "ARRAY[i]::text[]",
            "ARRAY[ARRAY[1], ARRAY[2]]",
            "ARRAY[[1, 2], [3]]",
            "ARRAY[NULL]",
            "ARRAY['a', NULL, 'NULL', '', 'a b', '{', '\"', '\\']",
            "ARRAY[d[1], '2024-01-01']",
            "ARRAY[true, q[1]]",
            "ARRAY[c[1], 'x']",
            "a::text",
            "t::text",
            "n::text",
            "f::text",
            "c::text",
            "m::text",
            "q::text",
            "d::text",
            "j::text",
            "a::text[]",
            "a::int8[]::text",
            "a::numeric[]",
            "n::int4[]",
            "a::float8[]",
            "t::varchar[]",
            "c::text[]",
            "m::text[]",
            "d::text[]",
            "q::text[]",
            "f::int4[]",
            "'{1, 2 ,\"3\"}'::int4[]",
            "'[2:3]={a,b}'::text[]",
            "'{{1,2},{3,4}}'::int4[]",
            "'{null, \"null\", x y }'::text[]",
            "'  {  }  '::text[]",
            "CAST('{t,f}' AS bool[])",
            "'{2024-01-01 ,infinity}'::date[]",
            "a IS NULL",
            "a[9] IS NULL",
            "'{a\"b}'::text[]",
            "'{1,}'::int4[]",
            "'{1'::int4[]",
            "'{{1},2}'::int4[]",
            "'{x}'::int4[]",
            "'{a\\,b, \\ c\\ ,\\null, \\\"}'::text[]",
            "'{a\\'::text[]",
            "(NULL::int4[])[1 / (i - i)]",
            "(case when i > 2 then a end)[1 / (i - 1)]",
            "(case when i > 2 then a end)[1 / (i - 1):]",
            "'{{{{{{1}}}}}}'::int4[]",
            "'{{{{{{{1}}}}}}}'::int4[]",
            "case when i > 1 then a else b end",
            "coalesce(a, '{}')",
            "(a = b) = (cardinality(a) = 1)",
            "(a::text)::int4[]",
            "('{' || s || '}')::text[]",
            "(t::text)::varchar[]",
        ])
        .await;
}

#[tokio::test]
async fn any_and_all_ask_every_element() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for quantifier in ["ANY", "ALL", "SOME"] {
        for sign in ["=", "<>", "!=", "<", "<=", ">", ">="] {
            for (left, right) in [
                ("i", "a"),
                ("i", "'{1,2,NULL}'"),
                ("i", "'{}'"),
                ("i", "NULL"),
                ("NULL", "a"),
                ("i", "ARRAY[1, 2]"),
                ("i", "ARRAY[k, 1]"),
                ("k", "a"),
                ("s", "t"),
                ("s", "'{b,\"a,b\"}'"),
                ("2", "a"),
                ("1", "n"),
                ("1", "f"),
                ("'ab'", "c"),
                ("k", "'{{1,2},{3,NULL}}'"),
                ("i", "a || b"),
                ("true", "q"),
                ("'2024-02-29'", "d"),
                ("i", "a[2:]"),
                ("i", "'{1,2}'::int8[]"),
                ("1", "'{1.0}'::numeric[]"),
            ] {
                expressions.push(format!("{left} {sign} {quantifier} ({right})"));
            }
        }
        for sign in ["~~", "~~*", "!~~", "!~~*", "~", "!~*"] {
            expressions.push(format!("s {sign} {quantifier} ('{{a%,^b$,NULL,%B%}}')"));
            if !sign.contains("~*") && sign != "~" {
                expressions.push(format!("s {sign} {quantifier} (t)"));
            }
        }
    }
    expressions.extend(
        [
            "s LIKE ANY ('{a%,%x%}')",
            "s NOT LIKE ANY (t)",
            "s ILIKE ANY (ARRAY['A%', 'X'])",
            "m[1] = ANY (m)",
            "'ok' = ANY (m)",
            "m[1] = ANY ('{ok}')",
            "j[1] = ANY (j)",
            "(i = ANY (a)) IS NULL",
            "NOT i = ANY (a)",
            "i = ANY (a) OR k = ALL (a)",
        ]
        .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn what_is_not_sure_of_arrays_is_refused() {
    chosen().await.refused(&[
        ("i = ANY (s)", "argument of ANY must be an array"),
        ("i + ANY (a)", "syntax error"),
        ("i = ANY (SELECT 1)", "only `value IN (SELECT ...)` sublinks are supported right now"),
        ("m < m", "Could not select an operator overload"),
        ("j < j", "Could not select an operator overload"),
        ("a = n", "Could not select an operator overload"),
        ("a @> k", "Could not select an operator overload"),
        ("ARRAY[1, 'x', a] IS NULL", "ARRAY types"),
        ("ARRAY[[1], 2] = a", "At location 0: ARRAY types int4[] and int4 cannot be matched"),
        ("ARRAY[] = a", "cannot determine type of empty array"),
        ("[1] = a", ""),
        ("a[1:2:1] = a", ""),
        ("i[1] = 1", "At location 0: cannot subscript type int4"),
        ("a['x'] = 1", "invalid syntax for type int4"),
        ("a[s] = 1", "array subscript must have type integer"),
        ("ARRAY[1,2][1] = 1", "needs parentheses"),
        ("s ~ ANY (t)", "a regular expression must be a constant"),
        ("a = '{{},{}}'", "At location 4: invalid syntax for type int4[]: {{},{}}"),
    ]);
}
