//! Random principals: their tokens, and what they may see in words of Postgres, written without a look at the server's.

use plue_sync::engine::tables::quote_literal;
use serde_json::{Value, json};

use super::world::{PROJECTS, SESSIONS, TABLES, session};
use crate::auth::{Scene, token};
use crate::support::Random;

/// Sessions that nobody ever deletes: tokens that were minted for them live on.
pub const LASTING: usize = 4;

/// Somebody who asks.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub token: String,
    pub sees: Sees,
    /// The tables of a token that was minted for some.
    pub tables: Option<Vec<&'static str>>,
}

/// Sessions: named ones (`None`: all) and those of projects, all of them only in the project `only`, if that is said.
#[derive(Clone, Debug)]
pub struct Sees {
    sessions: Option<Vec<String>>,
    projects: Vec<String>,
    only: Option<String>,
}

impl Sees {
    /// The condition that a session must meet, by expressions for its id and its project.
    pub fn sql(&self, session: &str, project: &str) -> String {
        let any_of = |what: &str, values: &[String]| {
            let values: Vec<String> = values.iter().map(|value| quote_literal(value)).collect();
            format!("coalesce({what} = ANY (ARRAY[{}]::text[]), FALSE)", values.join(","))
        };
        let named = self.sessions.as_ref().map_or("TRUE".to_owned(), |ids| any_of(session, ids));
        let only = self.only.as_ref().map_or("TRUE".to_owned(), |name| any_of(project, std::slice::from_ref(name)));
        format!("(({named} OR {}) AND {only})", any_of(project, &self.projects))
    }

    /// The condition that a row of a table must meet; the table is called `t`.
    pub fn of(&self, table: &str) -> String {
        match table {
            "sessions" => self.sql("t.id", "t.project_id"),
            _ => self.sql("t.session_id", "(SELECT s.project_id FROM sessions s WHERE s.id = t.session_id)"),
        }
    }

    /// The same without one of its sessions or projects, if it names any.
    pub fn shrunk(&self, random: &mut Random) -> Self {
        let mut less = self.clone();
        let named = less.sessions.as_ref().map_or(0, Vec::len);
        match named + less.projects.len() {
            0 => {}
            all => match random.below(all) {
                at if at < named => drop(less.sessions.as_mut().map(|ids| ids.remove(at))),
                at => drop(less.projects.remove(at - named)),
            },
        }
        less
    }

    fn claims(&self, name: &str) -> Value {
        let mut claims = json!({"sub": name, "role": "viewer", "projects": self.projects});
        claims["sessions"] = self.sessions.as_ref().map_or(json!("*"), |ids| json!(ids));
        claims["org"] = json!(self.only);
        claims
    }
}

impl Person {
    /// Somebody; with `by_column`, the server lets each see only the project of a claim.
    pub async fn random(scene: &Scene, random: &mut Random, by_column: bool, number: usize) -> Self {
        let name = format!("person {number}");
        if random.one_in(6) {
            return Self::with_capability(scene, random, name).await;
        }
        let some = |random: &mut Random, limit: usize, name: fn(usize) -> String| -> Vec<String> {
            (0..=random.below(2)).map(|_| name(random.below(limit))).collect()
        };
        let (mut sessions, mut projects) = (Some(Vec::new()), Vec::new());
        // Some name what is not there, and may be one day.
        match random.below(8) {
            0 => sessions = None,
            1 => {}
            2 | 3 => sessions = Some(some(random, SESSIONS + 2, session)),
            4 | 5 => projects = some(random, PROJECTS, project),
            _ => (sessions, projects) = (Some(some(random, SESSIONS, session)), some(random, PROJECTS, project)),
        }
        let sees = Sees { sessions, projects, only: by_column.then(|| project(random.below(PROJECTS))) };
        let mut claims = sees.claims(&name);
        // Claims that say nothing may as well be missing; with a column that would be everything there.
        let is_nothing = sees.projects.is_empty() && sees.sessions.as_ref().is_some_and(Vec::is_empty);
        if is_nothing
            && !by_column
            && let Some(claims) = claims.as_object_mut()
        {
            claims.remove("sessions");
            claims.remove("projects");
        }
        Self { token: token(claims), name, sees, tables: None }
    }

    /// Somebody with a token that was minted for one session.
    async fn with_capability(scene: &Scene, random: &mut Random, name: String) -> Self {
        let id = session(random.below(LASTING));
        let tables = random.one_in(2).then(|| TABLES.iter().copied().filter(|_| random.one_in(2)).collect::<Vec<_>>());
        let tables = tables.filter(|tables| !tables.is_empty());
        let (token, _) = scene.mint(&id, json!({"tables": tables})).await;
        Self { name, token, sees: Sees { sessions: Some(vec![id]), projects: Vec::new(), only: None }, tables }
    }

    /// The same principal with a token that says less; nobody can shrink what was minted.
    pub fn shrunk(&self, random: &mut Random) -> Option<Self> {
        if self.token.starts_with("pst_") {
            return None;
        }
        let sees = self.sees.shrunk(random);
        Some(Self { token: token(sees.claims(&self.name)), sees, ..self.clone() })
    }

    pub fn may_read(&self, table: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(&table))
    }
}

pub fn project(number: usize) -> String {
    format!("p{number}")
}
