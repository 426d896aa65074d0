//! A fixed schedule: every session begins when the data set says.
//!
//! Not here: shifting and scaling the times, and what later turns do, which are the host's.

use crate::phase::{Share, not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    types::{Error, Load, PhaseSpec, Result, Step, step_flags},
};
use std::vec::IntoIter;

/// Sends each session of the data set once, at the time of its first turn.
#[derive(Default)]
pub(crate) struct FixedSchedule(Option<IntoIter<Start>>);

/// When a session begins. The order is that of the schedule: by time, and by number where times are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    at_ns: u64,
    session: u64,
}

impl Component for FixedSchedule {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl TimingStrategy for FixedSchedule {
    fn start(&mut self, phase: &PhaseSpec, timetable: &dyn Timetable) -> Result<()> {
        let Share { shard, shards } = Share::of(phase)?;
        let mut starts = starts(timetable)?;
        starts.sort_unstable();
        starts.truncate(usize::try_from(or_unlimited(phase.requests)).unwrap_or(usize::MAX));
        let end_ns = or_unlimited(phase.duration_ns);
        let mut rank = 0..;
        starts.retain(|start| rank.next().is_some_and(|rank: u64| rank % shards == shard) && start.at_ns < end_ns);
        starts.shrink_to_fit();
        self.0 = Some(starts.into_iter());
        Ok(())
    }

    fn next(&mut self, _now_ns: u64, _: &Load) -> Result<Step> {
        let next = self.0.as_mut().ok_or_else(not_begun)?.next();
        Ok(next.map_or(Step::END, |Start { at_ns, session }| Step {
            flags: step_flags::EXACT,
            ..Step::send(at_ns, session)
        }))
    }
}

/// The starts of all sessions that are to be sent, in the data set's order.
fn starts(timetable: &dyn Timetable) -> Result<Vec<Start>> {
    if timetable.sessions() == 0 {
        return Err(Error::config(
            "the data set makes up sessions without end, and a fixed schedule needs some that say when they begin; give a \
             trace with --input-file",
        ));
    }
    let is_sent = |session: &u64| timetable.turns(*session) > 0;
    let start = |session| match timetable.time(session, 0).timestamp_ns {
        u64::MAX => Err(Error::config(format!(
            "session {session} has no timestamp; a fixed schedule needs one at the first turn of every session: add it to \
             the input, or send at a rate or with a concurrency"
        ))),
        at_ns => Ok(Start { at_ns, session }),
    };
    let starts: Vec<Start> = (0..timetable.sessions()).filter(is_sent).map(start).collect::<Result<_>>()?;
    if starts.is_empty() {
        return Err(Error::config(
            "no session of the data set is to be sent; widen the part of the schedule that was chosen",
        ));
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::{ErrorKind, TurnTime};
    use inferometer_testkit::timing::{Sent, Simulation};
    use proptest::prelude::*;

    /// Sessions by the times of their first turns; none: the session is not to be sent.
    struct Trace(Vec<Option<u64>>);

    impl Timetable for Trace {
        fn sessions(&self) -> u64 {
            self.0.len() as u64
        }
        fn turns(&self, session: u64) -> u32 {
            self.0[session as usize].map_or(0, |_| 2)
        }
        fn time(&self, session: u64, turn: u32) -> TurnTime {
            match turn {
                0 => TurnTime { timestamp_ns: self.0[session as usize].unwrap(), delay_ns: 0 },
                _ => TurnTime::NONE,
            }
        }
    }

    fn sent(trace: &Trace, shards: u32, phase: PhaseSpec) -> Vec<Sent> {
        let world = Simulation { shards, phase, host_ends: false, ..Simulation::default() };
        world.run_with(trace, || Box::<FixedSchedule>::default()).unwrap().sent
    }

    fn refused(trace: Vec<Option<u64>>) -> Error {
        let phase = PhaseSpec { shards: 1, ..PhaseSpec::default() };
        FixedSchedule::default().start(&phase, &Trace(trace)).unwrap_err()
    }

    #[test]
    fn sessions_go_in_the_order_of_their_times_and_by_number_where_these_are_the_same() {
        let trace = Trace(vec![Some(50), Some(20), None, Some(50), Some(0), Some(20)]);
        let expected = [(4, 0), (1, 20), (5, 20), (0, 50), (3, 50)];
        let expected = expected.map(|(session, at_ns)| Sent { session, at_ns });
        assert_eq!(sent(&trace, 1, PhaseSpec::default()), expected);
    }

    #[test]
    fn a_session_is_the_data_sets_own_number() {
        let mut strategy = FixedSchedule::default();
        strategy.start(&PhaseSpec { shards: 1, ..PhaseSpec::default() }, &Trace(vec![None, Some(7)])).unwrap();
        let step = strategy.next(0, &Load::default()).unwrap();
        assert_eq!((step.session, step.at_ns, step.flags, step.turn), (1, 7, step_flags::EXACT, 0));
        assert_eq!(strategy.next(0, &Load::default()).unwrap(), Step::END);
    }

    #[test]
    fn a_phases_limits_end_it() {
        let trace = Trace((0..100).map(|k| Some(k * 10)).collect());
        assert_eq!(sent(&trace, 3, PhaseSpec { duration_ns: 500, ..PhaseSpec::default() }).len(), 50);
        assert_eq!(sent(&trace, 3, PhaseSpec { requests: 11, ..PhaseSpec::default() }).len(), 11);
    }

    #[test]
    fn what_has_no_schedule_is_refused_in_words_that_name_it() {
        let untimed = refused(vec![Some(1), None, Some(u64::MAX)]);
        assert_eq!(untimed.kind, ErrorKind::CONFIG);
        assert!(untimed.message.starts_with("session 2 has no timestamp; "), "{untimed}");
        assert!(refused(vec![]).message.contains("--input-file"));
        assert!(refused(vec![None, None]).message.contains("no session"));
    }

    #[test]
    fn asking_before_the_phase_began_is_an_error() {
        assert!(FixedSchedule::default().next(0, &Load::default()).is_err());
    }

    proptest! {
        #[test]
        fn the_union_over_shards_is_the_schedule_of_one(
            trace in proptest::collection::vec(proptest::option::of(0_u64..50), 1..200), shards in 2_u32..9,
        ) {
            prop_assume!(trace.iter().any(Option::is_some));
            let trace = Trace(trace);
            let alone = sent(&trace, 1, PhaseSpec::default());
            prop_assert!(alone.is_sorted_by_key(|sent| (sent.at_ns, sent.session)));
            prop_assert_eq!(alone.len(), trace.0.iter().flatten().count());
            let mut divided = sent(&trace, shards, PhaseSpec::default());
            divided.sort_by_key(|sent| (sent.at_ns, sent.session));
            prop_assert_eq!(divided, alone);
        }
    }
}
