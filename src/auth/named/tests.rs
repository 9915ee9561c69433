use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::auth::{Role, Scope};

fn shape(filter: Option<&str>, public: bool) -> ShapeConfig {
    ShapeConfig { table: "items".into(), columns: vec![], filter: filter.map(str::to_owned), public }
}

fn principal(claims: Value) -> Principal {
    let mut principal = Principal::named("u", Origin::Signed, Role::Viewer, Scope::nothing(), SystemTime::UNIX_EPOCH);
    principal.claims = claims.as_object().expect("an object").clone();
    principal
}

#[test]
fn places_become_parameters_and_values_never_become_text() {
    let filter = "org = {claims.org_id} AND tags && '{a,b}' AND n > {params.since} AND o = {claims.org_id}";
    let named = NamedShape::new(&shape(Some(filter), false)).expect("a shape");
    let evil = "1) OR (1=1";
    let somebody = principal(json!({"org_id": "o'; --"}));
    let values =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let condition = named.condition(&somebody, &values(&[("since", evil)]), 2).expect("values").expect("a condition");
    assert_eq!(condition.text, "org = $3 AND tags && '{a,b}' AND n > $4 AND o = $5");
    assert_eq!(condition.params, ["o'; --", evil, "o'; --"]);

    let refusals = [
        (principal(json!({})), values(&[("since", "1")]), NoValue::Claim("org_id".into())),
        (principal(json!({"org_id": {"a": 1}})), values(&[("since", "1")]), NoValue::Claim("org_id".into())),
        (somebody.clone(), values(&[]), NoValue::Param("since".into())),
        (somebody, values(&[("since", "1"), ("org_id", "x")]), NoValue::UnknownParam("org_id".into())),
        (Principal::open(), values(&[("since", "1")]), NoValue::Claim("org_id".into())),
    ];
    for (principal, values, expected) in refusals {
        assert_eq!(named.condition(&principal, &values, 0), Err(expected));
    }
    let lists = NamedShape::new(&shape(Some("id = ANY ({claims.ids})"), false)).expect("a shape");
    let listed = lists.condition(&principal(json!({"ids": ["a\"b", "c,d", 7]})), &[], 0).expect("values");
    assert_eq!(listed.expect("a condition").params, [r#"{"a\"b","c,d","7"}"#]);
}

#[test]
fn a_shape_that_cannot_be_had_stops_the_start_and_says_why() {
    //   name, shape, what is said
    let cases = [
        ("sessions", shape(None, false), "a table of agent state has this name"),
        ("Upper", shape(None, false), "lower-case letters"),
        ("a", ShapeConfig { table: "a.b.c".into(), ..shape(None, false) }, "table: "),
        ("a", shape(Some("n = "), false), "where: "),
        ("a", shape(Some("n = '{claims.x}'"), false), "without quotes"),
        ("a", shape(Some("n = $1"), false), "without quotes"),
        ("a", shape(Some("n = {claim.x}"), false), "where: "),
        ("a", shape(Some("n = {claims.x"), false), "where: "),
        ("a", shape(Some("n = {claims.x}"), true), "cannot depend on claims"),
    ];
    for (name, config, said) in cases {
        let refused = NamedShapes::new(&BTreeMap::from([(name.to_owned(), config)]), &["sessions"]);
        let problem = refused.expect_err(name).problem;
        assert!(problem.contains(said), "{name}: {problem}");
    }
}
