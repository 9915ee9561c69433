//! A circuit breaker: an upstream that fails is left alone for a while, and then asked by one request.
//!
//! ```text
//! closed ──[`FAILURES` in a row]──► open ──[its time is over]──► probing ──[success]──► closed
//!                                     ▲                             │
//!                                     └────[failure: twice as long]─┘
//! ```
//!
//! Pure: time and chance are arguments.

use std::time::{Duration, Instant};

/// Failures in a row after which it opens. Fewer would let one bad shape shut out all others.
const FAILURES: u32 = 5;
/// How long it is open at first, at most; each time that follows doubles it.
const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(15);
/// A live request may be held for long without saying anything: then another one is let through.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// What kind of failure a request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or no answer in time.
    Unreachable,
    /// An answer that could not be used.
    Wrong,
}

/// The breaker of one upstream.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// In a row, while closed.
    failures: u32,
    /// In a row: how often it has opened without a success in between.
    openings: u32,
    last: Fault,
    probes: u64,
}

/// What a request was let through as: only the one that probes says how the probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    probe: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant },
    Probing { since: Instant, probe: u64 },
}

impl Breaker {
    /// A closed one.
    pub fn new() -> Self {
        Self { state: State::Closed, failures: 0, openings: 0, last: Fault::Wrong, probes: 0 }
    }

    /// Whether a request would be refused now, and for how long.
    pub fn refuses(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Open { until } => until.checked_duration_since(now).filter(|rest| !rest.is_zero()),
            State::Probing { since, .. } => {
                (since + PROBE_PATIENCE).checked_duration_since(now).filter(|rest| !rest.is_zero())
            }
        }
    }

    /// Lets a request through; where the breaker was open, it is the one that probes.
    ///
    /// # Errors
    /// How long no request will be let through.
    pub fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        if let Some(rest) = self.refuses(now) {
            return Err(rest);
        }
        if self.is_closed() {
            return Ok(Pass { probe: None });
        }
        self.probes += 1;
        self.state = State::Probing { since: now, probe: self.probes };
        Ok(Pass { probe: Some(self.probes) })
    }

    /// A request was answered.
    pub fn succeeded(&mut self) {
        *self = Self { probes: self.probes, ..Self::new() };
    }

    /// A request failed. `chance` in 0..1 keeps many proxies from coming back in step.
    pub fn failed(&mut self, pass: Pass, fault: Fault, now: Instant, chance: f64) {
        match self.state {
            State::Closed => {
                self.last = fault;
                self.failures += 1;
                if self.failures >= FAILURES {
                    self.open(now, chance);
                }
            }
            State::Probing { probe, .. } if pass.probe == Some(probe) => {
                self.last = fault;
                self.open(now, chance);
            }
            // A request from before it opened, or a probe that another one has taken the place of.
            State::Probing { .. } | State::Open { .. } => {}
        }
    }

    /// A request ended and said nothing of the upstream: its reader left. Another may probe at once.
    pub fn abandoned(&mut self, pass: Pass, now: Instant) {
        if let State::Probing { probe, .. } = self.state
            && pass.probe == Some(probe)
        {
            self.state = State::Open { until: now };
        }
    }

    /// The upstream was reached by other means: if that was what failed, it need not be probed.
    pub fn reached(&mut self) {
        if self.last == Fault::Unreachable {
            self.succeeded();
        }
    }

    /// Whether requests pass as they come.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn open(&mut self, now: Instant, chance: f64) {
        let rest = FIRST_REST.saturating_mul(1 << self.openings.min(16)).min(LONGEST_REST);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { until: now + rest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a breaker, at a number of milliseconds.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Admitted,
        Refused(u64),
        Succeeded,
        Failed,
        FailedWrong,
        Abandoned,
        Reached,
    }
    use Event::*;

    /// A name, what happens first, and what then.
    type Case = (&'static str, &'static [(u64, Event)], &'static [(u64, Event)]);

    fn run(events: &[(u64, Event)]) {
        let start = Instant::now();
        let (mut breaker, mut pass) = (Breaker::new(), Pass { probe: None });
        for (number, (at, event)) in events.iter().enumerate() {
            let now = start + Duration::from_millis(*at);
            let case = format!("event {number}: {event:?} at {at}, {breaker:?}");
            match event {
                Admitted => pass = breaker.admit(now).unwrap_or_else(|rest| panic!("{case}: refused for {rest:?}")),
                Refused(ms) => assert_eq!(breaker.admit(now), Err(Duration::from_millis(*ms)), "{case}"),
                Succeeded => breaker.succeeded(),
                Failed => breaker.failed(pass, Fault::Unreachable, now, 1.0),
                FailedWrong => breaker.failed(pass, Fault::Wrong, now, 1.0),
                Abandoned => breaker.abandoned(pass, now),
                Reached => breaker.reached(),
            }
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        const FOUR: &[(u64, Event)] = &[(0, Failed); 4];
        const OPENED: &[(u64, Event)] = &[(0, FailedWrong); 5];
        let cases: [Case; 8] = [
            ("four are not enough", FOUR, &[(0, Admitted), (0, Admitted)]),
            ("a success in between counts", FOUR, &[(0, Succeeded), (0, Failed), (0, Admitted)]),
            ("five open it for a time", OPENED, &[(100, Refused(400)), (500, Admitted), (500, Refused(1000))]),
            (
                "a probe that succeeds closes it",
                OPENED,
                &[(500, Admitted), (600, Succeeded), (600, Admitted), (600, Admitted)],
            ),
            (
                "a probe that fails opens it for twice as long",
                OPENED,
                &[
                    (500, Admitted),
                    (600, FailedWrong),
                    (600, Refused(1000)),
                    (1600, Admitted),
                    (1600, FailedWrong),
                    (1600, Refused(2000)),
                ],
            ),
            (
                "a probe that is held lets another through",
                OPENED,
                &[(500, Admitted), (1499, Refused(1)), (1500, Admitted)],
            ),
            ("a probe whose reader leaves is no probe", OPENED, &[(500, Admitted), (510, Abandoned), (510, Admitted)]),
            ("health says nothing of wrong answers", OPENED, &[(100, Reached), (100, Refused(400))]),
        ];
        for (name, before, after) in cases {
            println!("{name}");
            run(&[before, after].concat());
        }
        run(&[[(0, Failed); 5].as_slice(), &[(100, Refused(400)), (100, Reached), (100, Admitted)]].concat());
    }

    #[test]
    fn late_failures_do_not_prolong_it_and_its_time_has_a_limit() {
        run(&[[(0, Failed); 5].as_slice(), &[(400, Failed), (400, Refused(100))]].concat());
        let (mut breaker, mut pass) = (Breaker::new(), Pass { probe: None });
        let mut now = Instant::now();
        for _ in 0..60 {
            breaker.failed(pass, Fault::Unreachable, now, 0.5);
            pass = loop {
                match breaker.admit(now) {
                    Ok(pass) => break pass,
                    Err(rest) => {
                        assert!(rest <= LONGEST_REST.mul_f64(0.75), "{rest:?}");
                        now += rest;
                    }
                }
            };
        }
    }

    #[test]
    fn only_the_probe_says_how_the_probe_went() {
        let (mut breaker, now) = (Breaker::new(), Instant::now());
        let early = breaker.admit(now).expect("it is closed");
        for _ in 0..FAILURES {
            breaker.failed(early, Fault::Unreachable, now, 1.0);
        }
        let later = now + FIRST_REST;
        let probe = breaker.admit(later).expect("its time is over");
        breaker.abandoned(early, later);
        breaker.failed(early, Fault::Unreachable, later, 1.0);
        assert_eq!(breaker.admit(later), Err(PROBE_PATIENCE), "the probe is under way");
        breaker.abandoned(probe, later);
        assert!(breaker.admit(later).is_ok());
    }
}
