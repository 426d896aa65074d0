//! What is typed, what will happen, and what was found: the values that the other crates pass around. No behaviour
//! beyond validation.
//!
//! [`config::RawConfig`] (as typed) → [`resolve::resolve`] → [`plan::Plan`] (as it will happen) → [`Row`] (as it did).

mod clock;
pub mod config;
mod error;
mod failure;
pub mod file;
pub mod plan;
pub mod resolve;
mod row;
pub mod secret;
mod telemetry;
#[cfg(test)]
mod testing;
pub mod values;

pub use clock::Clock;
pub use error::{ConfigError, ExitCode};
pub use failure::{Failure, FailureKind};
pub use row::Row;
