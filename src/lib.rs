//! Agents write sessions, messages and parts; every browser that watches a session sees them at once.

pub mod shape;
