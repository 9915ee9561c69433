//! One condition, judged: what we say of it against what Postgres says.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use plue_sync::engine::filter::{Filter, FilterError};

use super::oracle::{Judge, Oracle, Verdict};
use super::tree::{Condition, Tree};

/// Longer than compiling a condition and evaluating it on every row may take, on a machine that runs other tests.
const SLOW: Duration = Duration::from_secs(5);

/// A condition that we took, and what we make of it.
pub struct Taken {
    pub filter: Filter,
    pub rows: Vec<i32>,
}

/// How a condition went wrong, in the order of how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    Panic,
    Slow,
    /// Other rows than Postgres finds for the client's text.
    Rows,
    /// Other rows than Postgres finds for our SQL.
    PrintedRows,
    /// TRUE on a row on which Postgres fails.
    TrueOnError,
    /// The key that finds the condition leaves out a row that it matches.
    Key,
    /// It depends on a column that it does not name.
    Columns,
    /// Postgres refuses our SQL, or fails on it whatever the rows are.
    Printed,
    /// Postgres takes it for no condition.
    Accepted,
    /// Postgres fails on a constant in it, whatever the rows are. The shape's snapshot then fails too, so no reader is told anything wrong;
    /// but a request that can never be served should have been refused.
    Constant,
    /// A refusal that does not say where.
    NoPosition,
}

/// A condition that went wrong.
#[derive(Debug, Clone)]
pub struct Mismatch {
    pub wrong: Wrong,
    pub condition: Condition,
    pub details: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n    where:  {}", self.wrong, self.condition.ours)?;
        if !self.condition.params.is_empty() {
            write!(f, "\n    params: {:?}\n    as SQL: {}", self.condition.params, self.condition.theirs)?;
        }
        write!(f, "\n    {}", self.details.replace('\n', "\n    "))
    }
}

/// Compiles and evaluates. `Err` if something is wrong before anybody is asked.
pub fn take(oracle: &Oracle, condition: &Condition) -> Result<Result<Taken, FilterError>, Mismatch> {
    let wrong = |wrong, details: String| Mismatch { wrong, condition: condition.clone(), details };
    let started = Instant::now();
    let attempt = || {
        Filter::compile(&condition.ours, &condition.params, &oracle.table).map(|filter| {
            let rows = oracle.ours(&filter);
            Taken { filter, rows }
        })
    };
    let taken = catch_unwind(AssertUnwindSafe(attempt)).map_err(|_| wrong(Wrong::Panic, "it panics".into()))?;
    if started.elapsed() > SLOW {
        return Err(wrong(Wrong::Slow, format!("it took {:?}", started.elapsed())));
    }
    Ok(taken)
}

/// Whether a refusal says where it is, or is one of those that are about the whole text.
pub fn names_its_place(error: &FilterError) -> bool {
    const WHOLE: [&str; 7] = [
        "must return a boolean",
        "unescaped \";\"",
        "malformed query",
        "bigger than maximum size",
        "was not provided",
        "type conflict for $",
        "U+0000",
    ];
    error.message.starts_with("At location ") || WHOLE.iter().any(|text| error.message.contains(text))
}

impl Taken {
    /// What is wrong with it, given what Postgres says of the client's text and of ours. Without a verdict on the text, only ours is judged.
    pub fn judged(
        &self,
        oracle: &Oracle,
        condition: &Condition,
        text: Option<&Verdict>,
        sql: &Verdict,
    ) -> Option<Mismatch> {
        let found = self.key(oracle).or_else(|| self.columns(oracle));
        let found = match (text, sql) {
            (Some(Verdict::Fails(why)), _) | (None, Verdict::Fails(why)) => {
                found.or_else(|| Some((Wrong::Constant, format!("Postgres fails on any row: {why}"))))
            }
            _ => found,
        };
        let found = found.or_else(|| text.and_then(|text| self.against(oracle, text, false)));
        let (wrong, details) = found.or_else(|| self.against(oracle, sql, true))?;
        Some(Mismatch {
            wrong,
            condition: condition.clone(),
            details: format!("{details}\nour SQL: {}", self.filter.sql_to_run()),
        })
    }

    /// The verdict row by row, where a query finds rows that we do not: the planner may simplify a condition so that an error in it does not
    /// show, as it makes `a` of `a AND 1/n = 1 OR a`. On a row on which the expression fails, not TRUE is right too.
    async fn settled(&self, judge: &Judge, verdict: Verdict, text: &str) -> Verdict {
        match &verdict {
            Verdict::Rows(theirs) if theirs.iter().any(|id| !self.rows.contains(id)) => {
                judge.verdict_by_row(text).await
            }
            _ => verdict,
        }
    }

    fn against(&self, oracle: &Oracle, verdict: &Verdict, printed: bool) -> Option<(Wrong, String)> {
        let whose = if printed { "our SQL" } else { "the text" };
        let row = |id: i32| format!("row: id={id}, {}", oracle.row(id, self.filter.columns()));
        let differs = |theirs: &[i32]| {
            let missing = theirs.iter().find(|id| !self.rows.contains(id));
            let extra = self.rows.iter().find(|id| !theirs.contains(id));
            let wrong = if printed { Wrong::PrintedRows } else { Wrong::Rows };
            match (missing, extra) {
                (Some(id), _) => Some((wrong, format!("we say not TRUE, Postgres says TRUE of {whose}\n{}", row(*id)))),
                (_, Some(id)) => Some((wrong, format!("we say TRUE, Postgres says not TRUE of {whose}\n{}", row(*id)))),
                _ => None,
            }
        };
        match verdict {
            Verdict::Rows(theirs) => differs(theirs),
            Verdict::Partly(theirs, failing) => match failing.iter().find(|id| self.rows.contains(id)) {
                Some(id) => Some((Wrong::TrueOnError, format!("we say TRUE, Postgres fails on {whose}\n{}", row(*id)))),
                None => differs(theirs),
            },
            Verdict::Fails(why) => Some((Wrong::Printed, format!("Postgres fails on any row of {whose}: {why}"))),
            Verdict::Refused(why) if printed => Some((Wrong::Printed, format!("Postgres refuses our SQL: {why}"))),
            Verdict::Refused(why) => Some((Wrong::Accepted, format!("we accept what Postgres refuses: {why}"))),
        }
    }

    fn key(&self, oracle: &Oracle) -> Option<(Wrong, String)> {
        let (column, texts) = self.filter.key()?;
        let missed = oracle
            .rows
            .iter()
            .filter(|(id, _)| self.rows.contains(id))
            .find(|(_, row)| !row[column].as_ref().is_some_and(|text| texts.contains(text)))?;
        let row = oracle.row(missed.0, self.filter.columns());
        Some((
            Wrong::Key,
            format!("the key {:?} {texts:?} misses a row that matches\n{row}", oracle.table.columns[column].name),
        ))
    }

    /// Whether a row says the same without the columns that it is said not to read.
    fn columns(&self, oracle: &Oracle) -> Option<(Wrong, String)> {
        let read = self.filter.columns();
        for (id, row) in &oracle.rows {
            let keep = |(at, value): (usize, &Option<Bytes>)| value.clone().filter(|_| read.contains(&at));
            let bare: Vec<_> = row.iter().enumerate().map(keep).collect();
            if self.filter.matches(&bare) != self.rows.contains(id) {
                return Some((
                    Wrong::Columns,
                    format!("it says that it reads {read:?} only; row {id} differs without the others"),
                ));
            }
        }
        None
    }
}

/// The smallest tree within this one that is wrong in the same way.
pub async fn shrink(oracle: &Oracle, judge: &Judge, tree: Tree, mismatch: Mismatch, by_text: bool) -> (Tree, Mismatch) {
    /// Enough for a tree of a dozen rules.
    const ROUNDS: usize = 40;
    const CANDIDATES: usize = 80;
    let mut best = (tree, mismatch);
    for _ in 0..ROUNDS {
        let mut candidates = best.0.smaller();
        let length = best.1.condition.theirs.len();
        candidates.retain(|tree| tree.class == "bool" && tree.condition().theirs.len() < length);
        candidates.sort_by_key(|tree| (tree.size(), tree.condition().theirs.len()));
        candidates.truncate(CANDIDATES);
        let Some(smaller) = first_wrong(oracle, judge, candidates, best.1.wrong, by_text).await else { break };
        best = smaller;
    }
    best
}

async fn first_wrong(
    oracle: &Oracle,
    judge: &Judge,
    candidates: Vec<Tree>,
    wrong: Wrong,
    by_text: bool,
) -> Option<(Tree, Mismatch)> {
    for some in candidates.chunks(16) {
        let all = judge_all(oracle, judge, some.iter().map(Tree::condition).collect(), by_text).await;
        for (tree, outcome) in some.iter().zip(all) {
            if let Outcome::Wrong(mismatch) = outcome
                && mismatch.wrong == wrong
            {
                return Some((tree.clone(), mismatch));
            }
        }
    }
    None
}

/// What came of a condition.
pub enum Outcome {
    /// The same as Postgres; whether it had a key.
    Same(bool),
    /// Refused, and what Postgres says, if it was asked.
    Refused(FilterError, Verdict),
    Wrong(Mismatch),
}

/// Judges conditions with one question to Postgres.
pub async fn judge_all(oracle: &Oracle, judge: &Judge, conditions: Vec<Condition>, by_text: bool) -> Vec<Outcome> {
    let taken: Vec<_> = conditions.iter().map(|condition| take(oracle, condition)).collect();
    let mut texts = Vec::new();
    for (condition, taken) in conditions.iter().zip(&taken) {
        texts.push(condition.theirs.as_str());
        if let Ok(Ok(taken)) = taken {
            texts.push(taken.filter.sql_to_run());
        }
    }
    let mut verdicts = judge.verdicts(&texts).await.into_iter();
    let mut outcomes = Vec::new();
    for (condition, taken) in conditions.iter().zip(taken.iter()) {
        let text = verdicts.next().expect("a verdict on each text");
        outcomes.push(match taken {
            Err(mismatch) => Outcome::Wrong(mismatch.clone()),
            Ok(Err(error)) => Outcome::Refused(error.clone(), text),
            Ok(Ok(taken)) => {
                let sql = verdicts.next().expect("a verdict on each printed text");
                let text = taken.settled(judge, text, &condition.theirs).await;
                let sql = taken.settled(judge, sql, taken.filter.sql_to_run()).await;
                let wrong = taken.judged(oracle, condition, by_text.then_some(&text), &sql);
                wrong.map_or_else(|| Outcome::Same(taken.filter.key().is_some()), Outcome::Wrong)
            }
        });
    }
    outcomes
}
