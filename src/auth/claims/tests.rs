use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::config::{Config, Environment};

fn config(settings: &[(&str, &str)]) -> AuthConfig {
    let environment: Environment = settings.iter().copied().collect();
    Config::load(None, &environment).expect("settings").auth
}

fn read(claims: Value, config: &AuthConfig) -> Result<(Role, Scope), String> {
    let Value::Object(map) = claims else { panic!("no object") };
    let read = principal(Claims { map, expires: SystemTime::UNIX_EPOCH }, config);
    read.map(|principal| (principal.role, principal.scope)).map_err(|bad| bad.claim)
}

fn these(ids: &[&str]) -> Sessions {
    Sessions::These(ids.iter().map(|id| SessionId::try_from((*id).to_owned()).expect("an id")).collect())
}

#[test]
fn claims_make_a_role_and_a_scope_and_nothing_by_default() {
    let usual = config(&[]);
    let nothing = Scope::nothing();
    //   claims; what they make, or the claim that is to blame
    let cases = [
        (json!({"sub": "u", "role": "viewer"}), Ok((Role::Viewer, nothing.clone()))),
        (json!({"sub": "u", "role": "admin"}), Ok((Role::Admin, Scope::everything()))),
        (json!({"sub": "u", "role": "agent", "sessions": "*"}), Ok((Role::Agent, Scope::everything()))),
        (
            json!({"sub": "u", "role": "viewer", "sessions": ["a", "b"], "projects": ["p"]}),
            Ok((Role::Viewer, Scope { sessions: these(&["a", "b"]), projects: vec!["p".into()], columns: vec![] })),
        ),
        (
            json!({"sub": "u", "role": "viewer", "projects": ["p"]}),
            Ok((Role::Viewer, Scope { projects: vec!["p".into()], ..nothing.clone() })),
        ),
        (json!({"sub": "u", "role": "viewer", "sessions": null}), Ok((Role::Viewer, nothing))),
        (json!({"sub": "u"}), Err("role")),
        (json!({"sub": "u", "role": "root"}), Err("role")),
        (json!({"sub": "u", "role": ["admin"]}), Err("role")),
        (json!({"role": "viewer"}), Err("sub")),
        (json!({"sub": "", "role": "viewer"}), Err("sub")),
        (json!({"sub": 7, "role": "viewer"}), Err("sub")),
        (json!({"sub": "tok_1", "role": "viewer"}), Err("sub")),
        (json!({"sub": "u", "role": "viewer", "sessions": "a"}), Err("sessions")),
        (json!({"sub": "u", "role": "viewer", "sessions": ["*", 1]}), Err("sessions")),
        (json!({"sub": "u", "role": "viewer", "sessions": [""]}), Err("sessions")),
        (json!({"sub": "u", "role": "viewer", "projects": "p"}), Err("projects")),
    ];
    for (claims, expected) in cases {
        assert_eq!(read(claims.clone(), &usual), expected.map_err(str::to_owned), "{claims}");
    }
}

#[test]
fn claims_may_have_other_names_and_pin_columns() {
    let settings = [
        ("PLUE_AUTH__ROLE_CLAIM", "https://app.example/role"),
        ("PLUE_AUTH__SUBJECT_CLAIM", "user.id"),
        ("PLUE_AUTH__DEFAULT_ROLE", "viewer"),
        ("PLUE_AUTH__COLUMN_CLAIMS", "org_id=app.org, project_id=team"),
    ];
    let config = config(&settings);
    let columns = vec![("org_id".to_owned(), "7".to_owned()), ("project_id".to_owned(), "t".to_owned())];
    let claims = json!({"user": {"id": "u"}, "https://app.example/role": "agent", "app": {"org": 7}, "team": "t"});
    let confined = Scope { sessions: Sessions::All, projects: vec![], columns: columns.clone() };
    assert_eq!(read(claims, &config), Ok((Role::Agent, confined)));
    let claims = json!({"user": {"id": "u"}, "app": {"org": "7"}, "team": "t", "sessions": ["a"]});
    let confined = Scope { sessions: these(&["a"]), projects: vec![], columns };
    assert_eq!(read(claims, &config), Ok((Role::Viewer, confined)));
    assert_eq!(read(json!({"user": {"id": "u"}, "team": "t"}), &config), Err("app.org".to_owned()));
}
