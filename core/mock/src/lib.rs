//! The calibrated mock inference server: the routes of every API, answered with made-up text at exact times.
//!
//! It is what a benchmark is tested and demonstrated against. It keeps its times to tens of microseconds, logs what it
//! really did (the truth log), counts its tokens exactly, and misbehaves on request in every way a server can.
//! `inferometer mock` runs it; tests start it in their own process:
//!
//! ```
//! use inferometer_mock::{MockConfig, MockServer};
//!
//! let server = MockServer::start(MockConfig { port: 0, osl: 16, ..MockConfig::default() })?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! server.stop()?;
//! # Ok::<(), inferometer_mock::MockError>(())
//! ```
//!
//! Its pages for telemetry follow from the same truth: `/metrics` shows its own counters and a set of vLLM's under
//! vLLM's names, `/dcgm/metrics` what NVIDIA's dcgm-exporter would show of GPUs that do not exist (`--gpus`). All of them
//! draw their idle watts at any time and their busy watts on top while at least one request is being answered: between
//! the `received_ns` and the `ended_ns` of any line of the truth log.
//!
//! A request says by its path which API it speaks, and is answered in it: OpenAI's, Anthropic's, Gemini's, Cohere's,
//! Ollama's, Hugging Face's, Triton's, rankings, pictures, videos, transcripts. Timing, faults and the truth log are the
//! same for all. Where real servers of one API differ, a [`Habit`] chooses.
//!
//! It is no model: an answer is common English words of one token each. The tokens of a prompt are those of
//! `o200k_base`, counted over all text of the request, its pieces joined by one blank, without a chat template: roles
//! and the marks between messages, which a real server adds, are not counted. Bodies depend on the request and the seed only; even `created` is a constant.

mod ask;
mod config;
mod connection;
mod dialects;
mod embeddings;
mod exchange;
mod faults;
mod fill;
mod form;
mod framing;
mod habits;
mod http;
mod images;
mod outlet;
mod pages;
mod prompt;
mod rankings;
mod refusal;
mod reply;
mod routes;
mod server;
mod sse;
mod telemetry;
mod tell;
mod truth;
mod videos;
mod words;

pub use config::MockConfig;
pub use habits::Habit;
pub use server::MockServer;

use std::io;
use std::path::PathBuf;

/// Why the mock server could not be started, or what went wrong in the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// An option's value cannot be served.
    #[error("{option} {value} cannot be used: give {wanted}")]
    Option {
        /// The option as it is typed.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        wanted: String,
    },
    /// The rates of faults that exclude each other exceed 1.
    #[error(
        "the rates of errors, resets, truncations, malformed answers and stream errors add up to {sum}: \
         a request meets at most one of them, lower the rates until their sum is at most 1"
    )]
    TooManyFaults {
        /// What they add up to.
        sum: f64,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another --host or --port (0 takes any free port)")]
    Bind {
        /// Host and port as configured.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A server thread, its runtime or its timer could not be created.
    #[error("cannot start a server thread: {source}; lower --threads or raise the limits of this process")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
    /// The truth log cannot be created or written.
    #[error("cannot write the truth log {}: {source}; choose another --truth-log", path.display())]
    TruthLog {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
