//! Conditions mean what Postgres means: random ones over a table of odd values, evaluated here and there.

mod chosen;
mod generator;
mod oracle;

use std::time::Instant;

use plue_sync::engine::filter::Filter;

use self::generator::{Generator, Random};
use self::oracle::Oracle;

/// Set to a seed that a failure printed.
const SEED: &str = "PLUE_TEST_SEED";
const CONDITIONS: usize = 4_000;
const MANGLED: usize = 6_000;

async fn start() -> (u64, Generator, Oracle) {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{SEED}={seed}");
    let mut generator = Generator { random: Random(seed), params: Vec::new() };
    let oracle = Oracle::new(&mut generator.random).await;
    (seed, generator, oracle)
}

#[tokio::test]
async fn random_conditions_match_the_rows_that_postgres_matches() {
    let (seed, mut generator, oracle) = start().await;
    let started = Instant::now();
    let (mut compared, mut keyed) = (0, 0);
    for _ in 0..CONDITIONS {
        generator.params.clear();
        let text = generator.condition(2);
        let Ok(filter) = Filter::compile(&text.ours, &generator.params, &oracle.table) else { continue };
        let told = || format!("{SEED}={seed}\n  {}\n  {:?}\n  {}", text.theirs, generator.params, filter.sql());
        let ours = oracle.ours(&filter);
        let theirs = oracle.theirs(&text.theirs, &ours).await.unwrap_or_else(|error| panic!("{error}\n{}", told()));
        assert_eq!(ours, theirs, "the evaluator (left) and Postgres on the client's text: {}", told());
        let printed = oracle.theirs(filter.sql(), &ours).await.unwrap_or_else(|error| panic!("{error}\n{}", told()));
        assert_eq!(ours, printed, "the evaluator (left) and Postgres on our SQL: {}", told());
        if let Some((column, texts)) = filter.key() {
            keyed += 1;
            for (_, row) in oracle.rows.iter().filter(|(_, row)| filter.matches(row)) {
                let has = row[column].as_ref().is_some_and(|text| texts.contains(text));
                assert!(has, "the key misses a row: {}", told());
            }
        }
        compared += 1;
    }
    println!("{compared} of {CONDITIONS} compared, {keyed} with a key, {:?}", started.elapsed());
    assert!(compared > CONDITIONS / 2, "only {compared} of {CONDITIONS} were accepted");
    assert!(keyed > 20, "only {keyed} had a key");
}

/// Texts that lost their parentheses, a word or a blank, or got one too many: what we still accept, Postgres reads in the same way.
#[tokio::test]
async fn mangled_conditions_are_refused_or_mean_the_same() {
    let (seed, mut generator, oracle) = start().await;
    let mut compared = 0;
    for _ in 0..MANGLED {
        let text = generator.condition(2).theirs;
        let text = mangled(&mut generator.random, &text);
        let Ok(filter) = Filter::compile(&text, &[], &oracle.table) else { continue };
        let told = || format!("{SEED}={seed}\n  {text}\n  {}", filter.sql());
        let ours = oracle.ours(&filter);
        let theirs = oracle.theirs(&text, &ours).await.unwrap_or_else(|error| panic!("{error}\n{}", told()));
        assert_eq!(ours, theirs, "the evaluator (left) and Postgres on the client's text: {}", told());
        compared += 1;
    }
    println!("{compared} of {MANGLED} compared");
    assert!(compared > MANGLED / 20, "only {compared} of {MANGLED} were accepted");
}

fn mangled(random: &mut Random, text: &str) -> String {
    const WORDS: &[&str] = &[
        "NOT", "-", "(", ")", "AND", "OR", "=", "<", "IS NULL", "ia", "ba", "1", "+", "*", "IN", "::text", "--", "/*",
        "*/", "'",
    ];
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
