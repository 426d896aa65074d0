//! [`Budget`]: counts that must be exact over all workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many requests and sessions and no more, numbered from 0, whoever takes them.
#[derive(Debug)]
pub struct Budget {
    taken: AtomicU64,
    limit: u64,
    begun: AtomicU64,
    session_limit: u64,
}

/// Who numbers a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbered {
    /// The budget: it is the next one.
    Next,
    /// The strategy, each once, from 0.
    BySchedule(u64),
    /// The data set.
    ByData(u64),
}

impl Budget {
    /// A budget of so many requests and so many sessions; `None`: no limit.
    pub fn new(requests: Option<u64>, sessions: Option<u64>) -> Self {
        Self {
            taken: AtomicU64::new(0),
            limit: requests.unwrap_or(u64::MAX),
            begun: AtomicU64::new(0),
            session_limit: sessions.unwrap_or(u64::MAX),
        }
    }

    /// The number of the next request, if there is one left.
    pub fn request(&self) -> Option<u64> {
        // The counter may pass the limit by one per worker and ask; it cannot wrap.
        Some(self.taken.fetch_add(1, Relaxed)).filter(|number| *number < self.limit)
    }

    /// Begins a session: the numbers of its first request and its own, if both are to be had.
    pub(crate) fn begin(&self, number: Numbered) -> Option<(u64, u64)> {
        // What is limited is taken first, so that nothing is taken in vain: where sessions are, there is a request for
        // each of their turns, and where they are not, there is always another.
        if self.session_limit == u64::MAX {
            let request = self.request()?;
            Some((request, self.session(number)?))
        } else {
            let session = self.session(number)?;
            Some((self.request()?, session))
        }
    }

    fn session(&self, number: Numbered) -> Option<u64> {
        match number {
            Numbered::Next => Some(self.begun.fetch_add(1, Relaxed)).filter(|number| *number < self.session_limit),
            Numbered::BySchedule(number) => {
                self.begun.fetch_max(number.saturating_add(1), Relaxed);
                Some(number).filter(|number| *number < self.session_limit)
            }
            // The data set's numbers come in any order: so many begin.
            Numbered::ByData(number) => (self.begun.fetch_add(1, Relaxed) < self.session_limit).then_some(number),
        }
    }

    /// Sessions begun, or numbered by a strategy up to here.
    pub fn sessions(&self) -> u64 {
        self.begun.load(Relaxed).min(self.session_limit)
    }

    /// Whether every request was taken.
    pub fn is_spent(&self) -> bool {
        self.taken.load(Relaxed) >= self.limit
    }
}
