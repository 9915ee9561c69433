//! JSON.

use super::Chosen;

async fn chosen() -> Chosen {
    let rows = [
        r#"'{"a": 1, "b": {"c": [1, 2.50, "x"]}, "d": null}', '{"a":1,"b" : {"c" : [1, 2.50,"x"] },"d":null}', 'a', 1, '{b,c}'"#,
        r#"'[1, "a", null, true, [1,2], {"a": 1}]', '[1 , "a",null, true,[1, 2],{"a": 1}]', 'b', -1, '{4,1}'"#,
        r#"'5', '5', '0', 0, '{}'"#,
        r#"'"a"', '"a"', 'a', 0, '{0}'"#,
        r#"'null', 'null', '', 0, '{a,NULL}'"#,
        "NULL, NULL, NULL, NULL, NULL",
        r#"'{}', '{ }', '', 2, '{""}'"#,
        r#"'[]', ' [ ] ', 'c', 2147483647, '{-1}'"#,
        r#"'{"a": 1, "a": 2, "aa": 3, "b": 1e3, "B": 1.10}', '{"a":{"b":1},"a":{"c":2}, "a" : {"b": [ 7 ]}}', 'aa', 3, '{a,b}'"#,
        r#"'{"q\"uote": "li\nne\u00e9\ud83d\ude00\u0001", "é": "\\"}', '{"q\"uote":"li\nne\u00e9\ud83d\ude00\u0001", "\u00e9":"\/\\"}', 'é', 1, '{"q\"uote"}'"#,
        r#"'{"a": [[1], [2, {"x": "y"}]], "": "empty"}', E'\t{"a"\n:[[1] , [2,{"x":"y"}]],"":"empty"}\r\n ', '', -2, '{a,1,1,x}'"#,
        r#"'[0, -0, 0.0, -0.50, 1E5, 1e-5, 12345678901234567890.1234567890]', '[0, -0, 0.0, -0.50, 1E5, 1e-5, 12345678901234567890.1234567890]', '-0', 4, '{" 1"}'"#,
        r#"'true', 'true', 'true', -1, '{+1}'"#,
        r#"'1.50', '1.50', '1.5', -2147483648, '{1x}'"#,
        r#"'{"a": {"b": {"c": {"d": [1, 2, 3, {"e": "deep"}]}}}}', '{"a": {"b": {"c": {"d": [1, 2, 3, {"e": "deep"}]}}}}', 'a', 0, '{a,b,c,d,-1,e}'"#,
        r#"'{"a": "1", "b": "text", "n": 42}', '{"a": "\u0041\u0000"}', 'n', 1, '{n}'"#,
        r#"'["a", "b", "a", ["a"]]', '["a", "b", "a"]', 'b', -3, '{a,b}'"#,
    ];
    Chosen::new("b jsonb, j json, s text, i int4, p text[]", &rows).await
}

#[tokio::test]
async fn parts_of_json_are_taken_out() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for column in ["b", "j"] {
        for tail in [
            "-> 'a'",
            "->> 'a'",
            "-> s",
            "->> s",
            "-> i",
            "->> i",
            "-> 0",
            "-> -1",
            "->> -1",
            "#> p",
            "#>> p",
            "#> '{a,b}'",
            "#>> '{b,c,2}'",
            "#> '{}'",
            "#>> '{}'",
            "#>> '{a}'",
            "-> 'b' -> 'c' ->> 1",
            "-> 'a' -> 'b'",
            "-> 'B'",
            "-> NULL",
            "->> NULL",
            "#> NULL",
            "-> 'q\"uote'",
            "->> 'q\"uote'",
            "->> 'é'",
            "->> ''",
            "-> 'a' -> 0 -> 0",
            "::text",
            "::varchar",
            "#> ARRAY['a', '1']",
            "#>> ARRAY[s, '0']",
            "-> 4 ->> 1",
            "-> 5 -> 'a'",
            "->> '0'",
            "-> '1'",
        ] {
            expressions.push(format!("{column} {tail}"));
            if tail.starts_with('-') {
                expressions.push(format!("({column} {tail}) IS NULL"));
            }
        }
        for call in ["typeof(X)", "typeof(X -> 'a')", "array_length(X)", "array_length(X -> 'a')"] {
            let kind = if column == "b" { "jsonb" } else { "json" };
            expressions.push(format!("{kind}_{}", call.replace('X', column)));
        }
    }
    expressions.extend(
        [
            "j::jsonb",
            "j #> '{a,NULL}'",
            "j #>> '{NULL}'",
            "b::json",
            "b::json::text",
            "j::jsonb -> 'a'",
            "(j -> 'a')::text",
            "(b -> 'b')::text",
            "s::jsonb",
            "s::json",
            "(b ->> 'a')::int4",
            "'{\"b\":1, \"a\" : [1,2 ]}'::jsonb",
            "'{\"b\":1, \"a\" : [1,2 ]}'::json",
            "' 1 '::json",
            "' 1 '::jsonb",
            "'1.0e2'::jsonb",
            "'1.50e1'::jsonb",
            "'-0e5'::jsonb",
            "'-0.00'::jsonb",
            "'1e-7'::jsonb",
            "'12e-3'::jsonb",
            "'\"\\u00e4\\ud83d\\ude00\\b\\f\\n\\r\\t\\/\"'::jsonb",
            "'\"\\u007f\\u001f\"'::jsonb",
            "'{\"a\":1,\"A\":2,\"aa\":3,\"a\":4,\"\":5,\"ä\":6,\"zz\":7,\"z\":8}'::jsonb",
            "'[1,]'::jsonb",
            "'{a:1}'::json",
            "'01'::json",
            "'1.'::json",
            "'tru'::json",
            "'\"a'::json",
            "'[1 2]'::json",
            "''::json",
            "'\"\\x\"'::json",
            "'\"\\u0000\"'::jsonb",
            "'\"\\u0000\"'::json",
            "'\"\\ud800\"'::jsonb",
            "'\"\\udc00\"'::jsonb",
            "'1e200000'::jsonb",
            "'1e-20000'::jsonb",
            "'1e100'::jsonb",
            "'nullx'::json",
            "'1a'::json",
            "'{\"a\":1}x'::json",
            "'\"\t\"'::json",
            "jsonb '1' -> 0",
            "json '[1,2]' ->> 1",
        ]
        .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn jsonb_is_compared_and_searched() {
    let chosen = chosen().await;
    let mut expressions: Vec<String> = Vec::new();
    for other in [
        "'{\"a\": 1}'",
        "'{\"a\": 1.0}'",
        "'{}'",
        "'[]'",
        "'[1]'",
        "'[1.00, \"a\"]'",
        "'\"a\"'",
        "'null'",
        "'[null]'",
        "'true'",
        "'[[1]]'",
        "'[[2,1]]'",
        "'{\"b\": {\"c\": [2.5]}}'",
        "'{\"a\": [[2]]}'",
        "'5.0'",
        "'[5]'",
        "'[\"a\"]'",
        "'{\"a\": {\"b\": {\"c\": {\"d\": [{\"e\": \"deep\"}, 1]}}}}'",
        "'[{\"a\": 1}]'",
        "'[{}]'",
        "'1.5'",
        "'[0]'",
        "'[100000]'",
        "b",
        "(b -> 'a')",
        "NULL",
        "j::jsonb",
    ] {
        for sign in ["=", "<>", "@>", "<@", "IS DISTINCT FROM"] {
            expressions.push(format!("b {sign} {other}"));
            expressions.push(format!("(b -> 'a') {sign} {other}"));
        }
    }
    for key in ["'a'", "''", "s", "'é'", "'q\"uote'", "'5'", "NULL", "'1'"] {
        expressions.push(format!("b ? {key}"));
        expressions.push(format!("b -> 'b' ? {key}"));
    }
    for keys in ["'{a,b}'", "'{}'", "'{a,NULL}'", "p", "ARRAY[s, 'n']", "'{{a},{x}}'", "NULL"] {
        expressions.push(format!("b ?| {keys}"));
        expressions.push(format!("b ?& {keys}"));
    }
    for ty in ["int2", "int4", "int8", "numeric", "float8", "float4", "bool"] {
        for value in [
            "b -> 'n'",
            "'1.5'::jsonb",
            "'-2.5'::jsonb",
            "'true'::jsonb",
            "'\"x\"'::jsonb",
            "'[1]'::jsonb",
            "'{}'::jsonb",
            "'1e30'::jsonb",
        ] {
            expressions.push(format!("({value})::{ty} = ({value})::{ty}"));
        }
        expressions.push(format!("(b -> 'n')::{ty}"));
    }
    expressions.extend(
        [
            "('null'::jsonb)::text",
            "b IN ('5', '\"a\"')",
            "b NOT IN ('{}', '[]', '1.5000')",
            "b = ANY (ARRAY['5.0', 'null']::jsonb[])",
            "nullif(b, '{}')",
            "coalesce(b, '1')",
            "(b -> 'n')::int4 > 41",
            "b ->> 'a' = '1' AND b @> '{\"b\": \"text\"}'",
            "(b ->> 'n')::int4 + 1",
            "b ->> 'a' || 'x'",
            "b ->> 'b' LIKE 't%'",
            "NOT b ? 'a' OR b ?& '{a,b}'",
            "case when b ? 'a' then b -> 'a' else b end",
            "ARRAY[b, b]",
            "b -> 'a' @> '1'",
            "b #> '{b}' ? 'c'",
            "b IS NULL",
            "j IS NULL",
            "(b -> 'd') IS NULL",
            "(b ->> 'd') IS NULL",
        ]
        .map(str::to_owned),
    );
    chosen.agree(&expressions.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn what_is_not_sure_of_json_is_refused() {
    chosen().await.refused(&[
        ("j = j", "Could not select an operator overload"),
        ("j @> '{}'", "Could not select an operator overload"),
        ("b < b", "Could not select an operator overload"),
        ("b || '{}' = b", "Could not select an operator overload"),
        ("b - 'a' = b", "Could not select an operator overload"),
        ("b = '{a}'", "At location 4: invalid syntax for type jsonb: {a}"),
        ("b = '\"\\u0000\"'", "invalid syntax for type jsonb"),
        ("b @? '$.a'", "At location 2: unknown binary operator \"@?\""),
        ("b['a'] = '1'", "cannot subscript type jsonb"),
        ("jsonb_path_exists(b, '$')", "unknown or unsupported function jsonb_path_exists/2"),
        ("greatest(b, b) = b", "could not identify a comparison function for type jsonb"),
    ]);
    let deep = format!("b = '{}{}'", "[".repeat(600), "]".repeat(600));
    chosen().await.refused(&[(&deep, "invalid syntax for type jsonb")]);
}
