use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::auth::scope::Sessions;
use crate::auth::{Role, Scope};
use crate::config::{ShapeConfig, ShapesConfig};
use crate::ids::SessionId;
use crate::shape::Dialect;

fn scope(sessions: &[&str]) -> Scope {
    let ids = sessions.iter().map(|id| SessionId::try_from((*id).to_owned()).expect("an id"));
    Scope { sessions: Sessions::These(ids.collect()), ..Scope::nothing() }
}

fn viewer(scope: Scope) -> Principal {
    let mut viewer = Principal::named("u", Origin::Signed, Role::Viewer, scope, SystemTime::UNIX_EPOCH);
    viewer.claims = json!({"org": "o1"}).as_object().expect("an object").clone();
    viewer
}

fn narrow() -> Narrow {
    let shape = |table: &str, columns: &[&str], filter: Option<&str>, public| ShapeConfig {
        table: table.into(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        filter: filter.map(str::to_owned),
        public,
    };
    let shapes = ShapesConfig::from([
        (
            "tickets".to_owned(),
            shape("crm.tickets", &["id", "title"], Some("org = {claims.org} AND n > {params.n}"), false),
        ),
        ("news".to_owned(), shape("news", &[], None, true)),
        ("own_parts".to_owned(), shape("parts", &[], Some("type = 'text'"), false)),
    ]);
    Narrow::new(NamedShapes::new(&shapes, &AGENT_TABLES).expect("shapes"))
}

fn asked(query: &[(&str, &str)]) -> ShapeRequest {
    let mut text = String::new();
    for (name, value) in query {
        for (part, end) in [(name, "="), (value, "&")] {
            crate::shape::encode_text(part, &mut text);
            text.push_str(end);
        }
    }
    ShapeRequest::parse(&text, None, Dialect::Api).expect("a request")
}

/// The condition and the parameters that are answered, or why none.
fn narrowed(principal: &Principal, query: &[(&str, &str)]) -> Result<(Option<String>, Vec<String>), Denied> {
    let mut asked = asked(query);
    narrow().narrow(principal, &mut asked)?;
    Ok((asked.filter, asked.params))
}

#[test]
fn a_client_narrows_and_never_widens() {
    let one = viewer(scope(&["s1"]));
    let two = viewer(scope(&["s1", "s2"]));
    let admin = viewer(Scope::everything());
    //   who, where, params; the condition and the parameters
    type Case<'a> = (&'a Principal, Option<&'a str>, &'a [&'a str], Option<&'a str>, &'a [&'a str]);
    let cases: [Case; 8] = [
        (&admin, None, &[], None, &[]),
        (&admin, Some("a = 1"), &[], Some("a = 1"), &[]),
        (&one, None, &[], Some("(\"session_id\" = $1)"), &["s1"]),
        (&one, Some("a = $1"), &["x"], Some("((\"session_id\" = $2)) AND (a = $1\n)"), &["x", "s1"]),
        (&one, Some("1 = 1 OR TRUE"), &[], Some("((\"session_id\" = $1)) AND (1 = 1 OR TRUE\n)"), &["s1"]),
        (&one, Some("session_id = 's2'"), &[], Some("((\"session_id\" = $1)) AND (session_id = 's2'\n)"), &["s1"]),
        // Who sees more follows the same shape of one session.
        (
            &two,
            Some("session_id = $1"),
            &["s1"],
            Some("((\"session_id\" = $2)) AND (session_id = $1\n)"),
            &["s1", "s1"],
        ),
        (
            &two,
            Some("session_id = $1"),
            &["s3"],
            Some("((\"session_id\" IN ($2, $3))) AND (session_id = $1\n)"),
            &["s3", "s1", "s2"],
        ),
    ];
    for (who, text, params, condition, values) in cases {
        let numbers = ["params[1]", "params[2]"];
        let text = text.map(|text| ("where", text));
        let query: Vec<_> = [("table", "parts")]
            .into_iter()
            .chain(text)
            .chain(numbers.into_iter().zip(params.iter().copied()))
            .collect();
        let expected = (condition.map(str::to_owned), values.iter().map(|value| (*value).to_owned()).collect());
        assert_eq!(narrowed(who, &query), Ok(expected), "{query:?}");
    }
}

#[test]
fn tables_are_known_however_they_are_written() {
    for table in AGENT_TABLES {
        let quoted = format!("\"public\".\"{table}\"");
        for name in [table, &format!("public.{table}"), &table.to_ascii_uppercase(), &quoted] {
            assert!(narrowed(&Principal::open(), &[("table", name)]).is_ok(), "{name}");
        }
    }
}

#[test]
fn what_could_reach_beyond_is_refused_by_field() {
    let one = viewer(scope(&["s1"]));
    let admin = viewer(Scope::everything());
    let all = Principal::public();
    //   who, query; the field that is blamed, or `None` for a token that is missing
    type Case<'a> = (&'a Principal, &'a [(&'a str, &'a str)], Option<&'a str>);
    let cases: [Case; 22] = [
        (&one, &[("table", "parts"), ("where", "1 = 1) OR (1 = 1")], Some("where")),
        (&one, &[("table", "parts"), ("where", "1 = 1 /*")], Some("where")),
        (&one, &[("table", "parts"), ("where", "1 = 1; SELECT 1")], Some("where")),
        (&one, &[("table", "parts"), ("where", "id IN (SELECT id FROM parts)")], Some("where")),
        (&one, &[("table", "parts"), ("where", "EXISTS (SELECT 1 FROM messages)")], Some("where")),
        (&one, &[("table", "parts"), ("where", "a = $1")], Some("params")),
        (&one, &[("table", "parts"), ("where", "a = $2"), ("params[1]", "x")], Some("params")),
        (&one, &[("table", "parts"), ("where", "a = 1"), ("params[session]", "x")], Some("params")),
        (&one, &[("table", "capability_tokens")], Some("table")),
        (&one, &[("table", "pg_catalog.pg_authid")], Some("table")),
        (&one, &[("table", "other.parts")], Some("table")),
        (&one, &[("table", "parts"), ("subset__where", "id IN (SELECT id FROM parts)")], Some("subset")),
        (&admin, &[("table", "parts"), ("where", "id IN (SELECT hash FROM capability_tokens)")], Some("where")),
        (&admin, &[("table", "parts"), ("where", "id IN (TABLE capability_tokens)")], Some("where")),
        (&one, &[("table", "tickets"), ("params[n]", "1"), ("where", "secret = 'x'")], Some("where")),
        (&one, &[("table", "tickets"), ("params[n]", "1"), ("columns", "id,secret")], Some("columns")),
        (&one, &[("table", "tickets"), ("params[n]", "1"), ("subset__order_by", "id, secret DESC")], Some("subset")),
        (&one, &[("table", "tickets"), ("params[n]", "1"), ("subset__order_by", "id + secret")], Some("subset")),
        (&one, &[("table", "tickets"), ("params[n]", "1"), ("subset__order_by", "lower(secret)")], Some("subset")),
        (&one, &[("table", "tickets")], Some("params")),
        (&all, &[("table", "parts")], None),
        (&all, &[("table", "tickets"), ("params[n]", "1")], None),
    ];
    for (who, query, field) in cases {
        match (narrowed(who, query), field) {
            (Err(Denied::Invalid(invalid)), Some(field)) => assert!(invalid.blames(field), "{query:?}: {invalid:?}"),
            (Err(Denied::NoToken), None) => {}
            (narrowed, _) => panic!("{query:?}: {narrowed:?}"),
        }
    }
}

#[test]
fn a_named_shape_is_the_servers_table_columns_and_condition() {
    let one = viewer(scope(&["s1"]));
    let mut request = asked(&[("table", "tickets"), ("where", "title = $1"), ("params[1]", "t"), ("params[n]", "7")]);
    let narrow = narrow();
    let named = narrow.narrow(&one, &mut request).expect("a shape");
    assert_eq!((named.name.as_str(), named.table.to_string().as_str()), ("tickets", "crm.tickets"));
    assert_eq!(request.filter.as_deref(), Some("(org = $2 AND n > $3) AND (title = $1\n)"));
    assert_eq!(request.params, ["t", "o1", "7"]);
    assert_eq!(request.columns.as_deref(), Some("\"id\",\"title\""));
    assert_eq!((request.queryable_columns, request.values), (request.columns, vec![]));

    let sorted = [("table", "tickets"), ("params[n]", "1"), ("subset__order_by", "\"title\" DESC NULLS LAST,id asc")];
    assert!(narrowed(&one, &sorted).is_ok());

    // One over agent state is confined as that is, and one for everybody is not.
    let own = narrowed(&one, &[("table", "own_parts")]).expect("a shape");
    assert_eq!(own, (Some("((\"session_id\" = $1)) AND (type = 'text'\n)".to_owned()), vec!["s1".to_owned()]));
    assert_eq!(narrowed(&Principal::public(), &[("table", "news")]), Ok((None, vec![])));

    // A token for one session is for nothing else, unless it says so.
    let mut holder = viewer(scope(&["s1"]));
    holder.origin = Origin::Capability;
    let refused = narrowed(&holder, &[("table", "tickets"), ("params[n]", "1")]);
    assert!(matches!(&refused, Err(Denied::Invalid(invalid)) if invalid.blames("table")), "{refused:?}");
    holder.tables = Some(vec!["tickets".to_owned()]);
    assert!(narrowed(&holder, &[("table", "tickets"), ("params[n]", "1")]).is_ok());
    assert!(narrowed(&holder, &[("table", "parts")]).is_err());
}
