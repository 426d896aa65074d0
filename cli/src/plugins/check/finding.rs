//! What a check found: the words that the child process, the report and the installer share.

use serde::{Deserialize, Serialize};

/// What is tried of a library before its components are put to the laws of their kinds.
pub(in crate::plugins) const OPENS: &str = "opens, and registers what it declares";
/// What opening it must not change: the working directory, signals, standard streams; nor may it print.
pub(in crate::plugins) const AS_IT_WAS: &str = "leaves the process that opens it as it was";

/// What is tried of a component for which no options were given.
pub(in crate::plugins) const BY_DEFAULT: &str = "can be made with default options";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::plugins) enum Outcome {
    /// All is well.
    Ok,
    /// The library is not to be used as it is.
    Failed,
    /// It could not be tried, which says nothing against the library.
    Skipped,
}

/// What a failure of a check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::plugins) enum Weight {
    /// The library cannot be used, or may end the program that uses it.
    Safety,
    /// A component does not behave as hosts rely on.
    Law,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::plugins) struct Finding {
    /// What has to be so.
    pub(in crate::plugins) check: String,
    pub(in crate::plugins) outcome: Outcome,
    pub(in crate::plugins) weight: Weight,
    /// Why it failed or was skipped, or what was seen; may be empty.
    pub(in crate::plugins) detail: String,
}

/// A line from the child process to its parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::plugins) enum Message {
    /// A check begins. If nothing follows, it was the last thing that the process did.
    Begins(String),
    /// It ended.
    Found(Finding),
    /// The schema of the component's options.
    Schema(serde_json::Value),
    /// All checks were made.
    Done,
}
