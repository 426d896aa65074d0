//! What the numbers mean: the definitions of all metrics, and their statistics over a phase.
//!
//! This crate is pure: rows and readings go in, figures come out. It reads no clock, does no I/O and formats nothing. Tags, units and
//! formulas are those of AIPerf; where one of its formulas is wrong, the definition here says what is done instead.
//!
//! - [`catalogue`] and [`values`] are the metrics of single requests: what they are called, and what they are for one row.
//! - [`Summary`] takes the rows of a phase, merges with the summaries of other workers or machines, and finishes into
//!   [`PhaseMetrics`]. Neither the order of the rows nor how they were divided changes a single bit of the result. It is
//!   exact up to [`EXACT_REQUESTS`], and takes no more memory beyond.
//! - [`stats::of`] are the statistics of any values.
//! - [`Slos`] are service-level objectives, for goodput.
//! - [`telemetry`] says what readings of hardware and servers mean for a phase.
//!
//! Three rules hold throughout. What was not measured is absent, never zero. Failed and cancelled requests never enter
//! the statistics of successes. All rates divide by one [`Window`], which is also what `benchmark_duration` reports.

mod context;
mod counted;
mod curves;
mod definitions;
mod options;
mod requests;
mod slo;
pub mod stats;
mod summary;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod times;
mod totals;
mod values;
mod window;

pub use options::{Options, TokenSource};
pub use requests::EXACT_REQUESTS;
pub use slo::{SloError, Slos};
pub use summary::{PhaseMetrics, Summary};
pub use times::Times;
pub use totals::context_overflows;
pub use values::{catalogue, values};
pub use window::Window;
