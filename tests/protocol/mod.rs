//! The numbered statements of the protocol (§14), by raw requests to the real binary.

mod lifecycle;
