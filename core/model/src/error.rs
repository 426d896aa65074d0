//! The error of a setting, and the exit codes.

/// A setting that cannot be used: the thing, the reason and the remedy, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The error of a setting that cannot be used.
pub(crate) fn refuse<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::new(text))
}

/// How the program ends. Scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// All is well.
    Ok = 0,
    /// A bug or a full disk: not the user's doing.
    Internal = 1,
    /// Usage or configuration.
    Usage = 2,
    /// The endpoint could not be reached or used; nothing was measured.
    Unreachable = 3,
    /// More requests failed than allowed.
    ErrorRate = 4,
    /// An objective or threshold was not met.
    Objective = 5,
    /// The measurement is not to be believed.
    Invalid = 6,
    /// Interrupted by the user; results were written.
    Interrupted = 130,
}
