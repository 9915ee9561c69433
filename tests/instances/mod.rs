//! Several processes on one Postgres, as far as they ask each other: all in this one, each with its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use plue_sync::instances::{Answers, InstanceId, Instances, MAX_QUESTION_BYTES, Running};
use plue_sync::postgres::Postgres;
use tokio_postgres::Client;

use crate::support::{Database, OwnCluster, eventually};

const SOON: Duration = Duration::from_secs(60);
/// As long as the machine needs: those that are to answer do so long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// An instance that says its name, and what it was asked.
struct Instance {
    instances: Instances,
    running: Running,
    /// How often it was asked.
    asked: Arc<AtomicUsize>,
}

impl Instance {
    async fn on(url: &str, name: &'static str) -> Self {
        Self::answering(url, move |question| format!("{name}: {question}")).await
    }

    async fn answering(url: &str, reply: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let postgres = Postgres::from_url(url).expect("an address");
        let (instances, running) = Instances::start(postgres, move |question| {
            count.fetch_add(1, Ordering::Relaxed);
            let reply = reply(question);
            async move {
                // A question of one that is to be late.
                if reply.ends_with("sleep") {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
                reply
            }
            .boxed()
        });
        let instance = Self { instances, running, asked };
        instance.connected().await;
        instance
    }

    async fn connected(&self) {
        eventually(SOON, "a connection", async || if self.instances.is_connected() { Ok(()) } else { Err(()) }).await;
    }

    fn id(&self) -> InstanceId {
        *self.instances.id()
    }

    async fn ask(&self, question: &str) -> Answers {
        self.instances.ask(question.to_owned(), PATIENCE).await
    }
}

fn texts(answers: &Answers) -> Vec<&str> {
    answers.replies.iter().map(|(_, text)| text.as_str()).collect()
}

/// Ends the listening connection of an instance, and says whether there was one.
async fn terminate(client: &Client, id: InstanceId) -> bool {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    client.query_one(sql, &[&format!("plue-sync {id}")]).await.expect("a superuser").get::<_, i64>(0) == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn all_instances_answer_whoever_asks() {
    let database = Database::fresh().await;
    let url = database.url();
    let [one, two, three] =
        [Instance::on(url, "one").await, Instance::on(url, "two").await, Instance::on(url, "three").await];
    let answers = one.ask("hé?").await;
    assert_eq!(texts(&answers), ["one: hé?", "two: hé?", "three: hé?"], "{answers:?}");
    assert_eq!(answers.replies.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [one.id(), two.id(), three.id()]);
    assert_eq!((answers.missing.len(), answers.unreachable), (0, false));
    let (first, second, third) = tokio::join!(three.ask("a"), one.ask("b"), three.ask("c"));
    assert_eq!(texts(&first), ["three: a", "one: a", "two: a"]);
    assert_eq!(texts(&second), ["one: b", "two: b", "three: b"]);
    assert_eq!(texts(&third), ["three: c", "one: c", "two: c"]);
    // One that has stopped is not missed.
    two.running.stop().await;
    let client = database.connect().await;
    eventually(SOON, "the end of a connection", async || match terminate(&client, *two.instances.id()).await {
        false => Ok(()),
        true => Err(()),
    })
    .await;
    let answers = one.ask("d").await;
    assert_eq!((texts(&answers), answers.missing.len()), (vec!["one: d", "three: d"], 0));
    let alone = two.instances.ask("e".to_owned(), PATIENCE).await;
    assert_eq!((texts(&alone), alone.unreachable), (vec!["two: e"], true));
    assert_eq!([&one, &three].map(|instance| instance.asked.load(Ordering::Relaxed)), [5, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_questions_and_replies_come_whole() {
    let database = Database::fresh().await;
    let long = "😀 ünï ".repeat(100_000);
    let reply = long.clone();
    let one = Instance::on(database.url(), "one").await;
    let two = Instance::answering(database.url(), move |question| format!("{} {reply}", question.len())).await;
    let question = "x".repeat(MAX_QUESTION_BYTES);
    let answers = one.ask(&question).await;
    assert!(long.len() > 1_000_000 && answers.replies.len() == 2, "{:?}", answers.missing);
    assert!(answers.replies[1].1 == format!("{MAX_QUESTION_BYTES} {long}"), "{} bytes", answers.replies[1].1.len());
    // What is too long is not sent, and says so.
    let answers = one.ask(&format!("{question}x")).await;
    assert_eq!((answers.replies.len(), answers.missing, answers.unreachable), (1, vec![two.id()], false));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_in_time_is_named() {
    let database = Database::fresh().await;
    let url = database.url();
    let [one, two] = [Instance::on(url, "one").await, Instance::on(url, "two").await];
    let late = Instance::answering(url, |_| "sleep".to_owned()).await;
    // Alive by its name, and deaf.
    let deaf = InstanceId::generate();
    let client = database.connect().await;
    client.batch_execute(&format!("SET application_name = 'plue-sync {deaf}'")).await.expect("a name");
    let asked = Instant::now();
    let answers = one.instances.ask("now".to_owned(), Duration::from_secs(2)).await;
    assert!(asked.elapsed() >= Duration::from_secs(2) && asked.elapsed() < Duration::from_secs(4));
    assert_eq!(texts(&answers), ["one: now", "two: now"]);
    assert_eq!((answers.missing, answers.unreachable), (vec![late.id(), deaf], false));
    // What comes late is dropped, and nothing is left of a question that nobody waits for.
    let dropped = tokio::time::timeout(Duration::from_millis(10), one.ask("dropped")).await;
    assert!(dropped.is_err());
    drop(client);
    late.running.stop().await;
    eventually(SOON, "two instances", async || {
        match one.instances.ask("end".to_owned(), Duration::from_secs(2)).await {
            answers if answers.missing.is_empty() && answers.replies.len() == 2 => Ok(()),
            answers => Err(answers),
        }
    })
    .await;
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_killed_comes_again() {
    let database = Database::fresh().await;
    let [one, two] = [Instance::on(database.url(), "one").await, Instance::on(database.url(), "two").await];
    let client = database.connect().await;
    for round in 0..3 {
        for id in [one.id(), two.id()] {
            assert!(terminate(&client, id).await, "round {round}");
        }
        let answers = eventually(SOON, "both instances", async || match one.ask("again").await {
            answers if answers.replies.len() == 2 => Ok(answers),
            answers => Err(answers),
        })
        .await;
        assert_eq!(texts(&answers), ["one: again", "two: again"]);
        two.connected().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_an_instance_answers_alone_and_at_once() {
    let mut cluster = OwnCluster::start(&[]);
    let database = Database::in_cluster(&cluster.url()).await;
    let [one, two] = [Instance::on(database.url(), "one").await, Instance::on(database.url(), "two").await];
    assert_eq!(one.ask("before").await.replies.len(), 2);
    cluster.postgres.stop(Duration::from_secs(10));
    eventually(SOON, "the end of the connection", async || if one.instances.is_connected() { Err(()) } else { Ok(()) })
        .await;
    let asked = Instant::now();
    let answers = one.ask("alone").await;
    assert_eq!((texts(&answers), answers.missing.len(), answers.unreachable), (vec!["one: alone"], 0, true));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let stopped = Instant::now();
    one.running.stop().await;
    two.running.stop().await;
    assert!(stopped.elapsed() < Duration::from_secs(1), "also between two attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_two_databases_do_not_hear_each_other() {
    let [here, there] = [Database::fresh().await, Database::fresh().await];
    let [one, two] = [Instance::on(here.url(), "one").await, Instance::on(there.url(), "two").await];
    for (instance, expected) in [(&one, "one: who"), (&two, "two: who")] {
        let answers = instance.ask("who").await;
        assert_eq!((texts(&answers), answers.missing.len(), answers.unreachable), (vec![expected], 0, false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_on_the_channels_does_no_harm() {
    let database = Database::fresh().await;
    let [one, two] = [Instance::on(database.url(), "one").await, Instance::on(database.url(), "two").await];
    let client = database.connect().await;
    let question = uuid::Uuid::new_v4().simple().to_string();
    let stranger = InstanceId::generate();
    let replies = format!("plue_sync_replies_{}", one.id());
    let said = [
        String::new(),
        "hello".to_owned(),
        "1 q".to_owned(),
        format!("1 r {question} {stranger} 0 1 unasked"),
        format!("1 r {question} {} 0 1 unasked", two.id()),
        // Halves of senders that died.
        format!("1 q {question} {stranger} 0 2 half"),
        format!("1 q {question} {} 1 9 half", two.id()),
        // Not to be asked twice, and answered to whom nobody hears.
        format!("1 q {} {stranger} 0 1 twice", "0".repeat(32)),
        format!("1 q {} {stranger} 0 1 twice", "0".repeat(32)),
        "x".repeat(7999),
    ];
    for channel in ["plue_sync_questions", &replies] {
        for payload in &said {
            client.execute("SELECT pg_notify($1, $2)", &[&channel, payload]).await.expect("said");
        }
    }
    let answers = one.ask("still").await;
    assert_eq!(texts(&answers), ["one: still", "two: still"], "{answers:?}");
    assert_eq!((answers.missing.len(), answers.unreachable), (0, false));
    assert_eq!(one.asked.load(Ordering::Relaxed), 2, "its own, and one of the stranger's");
}
