//! What a workload is: what is asked of whom, and which figures are taken of it.

use crate::bench::figures::Figure;
use crate::bench::trial::Client::{self, Bare, BareOnTwo, Ours};

/// When requests are sent.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// So many in flight.
    Closed(usize),
    /// So many a second, evenly spaced.
    Constant(f64),
    /// So many a second, as a Poisson process.
    Poisson(f64),
}

impl Pace {
    pub(super) fn rate(self) -> Option<f64> {
        match self {
            Self::Closed(_) => None,
            Self::Constant(rate) | Self::Poisson(rate) => Some(rate),
        }
    }
}

/// One load on one server.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Flags of the server.
    pub(super) mock: &'static [&'static str],
    /// So many other programs keep a core busy each.
    pub(super) burners: usize,
    /// Flags of the program beside those that say the load.
    pub(super) ours: &'static [&'static str],
    pub(super) streams: bool,
    /// Tokens of every answer.
    pub(super) tokens: usize,
    pub(super) pace: Pace,
    pub(super) requests: usize,
    /// The same with `--quick`; those without are left out.
    pub(super) quick: Option<usize>,
    /// Trials of each client in one run: more where a trial is short.
    pub(super) repeat: usize,
    /// Whether every request is held against the server's log.
    pub(super) joins: bool,
    /// So many of the first are left out of that: they are sent all at once, which is not what the workload is about.
    pub(super) skips: usize,
    /// The longest that a client may take, in seconds.
    pub(super) limit_s: u64,
    pub(super) figures: &'static [Figure],
}

impl Workload {
    /// Who runs it: the program, and whoever its figures are compared with.
    pub(super) fn clients(&self) -> Vec<Client> {
        let is_wanted = |client: &Client| *client == Ours || self.figures.iter().any(|figure| figure.rival == *client);
        [Ours, Bare, BareOnTwo].into_iter().filter(is_wanted).collect()
    }
}
