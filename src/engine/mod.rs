//! The embedded shape engine: Postgres changes in, shape logs out.

pub mod replication;
pub mod tables;
