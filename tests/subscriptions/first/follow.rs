//! A client that follows five shapes by one request at a time, while rows are written at random.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::Method;
use futures_util::future::join;
use serde_json::json;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::SimpleQueryMessage;

use super::super::{SOON, Scene, Source, with_both_sources};
use crate::support::{First, Random, Reader, Row, Shape};

with_both_sources!(five_shapes_followed_by_one_request_have_the_rows_of_postgres);

const SESSIONS: [&str; 2] = ["ses_1", "ses_2"];
const WRITES: usize = 300;

/// What is followed: a table, and its condition.
const FOLLOWED: [(&str, &str); 5] = [
    ("messages", "session_id = 'ses_1'"),
    ("parts", "session_id = 'ses_1'"),
    ("messages", "session_id = 'ses_2'"),
    ("parts", "session_id = 'ses_2'"),
    ("sessions", "id = 'ses_1' OR id = 'ses_2'"),
];

async fn five_shapes_followed_by_one_request_have_the_rows_of_postgres(source: Source) {
    let scene = Scene::new(source, &[]).await;
    scene.api.session("ses_2").await;
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let shape = |(table, condition)| {
        let http = awc::Client::builder().timeout(SOON).finish();
        Shape::new(http, format!("http://{}", scene.api.address()), &[("table", table), ("where", condition)])
    };
    let shapes = FOLLOWED.map(shape);
    let mut readers = Vec::new();
    for shape in &shapes {
        readers.push(Reader::up_to_date(shape).await);
    }
    let mut following =
        Following { first: scene.first(), readers, order: (0..5).collect(), random: Random::new(seed, 2) };
    let written = std::cell::Cell::new(false);
    let writes = async {
        write(&scene, Random::new(seed, 1)).await;
        written.set(true);
    };
    let follow = async {
        while !written.get() {
            following.step().await;
        }
    };
    timeout(SOON, join(writes, follow)).await.unwrap_or_else(|_| panic!("seed {seed}: the writes take too long"));
    let mut wanted = Vec::new();
    for followed in FOLLOWED {
        wanted.push(rows(&scene, followed).await);
    }
    let deadline = tokio::time::Instant::now() + SOON;
    while !following.has(&wanted) {
        if timeout_at(deadline, following.step()).await.is_err() {
            let seen: Vec<_> = following.readers.iter().map(|reader| reader.rows.len()).collect();
            let wanted: Vec<_> = wanted.iter().map(BTreeMap::len).collect();
            panic!("seed {seed}: {seen:?} rows, and {wanted:?} in Postgres");
        }
    }
    let told: usize = following.readers.iter().map(|reader| reader.log.len()).sum();
    assert!(told > WRITES / 2, "seed {seed}: {told} changes came while it followed");
    assert!(following.readers.iter().all(|reader| reader.refetches == 0), "seed {seed}");
}

/// A client with one connection.
struct Following {
    first: First,
    readers: Vec<Reader>,
    /// Those that have waited longest come first.
    order: Vec<usize>,
    random: Random,
}

impl Following {
    /// One call, which may be given up before it is answered.
    async fn step(&mut self) {
        let list: Vec<String> = self.order.iter().map(|at| self.readers[*at].next_poll()).collect();
        let patience = if self.random.one_in(4) {
            Duration::from_micros(self.random.below(20_000) as u64)
        } else {
            Duration::from_millis(500)
        };
        let Ok(reply) = timeout(patience, self.first.of(&list)).await else { return };
        let at = self.order.remove(reply.index().unwrap_or_else(|| panic!("no index in {reply:?}")));
        self.order.push(at);
        self.readers[at].answered(&reply).await;
    }

    /// Whether each reader has these rows, by their ids.
    fn has(&self, wanted: &[BTreeMap<String, Row>]) -> bool {
        let of = |reader: &Reader| -> BTreeMap<String, Row> {
            reader.rows.values().map(|row| (row["id"].clone().expect("an id"), row.clone())).collect()
        };
        self.readers.iter().map(of).eq(wanted.iter().cloned())
    }
}

/// Messages and parts come, change and go, and so do titles.
async fn write(scene: &Scene, mut random: Random) {
    // By session: messages, each with the parts that it has.
    let mut messages: [Vec<(String, Vec<String>)>; 2] = Default::default();
    for number in 0..WRITES {
        let session = random.below(2);
        let (path, of) = (format!("/v1/sessions/{}", SESSIONS[session]), &mut messages[session]);
        let some = (!of.is_empty()).then(|| random.below(of.len()));
        let answer = match (random.below(6), some) {
            (0, _) => scene.api.patch(&path, json!({"title": format!("title {number}")})).await,
            (1, Some(at)) => {
                let (message, _) = of.swap_remove(at);
                scene.api.delete(&format!("{path}/messages/{message}")).await
            }
            (2 | 3, Some(at)) => {
                let (message, parts) = &mut of[at];
                let part = format!("p{}", random.below(4));
                let id = format!("{message}_{part}");
                parts.push(id.clone());
                let body = json!({"type": "text", "text": format!("text {number}")});
                scene.api.put(&format!("{path}/messages/{message}/parts/{id}"), body).await
            }
            (4, Some(at)) if !of[at].1.is_empty() => {
                let (message, parts) = &mut of[at];
                let id = parts.swap_remove(random.below(parts.len()));
                parts.retain(|part| *part != id);
                scene.api.delete(&format!("{path}/messages/{message}/parts/{id}")).await
            }
            _ => {
                let id = format!("m{number}");
                of.push((id.clone(), Vec::new()));
                let parts = json!([{"id": format!("{id}_0"), "type": "text", "text": "first"}]);
                let body = json!({"id": id, "role": "assistant", "parts": parts});
                scene.api.send(Method::POST, &format!("{path}/messages"), body.to_string()).await
            }
        };
        assert!(answer.status.is_success(), "write {number}: {}", answer.body);
    }
}

/// What Postgres has, as it prints it.
async fn rows(scene: &Scene, (table, condition): (&str, &str)) -> BTreeMap<String, Row> {
    let client = scene.database.connect().await;
    let found = client.simple_query(&format!("SELECT * FROM {table} WHERE {condition}")).await.expect("rows");
    let found = found.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = |row: tokio_postgres::SimpleQueryRow| -> Row {
        let columns = row.columns().iter().enumerate();
        columns.map(|(at, column)| (column.name().to_owned(), row.get(at).map(str::to_owned))).collect()
    };
    found.map(row).map(|row| (row["id"].clone().expect("an id"), row)).collect()
}
