//! [`Room`]: the slots of a rehearsal, on its own clock. They grow as those of a run do.

/// So many slots. Times are nanoseconds since the phase began.
#[derive(Debug)]
pub(super) struct Room {
    count: u64,
    /// Time in which they grow from one to all; 0: all are there from the first.
    ramp_ns: u64,
    taken: u64,
}

impl Room {
    pub(super) fn new(count: u64, ramp_ns: u64) -> Self {
        Self { count, ramp_ns, taken: 0 }
    }

    /// Takes a slot, if one is free.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let is_free = self.taken < self.grown(now);
        self.taken += u64::from(is_free);
        is_free
    }

    pub(super) fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// When the next one grows, if one does.
    pub(super) fn grows_at(&self, now: u64) -> Option<u64> {
        let next = self.grown(now);
        (next < self.count).then(|| (u128::from(self.ramp_ns) * u128::from(next) / u128::from(self.count - 1)) as u64)
    }

    /// How many there are: slot k of n comes k / (n - 1) of the ramp after the beginning, in whole nanoseconds.
    fn grown(&self, now: u64) -> u64 {
        if self.ramp_ns == 0 || self.count <= 1 {
            return self.count;
        }
        let others = u128::from(self.count - 1);
        let grown = ((u128::from(now) + 1) * others - 1) / u128::from(self.ramp_ns);
        1 + grown.min(others) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_grow_one_after_another_at_the_times_that_are_told() {
        for (count, ramp_ns) in [(1, 9), (2, 10), (5, 2_000_000), (7, 3), (64, 1_000_000_007)] {
            let room = Room::new(count, ramp_ns);
            let (mut now, mut grown) = (0, room.grown(0));
            while let Some(at) = room.grows_at(now) {
                assert!(at > now && room.grown(at - 1) == grown, "{count} in {ramp_ns}: {grown} at {now}");
                (now, grown) = (at, room.grown(at));
            }
            assert!(grown == count && now <= ramp_ns, "{grown} of {count} at {now}");
        }
        assert_eq!(Room::new(5, 2_000_000).grows_at(0), Some(500_000));
    }

    #[test]
    fn a_slot_is_taken_once() {
        let mut room = Room::new(2, 0);
        assert_eq!([room.take(0), room.take(0), room.take(9)], [true, true, false]);
        room.give_back();
        assert!(room.take(9) && !room.take(9));
        assert_eq!(room.grows_at(9), None);
    }
}
