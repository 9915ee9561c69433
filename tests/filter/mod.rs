//! Conditions mean what Postgres means: random ones over a table of every type and of odd values, evaluated here on the rows that replication
//! told, and there by the server.

mod chosen;
mod compare;
mod features;
pub mod generator;
mod grammar;
mod mangled;
mod oracle;
mod refusals;
mod shapes;
mod tree;
pub mod values;

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::time::Instant;

use self::compare::{Mismatch, Outcome, Wrong, judge_all, names_its_place, shrink};
use self::features::{PROMISED, Tally, kind_of};
use self::generator::Generator;
use self::grammar::RULES;
use self::oracle::{Collations, Oracle};
use self::tree::Tree;
use crate::support::Random;

/// How many conditions must be compared with Postgres; `make fuzz` sets more.
const CONDITIONS: &str = "PLUE_TEST_CONDITIONS";
const USUAL_CONDITIONS: usize = 20_000;
/// Failures are told by their smallest form, once for each cause, and no more than these.
const MISMATCHES: &str = "PLUE_TEST_MISMATCHES";
const USUAL_MISMATCHES: usize = 12;
const WORKERS: usize = 2;
const CHUNK: usize = 48;

/// A number from the environment.
fn setting(name: &str, usual: usize) -> usize {
    env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What one worker, or all of them, found.
#[derive(Default)]
struct Findings {
    tally: Tally,
    /// By what the smallest forms of failures have in common.
    mismatches: BTreeMap<(Wrong, String), Mismatch>,
    /// The last one that Postgres can never evaluate.
    constant: Option<Mismatch>,
    generated: usize,
}

impl Findings {
    fn add(&mut self, other: Findings) {
        self.tally.add(other.tally);
        self.mismatches.extend(other.mismatches);
        self.constant = self.constant.take().or(other.constant);
        self.generated += other.generated;
    }
}

/// How the conditions of a run are judged.
#[derive(Clone, Copy)]
struct Plan {
    conditions: usize,
    mismatches: usize,
    /// Whether the client's text is judged; else only our SQL.
    by_text: bool,
}

/// Judges conditions until `plan.conditions` of them have been accepted.
async fn work(oracle: Arc<Oracle>, random: Random, plan: Plan) -> Findings {
    /// A language that accepts less than one in eight is broken; the tally then says where.
    const MOST_GENERATED: usize = 8;
    let judge = oracle.judge().await;
    let mut generator = Generator::new(random, oracle.values.clone());
    let mut found = Findings::default();
    while found.tally.accepted < plan.conditions && found.generated < plan.conditions * MOST_GENERATED {
        let trees: Vec<Tree> = (0..CHUNK).map(|_| generator.condition()).collect();
        found.generated += trees.len();
        let outcomes = judge_all(&oracle, &judge, trees.iter().map(Tree::condition).collect(), plan.by_text).await;
        for (tree, outcome) in trees.into_iter().zip(outcomes) {
            let features = tree.features();
            match outcome {
                Outcome::Same(keyed) => found.tally.accept(&features, keyed),
                Outcome::Refused(_, oracle::Verdict::Refused(_) | oracle::Verdict::Fails(_)) => {
                    found.tally.invalid += 1
                }
                Outcome::Refused(error, _) => {
                    found.tally.refuse(&features, &error.message);
                    if !names_its_place(&error) {
                        let (wrong, details) = (Wrong::NoPosition, error.to_string());
                        let mismatch = Mismatch { wrong, condition: tree.condition(), details };
                        found.mismatches.insert((wrong, kind_of(&error.message)), mismatch);
                    }
                }
                Outcome::Wrong(mismatch) if mismatch.wrong == Wrong::Constant => {
                    found.tally.constants += 1;
                    found.constant = Some(mismatch);
                }
                Outcome::Wrong(mismatch) => {
                    let (tree, mismatch) = shrink(&oracle, &judge, tree, mismatch, plan.by_text).await;
                    found.mismatches.insert((mismatch.wrong, tree.forms().join(" | ")), mismatch);
                }
            }
        }
        if found.mismatches.len() >= plan.mismatches {
            break;
        }
    }
    found
}

/// Lets all workers work, tells what they found, and fails if that is not all right.
async fn judged(collations: Collations, plan: Plan) -> Findings {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let started = Instant::now();
    let oracle = Arc::new(Oracle::new(&mut Random::new(seed, 0), collations).await);
    let share = Plan { conditions: plan.conditions.div_ceil(WORKERS), ..plan };
    let workers: Vec<_> = (1..=WORKERS as u64)
        .map(|worker| tokio::spawn(work(Arc::clone(&oracle), Random::new(seed, worker), share)))
        .collect();
    let mut found = Findings::default();
    for worker in workers {
        found.add(worker.await.expect("a worker that does not panic"));
    }
    println!("{} generated in {:?}\n{}", found.generated, started.elapsed(), found.tally.report());
    for mismatch in found.mismatches.values() {
        println!("- {mismatch}");
    }
    if let Some(constant) = &found.constant {
        println!("{} such as\n- {constant}", found.tally.constants);
    }
    assert!(
        found.mismatches.is_empty(),
        "PLUE_TEST_SEED={seed}: {} conditions are wrong, see above",
        found.mismatches.len()
    );
    // What Postgres makes of constants before it looks at rows cannot be followed to the last, but nearly.
    let Tally { constants, accepted, .. } = found.tally;
    assert!(constants * 100 < accepted, "PLUE_TEST_SEED={seed}: {constants} accepted that can never be served");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_conditions_match_the_rows_that_postgres_matches() {
    let conditions = setting(CONDITIONS, USUAL_CONDITIONS);
    let mismatches = setting(MISMATCHES, USUAL_MISMATCHES);
    let found = judged(oracle::BY_CODE_POINT, Plan { conditions, mismatches, by_text: true }).await;
    let lacking = found.tally.lacking();
    assert!(lacking.is_empty(), "accepted too rarely: {lacking:#?}");
    assert!(found.tally.accepted >= conditions, "only {} of {} were accepted", found.tally.accepted, found.generated);
    assert!(found.tally.keyed > conditions / 200, "only {} had a key", found.tally.keyed);
}

/// What a column's collation makes of the client's text, we do not: strings are ordered by code point. Then the snapshot's query must do so too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sql_of_a_condition_means_the_same_under_other_collations() {
    let conditions = setting(CONDITIONS, USUAL_CONDITIONS) / 8;
    let mismatches = setting(MISMATCHES, USUAL_MISMATCHES);
    judged(oracle::OTHERWISE, Plan { conditions, mismatches, by_text: false }).await;
}

#[test]
fn every_feature_of_the_grammar_is_promised_or_not() {
    let of_literals = ["typed literal", "parameter", "dollar string", "unicode string", "escape string"];
    let features: Vec<_> = RULES.iter().map(|rule| rule.feature).chain(of_literals).collect();
    for feature in &features {
        assert!(PROMISED.iter().any(|(promised, _)| promised == feature), "{feature}: what is promised of it?");
    }
    for (promised, _) in PROMISED {
        assert!(features.contains(promised), "{promised}: no rule makes it");
    }
    for missing in features::MISSING {
        assert!(features.contains(missing), "{missing}: no rule makes it");
    }
}
