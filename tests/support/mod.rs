//! What integration tests stand on: databases, clusters, the binary, and waiting for a condition.

#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

mod api;
mod binary;
mod eventually;
mod link;
mod postgres;
mod random;
mod reader;
mod relay;
mod shape;
mod tags;

pub use api::{Answer, Api};
pub use binary::Binary;
pub use eventually::eventually;
pub use link::{Cut, Link};
pub use postgres::{Database, OwnCluster};
pub use random::Random;
pub use reader::{Position, Reader};
pub use relay::{Counts, Fault, Relay};
pub use shape::{Engine, Event, Events, Message, Reply, Row, Shape};
