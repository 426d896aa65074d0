//! [`Window`]: the one stretch of time that rates divide by.

use inferometer_abi::types::{ABSENT_NS, Outcome};
use inferometer_model::Row;

/// From the first intended send to the last end of a request, over all arrivals that got a slot, failures included.
/// Nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First intended send.
    pub start_ns: u64,
    /// Last end of a request.
    pub end_ns: u64,
}

impl Window {
    /// Its length in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.duration_ns() as f64 / 1e9
    }

    /// The window of one request; none for an arrival that was never sent.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        if row.outcome == Outcome::DROPPED || row.permitted == ABSENT_NS {
            return None;
        }
        let start_ns = row.intended.min(row.permitted);
        let reached = [row.permitted, row.last, row.last_byte, row.end];
        let end_ns = reached.into_iter().filter(|&stamp| stamp != ABSENT_NS).max()?;
        Some(Self { start_ns, end_ns })
    }

    /// The smallest window that holds both.
    pub(crate) fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(a), Some(b)) => Some(Self { start_ns: a.start_ns.min(b.start_ns), end_ns: a.end_ns.max(b.end_ns) }),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::answered;

    #[test]
    fn it_runs_from_the_first_intended_send_to_the_last_end() {
        let early = Row { intended: 5, permitted: 10, end: 90, last: 80, last_byte: 90, ..answered() };
        let failed = Row { intended: 7, permitted: 7, end: 95, outcome: Outcome::ERROR, ..Row::EMPTY };
        let both = Window::join(Window::of(&early), Window::of(&failed));
        assert_eq!(both, Some(Window { start_ns: 5, end_ns: 95 }));
    }

    #[test]
    fn arrivals_that_were_never_sent_do_not_count() {
        let dropped = Row { intended: 5, end: 50, outcome: Outcome::DROPPED, ..Row::EMPTY };
        let stopped_in_the_queue = Row { intended: 5, end: 50, outcome: Outcome::CANCELLED, ..Row::EMPTY };
        assert_eq!(Window::of(&dropped), None);
        assert_eq!(Window::of(&stopped_in_the_queue), None);
    }
}
