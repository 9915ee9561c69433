//! Somebody who follows a shape through all phases, however its scope changes.

use std::rc::Rc;

use tokio_util::sync::CancellationToken;

use super::conditions::Condition;
use super::partial::Partial;
use super::people::Person;
use super::world::{TABLES, Told, World};
use crate::auth::{SOON, Scene};
use crate::support::{Random, Reader, Shape};

pub struct Follower {
    pub person: Person,
    pub table: &'static str,
    pub condition: Condition,
    /// Besides the token.
    pub params: Vec<(String, String)>,
    pub shape: Shape,
    pub told: Told,
    /// The phase since which it reads as it does now.
    since: i32,
    refetches: usize,
    log: Log,
}

enum Log {
    Full(Box<Reader>),
    Changes(Box<Partial>),
}

/// The parameters of a request for a shape.
pub fn definition(table: &str, condition: &Condition) -> Vec<(String, String)> {
    let mut params = vec![("table".to_owned(), table.to_owned())];
    if !condition.text.is_empty() {
        params.push(("where".to_owned(), condition.text.clone()));
    }
    let values = condition.params.iter().enumerate();
    params.extend(values.map(|(at, value)| (format!("params[{}]", at + 1), value.clone())));
    params
}

/// A shape for somebody, whose every answer is noted.
pub fn shape(scene: &Scene, person: &Person, params: &[(String, String)], told: &Told) -> Shape {
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (own, said) = (told.clone(), params.iter().map(|(_, value)| *value).collect::<String>());
    let witness = move |reply: &crate::support::Reply| {
        // A refusal may repeat what it refuses.
        let text = reply.text();
        let is_echo = reply.status == 400 && super::world::marks(&text).is_subset(&super::world::marks(&said));
        if !is_echo {
            own.note(&text);
        }
    };
    scene.shape(&person.token, &params).witnessed(Rc::new(witness))
}

impl Follower {
    /// Somebody who begins to follow something; `None` if it is refused.
    pub async fn begin(scene: &Scene, person: Person, random: &mut Random) -> Option<Self> {
        let tables: Vec<_> = TABLES.into_iter().filter(|table| person.may_read(table)).collect();
        let table = random.pick(&tables);
        let condition = match random.below(4) {
            0 => Condition::none(),
            1 => Condition::of_session(random, table),
            _ => Condition::tame(random, table),
        };
        let mut params = definition(table, &condition);
        if random.one_in(3) {
            params.push(("replica".to_owned(), "full".to_owned()));
        }
        if random.one_in(4) {
            params.push(("columns".to_owned(), "id".to_owned()));
        }
        let is_full = !random.one_in(3);
        if !is_full {
            params.push(("log".to_owned(), "changes_only".to_owned()));
        }
        let told = Told::default();
        let shape = shape(scene, &person, &params, &told);
        if shape.first().await.status == 400 {
            return None;
        }
        let log = match is_full {
            true => Log::Full(Box::new(Reader::new(&shape))),
            false => Log::Changes(Box::new(Partial::new(&shape))),
        };
        Some(Self { person, table, condition, params, shape, told, since: 0, refetches: 0, log })
    }

    /// Goes on where it is, as the same principal with another token.
    pub fn go_on_as(&mut self, scene: &Scene, person: Person) {
        self.person = person;
        self.shape = shape(scene, &self.person, &self.params, &self.told);
        self.since = 0;
        match &mut self.log {
            Log::Full(reader) => reader.go_on_at(&self.shape),
            Log::Changes(partial) => partial.go_on_at(&self.shape),
        }
    }

    /// Reads while others write: as changes come, now and then, or not at all.
    pub async fn read_on(&mut self, world: &World, stop: &CancellationToken, how: usize) {
        let log = &mut self.log;
        let reading = async {
            match (log, how) {
                (_, 0) => std::future::pending().await,
                (Log::Full(reader), 1) => loop {
                    reader.catch_up().await;
                    world.written.notified().await;
                },
                (Log::Full(reader), _) => reader.follow_until(SOON, "nothing", |_| false).await,
                (Log::Changes(partial), _) => partial.follow().await,
            }
        };
        // Readers take an answer as a whole: between two, it may end at any place.
        tokio::select! {
            () = stop.cancelled() => {}
            () = reading => {}
        }
    }

    /// Now that nobody writes, it must come to have the rows that Postgres says, and must have been told of no others. Says how many rows
    /// it has, and of how many it was told.
    pub async fn settle(&mut self, world: &World) -> (usize, usize) {
        let wanted = world.rows(&self.person.sees, self.table, &self.condition, &Condition::none(), "").await;
        let what = format!("the rows of {:?} in phase {}", self.person, world.phase.get());
        let wanted = wanted.unwrap_or_else(|error| panic!("{:?}: {error}", self.condition));
        let refetches = match &mut self.log {
            Log::Full(reader) => {
                reader.follow_until(SOON, &format!("{what}: {wanted:?}"), |reader| reader.ids() == wanted).await;
                reader.refetches
            }
            Log::Changes(partial) => {
                partial.until_ids(SOON, &what, &wanted).await;
                partial.refetches
            }
        };
        if refetches != std::mem::replace(&mut self.refetches, refetches) {
            self.since = 0;
        }
        let told = self
            .told
            .judge(world, &self.person, self.since, &format!("{}, {:?}", self.shape.name(), self.person))
            .await;
        // What is told from now on may be late, of this phase, and not of those before.
        self.since = world.phase.get();
        (wanted.len(), told)
    }
}
