//! The connection that changes come by is cut in the middle of a large transaction, again and again.

use super::load::make_table;
use super::program::Program;
use super::reader::{Follower, Live};
use super::wire::Wire;
use super::{DEADLINE, seeded};
use crate::support::{Database, eventually};

const CUTS: usize = 4;
/// The transaction is several times as large as what is let through before a cut.
const TRANSACTION: &str = "BEGIN; \
    INSERT INTO items SELECT i, i % 5, 1, repeat('y', 200) FROM generate_series(1000, 11000) i; \
    UPDATE items SET owner = owner + 1 WHERE id >= 1000 AND id % 3 = 0; \
    DELETE FROM items WHERE id >= 1000 AND id % 10 = 0; \
    COMMIT";
const MOST_BYTES: usize = 1 << 20;

#[actix_web::test]
async fn a_transaction_whose_stream_is_cut_arrives_once() {
    let mut random = seeded();
    let database = Database::fresh().await;
    let client = database.connect().await;
    make_table(&client).await;
    let wire = Wire::to(database.url()).await;
    let engine = Program::engine(&wire.url(database.url()), database.url()).await;
    let mut followers = Vec::new();
    for (condition, live) in [("true", Live::Poll), ("true", Live::Sse), ("owner = 3", Live::Poll)] {
        followers.push(Follower::start(&engine.address(), "items", condition, live).await);
    }
    engine.until("active").await;
    wire.cut_after(1 + random.below(MOST_BYTES));
    client.batch_execute(TRANSACTION).await.expect("a transaction");
    for cut in 0..CUTS {
        eventually(DEADLINE, "a cut", async || if wire.has_cut() { Ok(()) } else { Err(cut) }).await;
        if cut + 1 < CUTS {
            wire.cut_after(1 + random.below(MOST_BYTES));
        }
    }
    client.batch_execute("INSERT INTO items VALUES (20000, 3, 1, 'last')").await.expect("a row");
    for follower in &mut followers {
        follower.until_equal(&client).await;
        assert_eq!(follower.state.borrow().broken, 0);
    }
    let changes: Vec<usize> = followers.iter().map(|follower| follower.state.borrow().changes).collect();
    // 10,001 inserts, 3,333 updates, 1,001 deletes, and the last row.
    assert_eq!(changes[..2], [14_336, 14_336], "{changes:?}");
    engine.assert_quiet(&["no replication stream"]);
}
