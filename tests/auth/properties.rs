//! Random scopes, random conditions of clients and random data: nobody ever receives a row outside the scope, and everybody all rows
//! inside. Postgres judges, by conditions that are written here.
//!
//! Readers follow while others write, in phases. Where nobody writes, each must have exactly the rows that Postgres says. And of every
//! row that is named in any answer, in whatever form, its reader must have been allowed to see it at some time since it read last.

mod conditions;
mod follower;
mod partial;
mod people;
mod world;

use std::cell::Cell;
use std::rc::Rc;

use actix_web::http::Method;
use futures_util::future::{join, join_all};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::conditions::Condition;
use self::follower::{Follower, definition, shape};
use self::people::Person;
use self::world::{TABLES, Told, World, post};
use super::{SOON, Scene, Source};
use crate::fuzz::times;
use crate::support::{Random, Reader};

/// How much of it there is.
struct Size {
    followers: usize,
    phases: u32,
    /// Requests of others in each phase, half of them while rows are written.
    probes: usize,
    /// Transactions of each of three writers in each phase.
    writes: usize,
}

const USUAL: Size = Size { followers: 16, phases: 2, probes: 44, writes: 12 };
const SMALL: Size = Size { followers: 10, phases: 2, probes: 24, writes: 8 };

/// Nobody is to be slowed here, and nobody to be refused.
const SETTINGS: [(&str, &str); 5] = [
    ("PLUE_AUTH__REQUESTS_PER_SECOND", "0"),
    ("PLUE_AUTH__ADDRESS_REQUESTS_PER_SECOND", "0"),
    ("PLUE_SUBSCRIPTIONS__MAX_PER_PRINCIPAL", "30000"),
    ("PLUE_SUBSCRIPTIONS__MAX_PER_SESSION", "30000"),
    ("PLUE_ENGINE__LONG_POLL_TIMEOUT", "500ms"),
];

#[actix_rt::test]
async fn nobody_receives_a_row_outside_the_scope_in_process() {
    check(Source::Engine, false, USUAL).await;
}

#[actix_rt::test]
async fn nobody_receives_a_row_outside_the_scope_of_a_column() {
    check(Source::Engine, true, SMALL).await;
}

#[actix_rt::test]
async fn nobody_receives_a_row_outside_the_scope_by_proxy() {
    check(Source::Proxy, false, SMALL).await;
}

/// What happened: a test in which nothing does shows nothing.
#[derive(Default)]
struct Counts {
    asked: Cell<usize>,
    refused: Cell<usize>,
    /// Of those, because of a row.
    failed: Cell<usize>,
    rows: Cell<usize>,
    told: Cell<usize>,
    unchanged: Cell<usize>,
}

fn add(to: &Cell<usize>, count: usize) {
    to.set(to.get() + count);
}

struct Test {
    scene: Scene,
    world: Rc<World>,
    by_column: bool,
    counts: Counts,
    people: Cell<usize>,
}

async fn check(source: Source, by_column: bool, size: Size) {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    let mut random = Random::new(seed, 0);
    let columns = if by_column { vec![("PLUE_AUTH__COLUMN_CLAIMS", "project_id=org")] } else { vec![] };
    let scene = Scene::new(source, &SETTINGS.into_iter().chain(columns).collect::<Vec<_>>()).await;
    let world = World::new(&scene, &mut random).await;
    let test = Test { scene, world, by_column, counts: Counts::default(), people: Cell::new(0) };
    let mut followers = Vec::new();
    for phase in 0..times(size.phases) {
        let stream = u64::from(phase) * 100;
        test.world.next_phase().await;
        test.shrink(&mut followers, &mut random);
        // Some come anew in each phase, and as many go.
        followers.truncate(size.followers * 3 / 4);
        while followers.len() < size.followers {
            let person = test.person(&mut random).await;
            add(&test.counts.asked, 1);
            match Follower::begin(&test.scene, person, &mut random).await {
                Some(follower) => followers.push(follower),
                None => add(&test.counts.refused, 1),
            }
        }
        let stop = CancellationToken::new();
        let writers = (1..=3)
            .map(|number| Rc::clone(&test.world).write(&test.scene, Random::new(seed, stream + number), size.writes));
        let writing = async {
            join_all(writers).await;
            stop.cancel();
        };
        let ways: Vec<usize> = followers.iter().map(|_| random.below(4)).collect();
        let reading = followers.iter_mut().zip(ways).map(|(follower, how)| follower.read_on(&test.world, &stop, how));
        let mut probes = Random::new(seed, stream + 4);
        let probing = async {
            for _ in 0..size.probes / 2 {
                test.probe(&mut probes, false).await;
            }
        };
        join(join(writing, join_all(reading)), probing).await;
        for follower in &mut followers {
            let (rows, told) = follower.settle(&test.world).await;
            add(&test.counts.rows, rows);
            add(&test.counts.told, told);
        }
        for _ in 0..size.probes / 2 {
            test.probe(&mut random, true).await;
        }
        for _ in 0..size.probes / 4 {
            test.steal(&followers, &mut random).await;
        }
    }
    test.happened();
}

impl Test {
    async fn person(&self, random: &mut Random) -> Person {
        add(&self.people, 1);
        Person::random(&self.scene, random, self.by_column, self.people.get()).await
    }

    /// Some get tokens that say less, and go on where they are.
    fn shrink(&self, followers: &mut [Follower], random: &mut Random) {
        for follower in followers {
            if random.one_in(4)
                && let Some(person) = follower.person.shrunk(random)
            {
                follower.go_on_as(&self.scene, person);
            }
        }
    }

    /// Somebody new asks for something once: for a shape or a subset. With `quiet` nobody writes, and Postgres says what it gets.
    async fn probe(&self, random: &mut Random, quiet: bool) {
        let (person, told, table) = (self.person(random).await, Told::default(), random.pick(&TABLES));
        add(&self.counts.asked, 1);
        match random.below(3) {
            0 | 1 => self.ask_for_shape(&person, table, random, &told, quiet).await,
            _ => self.ask_for_subset(&person, table, random, &told, quiet).await,
        }
        let told = told.judge(&self.world, &person, 0, &format!("{table}, {person:?}")).await;
        add(&self.counts.told, told);
    }

    async fn ask_for_shape(&self, person: &Person, table: &'static str, random: &mut Random, told: &Told, quiet: bool) {
        let condition = Condition::wild(random, table);
        let shape = shape(&self.scene, person, &definition(table, &condition), told);
        let reply = shape.first().await;
        let what = format!("{person:?}, {table}, {condition:?}");
        let expected = self.world.rows(&person.sees, table, &condition, &Condition::none(), "").await;
        let conditions = [&condition, &Condition::none()];
        if !self.is_taken(person, table, (reply.status, &reply.text()), conditions, quiet).await || !quiet {
            return;
        }
        if let Ok(expected) = expected {
            let has_them = |reader: &Reader| reader.ids() == expected;
            Reader::new(&shape).follow_until(SOON, &format!("{expected:?}: {what}"), has_them).await;
            add(&self.counts.rows, expected.len());
        }
    }

    async fn ask_for_subset(
        &self,
        person: &Person,
        table: &'static str,
        random: &mut Random,
        told: &Told,
        quiet: bool,
    ) {
        let outer = if random.one_in(2) { Condition::none() } else { Condition::tame(random, table) };
        let inner = Condition::wild(random, table);
        let (order, limit) = (random.pick(&["id", "id DESC"]), random.below(6) + 1);
        let end = format!("ORDER BY t.{order} LIMIT {limit}");
        let params: serde_json::Map<_, _> =
            inner.params.iter().enumerate().map(|(at, value)| ((at + 1).to_string(), json!(value))).collect();
        let (status, body) = if random.one_in(2) && outer.text.is_empty() {
            let path = format!("/v1/shape?table={table}&offset=-1&log=changes_only");
            let subset = json!({"where": inner.text, "params": params, "order_by": order, "limit": limit});
            let (status, body) = post(&self.scene, person, &path, json!({"subset": subset})).await;
            if status != 400 {
                told.note(&body.to_string());
            }
            (status, body)
        } else {
            let mut definition = definition(table, &outer);
            definition.push(("log".to_owned(), "changes_only".to_owned()));
            let (params, limit) = (json!(params).to_string(), limit.to_string());
            let subset = [("where", inner.text.as_str()), ("params", &params), ("order_by", order), ("limit", &limit)];
            definition.extend(subset.map(|(name, value)| (format!("subset__{name}"), value.to_owned())));
            let reply = shape(&self.scene, person, &definition, told).first().await;
            (reply.status, reply.json())
        };
        let what = format!("{person:?}, {table}, {outer:?}, subset {inner:?} {end}");
        let expected = self.world.rows(&person.sees, table, &outer, &inner, &end).await;
        if !self.is_taken(person, table, (status, &body.to_string()), [&outer, &inner], quiet).await || !quiet {
            return;
        }
        if let Ok(expected) = expected {
            let rows = body["data"].as_array().expect("rows").iter();
            let mut ids: Vec<_> = rows.map(|row| row["value"]["id"].as_str().expect("an id").to_owned()).collect();
            ids.sort_unstable();
            assert_eq!(ids, expected, "{what}");
            add(&self.counts.rows, expected.len());
        }
    }

    /// Whether a request was taken. One that is refused must not be so because of a row that is not to be seen.
    async fn is_taken(
        &self,
        person: &Person,
        table: &str,
        (status, text): (u16, &str),
        conditions: [&Condition; 2],
        quiet: bool,
    ) -> bool {
        if status == 200 {
            assert!(person.may_read(table), "a table that the token is not for: {person:?}, {table}");
            return true;
        }
        assert_eq!(status, 400, "{text}: {person:?}, {table}, {conditions:?}");
        add(&self.counts.refused, 1);
        let is_of_a_row = text.contains("division by zero") || text.contains("invalid input syntax for type");
        if is_of_a_row && quiet {
            let is_known = self.world.fails_on_seen_rows(&person.sees, table, conditions).await;
            assert!(is_known, "{text} is of a row that is not to be seen: {person:?}, {table}, {conditions:?}");
            add(&self.counts.failed, 1);
        }
        false
    }

    /// Somebody comes with the tag, the handle and the offset of another's answer.
    async fn steal(&self, followers: &[Follower], random: &mut Random) {
        let [owner, thief] = [(); 2].map(|()| &followers[random.below(followers.len())]);
        let told = Told::default();
        let first = owner.shape.first().await;
        let other = shape(&self.scene, &thief.person, &owner.params, &told);
        if let Some(tag) = first.header("etag") {
            let answer = other.send(Method::GET, &[("offset", "-1")], &[("if-none-match", tag)]).await;
            if answer.status == 304 {
                assert_eq!(owner.person.name, thief.person.name, "{tag} of {}", owner.shape.name());
                // Whoever has that body may keep it.
                told.note(&first.text());
                add(&self.counts.unchanged, 1);
            }
        }
        let (handle, last) = (first.handle(), first.offset());
        for offset in ["-1", "0_0", &last] {
            let answer = other.get(&[("handle", &handle), ("offset", offset)]).await;
            assert!([200, 400, 409].contains(&answer.status), "{answer:?}");
        }
        told.judge(
            &self.world,
            &thief.person,
            0,
            &format!("{}, with what is of {:?}", owner.shape.name(), owner.person),
        )
        .await;
        owner.told.judge(&self.world, &owner.person, 0, "its first answer").await;
    }

    /// Panics if nearly nothing happened.
    fn happened(&self) {
        let Counts { asked, refused, failed, rows, told, unchanged } = &self.counts;
        let [asked, refused, failed, rows, told, unchanged] =
            [asked, refused, failed, rows, told, unchanged].map(Cell::get);
        let (commits, moves) = (self.world.commits.get(), self.world.moves.get());
        println!(
            "{asked} shapes and subsets asked for, {refused} refused, {failed} of them for a row; {commits} commits, {moves} moves; \
             {rows} rows compared, {told} marks judged, {unchanged} answers of 304"
        );
        assert!(refused * 3 < asked * 2, "{refused} of {asked} were refused");
        assert!(rows > 20 && told > 40, "{rows} rows, {told} marks");
        assert!(commits > 15 && moves > 5, "{commits} commits, {moves} moves");
    }
}
