//! The mock server as its clients see it, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apis;
mod faults;
mod habits;
mod routes;
mod support;
mod telemetry;
