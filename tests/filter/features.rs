//! What the language is promised to have, and how often the generator's conditions with it must be accepted.
//!
//! A language that refuses everything would agree with Postgres on everything.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A feature of the grammar, and how many conditions with it must be accepted of 10,000 that are. 0: may be refused altogether.
pub const PROMISED: &[(&str, usize)] = &[
    ("equality", 300),
    ("inequality", 150),
    ("ordering", 200),
    ("distinct", 60),
    ("in", 150),
    ("between", 60),
    ("between symmetric", 40),
    ("like", 60),
    ("ilike", 30),
    ("like function", 20),
    ("regex", 40),
    ("null test", 100),
    ("bool test", 60),
    ("any", 60),
    ("any like", 10),
    ("row", 30),
    ("logic", 300),
    ("case", 60),
    ("coalesce", 60),
    ("greatest", 30),
    ("arithmetic", 200),
    ("division", 40),
    ("modulo", 40),
    ("power", 5),
    ("square root", 20),
    ("absolute", 50),
    ("bits", 40),
    ("length", 40),
    ("array functions", 60),
    ("extract", 30),
    ("date arithmetic", 100),
    ("cast to number", 80),
    ("subscript", 60),
    ("cast to bool", 30),
    ("concatenation", 40),
    ("case of letters", 20),
    ("concat", 20),
    ("substring", 60),
    ("trim", 60),
    ("cast to text", 60),
    ("json text", 60),
    ("json", 50),
    ("json contains", 30),
    ("json has key", 20),
    ("interval arithmetic", 60),
    ("justify", 20),
    ("at time zone", 20),
    ("date_trunc", 40),
    ("cast of dates", 80),
    ("array operators", 20),
    ("array comparison", 30),
    ("array constructor", 30),
    ("array concatenation", 60),
    ("slice", 40),
    ("array cast", 40),
    ("enum cast", 0),
    ("text to date", 0),
    ("rounding cast", 0),
    ("truncating cast", 0),
    ("row distinct", 0),
    ("row null test", 0),
    ("composite", 5),
    ("domain", 0),
    ("other types", 0),
    ("chained", 0),
    ("like escape", 0),
    ("similar", 0),
    ("nullif", 0),
    ("date_part", 0),
    ("json to number", 5),
    ("input function", 0),
    ("output function", 0),
    ("cast of float to text", 0),
    ("cast of arrays to text", 0),
    ("cast of json to text", 0),
    ("substring regex", 0),
    ("json equality", 0),
    ("short moments", 0),
    ("text to uuid", 5),
    ("typed literal", 40),
    ("parameter", 100),
    ("dollar string", 30),
    ("unicode string", 20),
    ("escape string", 40),
];

/// What is not there yet.
pub const MISSING: &[&str] = &["unicode string"];

/// How often what came up, and why it was refused.
#[derive(Default)]
pub struct Tally {
    /// Conditions with the feature: accepted, refused though Postgres takes them.
    features: BTreeMap<&'static str, (usize, usize)>,
    reasons: BTreeMap<String, usize>,
    pub accepted: usize,
    pub keyed: usize,
    /// Refused although Postgres takes it.
    pub refused: usize,
    /// Refused by both.
    pub invalid: usize,
    /// Accepted, and Postgres fails on it whatever the rows are.
    pub constants: usize,
}

impl Tally {
    pub fn accept(&mut self, features: &[&'static str], keyed: bool) {
        self.accepted += 1;
        self.keyed += usize::from(keyed);
        for feature in unique(features) {
            self.features.entry(feature).or_default().0 += 1;
        }
    }

    /// One that Postgres takes.
    pub fn refuse(&mut self, features: &[&'static str], reason: &str) {
        self.refused += 1;
        for feature in unique(features) {
            self.features.entry(feature).or_default().1 += 1;
        }
        *self.reasons.entry(kind_of(reason)).or_default() += 1;
    }

    pub fn add(&mut self, other: Tally) {
        for (feature, (accepted, refused)) in other.features {
            let sum = self.features.entry(feature).or_default();
            *sum = (sum.0 + accepted, sum.1 + refused);
        }
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        self.accepted += other.accepted;
        self.keyed += other.keyed;
        self.refused += other.refused;
        self.invalid += other.invalid;
        self.constants += other.constants;
    }

    /// A page on what was accepted and what was not.
    pub fn report(&self) -> String {
        let Self { accepted, refused, invalid, keyed, .. } = self;
        let mut text = format!(
            "{accepted} accepted ({keyed} with a key), {refused} refused that Postgres takes, {invalid} refused by both\n"
        );
        for (feature, (accepted, refused)) in &self.features {
            writeln!(text, "{accepted:8} accepted {refused:6} refused  {feature}").expect("a string takes it");
        }
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in reasons.iter().take(60) {
            writeln!(text, "{count:8} x {reason}").expect("a string takes it");
        }
        text
    }

    /// What is promised and was accepted too rarely.
    pub fn lacking(&self) -> Vec<String> {
        let mut lacking = Vec::new();
        for (feature, of_10_000) in PROMISED {
            let wanted = of_10_000 * self.accepted / 10_000;
            let (accepted, refused) = self.features.get(feature).copied().unwrap_or_default();
            if accepted < wanted && !MISSING.contains(feature) {
                lacking.push(format!("{feature}: {accepted} accepted and {refused} refused, {wanted} wanted"));
            }
        }
        lacking
    }
}

fn unique(features: &[&'static str]) -> Vec<&'static str> {
    let mut features = features.to_vec();
    features.sort_unstable();
    features.dedup();
    features
}

/// A refusal without its position and what it quotes.
pub fn kind_of(reason: &str) -> String {
    let reason =
        reason.split_once(": ").filter(|(place, _)| place.starts_with("At location")).map_or(reason, |(_, rest)| rest);
    let mut kind = String::new();
    for (at, piece) in reason.split(['"', '\'', '`']).enumerate() {
        kind.push_str(if at % 2 == 1 { "_" } else { piece });
    }
    kind.chars().take(100).collect()
}
