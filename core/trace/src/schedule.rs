//! The order of a trace's requests in time.

use crate::Trace;

/// All requests in order of time, and how well that is known.
pub(crate) struct Schedule {
    /// Those whose time is known first; others, and those of one time, as the data set has them.
    pub(crate) order: Vec<Placed>,
    /// Requests whose time follows from the turn before them.
    pub(crate) inferred: u64,
}

/// A request with its place in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Which turn of the trace it is.
    pub(crate) turn: usize,
    /// Its place in its session, from 0.
    pub(crate) number: usize,
    /// When it is sent.
    pub(crate) time_ns: Option<u64>,
}

impl Schedule {
    /// A turn without a time of its own comes its delay after the turn before it, as if answers took no time, since a trace
    /// cannot know how long they will take; and no turn comes before the one before it.
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut order = Vec::with_capacity(trace.requests());
        let mut inferred = 0;
        for (turns, _) in trace.each_session() {
            let mut before: Option<u64> = None;
            for (number, turn) in turns.enumerate() {
                let outline = &trace.turns()[turn];
                let time_ns = match (outline.timestamp_ns(), before) {
                    (Some(own), Some(before)) => Some(own.max(before)),
                    (Some(own), None) => Some(own),
                    (None, Some(before)) => {
                        inferred += 1;
                        Some(before.saturating_add(outline.time.delay_ns))
                    }
                    (None, None) => None,
                };
                order.push(Placed { turn, number, time_ns });
                before = time_ns;
            }
        }
        order.sort_by_key(|placed| (placed.time_ns.is_none(), placed.time_ns));
        Self { order, inferred }
    }

    /// The known times, rising.
    pub(crate) fn times_ns(&self) -> impl Iterator<Item = u64> {
        self.order.iter().map_while(|placed| placed.time_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::{MS, after, at, trace, turn};
    use inferometer_abi::types::TurnTime;

    #[test]
    fn requests_are_in_order_of_time_and_those_of_one_time_as_they_came() {
        let trace = trace(&[(5, 1, 1, &[]), (3, 1, 1, &[]), (5, 1, 1, &[])]);
        let turns: Vec<_> = Schedule::of(&trace).order.iter().map(|placed| placed.turn).collect();
        assert_eq!(turns, [1, 0, 2]);
    }

    #[test]
    fn later_turns_follow_the_one_before_them_by_their_delay_or_time_and_sessions_without_a_time_come_last() {
        let mut trace = Trace::default();
        trace.begin_session();
        turn(&mut trace, TurnTime::NONE, 1, 1, &[]);
        trace.begin_session();
        for time in [at(100), after(50), at(120), at(900)] {
            turn(&mut trace, time, 1, 1, &[]);
        }
        let schedule = Schedule::of(&trace);
        let places: Vec<_> = schedule.order.iter().map(|p| (p.number, p.time_ns.map(|ns| ns / MS))).collect();
        assert_eq!(places, [(0, Some(100)), (1, Some(150)), (2, Some(150)), (3, Some(900)), (0, None)]);
        assert_eq!(schedule.inferred, 1);
    }
}
