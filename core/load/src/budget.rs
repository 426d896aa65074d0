//! [`Budget`]: counts that must be exact over all workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many requests and no more, numbered from 0, whoever takes them.
#[derive(Debug)]
pub struct Budget {
    taken: AtomicU64,
    limit: u64,
    sessions: AtomicU64,
}

impl Budget {
    /// A budget of `limit` requests; `None`: no limit.
    pub fn new(limit: Option<u64>) -> Self {
        Self { taken: AtomicU64::new(0), limit: limit.unwrap_or(u64::MAX), sessions: AtomicU64::new(0) }
    }

    /// The number of the next request, if there is one left.
    pub fn request(&self) -> Option<u64> {
        // The counter may pass the limit by one per worker and ask; it cannot wrap.
        Some(self.taken.fetch_add(1, Relaxed)).filter(|number| *number < self.limit)
    }

    /// The number of the next session.
    pub(crate) fn session(&self) -> u64 {
        self.sessions.fetch_add(1, Relaxed)
    }

    /// Whether every request was taken.
    pub fn is_spent(&self) -> bool {
        self.taken.load(Relaxed) >= self.limit
    }
}
