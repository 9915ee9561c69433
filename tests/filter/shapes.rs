//! Random conditions in the whole engine: a shape's snapshot and log together are the rows that Postgres finds, whatever changed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use plue_sync::engine::filter::Filter;

use super::generator::Generator;
use super::oracle::{BY_CODE_POINT, Oracle, Verdict};
use super::tree::Condition;
use super::values::KINDS;
use crate::support::{Engine, Random, Reader, Shape};

const SHAPES: usize = 30;
const TRANSACTIONS: usize = 60;
/// For a reader to be told everything, on a machine that runs other tests.
const LIMIT: Duration = Duration::from_secs(60);

#[actix_rt::test]
async fn shapes_with_random_conditions_hold_what_postgres_finds() {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let mut random = Random::new(seed, 0);
    let oracle = Arc::new(Oracle::new(&mut random, BY_CODE_POINT).await);
    let judge = oracle.judge().await;
    let mut generator = Generator::new(Random::new(seed, 1), oracle.values.clone());
    let mut conditions = Vec::new();
    while conditions.len() < SHAPES {
        let condition = generator.condition().condition();
        // Its snapshot must not fail, and it must find something.
        let found = Filter::compile(&condition.ours, &condition.params, &oracle.table).is_ok()
            && matches!(judge.verdicts(&[&condition.theirs]).await.as_slice(), [Verdict::Rows(rows)] if !rows.is_empty());
        if found {
            conditions.push(condition);
        }
    }
    let engine = Engine::with(oracle.database(), &[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")]).await;
    let mut readers = Vec::new();
    for condition in &conditions {
        readers.push((Reader::up_to_date(&shape(&engine, condition)).await, condition));
    }
    let client = oracle.database().connect().await;
    for _ in 0..TRANSACTIONS {
        client.batch_execute(&change(&mut random)).await.expect("a change");
    }
    for (reader, condition) in &mut readers {
        let expected = match judge.verdicts(&[&condition.theirs]).await.pop() {
            Some(Verdict::Rows(ids) | Verdict::Partly(ids, _)) => ids,
            other => panic!("seed {seed}: {condition:?}: {other:?}"),
        };
        let what = format!("seed {seed}: {expected:?} in the shape {condition:?}");
        reader.follow_until(LIMIT, &what, |reader| ids(reader) == expected).await;
    }
}

fn shape(engine: &Engine, condition: &Condition) -> Shape {
    let mut shape = engine.shape("odd").with("columns", "id").with("where", &condition.ours);
    for (at, value) in condition.params.iter().enumerate() {
        shape = shape.with(&format!("params[{}]", at + 1), value);
    }
    shape
}

fn ids(reader: &Reader) -> Vec<i32> {
    let id = |row: &crate::support::Row| row["id"].as_ref().and_then(|id| id.parse().ok()).expect("an id");
    let mut ids: Vec<i32> = reader.rows.values().map(id).collect();
    ids.sort_unstable();
    ids
}

/// Rows get values of others, are copied, get other keys, and go.
fn change(random: &mut Random) -> String {
    let mut column = || format!("{}{}", KINDS[random.below(KINDS.len())].name, random.pick(&["a", "b"]));
    let (one, other, third) = (column(), column(), column());
    let (id, from) = (random.below(48), random.below(48));
    match random.below(10) {
        0 => format!("DELETE FROM odd WHERE id = {id}"),
        1 => format!("UPDATE odd SET id = -1 - id WHERE id = {id}"),
        2 => format!("UPDATE odd SET {one} = NULL WHERE id % 7 = {}", id % 7),
        3 => format!(
            "INSERT INTO odd (id, {one}) SELECT max(o.id) + 1, min(o.{one}::text)::text::{} FROM odd o",
            sql_of(&one)
        ),
        _ => {
            let columns: std::collections::BTreeSet<_> = [one, other, third].into();
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = s.{column}")).collect();
            format!("UPDATE odd o SET {} FROM odd s WHERE s.id = {from} AND o.id % 5 = {}", set.join(", "), id % 5)
        }
    }
}

fn sql_of(column: &str) -> &'static str {
    KINDS.iter().find(|kind| column.strip_suffix(['a', 'b']) == Some(kind.name)).map_or("text", |kind| kind.sql)
}
