//! Agents write sessions, messages and parts; every browser that watches a session sees them at once.

pub mod admission;
pub mod auth;
pub mod config;
pub mod db;
pub mod demo;
pub mod engine;
pub mod error;
pub mod http;
pub mod ids;
pub mod instances;
pub mod json;
pub mod listener;
pub mod local_postgres;
pub mod postgres;
pub mod proxy;
pub mod server;
pub mod shape;
pub mod source;
pub mod subscription;
pub mod telemetry;
pub mod writer;
