//! The write path over HTTP: what agents send, what Postgres then holds, and what they are told.

mod bad_input;
mod faults;
mod history;
mod messages;
mod migrations;
mod parts;
mod replace;
mod sessions;
mod together;
