//! The engine: makes a plan happen. Prepares everything, runs the phases on worker threads, counts, judges and exports.
//!
//! [`Prepared::new`] does all that can fail before the first request; [`Prepared::run`] sends; [`Finished`] is what was
//! found. A [`Dialogue`] makes one request at a time, and measures it alike. Nothing here prints, and nothing but an
//! exporter writes a result file.

mod artifacts;
mod base;
mod control;
mod data;
mod descriptors;
mod dialogue;
mod endpoint;
mod error;
mod exchanges;
mod export;
mod failures;
mod fanout;
mod finished;
mod flight;
mod input_config;
mod job;
mod pace;
mod precision;
mod prepared;
mod preview;
mod prompt;
mod reading;
mod ready;
mod record;
mod records;
mod refusal;
mod rehearsal;
mod report;
mod route;
mod segment;
mod server;
mod session;
mod share;
mod slots;
mod speaker;
mod spill;
mod store;
mod tally;
mod telemetry;
mod text;
mod totals;
mod verdict;
mod worker;

pub use control::{Control, Snapshot};
pub use dialogue::{Answered, Dialogue, Figures, Piece, Question, Utterance};
pub use error::EngineError;
pub use export::Exporters;
pub use finished::Finished;
pub use prepared::{Invocation, Prepared};
pub use preview::Preview;
pub use rehearsal::Planned;
