//! [`Failure`]: how a request failed, in kinds that a person can act on.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What happened, in the server's or the system's words where there are any.
    pub message: Cow<'static, str>,
}

impl Failure {
    /// A failure of `kind`.
    pub fn new(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// No connection could be made.
    Connect,
    /// A connection was made, and TLS could not be agreed upon.
    Tls,
    /// The request, or a stage of it, took longer than allowed.
    Timeout,
    /// The connection was reset or closed before the answer began.
    Reset,
    /// A status other than 2xx.
    HttpStatus,
    /// The server says that the prompt, or what it asks for, is longer than the model can take.
    ContextOverflow,
    /// An error reported inside a 200 answer.
    StreamError,
    /// The answer ended before it was complete.
    Truncated,
    /// The answer could not be read.
    Malformed,
    /// A complete answer without content.
    NoContent,
    /// The endpoint component failed.
    Plugin,
    /// Stopped by the user or by the end of the grace period.
    Cancelled,
    /// Its time came and went without a slot.
    Dropped,
}

impl FailureKind {
    /// Its name in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::HttpStatus => "http_status",
            Self::ContextOverflow => "context_overflow",
            Self::StreamError => "stream_error",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NoContent => "no_content",
            Self::Plugin => "plugin",
            Self::Cancelled => "cancelled",
            Self::Dropped => "dropped",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}
