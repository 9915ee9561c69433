//! Agents that post messages with ids of their own, repeat what was not acknowledged, and remember what was.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::DEADLINE;
use super::program::Address;
use super::reader::{State, client};
use crate::support::eventually;

/// Between two posts, also of one that is repeated.
const REST: Duration = Duration::from_millis(10);

/// Agents at work.
pub struct Posts {
    stop: CancellationToken,
    agents: Vec<JoinHandle<()>>,
    told: Vec<Rc<Told>>,
}

/// What one agent was told.
#[derive(Default)]
struct Told {
    acknowledged: RefCell<Vec<String>>,
    unavailable: Cell<usize>,
    repeated: Cell<usize>,
}

impl Posts {
    /// Lets `count` agents post to session `s`.
    pub fn start(address: &Address, count: usize) -> Self {
        let stop = CancellationToken::new();
        let told: Vec<Rc<Told>> = (0..count).map(|_| Rc::default()).collect();
        let agents = told.iter().enumerate().map(|(agent, told)| {
            let (address, told, stop) = (address.clone(), Rc::clone(told), stop.clone());
            actix_web::rt::spawn(async move {
                let client = client();
                let mut n = 0;
                while !stop.is_cancelled() {
                    post(&client, &address, &format!("m_{agent}_{n}"), &told).await;
                    n += 1;
                }
            })
        });
        Self { agents: agents.collect(), stop, told }
    }

    /// Posts that were answered `unavailable`.
    pub fn unavailable(&self) -> usize {
        self.told.iter().map(|told| told.unavailable.get()).sum()
    }

    /// Posts that had to be repeated.
    pub fn repeated(&self) -> usize {
        self.told.iter().map(|told| told.repeated.get()).sum()
    }

    /// Waits until each agent has got further.
    pub async fn until_all_go_on(&self) {
        let count = || self.told.iter().map(|told| told.acknowledged.borrow().len()).collect::<Vec<_>>();
        let before = count();
        eventually(DEADLINE, "every agent to go on", async || {
            let now = count();
            if now.iter().zip(&before).all(|(now, before)| now > before) { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// Ends all posting, each agent after what it has begun; the ids that were acknowledged.
    pub async fn stop(self) -> BTreeSet<String> {
        self.stop.cancel();
        for agent in self.agents {
            agent.await.expect("an agent that did not fail");
        }
        println!("{} unavailable", self.told.iter().map(|told| told.unavailable.get()).sum::<usize>());
        self.told.iter().flat_map(|told| told.acknowledged.take()).collect()
    }
}

/// Makes the session that agents post to.
pub async fn make_session(address: &Address) {
    let new = json!({"id": "s", "directory": "/src", "title": "A session"});
    let answer = client().post(address.of("/v1/sessions")).send_json(&new).await.expect("an answer");
    assert_eq!(answer.status(), 201);
}

/// Posts one message until that is acknowledged.
async fn post(client: &awc::Client, address: &Address, id: &str, told: &Told) {
    let new = json!({"id": id, "role": "assistant", "parts": [{"type": "text", "text": id}]});
    loop {
        if let Ok(mut answer) = client.post(address.of("/v1/sessions/s/messages")).send_json(&new).await {
            let status = answer.status().as_u16();
            let body: Value = match answer.json().await {
                Ok(body) => body,
                // Only half of it came.
                Err(_) => Value::Null,
            };
            match status {
                200 | 201 => {
                    told.acknowledged.borrow_mut().push(id.to_owned());
                    tokio::time::sleep(REST).await;
                    return;
                }
                503 => {
                    assert!(answer.headers().contains_key("retry-after"), "{id}: 503 without retry-after: {body}");
                    match body["code"].as_str() {
                        Some("unavailable") => told.unavailable.set(told.unavailable.get() + 1),
                        Some("outcome_unknown" | "busy") | None => {}
                        Some(_) => panic!("{id}: {body}"),
                    }
                }
                status => panic!("{id}: {status} {body}"),
            }
        }
        told.repeated.set(told.repeated.get() + 1);
        tokio::time::sleep(REST).await;
    }
}

/// Checks that Postgres has each acknowledged message once, with its part, and nothing else.
pub async fn assert_written(client: &Client, acknowledged: &BTreeSet<String>) {
    let sql =
        "SELECT m.id, count(p.id), max(p.text) FROM messages m LEFT JOIN parts p ON p.message_id = m.id GROUP BY m.id";
    let rows = client.query(sql, &[]).await.expect("messages");
    let mut written = BTreeSet::new();
    for row in rows {
        let (id, parts, text): (String, i64, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((parts, text.as_ref()), (1, Some(&id)), "parts of {id}");
        written.insert(id);
    }
    println!("{} messages", written.len());
    let lost: Vec<_> = acknowledged.difference(&written).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let strange: Vec<_> = written.difference(acknowledged).collect();
    assert!(strange.is_empty(), "written and never acknowledged: {strange:?}");
}

/// Whether a reader of the messages has the acknowledged ones, and nothing else.
pub fn compare(state: &RefCell<State>, acknowledged: &BTreeSet<String>) -> Result<(), String> {
    let found: BTreeSet<String> = state.borrow().by_id().into_keys().collect();
    let different: Vec<_> = found.symmetric_difference(acknowledged).take(5).collect();
    if different.is_empty() { Ok(()) } else { Err(format!("{} rows; different: {different:?}", found.len())) }
}
