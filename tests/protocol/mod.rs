//! The protocol's checklist, statement by statement, against the real program.
//!
//! The shape protocol's description ends with 280 statements that can be tested. Each is tested by its number: `c047_…` tests statement
//! 47, and `c047_c048_…` tests both, where one engine and a few requests serve for several. `docs/PROTOCOL.md` lists all of them with
//! their tests, and says where and why we differ. [`table`] fails where the list and the tests do not agree.
//!
//! Written from the description alone: where a test and the code disagree, the description decides. Requests are written to the socket as
//! they are ([`raw`]), so that no client library tidies a path, a header or a body.

mod admission;
mod changes;
mod columns;
mod conditions;
mod deletion;
mod endpoints;
mod filters;
mod lifecycle;
mod live;
mod log;
mod parameters;
mod posts;
mod raw;
mod schema;
mod secret;
mod server;
mod snapshot;
mod sse;
mod subqueries;
mod subsets;
mod table;
mod values;
mod waits;

use std::time::Duration;

use self::raw::{Http, encoded};
use self::server::{Server, Tail, kinds};

/// For anything that shall happen soon, on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(60);
/// Less than a held request is held for: what comes within this time was not held.
const AT_ONCE: Duration = Duration::from_secs(15);
/// The table that the checklist speaks of.
const ITEMS: &str = "CREATE TABLE items (id uuid PRIMARY KEY, value text);";
/// Ids of rows.
const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";
const C: &str = "00000000-0000-0000-0000-00000000000c";

/// Statements that insert a row of `items`.
fn insert(id: &str, value: &str) -> String {
    format!("INSERT INTO items VALUES ('{id}', '{value}');")
}

/// The key of a row of `items`.
fn key(id: &str) -> String {
    format!(r#""public"."items"/"{id}""#)
}
