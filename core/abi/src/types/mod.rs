//! The `repr(C)` values that cross a plugin boundary.
//!
//! They are frozen: fields are never added, moved or given another meaning. Room for growth is in the reserved words,
//! which are zero until a later minor version names them.

mod answer;
mod dataset;
mod error;
mod exchange;
mod record;
mod request;
mod telemetry;
mod timing;

pub use answer::{Answer, Delta, Event, NO_COUNT, Reply, Span, UsageDetail, UsageDetails, answer_flags, delta_flags};
pub use dataset::{BEFORE_FIRST, Branch, NO_TURN, Outline, branch_flags};
pub use error::{Error, ErrorKind, Result};
pub use exchange::{Exchange, Field, Header, Outgoing};
pub use record::{ABSENT_NS, Outcome, Record};
pub use request::{Message, Part, PartKind, Request, Turn, request_flags, turn_flags};
pub use telemetry::{Catalogue, Collection, Entity, Metric, MetricKind, Sample, Subject};
pub use timing::{ANY_SESSION, Flow, Load, PhaseSpec, Step, StepKind, TurnTime, step_flags};
