//! A host on a virtual clock, for the tests: runs the shards of a phase against a server of known service times.

use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    types::{ANY_SESSION, Flow, Load, PhaseSpec, StepKind, TurnTime},
};
use std::{cmp::Reverse, collections::BinaryHeap};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A data set without times.
pub(crate) struct NoTimes;

impl Timetable for NoTimes {
    fn sessions(&self) -> u64 {
        0
    }
    fn turns(&self, _: u64) -> u32 {
        1
    }
    fn time(&self, _: u64, _: u32) -> TurnTime {
        TurnTime::NONE
    }
}

/// What to simulate.
pub(crate) struct World {
    pub(crate) shards: u32,
    /// As told to every shard, apart from its number and its slots.
    pub(crate) spec: PhaseSpec,
    /// How long the server takes for request number n.
    pub(crate) service_ns: fn(u64) -> u64,
    /// Whether the host stops the phase at its request limit, as a real one does.
    pub(crate) host_counts: bool,
}

impl Default for World {
    fn default() -> Self {
        Self { shards: 1, spec: PhaseSpec::default(), service_ns: |_| 1_000_000, host_counts: true }
    }
}

/// What happened.
pub(crate) struct Run {
    /// Sorted by session where the strategy names sessions, else by time.
    pub(crate) sent: Vec<Sent>,
    pub(crate) peak_open: u32,
    pub(crate) peak_open_by_shard: Vec<u32>,
    /// The fewest requests open at any moment before the last was sent, after all strategies had their say.
    pub(crate) least_open_before_last_send: u32,
    /// Whether every strategy said that it had ended.
    pub(crate) all_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sent {
    pub(crate) session: u64,
    pub(crate) at_ns: u64,
}

/// Something due, sorted by time; the number keeps the order within one moment.
type Due = Reverse<(u64, u64, usize, What)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Ends { session: u64 },
    Sends { session: u64 },
}

struct Shard<S> {
    strategy: S,
    load: Load,
    peak: u32,
    /// An arrival was handed over whose time has not come.
    sleeping: bool,
    ended: bool,
}

impl World {
    pub(crate) fn with_requests(mut self, requests: u64) -> Self {
        self.spec.requests = requests;
        self
    }

    pub(crate) fn with_duration(mut self, duration_ns: u64) -> Self {
        self.spec.duration_ns = duration_ns;
        self
    }

    /// Runs until every shard has ended or nothing is due any more.
    pub(crate) fn run<S: TimingStrategy + Component<Options = NoOptions>>(&self) -> Run {
        let mut shards: Vec<Shard<S>> = (0..self.shards).map(|shard| self.begin(shard)).collect();
        let mut due: BinaryHeap<Due> = BinaryHeap::new();
        let (mut now, mut number, mut sent) = (0, 0, Vec::new());
        let (mut peak_open, mut least_open, mut least_so_far) = (0, u32::MAX, u32::MAX);
        loop {
            for (index, shard) in shards.iter_mut().enumerate() {
                while !shard.sleeping && !shard.ended {
                    let step = shard.strategy.next(now, &shard.load).unwrap();
                    match step.kind {
                        StepKind::SEND
                            if self.host_counts && self.spec.requests > 0 && number >= self.spec.requests =>
                        {
                            shard.ended = true;
                        }
                        StepKind::SEND => {
                            number += 1;
                            shard.load.open += 1;
                            shard.peak = shard.peak.max(shard.load.open);
                            shard.sleeping = step.at_ns > now;
                            due.push(Reverse((step.at_ns, number, index, What::Sends { session: step.session })));
                            least_open = least_so_far;
                        }
                        StepKind::PARK => break,
                        StepKind::END => shard.ended = true,
                        kind => panic!("an unexpected step: {kind:?}"),
                    }
                }
            }
            let open = shards.iter().map(|s| s.load.open).sum();
            peak_open = peak_open.max(open);
            least_so_far = least_so_far.min(open);
            let Some(Reverse((at, n, index, what))) = due.pop() else { break };
            now = at;
            let shard = &mut shards[index];
            match what {
                What::Sends { session } => {
                    shard.sleeping = false;
                    shard.load.sent += 1;
                    sent.push(Sent { session, at_ns: at });
                    due.push(Reverse((at.saturating_add((self.service_ns)(n)), n, index, What::Ends { session })));
                }
                What::Ends { session } => {
                    shard.load.open -= 1;
                    shard.load.ended += 1;
                    shard.strategy.on_flow(&Flow { session, turns: 1, at_ns: at, ..Flow::default() }).unwrap();
                }
            }
        }
        if sent.iter().all(|s| s.session != ANY_SESSION) {
            sent.sort_unstable();
        }
        Run {
            sent,
            peak_open,
            peak_open_by_shard: shards.iter().map(|s| s.peak).collect(),
            least_open_before_last_send: least_open,
            all_ended: shards.iter().all(|s| s.ended),
        }
    }

    fn begin<S: TimingStrategy + Component<Options = NoOptions>>(&self, shard: u32) -> Shard<S> {
        let (each, over) = (self.spec.concurrency / self.shards, self.spec.concurrency % self.shards);
        let slots = each + u32::from(shard < over);
        let mut strategy = S::create(NoOptions {}).unwrap();
        strategy.start(&PhaseSpec { shard, shards: self.shards, slots, ..self.spec }, &NoTimes).unwrap();
        Shard { strategy, load: Load::default(), peak: 0, sleeping: false, ended: false }
    }
}
