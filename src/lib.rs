//! Agents write sessions, messages and parts; every browser that watches a session sees them at once.

pub mod config;
pub mod engine;
pub mod local_postgres;
pub mod postgres;
pub mod shape;
pub mod telemetry;
