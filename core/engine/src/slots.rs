//! [`Slots`]: leave to be in flight, over all workers, with its growth at the beginning of a phase.

use inferometer_load::timer::Timers;
use inferometer_model::Clock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A slot, until it is dropped.
pub(crate) type Slot<'a> = SemaphorePermit<'a>;

/// So many slots.
#[derive(Debug)]
pub(crate) struct Slots {
    semaphore: Semaphore,
    count: u64,
    /// Time in which they grow from one to all, in nanoseconds.
    ramp_ns: u64,
    /// How many there are.
    grown: AtomicU64,
}

impl Slots {
    /// `count` slots, of which one is there at first if they are to grow.
    pub(crate) fn new(count: u64, ramp_ns: u64) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS as u64);
        let at_first = if ramp_ns == 0 { count } else { 1 };
        Self { semaphore: Semaphore::new(at_first as usize), count, ramp_ns, grown: AtomicU64::new(at_first) }
    }

    /// A slot as soon as there is one; whoever waits longest gets it first.
    pub(crate) async fn take(&self) -> Option<Slot<'_>> {
        self.semaphore.acquire().await.ok()
    }

    /// A slot if there is one and nobody waits for it.
    pub(crate) fn try_take(&self) -> Option<Slot<'_>> {
        self.semaphore.try_acquire().ok()
    }

    /// Whether they grow.
    pub(crate) fn is_ramped(&self) -> bool {
        self.ramp_ns > 0
    }

    /// Lets them grow from `start_ns` on. Every worker does so, since each may end before the others: the first to come to
    /// a slot adds it.
    pub(crate) async fn grow(&self, clock: Clock, timers: &Timers, start_ns: u64) {
        for slot in 1..self.count {
            let after = u128::from(self.ramp_ns) * u128::from(slot) / u128::from(self.count - 1).max(1);
            timers.sleep_until(clock.instant(start_ns.saturating_add(after as u64))).await;
            if self.grown.compare_exchange(slot, slot + 1, SeqCst, SeqCst).is_ok() {
                self.semaphore.add_permits(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_grow_begin_with_one_and_others_are_all_there() {
        for (slots, at_first, is_ramped) in [(Slots::new(3, 0), 3, false), (Slots::new(3, 1_000), 1, true)] {
            let held: Vec<_> = std::iter::from_fn(|| slots.try_take()).collect();
            assert_eq!((held.len(), slots.is_ramped()), (at_first, is_ramped));
        }
    }

    #[test]
    fn they_have_grown_to_all_when_the_ramp_is_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let slots = Slots::new(5, 2_000_000);
        runtime.block_on(async {
            let (timers, driver) = Timers::new().unwrap();
            let clock = Clock::start();
            let begun = clock.now();
            let by_two = async {
                tokio::join!(slots.grow(clock, &timers, begun), slots.grow(clock, &timers, begun));
            };
            tokio::select! {
                () = by_two => {}
                () = driver => {}
            }
            assert!(clock.now() - begun >= 2_000_000);
            assert_eq!(slots.semaphore.available_permits(), 5);
        });
    }
}
