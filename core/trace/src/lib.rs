//! What a trace is made of: the statistics of its times, lengths, shared prefixes and conversations, and a trace written
//! anew.
//!
//! This crate is pure: outlines of sessions go in, figures or lines come out. It opens no file, knows no format but the
//! one it writes, and lays nothing out for people.
//!
//! - [`Trace`] takes the outlines that a data set loader gives, whatever the loader.
//! - [`analyze`] makes a [`Report`] of it.
//! - [`write_mooncake`] writes it as a Mooncake trace.
//!
//! What is not in the data is absent, never zero. The same trace gives the same report and the same bytes.

mod arrivals;
mod conversations;
mod lengths;
mod mooncake;
mod prefix;
mod recency;
mod report;
mod schedule;
mod spread;
mod trace;
mod tree;

pub use arrivals::Arrivals;
pub use conversations::{Conversations, TurnFigures};
pub use lengths::{Bin, Lengths};
pub use mooncake::{MooncakeError, write_mooncake};
pub use prefix::{CacheNeeds, CachePoint, Prefix};
pub use report::{Report, analyze};
pub use spread::Spread;
pub use trace::Trace;
