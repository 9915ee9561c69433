//! Waiting for a condition: never a sleep and a hope.

use std::fmt::Debug;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const POLL: Duration = Duration::from_millis(10);

/// Asks `check` until it answers `Ok`, and gives that answer.
///
/// An `Err` is what was seen instead. Panics after `deadline` with `what` was waited for and what was seen last; a check that hangs is
/// cut off at the deadline too.
///
/// ```ignore
/// let rows = eventually(Duration::from_secs(10), "three parts", async || {
///     let rows = parts(&client).await;
///     if rows.len() == 3 { Ok(rows) } else { Err(rows) }
/// }).await;
/// ```
#[track_caller]
pub fn eventually<T, S: Debug>(
    deadline: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, S>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut seen: Option<S> = None;
        loop {
            match timeout_at(end, check()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(other)) => seen = Some(other),
                Err(_) => break,
            }
            if Instant::now() >= end {
                break;
            }
            sleep(POLL).await;
        }
        match seen {
            Some(seen) => panic!("{caller}: waited {deadline:?} for {what}; last saw {seen:#?}"),
            None => panic!("{caller}: waited {deadline:?} for {what}; the first look did not end"),
        }
    }
}

#[tokio::test]
async fn waiting_ends_with_the_answer_or_says_what_was_seen() {
    let mut asked = 0;
    let answer = eventually(Duration::from_secs(5), "the third look", async || {
        asked += 1;
        if asked == 3 { Ok(asked) } else { Err(asked) }
    });
    assert_eq!(answer.await, 3);

    let late = eventually(Duration::from_millis(50), "a pink elephant", async || Err::<(), _>("a grey one"));
    let message = panic_of(late).await;
    assert!(message.contains("a pink elephant; last saw \"a grey one\""), "{message}");

    let stuck = eventually(Duration::from_millis(50), "an answer", async || pending::<Result<(), ()>>().await);
    let message = panic_of(stuck).await;
    assert!(message.contains("the first look did not end"), "{message}");
}

async fn panic_of(waiting: impl Future<Output = ()> + 'static) -> String {
    let local = tokio::task::LocalSet::new();
    let error = local.run_until(async { tokio::task::spawn_local(waiting).await }).await.expect_err("a panic");
    *error.into_panic().downcast::<String>().expect("a message")
}
