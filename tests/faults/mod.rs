//! What breaks while readers follow: the program, its connections, and Postgres itself. In all of it a reader
//! sees each change once and in order, and ends up with what Postgres has.
//!
//! Moments are random. The seed is printed; `PLUE_TEST_SEED` sets it.

mod cuts;
mod history;
mod load;
mod outages;
mod posts;
mod program;
mod reader;
mod refusals;
mod restarts;
mod server;
mod stop;
mod takeover;
mod wire;
mod writes;

use std::time::Duration;

use crate::support::Random;

/// For whatever has to happen by itself. Other tests run on the same machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Choices by a seed that is printed.
fn seeded() -> Random {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    Random::new(seed, 0)
}

/// Lets a random time pass, between so many milliseconds and so many.
async fn pass_time(random: &mut Random, from: usize, to: usize) -> Duration {
    let time = Duration::from_millis((from + random.below(to - from)) as u64);
    tokio::time::sleep(time).await;
    time
}
