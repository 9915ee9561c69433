//! Random conditions of clients over the tables of agent state, harmless ones and others.

use plue_sync::engine::tables::quote_literal;

use super::people::project;
use super::world::{PROJECTS, SESSIONS, session};
use crate::support::Random;

/// A condition as a client sends it, and the same with its values in the text, for Postgres.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    pub text: String,
    pub params: Vec<String>,
    pub judged: String,
    /// The parts of it that a row may fail on.
    pub may_fail: Vec<String>,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text(&'static [&'static str]),
    /// An id of this form.
    Id(&'static str),
    Session,
    Project,
    Number(usize),
    Bool,
}

use Kind::{Bool, Id, Number, Project, Session, Text};

fn columns(table: &str) -> &'static [(&'static str, Kind)] {
    match table {
        "sessions" => &[
            ("id", Session),
            ("project_id", Project),
            ("title", Text(&["t1", "t2"])),
            ("token_count", Number(6)),
            ("bypass_mode", Bool),
            ("model", Text(&["m1"])),
        ],
        "messages" => &[
            ("id", Id("msg")),
            ("session_id", Session),
            ("role", Text(&["user", "assistant"])),
            ("status", Text(&["pending", "completed"])),
            ("time_created", Number(6)),
            ("tokens_input", Number(6)),
            ("is_summary", Bool),
        ],
        "parts" => &[
            ("id", Id("prt")),
            ("session_id", Session),
            ("message_id", Id("msg")),
            ("type", Text(&["text", "tool"])),
            ("text", Text(&["x", "%y%", "it's"])),
            ("sort_order", Number(6)),
            ("time_start", Number(6)),
        ],
        "snapshot_history" => {
            &[("id", Number(60)), ("session_id", Session), ("change_id", Id("snp")), ("sort_order", Number(60))]
        }
        _ => &[("id", Number(60)), ("session_id", Session), ("key", Text(&["k1", "k2"]))],
    }
}

/// What somebody sends who wants more than there is for him. `{s}` is a session.
const ATTACKS: &[&str] = &[
    "TRUE) OR (TRUE",
    "FALSE) OR (TRUE",
    "1 = 1 OR session_id = '{s}'",
    "TRUE -- ",
    "TRUE --\n) OR (TRUE",
    "TRUE /* ) OR ( */",
    "TRUE /* ) OR (TRUE",
    "TRUE; SELECT 1",
    "TRUE UNION SELECT 1",
    "TRUE ORDER BY 1",
    "session_id = $9",
    "id::text = $1",
    "id IN (SELECT id FROM parts)",
    "session_id IN (SELECT id FROM sessions)",
    "session_id IN (SELECT id FROM sessions WHERE project_id = 'p1')",
    "session_id = '{s}' OR session_id <> '{s}'",
    "NOT (session_id <> '{s}')",
    "session_id = 'x'' OR TRUE --'",
    "session_id = U&'\\0027 OR TRUE'",
    "session_id = $$x$$ OR TRUE",
    "(SELECT count(*) FROM parts) > 0",
    "EXISTS (SELECT 1 FROM capability_tokens)",
    "pg_sleep(0) IS NULL",
    "session_id = current_setting('x')",
    "(session_id) = (('{s}'))",
    "t.session_id = '{s}'",
    "public.parts.session_id = '{s}'",
    "session_id IS NOT NULL OR NULL",
    "coalesce(session_id, 'x') = '{s}' IS NOT NULL",
];

impl Condition {
    /// One that no row fails on.
    pub fn tame(random: &mut Random, table: &str) -> Self {
        let mut writer = Writer { random, condition: Self::default(), may_fail: false };
        let (text, judged) = writer.tree(table, 2);
        Self { text, judged, ..writer.condition }
    }

    /// One that rows may fail on, or that is no condition.
    pub fn wild(random: &mut Random, table: &str) -> Self {
        if random.one_in(3) {
            let text = random.pick(ATTACKS).replace("{s}", &session(random.below(SESSIONS)));
            // Values that nothing in the condition asks for, where those of the server would be.
            let params = (0..random.below(3)).map(|_| session(random.below(SESSIONS))).collect::<Vec<_>>();
            let judged = match params.first() {
                Some(first) => text.replace("$1", &quote_literal(first)),
                None => text.clone(),
            };
            return Self { text, params, judged, may_fail: Vec::new() };
        }
        let mut writer = Writer { random, condition: Self::default(), may_fail: true };
        let (text, judged) = writer.tree(table, 3);
        Self { text, judged, ..writer.condition }
    }

    /// Rows of one session, as most clients ask for them.
    pub fn of_session(random: &mut Random, table: &str) -> Self {
        let column = if table == "sessions" { "id" } else { "session_id" };
        let id = session(random.below(SESSIONS));
        let judged = format!("{column} = '{id}'");
        match random.one_in(2) {
            true => Self { text: judged.clone(), judged, ..Self::default() },
            false => Self { text: format!("{column} = $1"), params: vec![id], judged, ..Self::default() },
        }
    }

    /// Every row.
    pub fn none() -> Self {
        Self { judged: "TRUE".to_owned(), ..Self::default() }
    }
}

struct Writer<'a> {
    random: &'a mut Random,
    condition: Condition,
    may_fail: bool,
}

impl Writer<'_> {
    /// The client's text and Postgres'.
    fn tree(&mut self, table: &str, depth: usize) -> (String, String) {
        if depth == 0 || self.random.one_in(3) {
            return self.atom(table);
        }
        let (one, one_judged) = self.tree(table, depth - 1);
        if self.random.one_in(5) {
            return (format!("NOT ({one})"), format!("NOT ({one_judged})"));
        }
        let (other, other_judged) = self.tree(table, depth - 1);
        let by = self.random.pick(&["AND", "OR", "or"]);
        (format!("({one}) {by} ({other})"), format!("({one_judged}) {by} ({other_judged})"))
    }

    fn atom(&mut self, table: &str) -> (String, String) {
        let (name, kind) = self.random.pick(columns(table));
        if self.random.one_in(8) {
            let test = self.random.pick(&["IS NULL", "IS NOT NULL"]);
            return (format!("{name} {test}"), format!("{name} {test}"));
        }
        let both = |text: String| (text.clone(), text);
        match kind {
            Bool => both(format!("{name}{}", self.random.pick(&["", " IS TRUE", " = false", " IS NOT TRUE"]))),
            Number(limit) if self.may_fail && self.random.one_in(2) => {
                let (divisor, quotient) = (self.random.below(limit), self.random.below(2));
                self.failing(format!("1 / ({name} - {divisor}) > {quotient}"))
            }
            Text(_) if self.may_fail && self.random.one_in(3) => self.failing(format!("{name}::int > 0")),
            Number(_) => {
                let operator = self.random.pick(&["=", "<>", "<", ">="]);
                let (ours, judged) = self.value(kind);
                (format!("{name} {operator} {ours}"), format!("{name} {operator} {judged}"))
            }
            _ if self.random.one_in(3) => {
                let ((a, a_judged), (b, b_judged)) = (self.value(kind), self.value(kind));
                let not = self.random.pick(&["", "NOT "]);
                (format!("{name} {not}IN ({a}, {b})"), format!("{name} {not}IN ({a_judged}, {b_judged})"))
            }
            _ => {
                let operator = self.random.pick(&["=", "<>", "LIKE", "NOT LIKE"]);
                let (ours, judged) = self.value(kind);
                (format!("{name} {operator} {ours}"), format!("{name} {operator} {judged}"))
            }
        }
    }

    fn failing(&mut self, text: String) -> (String, String) {
        self.condition.may_fail.push(text.clone());
        (text.clone(), text)
    }

    /// A value, as a literal or as a parameter.
    fn value(&mut self, kind: Kind) -> (String, String) {
        let value = match kind {
            Text(values) => self.random.pick(values).to_owned(),
            Id(prefix) if self.random.one_in(3) => format!("{prefix}%"),
            Id(prefix) => format!("{prefix}_{:05}", self.random.below(60)),
            Session => session(self.random.below(SESSIONS)),
            Project => project(self.random.below(PROJECTS)),
            Number(limit) => self.random.below(limit).to_string(),
            Bool => "true".to_owned(),
        };
        let judged = quote_literal(&value);
        if self.random.one_in(2) {
            self.condition.params.push(value);
            return (format!("${}", self.condition.params.len()), judged);
        }
        (judged.clone(), judged)
    }
}
