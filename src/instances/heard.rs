//! Questions of others, as their chunks come.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;
use uuid::Uuid;

use super::InstanceId;
use super::chunk::{Assembly, Chunk};

/// Half questions at once, each of at most [`super::MAX_QUESTION_BYTES`]: 2 MiB in all. The chunks of a question come
/// together, so more than one or two is the work of somebody else.
const MAX_HALVES: usize = 32;
/// After this nothing more comes of a question.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Questions that are remembered, so that none is answered twice.
const REMEMBERED: usize = 256;

/// What has been heard of questions.
#[derive(Debug, Default)]
pub struct Heard {
    halves: HashMap<(InstanceId, Uuid), (Assembly, Instant)>,
    /// The ids of those that were whole, oldest first.
    whole: VecDeque<Uuid>,
}

impl Heard {
    /// Takes a chunk; returns the question when it is whole, for the first time.
    pub fn add(&mut self, chunk: &Chunk<'_>, now: Instant) -> Option<String> {
        if self.whole.contains(&chunk.question) {
            return None;
        }
        let key = (chunk.from, chunk.question);
        if !self.halves.contains_key(&key) {
            self.make_room(now);
        }
        let (half, _) = self.halves.entry(key).or_insert_with(|| (Assembly::default(), now));
        let question = half.add(chunk)?;
        self.halves.remove(&key);
        if self.whole.len() == REMEMBERED {
            self.whole.pop_front();
        }
        self.whole.push_back(chunk.question);
        Some(question)
    }

    /// Drops what is old, and the oldest if there is still too much.
    fn make_room(&mut self, now: Instant) {
        self.halves.retain(|_, (_, begun)| now.duration_since(*begun) < MAX_AGE);
        if self.halves.len() >= MAX_HALVES
            && let Some(oldest) = self.halves.iter().min_by_key(|(_, (_, begun))| *begun).map(|(key, _)| *key)
        {
            self.halves.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Kind;
    use super::*;

    /// The two payloads of a question.
    fn two(question: Uuid) -> [String; 2] {
        let text = "x".repeat(10_000);
        let chunks = Chunk::split(Kind::Question, question, &InstanceId::generate(), &text).expect("short enough");
        chunks.try_into().expect("two chunks")
    }

    fn add(heard: &mut Heard, payload: &str, now: Instant) -> bool {
        heard.add(&Chunk::parse(payload).expect("ours"), now).is_some()
    }

    #[test]
    fn a_question_is_told_once_however_often_it_comes() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let [first, second] = two(Uuid::new_v4());
        let told = [&second, &second, &first, &first, &second].map(|payload| add(&mut heard, payload, now));
        assert_eq!(told, [false, false, true, false, false]);
        assert!(heard.halves.is_empty());
    }

    #[test]
    fn halves_of_senders_that_died_are_few_and_not_kept_for_long() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let questions: Vec<_> = (0..3 * MAX_HALVES).map(|_| two(Uuid::new_v4())).collect();
        for (number, [first, _]) in (0..).zip(&questions) {
            assert!(!add(&mut heard, first, now + Duration::from_millis(number)));
        }
        assert_eq!(heard.halves.len(), MAX_HALVES);
        let [_, last] = questions.last().expect("one");
        assert!(add(&mut heard, last, now + Duration::from_secs(1)), "the newest is still there");
        let [first, _] = two(Uuid::new_v4());
        add(&mut heard, &first, now + MAX_AGE * 2);
        assert_eq!(heard.halves.len(), 1);
    }
}
