//! How many requests are answered at once: two counters that know nothing of each other (protocol, 3.2).
//!
//! A request that may create a shape is counted as initial until its snapshot has begun, and from then on
//! among those that read what is there. So a crowd of new shapes cannot keep the readers of old ones out, and
//! the other way round.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::shape::{Admission, Answer};

/// `retry-after` in seconds, at random: those who were refused together shall not come back together.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u64> = 6..=10;

/// Both counters.
#[derive(Debug)]
pub struct Admissions {
    initial: Counter,
    existing: Counter,
}

#[derive(Debug)]
struct Counter {
    limit: usize,
    used: AtomicUsize,
}

/// A request's place among those that are answered; given back when it is dropped, which must not be before
/// the whole answer has been sent.
#[derive(Debug)]
pub struct Permit {
    admissions: Arc<Admissions>,
    kind: Admission,
}

impl Admissions {
    /// Counters with these limits. 0 refuses all.
    pub fn new(initial: usize, existing: usize) -> Arc<Self> {
        let counter = |limit| Counter { limit, used: AtomicUsize::new(0) };
        Arc::new(Self { initial: counter(initial), existing: counter(existing) })
    }

    /// A place for a request.
    ///
    /// # Errors
    ///
    /// The answer to a request for which there is none.
    pub fn admit(self: &Arc<Self>, kind: Admission) -> Result<Permit, Answer> {
        self.counter(kind).enter(kind)?;
        Ok(Permit { admissions: Arc::clone(self), kind })
    }

    fn counter(&self, kind: Admission) -> &Counter {
        match kind {
            Admission::Initial => &self.initial,
            Admission::Existing => &self.existing,
        }
    }
}

impl Counter {
    fn enter(&self, kind: Admission) -> Result<(), Answer> {
        // Counts only: no other memory hangs on the order.
        let entered = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < self.limit).then_some(used + 1));
        entered.map(drop).map_err(|_| {
            let retry_after = Duration::from_secs(rand::random_range(RETRY_AFTER_SECONDS));
            Answer::too_many_requests(kind, self.limit, retry_after)
        })
    }

    fn leave(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Permit {
    /// Whether the request may still create a shape.
    pub fn is_initial(&self) -> bool {
        self.kind == Admission::Initial
    }

    /// Counts the request among those that read what is there.
    ///
    /// # Errors
    ///
    /// The answer, if those are too many.
    pub fn exchange(&mut self) -> Result<(), Answer> {
        if self.is_initial() {
            self.admissions.existing.enter(Admission::Existing)?;
            self.admissions.initial.leave();
            self.kind = Admission::Existing;
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admissions.counter(self.kind).leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        match &answer.body {
            crate::shape::Body::Full(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => panic!("a refusal has a body"),
        }
    }

    #[test]
    fn each_kind_has_a_limit_of_its_own() {
        let admissions = Admissions::new(1, 2);
        let mut first = admissions.admit(Admission::Initial).expect("a free place");
        let refusal = admissions.admit(Admission::Initial).expect_err("the place is taken");
        assert!(text(&refusal).contains("Concurrent initial request limit exceeded (limit: 1), please retry"));
        let retry_after: u64 = refusal.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((6..=10).contains(&retry_after), "{retry_after}");

        first.exchange().expect("a free place");
        first.exchange().expect("nothing to do");
        let mut second = admissions.admit(Admission::Initial).expect("the place is free again");
        let third = admissions.admit(Admission::Existing).expect("the second place");
        let refusal = second.exchange().expect_err("both places are taken");
        assert!(text(&refusal).contains("Concurrent existing request limit exceeded (limit: 2)"));
        assert!(second.is_initial() && admissions.admit(Admission::Initial).is_err(), "it keeps what it has");
        drop(third);
        second.exchange().expect("a place was given back");
        drop((first, second));
        let used = [&admissions.initial, &admissions.existing].map(|counter| counter.used.load(Ordering::Relaxed));
        assert_eq!(used, [0, 0]);
    }

    #[test]
    fn a_limit_holds_however_many_ask_at_once() {
        let admissions = Admissions::new(0, 5);
        assert!(admissions.admit(Admission::Initial).is_err(), "0 refuses all");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let admissions = Arc::clone(&admissions);
                std::thread::spawn(move || (0..8).filter_map(|_| admissions.admit(Admission::Existing).ok()).collect())
            })
            .collect();
        let held: Vec<Permit> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| Vec::new())).collect();
        assert_eq!(held.len(), 5);
    }
}
