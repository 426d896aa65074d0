//! When requests are sent: what turns a load schedule into sends at the right moment.
//!
//! This crate knows time and order. It opens no connection and computes no metric.

mod budget;
mod pump;
mod sampler;
pub mod timer;

pub use budget::Budget;
pub use pump::{Action, Arrival, LEEWAY_NS, Pump};
pub use sampler::Sampler;
