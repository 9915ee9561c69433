//! Random data and its writers; and the judge: Postgres says who may see which row now, and who could at any time.
//!
//! Each row carries a mark, a text that no other row has (`prt_00017`), so that a row can be found in any answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use actix_web::http::Method;
use serde_json::json;
use tokio::sync::Notify;
use tokio_postgres::Client;

use super::conditions::Condition;
use super::people::{LASTING, Person, Sees, project};
use crate::auth::Scene;
use crate::support::Random;

pub const TABLES: [&str; 5] = ["sessions", "messages", "parts", "snapshot_history", "subtasks"];
pub const SESSIONS: usize = 12;
pub const PROJECTS: usize = 4;
/// Rows below them to begin with.
const ROWS: usize = 300;
const PREFIXES: [&str; 5] = ["ses_", "msg_", "prt_", "snp_", "stk_"];
const DIGITS: usize = 5;

/// What was where: every session's projects and every row's sessions, by the phases of the test.
const HISTORY: &str = "
    CREATE TABLE phase (number int);
    INSERT INTO phase VALUES (0);
    CREATE TABLE past_sessions (phase int, id text, project text);
    CREATE TABLE past_rows (phase int, mark text, session text);
    CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE row jsonb = to_jsonb(NEW);
    BEGIN
        IF TG_TABLE_NAME = 'sessions' THEN
            INSERT INTO past_sessions SELECT number, NEW.id, row->>'project_id' FROM phase;
            INSERT INTO past_rows SELECT number, row->>'id', row->>'id' FROM phase;
        ELSE
            INSERT INTO past_rows SELECT number, coalesce(row->>'change_id', row->'result'->>'mark', row->>'id'), row->>'session_id' FROM phase;
        END IF;
        RETURN NULL;
    END $$;";

/// A phase begins with what is there.
const NEXT_PHASE: &str = "
    UPDATE phase SET number = number + 1;
    INSERT INTO past_sessions SELECT number, id, project_id FROM phase, sessions;
    INSERT INTO past_rows SELECT number, id, id FROM phase, sessions;
    INSERT INTO past_rows SELECT number, id, session_id FROM phase, messages;
    INSERT INTO past_rows SELECT number, id, session_id FROM phase, parts;
    INSERT INTO past_rows SELECT number, change_id, session_id FROM phase, snapshot_history;
    INSERT INTO past_rows SELECT number, result->>'mark', session_id FROM phase, subtasks;";

pub fn session(number: usize) -> String {
    format!("ses_{number:0DIGITS$}")
}

/// The marks of all rows in a text.
pub fn marks(text: &str) -> BTreeSet<String> {
    let ends = |at: usize| text.get(at..at + 4 + DIGITS).filter(|mark| mark[4..].bytes().all(|b| b.is_ascii_digit()));
    let places = PREFIXES.iter().flat_map(|prefix| text.match_indices(prefix));
    places.filter_map(|(at, _)| ends(at)).map(str::to_owned).collect()
}

/// The data, and who asks about it.
pub struct World {
    client: Client,
    /// How many rows have been made.
    made: Cell<usize>,
    pub phase: Cell<i32>,
    /// Told after each transaction.
    pub written: Notify,
    pub commits: Cell<usize>,
    /// Moves of sessions between projects, and of rows between sessions.
    pub moves: Cell<usize>,
}

impl World {
    /// Random data in the database of a scene.
    pub async fn new(scene: &Scene, random: &mut Random) -> Rc<Self> {
        let client = scene.database.connect().await;
        let triggers: String = TABLES
            .iter()
            .map(|table| format!("CREATE TRIGGER remember AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION remember();"))
            .collect();
        client.batch_execute(&format!("{HISTORY}{triggers}")).await.expect("a history");
        let world = Self {
            client,
            made: Cell::new(0),
            phase: Cell::new(0),
            written: Notify::new(),
            commits: Cell::new(0),
            moves: Cell::new(0),
        };
        let mut sql = String::new();
        for number in 0..SESSIONS {
            sql.push_str(&new_session(random, number));
        }
        for _ in 0..ROWS {
            sql.push_str(&world.insert(random));
        }
        world.client.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        Rc::new(world)
    }

    /// Begins another phase, while nobody writes.
    pub async fn next_phase(&self) {
        self.client.batch_execute(&format!("BEGIN;{NEXT_PHASE}COMMIT")).await.expect("a phase");
        self.phase.set(self.phase.get() + 1);
    }

    /// The sorted ids of the rows that somebody may see of those that a condition and a narrower one leave; `Err` if Postgres fails on a
    /// row that may be seen, or does not take the conditions at all.
    pub async fn rows(
        &self,
        sees: &Sees,
        table: &str,
        condition: &Condition,
        also: &Condition,
        end: &str,
    ) -> Result<Vec<String>, String> {
        // Only rows that may be seen are asked about by the client's conditions.
        let sql = format!(
            "SELECT t.id::text FROM {table} t WHERE CASE WHEN {} THEN CASE WHEN ({}\n) THEN ({}\n) ELSE FALSE END ELSE FALSE END {end}",
            sees.of(table),
            condition.judged,
            also.judged
        );
        let rows = self
            .client
            .query(&sql, &[])
            .await
            .map_err(|e| e.as_db_error().map_or(e.to_string(), ToString::to_string))?;
        let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether a row that somebody may see fails on a part of one of these conditions.
    pub async fn fails_on_seen_rows(&self, sees: &Sees, table: &str, conditions: [&Condition; 2]) -> bool {
        for part in conditions.into_iter().flat_map(|condition| &condition.may_fail) {
            let part = Condition { judged: part.clone(), ..Condition::default() };
            if self.rows(sees, table, &Condition::none(), &part, "").await.is_err() {
                return true;
            }
        }
        false
    }

    /// Those of some marks that were never to be seen since a phase.
    pub async fn never_seen(&self, sees: &Sees, marks: &BTreeSet<String>, since: i32) -> Vec<String> {
        let sql = format!(
            "SELECT mark FROM unnest($1::text[]) mark WHERE NOT EXISTS (
                 SELECT FROM past_rows r JOIN past_sessions s ON s.id = r.session AND s.phase = r.phase
                 WHERE r.mark = mark.mark AND r.phase >= $2 AND {})",
            sees.sql("s.id", "s.project")
        );
        let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        let rows = self.client.query(&sql, &[&marks, &since]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn next_mark(&self) -> String {
        let number = self.made.replace(self.made.get() + 1);
        format!("{number:0DIGITS$}")
    }

    /// A row of a table below sessions, with what it needs; nothing if its session is not there.
    fn insert(&self, random: &mut Random) -> String {
        let (mark, of) = (self.next_mark(), session(random.below(SESSIONS)));
        let (number, other) = (random.below(6), random.below(6));
        match random.below(5) {
            0 => format!(
                "INSERT INTO snapshot_history (session_id, change_id, sort_order) SELECT id, 'snp_{mark}', {mark} FROM sessions WHERE id = '{of}';"
            ),
            1 => format!(
                "INSERT INTO subtasks (session_id, key, result) SELECT id, {}, '{{\"mark\": \"stk_{mark}\"}}' FROM sessions WHERE id = '{of}' ON CONFLICT DO NOTHING;",
                random.pick(&["NULL", "'k1'", "'k2'"])
            ),
            2 | 3 => format!(
                "INSERT INTO parts (id, session_id, message_id, type, text, sort_order, time_start)
                     SELECT 'prt_{mark}', session_id, id, {}, {}, {number}, nullif({other}, 3) FROM messages WHERE session_id = '{of}' LIMIT 1;",
                random.pick(&["'text'", "'tool'"]),
                random.pick(&["NULL", "'x'", "'xyz'", "'it''s'"])
            ),
            _ => format!(
                "INSERT INTO messages (id, session_id, role, time_created, status, tokens_input, is_summary)
                     SELECT 'msg_{mark}', id, {}, {number}, {}, nullif({other}, 3), {} FROM sessions WHERE id = '{of}';",
                random.pick(&["'user'", "'assistant'"]),
                random.pick(&["NULL", "'pending'", "'completed'"]),
                random.pick(&["NULL", "true", "false"])
            ),
        }
    }

    /// Any change. Which row it concerns is left to Postgres, by a number that differs each time.
    fn change(&self, random: &mut Random) -> String {
        let moved = || self.moves.set(self.moves.get() + 1);
        let of = session(random.below(SESSIONS));
        let (number, seed) = (random.below(6), random.below(100_000));
        let some = |table: &str| format!("(SELECT id FROM {table} ORDER BY md5(id || '{seed}') LIMIT 1)");
        match random.below(16) {
            0..3 => {
                moved();
                format!("UPDATE sessions SET project_id = '{}' WHERE id = '{of}';", project(random.below(PROJECTS)))
            }
            3 => format!("UPDATE sessions SET token_count = {number}, title = 't{number}' WHERE id = '{of}';"),
            4 => match LASTING + random.below(SESSIONS - LASTING) {
                number if random.one_in(2) => format!("DELETE FROM sessions WHERE id = '{}';", session(number)),
                number => new_session(random, number),
            },
            5 => format!("UPDATE parts SET text = 'y{seed}', sort_order = {number} WHERE id = {};", some("parts")),
            6 => format!(
                "UPDATE messages SET status = 'completed', time_created = {number} WHERE id = {};",
                some("messages")
            ),
            7 => format!("DELETE FROM parts WHERE id = {};", some("parts")),
            8 => format!("DELETE FROM messages WHERE id = {};", some("messages")),
            9 => {
                moved();
                format!(
                    "UPDATE parts p SET session_id = m.session_id, message_id = m.id FROM messages m WHERE p.id = {} AND m.id = {};",
                    some("parts"),
                    some("messages")
                )
            }
            10 => {
                moved();
                format!(
                    "UPDATE snapshot_history SET session_id = s.id FROM sessions s WHERE s.id = '{of}' AND change_id =
                         (SELECT change_id FROM snapshot_history ORDER BY md5(change_id || '{seed}') LIMIT 1);"
                )
            }
            11 => format!("DELETE FROM subtasks WHERE id = (SELECT min(id) FROM subtasks WHERE session_id = '{of}');"),
            _ => self.insert(random),
        }
    }

    /// Writes random transactions, by SQL and by the API.
    pub async fn write(self: Rc<Self>, scene: &Scene, mut random: Random, count: usize) {
        let client = scene.database.connect().await;
        for _ in 0..count {
            if random.one_in(4) {
                self.write_by_api(scene, &mut random).await;
            } else {
                let changes: String = (0..=random.below(4)).map(|_| self.change(&mut random)).collect();
                let sql = format!("BEGIN;{changes}{}", if random.one_in(12) { "ROLLBACK" } else { "COMMIT" });
                match client.batch_execute(&sql).await {
                    Ok(()) => self.commits.set(self.commits.get() + 1),
                    Err(error) => {
                        // Two that wait for each other, or a row that has gone meanwhile.
                        assert!(error.as_db_error().is_some(), "{sql}: {error:?}");
                        client.batch_execute("ROLLBACK").await.expect("a connection that goes on");
                    }
                }
            }
            self.written.notify_waiters();
        }
    }

    async fn write_by_api(&self, scene: &Scene, random: &mut Random) {
        let path = format!("/v1/sessions/{}", session(random.below(SESSIONS)));
        let answer = match random.below(2) {
            0 => {
                self.moves.set(self.moves.get() + 1);
                scene.api.patch(&path, json!({"project_id": project(random.below(PROJECTS))})).await
            }
            _ => {
                let (message, part) = (self.next_mark(), self.next_mark());
                let part = json!({"id": format!("prt_{part}"), "type": "text", "text": "xyz"});
                let message = json!({"id": format!("msg_{message}"), "role": "user", "parts": [part]});
                scene.api.post(&format!("{path}/messages"), message).await
            }
        };
        // The session may have been deleted.
        assert!([200, 201, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.body);
        self.commits.set(self.commits.get() + 1);
    }
}

/// Makes a session that is not there.
fn new_session(random: &mut Random, number: usize) -> String {
    format!(
        "INSERT INTO sessions (id, project_id, directory, title, time_created, time_updated, token_count, bypass_mode, model)
             VALUES ('{}', '{}', '/', 't{}', 1, 1, {}, {}, {}) ON CONFLICT DO NOTHING;",
        session(number),
        project(random.below(PROJECTS)),
        random.below(4),
        random.below(6),
        random.one_in(2),
        random.pick(&["NULL", "'m1'", "'m2'"])
    )
}

/// What somebody was told, which is judged when nobody writes.
#[derive(Clone, Default)]
pub struct Told(Rc<RefCell<BTreeSet<String>>>);

impl Told {
    pub fn note(&self, text: &str) {
        self.0.borrow_mut().extend(marks(text));
    }

    /// Panics unless everything that was told could be seen at some time since that phase.
    pub async fn judge(&self, world: &World, person: &Person, since: i32, what: &str) -> usize {
        let told = std::mem::take(&mut *self.0.borrow_mut());
        let hidden = world.never_seen(&person.sees, &told, since).await;
        assert!(
            hidden.is_empty(),
            "{} was told of {hidden:?}, never in {:?} since phase {since}: {what}",
            person.name,
            person.sees
        );
        told.len()
    }
}

/// A request of somebody to the API, by hand.
pub async fn post(scene: &Scene, person: &Person, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
    let answer = scene.send(Some(&person.token), Method::POST, path, body).await;
    (answer.status.as_u16(), answer.body)
}
