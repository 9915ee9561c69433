//! What of the agents' state a principal may see: in words of rows, and as the condition that its shapes get.

use crate::ids::SessionId;
use crate::shape::quote_identifier;

#[cfg(test)]
mod tests;

/// Rows of sessions, and with each session everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    pub sessions: Sessions,
    /// Every session of these projects, beside those that are named.
    pub projects: Vec<String>,
    /// Columns of `sessions` and the value that they must have in each session that is seen.
    pub columns: Vec<(String, String)>,
}

/// Sessions by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sessions {
    All,
    These(Vec<SessionId>),
}

/// A condition, and the values of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub text: String,
    pub params: Vec<String>,
}

impl Scope {
    /// Every row there is.
    pub fn everything() -> Self {
        Self { sessions: Sessions::All, projects: Vec::new(), columns: Vec::new() }
    }

    /// No row.
    pub fn nothing() -> Self {
        Self { sessions: Sessions::These(Vec::new()), projects: Vec::new(), columns: Vec::new() }
    }

    /// One session, with everything below it.
    pub fn session(id: SessionId) -> Self {
        Self { sessions: Sessions::These(vec![id]), ..Self::nothing() }
    }

    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        self.sessions == Sessions::All && self.columns.is_empty()
    }

    /// Whether a session is in it by its name alone: `None` if that cannot be said without the row.
    pub fn has_session(&self, id: &SessionId) -> Option<bool> {
        let named = match &self.sessions {
            Sessions::All => true,
            Sessions::These(ids) => ids.contains(id),
        };
        match (named, self.columns.is_empty(), self.projects.is_empty()) {
            (true, true, _) => Some(true),
            (false, _, true) => Some(false),
            _ => None,
        }
    }

    /// Whether a session would be in it that is written with this id, if it has one, and this project.
    pub fn has_new(&self, id: Option<&SessionId>, project: &str) -> bool {
        let named = match &self.sessions {
            Sessions::All => true,
            Sessions::These(ids) => id.is_some_and(|id| ids.contains(id)),
        };
        let is_kept = |(column, value): &(String, String)| column == "project_id" && value == project;
        (named || self.projects.iter().any(|known| known == project)) && self.columns.iter().all(is_kept)
    }

    /// The condition that rows of a table of agent state must meet, its parameters numbered on from `taken`; `None` if
    /// they need not meet any.
    ///
    /// `session` is the one that the rows are confined to already: then the condition says no more than it must, so that
    /// all who follow that session follow the same shape.
    pub fn condition(&self, table: &str, session: Option<&str>, taken: usize) -> Option<Condition> {
        if self.is_everything() {
            return None;
        }
        let column = if table == "sessions" { "id" } else { "session_id" };
        let mut condition = Writer { column, params: Vec::new(), taken };
        let mut all = Vec::new();
        if let Sessions::These(ids) = &self.sessions {
            all.push(match session.filter(|session| ids.iter().any(|id| id.as_str() == *session)) {
                Some(session) => condition.is_one_of(column, &[session]),
                None => self.named_or_of_projects(table, ids, session, &mut condition),
            });
        }
        for (name, value) in &self.columns {
            let is = |condition: &mut Writer| condition.is_one_of(name, &[value]);
            all.push(if table == "sessions" { is(&mut condition) } else { condition.of_sessions(session, is) });
        }
        let text = all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" AND ");
        Some(Condition { text, params: condition.params })
    }

    fn named_or_of_projects(
        &self,
        table: &str,
        ids: &[SessionId],
        session: Option<&str>,
        condition: &mut Writer,
    ) -> String {
        let ids: Vec<&str> = ids.iter().map(SessionId::as_str).collect();
        let projects: Vec<&str> = self.projects.iter().map(String::as_str).collect();
        let mut any = Vec::new();
        if !ids.is_empty() {
            any.push(condition.is_one_of(condition.column, &ids));
        }
        if !projects.is_empty() {
            let of = |condition: &mut Writer| condition.is_one_of("project_id", &projects);
            any.push(if table == "sessions" { of(condition) } else { condition.of_sessions(session, of) });
        }
        if any.is_empty() { "FALSE".to_owned() } else { any.join(" OR ") }
    }
}

/// Writes conditions, and collects the values that they mention.
struct Writer {
    /// The column that has a row's session.
    column: &'static str,
    params: Vec<String>,
    taken: usize,
}

impl Writer {
    fn is_one_of(&mut self, column: &str, values: &[&str]) -> String {
        let column = quote_identifier(column);
        let places: Vec<String> = values.iter().map(|value| self.place(value)).collect();
        match places.as_slice() {
            [one] => format!("{column} = {one}"),
            many => format!("{column} IN ({})", many.join(", ")),
        }
    }

    /// Rows whose session is one of those that meet a condition; of one session alone, if it is known.
    fn of_sessions(&mut self, session: Option<&str>, condition: impl FnOnce(&mut Self) -> String) -> String {
        let condition = condition(self);
        let one = session.map(|session| format!(" AND \"id\" = {}", self.place(session))).unwrap_or_default();
        format!("\"{}\" IN (SELECT \"id\" FROM \"sessions\" WHERE {condition}{one})", self.column)
    }

    fn place(&mut self, value: &str) -> String {
        self.params.push(value.to_owned());
        format!("${}", self.taken + self.params.len())
    }
}
