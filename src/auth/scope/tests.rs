use super::*;

fn id(text: &str) -> SessionId {
    SessionId::try_from(text.to_owned()).expect("an id")
}

fn scope(sessions: &[&str], projects: &[&str], columns: &[(&str, &str)]) -> Scope {
    Scope {
        sessions: Sessions::These(sessions.iter().map(|text| id(text)).collect()),
        projects: projects.iter().map(|text| (*text).to_owned()).collect(),
        columns: columns.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

#[test]
fn a_scope_is_a_condition_with_parameters_behind_those_that_are_taken() {
    let tenant =
        Scope { sessions: Sessions::All, projects: Vec::new(), columns: vec![("org\"id".into(), "o'1".into())] };
    //   scope, table, session, condition, params
    let cases = [
        (scope(&[], &[], &[]), "parts", None, "(FALSE)", vec![]),
        (scope(&["a"], &[], &[]), "parts", None, r#"("session_id" = $3)"#, vec!["a"]),
        (scope(&["a", "b"], &[], &[]), "sessions", None, r#"("id" IN ($3, $4))"#, vec!["a", "b"]),
        (scope(&["a", "b"], &[], &[]), "parts", Some("b"), r#"("session_id" = $3)"#, vec!["b"]),
        (scope(&["a"], &[], &[]), "parts", Some("b"), r#"("session_id" = $3)"#, vec!["a"]),
        (scope(&["a"], &["p"], &[]), "sessions", None, r#"("id" = $3 OR "project_id" = $4)"#, vec!["a", "p"]),
        (
            scope(&[], &["p"], &[]),
            "messages",
            Some("s"),
            r#"("session_id" IN (SELECT "id" FROM "sessions" WHERE "project_id" = $3 AND "id" = $4))"#,
            vec!["p", "s"],
        ),
        (tenant.clone(), "sessions", None, r#"("org""id" = $3)"#, vec!["o'1"]),
        (tenant, "parts", None, r#"("session_id" IN (SELECT "id" FROM "sessions" WHERE "org""id" = $3))"#, vec!["o'1"]),
        (scope(&["a"], &[], &[("model", "m")]), "sessions", None, r#"("id" = $3) AND ("model" = $4)"#, vec!["a", "m"]),
    ];
    for (scope, table, session, text, params) in cases {
        let condition = scope.condition(table, session, 2).expect("a condition");
        assert_eq!(
            (condition.text.as_str(), condition.params),
            (text, params.into_iter().map(str::to_owned).collect())
        );
    }
    assert_eq!(Scope::everything().condition("parts", None, 0), None);
}

#[test]
fn a_session_is_in_a_scope_by_its_name_its_project_and_its_columns() {
    let all = Scope::everything();
    let tenant = Scope { columns: vec![("project_id".into(), "p".into())], ..Scope::everything() };
    //   scope, id, by its name, when it is made in project p, in project q
    let cases = [
        (&all, "a", Some(true), true, true),
        (&tenant, "a", None, true, false),
        (&scope(&["a"], &[], &[]), "a", Some(true), true, true),
        (&scope(&["a"], &[], &[]), "b", Some(false), false, false),
        (&scope(&["a"], &["p"], &[]), "b", None, true, false),
        (&scope(&["a"], &[], &[("org_id", "o")]), "a", None, false, false),
        (&scope(&["a"], &[], &[("org_id", "o")]), "b", Some(false), false, false),
        (&Scope::nothing(), "a", Some(false), false, false),
    ];
    for (scope, name, by_name, in_p, in_q) in cases {
        let name = id(name);
        let seen = (scope.has_session(&name), scope.has_new(Some(&name), "p"), scope.has_new(Some(&name), "q"));
        assert_eq!(seen, (by_name, in_p, in_q), "{scope:?} {name}");
    }
    assert!(!scope(&["a"], &[], &[]).has_new(None, "p"), "an id that is yet to be made is in no list");
}
