use super::*;

fn parse(text: &str) -> Result<String, String> {
    let sortable = Sortable {
        columns: BTreeSet::from(["id", "value", "My \"Col\"", "user", "größe"]),
        selected: vec!["id", "value"],
    };
    OrderBy::parse(text, &sortable).map(|list| list.sql)
}

#[test]
fn a_list_of_columns_is_written_anew() {
    let cases = [
        ("id", "\"id\""),
        ("ID", "\"id\""),
        ("\"id\"", "\"id\""),
        ("id asc", "\"id\""),
        ("value DESC, id", "\"value\" DESC, \"id\""),
        ("value desc nulls LAST,\n\tid ASC NULLS FIRST", "\"value\" DESC NULLS LAST, \"id\" NULLS FIRST"),
        ("value /* a comment */ desc -- and another", "\"value\" DESC"),
        ("2, 1 desc", "\"value\", \"id\" DESC"),
        ("((id))", "\"id\""),
        ("(1) DESC", "\"id\" DESC"),
        ("id, value, id DESC, 1", "\"id\", \"value\""),
        ("\"My \"\"Col\"\"\" desc", "\"My \"\"Col\"\"\" DESC"),
        ("\"user\"", "\"user\""),
        ("größe", "\"größe\""),
    ];
    for (text, sql) in cases {
        assert_eq!(parse(text).as_deref(), Ok(sql), "{text:?}");
    }
}

#[test]
fn everything_else_is_refused() {
    let cases = [
        ("pg_sleep(5)", "At location 18: FuncCall expressions are not allowed in ORDER BY clauses"),
        ("id, random()", "At location 22: FuncCall expressions are not allowed in ORDER BY clauses"),
        ("\"pg_sleep\"(5)", "FuncCall expressions are not allowed"),
        ("pg_catalog.pg_sleep(5)", "unknown reference pg_catalog.pg_sleep"),
        ("id::text", "At location 18: TypeCast expressions are not allowed in ORDER BY clauses"),
        ("CAST(id AS text)", "TypeCast expressions are not allowed"),
        ("(SELECT 1)", "SubLink expressions are not allowed"),
        ("exists(select 1)", "SubLink expressions are not allowed"),
        ("CASE WHEN true THEN id END", "CaseExpr expressions are not allowed"),
        ("coalesce(id, value)", "CoalesceExpr expressions are not allowed"),
        ("greatest(id, 1)", "MinMaxExpr expressions are not allowed"),
        ("id + 1", "A_Expr expressions are not allowed"),
        ("-id", "A_Expr expressions are not allowed"),
        ("id = 1", "A_Expr expressions are not allowed"),
        ("value || value", "A_Expr expressions are not allowed"),
        ("not id", "BoolExpr expressions are not allowed"),
        ("value COLLATE \"C\"", "CollateClause expressions are not allowed"),
        ("value[1]", "A_Indirection expressions are not allowed"),
        ("ARRAY[1]", "A_ArrayExpr expressions are not allowed"),
        ("current_user", "SQLValueFunction expressions are not allowed"),
        ("user", "SQLValueFunction expressions are not allowed"),
        ("id USING <", "A_Expr expressions are not allowed"),
        ("$1", "At location 18: parameter $1 is not supported in ORDER BY clauses"),
        ("id, $2", "At location 22: parameter $2 is not supported in ORDER BY clauses"),
        ("id; DROP TABLE items", "Unexpected `;` in order by"),
        (";", "Unexpected `;` in order by"),
        ("nothing", "At location 18: unknown reference nothing"),
        ("id, \"ID\"", "At location 22: unknown reference \"ID\""),
        ("items.id", "unknown reference items.id"),
        ("id LIMIT 1", "malformed query ending with SQL clauses"),
        ("id desc FOR UPDATE", "malformed query ending with SQL clauses"),
        ("id UNION SELECT 1", "malformed query ending with SQL clauses"),
        ("0", "ORDER BY position 0 is not in select list"),
        ("3", "ORDER BY position 3 is not in select list"),
        ("99999999999999999999999", "is not in select list"),
        ("'id'", "non-integer constant in ORDER BY"),
        ("1.5", "non-integer constant in ORDER BY"),
        ("NULL", "non-integer constant in ORDER BY"),
        ("id,", "At location 21: syntax error at end of input"),
        ("", "At location 18: syntax error at end of input"),
        (",id", "syntax error at or near \",\""),
        ("id value", "At location 21: syntax error at or near \"value\""),
        ("id desc asc", "syntax error at or near \"asc\""),
        ("id nulls", "syntax error"),
        ("id first", "syntax error"),
        ("(id", "syntax error"),
        ("id)", "syntax error at or near \")\""),
        ("(id desc)", "syntax error"),
        ("(id, value)", "syntax error"),
        ("desc", "syntax error"),
        ("\"id", "At location 18:"),
        ("id /*", "At location"),
    ];
    for (text, told) in cases {
        let refusal = parse(text).expect_err(text);
        assert!(refusal.contains(told), "{text:?}: {refusal}");
    }
    let long = "id,".repeat(MAX_BYTES / 3 + 1);
    assert!(parse(&long).expect_err("too long").contains("maximum size"));
}

#[test]
fn deep_and_long_lists_cost_no_stack() {
    let depth = MAX_BYTES / 2 - 8;
    let nested = format!("{}id{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(parse(&nested).as_deref(), Ok("\"id\""));
    let chain = format!("1{}", "+1".repeat(depth));
    assert!(parse(&chain).expect_err("a chain").contains("A_Expr"));
}

proptest::proptest! {
    /// Whatever the text, what comes out is names of columns that were allowed, and four keywords.
    #[test]
    fn nothing_of_the_text_passes(text in "(id|value|\"|,| |asc|desc|nulls|first|last|1|2|\\(|\\)|;|\\$1|--|/\\*|'|.){0,12}") {
        if let Ok(sql) = parse(&text) {
            for item in sql.split(", ") {
                let mut words = item;
                for ending in [" NULLS FIRST", " NULLS LAST", " DESC"] {
                    words = words.strip_suffix(ending).unwrap_or(words);
                }
                proptest::prop_assert!(["\"id\"", "\"value\""].contains(&words), "{text:?}: {sql}");
            }
        }
    }
}
