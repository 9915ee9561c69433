//! What integration tests stand on: databases, clusters, the binary, and waiting for a condition.

#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

mod api;
mod binary;
mod eventually;
mod first;
mod link;
mod postgres;
mod random;
mod reader;
mod relay;
mod shape;
mod source;
mod tags;

/// Two tables for conditions with subqueries: rows of one refer to rows of the other.
pub const FAMILY: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, value int, name text);
    CREATE TABLE child (id int PRIMARY KEY, parent_id int, note text);
    INSERT INTO parent VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c');
    INSERT INTO child VALUES (10, 1, 'x'), (20, 2, 'y'), (30, 3, 'z'), (40, NULL, 'n');";

pub use api::{Answer, Api};
pub use binary::Binary;
pub use eventually::eventually;
pub use first::First;
pub use link::{Cut, Link};
pub use postgres::{Database, OwnCluster};
pub use random::Random;
pub use reader::{Position, Reader};
pub use relay::{Counts, Fault, Relay};
pub use shape::{Engine, Event, Events, Message, Reply, Row, Shape};
pub use source::Source;
pub(crate) use source::with_both_sources;
pub use tags::Tags;
