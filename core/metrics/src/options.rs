//! [`Options`]: what decides which metrics exist in a run. Not the plan of the run, only the part metrics depend on.

use crate::Slos;

/// Which count of tokens is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// What the server reports; the local tokenizer where it reports nothing.
    #[default]
    ServerFirst,
    /// Only what the server reports (`--use-server-token-count`).
    ServerOnly,
    /// Only what the local tokenizer counts.
    LocalOnly,
}

/// What decides which metrics exist in a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether answers arrive in pieces; without it there is no first token to time.
    pub streaming: bool,
    /// Whether the endpoint's answers are made of tokens.
    pub produces_tokens: bool,
    /// Whether the endpoint's requests are made of tokens.
    pub tokenizes_input: bool,
    /// Which count of tokens is believed.
    pub token_source: TokenSource,
    /// Whether requests are sent by a schedule that does not wait for answers. Objectives are then judged from the time
    /// the schedule wanted a request sent: a server that makes requests queue does not get that time for free.
    pub open_loop: bool,
    /// Objectives for goodput, if there are any.
    pub slos: Option<Slos>,
}
