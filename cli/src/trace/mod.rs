//! `analyze-trace` and `synthesize`: what a trace is made of, and a changed copy of it.
//!
//! Both read outlines, so they work with every data set loader, a stranger's too. What is said of a trace is
//! `inferometer_trace`'s matter; here it is read, and shown.

mod analyze;
mod args;
mod count;
mod numbers;
mod page;
mod source;
mod synthesize;

pub(crate) use analyze::run as analyze;
pub(crate) use args::{AnalyzeTraceArgs, SynthesizeArgs};
pub(crate) use synthesize::run as synthesize;
