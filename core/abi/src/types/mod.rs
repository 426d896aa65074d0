//! The `repr(C)` values that cross a plugin boundary.
//!
//! They are frozen: fields are never added, moved or given another meaning. Room for growth is in the reserved words,
//! which are zero until a later minor version names them.

mod answer;
mod error;
mod record;
mod request;
mod telemetry;
mod timing;

pub use answer::{Answer, Delta, Event, NO_COUNT, Reply, Span, delta_flags};
pub use error::{Error, ErrorKind, Result};
pub use record::{ABSENT_NS, Outcome, Record};
pub use request::{Header, Message, Outgoing, Part, PartKind, Request, Turn, request_flags};
pub use telemetry::{Catalogue, Collection, Entity, Metric, MetricKind, Sample, Subject};
pub use timing::{ANY_SESSION, Flow, Load, PhaseSpec, Step, StepKind, TurnTime, step_flags};
