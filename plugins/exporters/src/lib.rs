//! The built-in exporters: what the user sees at the end of a run, and the files that scripts read.
//!
//! Each is a component like any third party's, registered by name: `console`, `json`, `csv`, `records`, `inputs`,
//! `gpu_telemetry`, `client_telemetry` and `server_metrics`.
//! The files follow AIPerf 0.13's names and schemas, so that scripts written for it go on working. Nothing here computes
//! a metric: exporters only say what the report holds, and leave out what it does not.

mod chunked;
mod clock;
mod console;
mod csv;
mod inputs;
mod json;
mod names;
mod numbers;
mod records;
mod samples;
mod server_metrics;
mod stats;
mod telemetry;
mod text;
mod title;

#[cfg(test)]
mod fixture;
