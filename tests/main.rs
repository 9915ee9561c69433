//! The one test program: the real binary against a real Postgres, each test with a database of its own.
//!
//! `make test` starts one cluster for all of it (`examples/with_postgres.rs`); `cargo test` alone starts one for each process.

mod agent_state;
mod auth;
mod commands;
mod engine;
mod faults;
mod filter;
mod fuzz;
mod instances;
mod language;
mod protocol;
mod proxy;
mod replication;
mod subscriptions;
mod support;
mod viewer;
