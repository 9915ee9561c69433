//! Texts that lost their parentheses, a word or a blank, or got one too many: what we still accept, Postgres reads in the same way.

use std::sync::Arc;

use super::compare::{Mismatch, Outcome, Wrong, judge_all};
use super::generator::Generator;
use super::oracle::{BY_CODE_POINT, Oracle};
use super::tree::Condition;
use super::{CHUNK, CONDITIONS, USUAL_CONDITIONS, setting};
use crate::support::Random;

const WORDS: &[&str] = &[
    "NOT",
    "-",
    "(",
    ")",
    "AND",
    "OR",
    "=",
    "<",
    "IS NULL",
    "ia",
    "ba",
    "1",
    "+",
    "*",
    "IN",
    "::text",
    "--",
    "/*",
    "*/",
    "'",
    "~",
    "||",
    "^",
    "->",
    "BETWEEN",
    "[1]",
    "::int4",
    "NULL",
    "CASE",
    "END",
    "IS",
    "@>",
    "%",
    "$1",
    ";",
    "COLLATE \"C\"",
    "ANY",
    ",",
    "E'",
    "interval",
    "LIKE",
    "!",
    "@",
    "|/",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mangled_conditions_are_refused_or_mean_the_same() {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let oracle = Arc::new(Oracle::new(&mut Random::new(seed, 0), BY_CODE_POINT).await);
    let judge = oracle.judge().await;
    let mut generator = Generator::new(Random::new(seed, 1), oracle.values.clone());
    let wanted = setting(CONDITIONS, USUAL_CONDITIONS) / 2;
    let (mut accepted, mut wrong) = (0, Vec::<Mismatch>::new());
    for _ in 0..wanted.div_ceil(CHUNK) {
        let conditions = (0..CHUNK).map(|_| {
            let theirs = generator.condition().condition().theirs;
            let text = mangled(&mut generator.random, &theirs);
            Condition { ours: text.clone(), params: Vec::new(), theirs: text }
        });
        for outcome in judge_all(&oracle, &judge, conditions.collect(), true).await {
            match outcome {
                Outcome::Same(_) => accepted += 1,
                Outcome::Wrong(mismatch) if mismatch.wrong == Wrong::Constant => {}
                Outcome::Refused(..) => {}
                Outcome::Wrong(mismatch) => wrong.push(mismatch),
            }
        }
    }
    wrong.sort_by_key(|mismatch: &Mismatch| (mismatch.wrong, mismatch.condition.ours.len()));
    wrong.dedup_by_key(|mismatch| {
        (mismatch.wrong, (mismatch.wrong == Wrong::Accepted).then(|| mismatch.details.clone()))
    });
    for mismatch in wrong.iter().take(20) {
        println!("- {mismatch}");
    }
    assert!(wrong.is_empty(), "PLUE_TEST_SEED={seed}: see above");
    println!("{accepted} of {wanted} still accepted");
    assert!(accepted > wanted / 20, "only {accepted} of {wanted} were accepted");
}

fn mangled(random: &mut Random, text: &str) -> String {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    match random.below(6) {
        0 | 1 => words.retain(|word| !matches!(*word, "(" | ")")),
        2 => drop(words.remove(random.below(words.len()))),
        3 => words.insert(random.below(words.len() + 1), random.pick(WORDS)),
        4 => {
            let (one, other) = (random.below(words.len()), random.below(words.len()));
            words.swap(one, other);
        }
        _ => {
            let at = random.below(words.len());
            let (left, right) = words.split_at(at);
            return format!("{}{}", left.join(" "), right.join(" "));
        }
    }
    words.join(" ")
}
