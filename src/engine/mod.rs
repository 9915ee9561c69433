//! The embedded shape engine: Postgres changes in, shape logs out.

pub mod filter;
pub mod replication;
pub mod tables;
