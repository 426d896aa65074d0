//! What a timing strategy sees and says. Times are nanoseconds since the phase began.

use abi_stable::StableAbi;

/// In a [`Step`]: whichever session is next.
pub const ANY_SESSION: u64 = u64::MAX;

/// The phase a strategy is to shape, and this worker's share of it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct PhaseSpec {
    /// Seed of everything random in the schedule; the same for all shards.
    pub seed: u64,
    /// Requests to send over all shards; 0: no such limit. The host enforces it.
    pub requests: u64,
    /// Stop sending after this long; 0: no such limit. The host enforces it.
    pub duration_ns: u64,
    /// This worker's number, from 0.
    pub shard: u32,
    /// Number of workers.
    pub shards: u32,
    /// Slots over all shards; 0: no limit.
    pub concurrency: u32,
    /// This shard's slots, where the strategy divides them; 0 with a limit: none for this shard.
    pub slots: u32,
    /// Arrivals per second over all shards; 0: none asked.
    pub rate: f64,
    /// See [`PhaseSpec::sessions`]; then zero.
    pub reserved: [u64; 6],
}

impl PhaseSpec {
    /// The same phase with a limit on sessions.
    #[must_use]
    pub const fn with_sessions(mut self, sessions: u64) -> Self {
        self.reserved[0] = sessions;
        self
    }

    /// Sessions to begin over all shards; those that a strategy numbers itself have numbers below it. Since 1.1; 0: no such
    /// limit; the host enforces it.
    pub const fn sessions(&self) -> u64 {
        self.reserved[0]
    }
}

/// What is going on in this shard.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct Load {
    /// Sessions handed to the host that have not ended: in flight, thinking, or waiting for a slot.
    pub open: u32,
    /// Zero.
    pub pad: u32,
    /// Requests sent.
    pub sent: u64,
    /// Requests ended, in whatever way.
    pub ended: u64,
    /// Of those, requests that failed.
    pub failed: u64,
    /// Zero.
    pub reserved: [u64; 4],
}

/// What a strategy wants to happen next.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepKind(pub u32);

impl StepKind {
    /// Nothing until something happens ([`Flow`]).
    pub const PARK: Self = Self(0);
    /// An arrival: send at `at_ns`, then ask again at once.
    pub const SEND: Self = Self(1);
    /// Ask again at `at_ns`, or when something happens.
    pub const WAIT: Self = Self(2);
    /// No further arrivals.
    pub const END: Self = Self(3);
}

/// An arrival, a wait, or the end.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: StepKind,
    /// The first turn to send, from 0; those before it are passed over. A session that does not have it is begun at turn 0,
    /// as hosts of 1.0 begin every one.
    pub turn: u32,
    /// When.
    pub at_ns: u64,
    /// The session, or [`ANY_SESSION`].
    pub session: u64,
    /// See [`step_flags`].
    pub flags: u64,
    /// See [`Step::gap_ns`].
    pub reserved: u64,
}

/// Bits of [`Step::flags`].
pub mod step_flags {
    /// The session is the data set's own number, as in a [`Timetable`](crate::api::Timetable), modulo their count: the same
    /// one can come again under another number. Without it, it is a number of the schedule, and the host chooses the data
    /// set's session by it (in turn, by chance, shuffled).
    pub const EXACT: u64 = 1;
}

impl Step {
    /// Nothing until something happens.
    pub const PARK: Self =
        Self { kind: StepKind::PARK, turn: 0, at_ns: 0, session: ANY_SESSION, flags: 0, reserved: 0 };
    /// No further arrivals.
    pub const END: Self = Self { kind: StepKind::END, ..Self::PARK };

    /// The first turn of session number `session` (or [`ANY_SESSION`]), intended at `at_ns`.
    pub const fn send(at_ns: u64, session: u64) -> Self {
        Self { kind: StepKind::SEND, at_ns, session, ..Self::PARK }
    }

    /// The same arrival of a session whose turns are intended this far apart at least, one to the next; a turn never comes
    /// before the answer to the one before it. Since 1.1: hosts of 1.0 send a turn as soon as its think time is over.
    #[must_use]
    pub const fn with_gap(mut self, gap_ns: u64) -> Self {
        self.reserved = gap_ns;
        self
    }

    /// Least time from one turn's intended send to the next one's, in nanoseconds; 0: there is no such rule.
    pub const fn gap_ns(&self) -> u64 {
        self.reserved
    }
}

/// Something that happened: a request of this shard ended. It was the last of its session if `turn + 1 == turns`, or if
/// the host had no further request to give.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct Flow {
    /// The session.
    pub session: u64,
    /// The turn that ended.
    pub turn: u32,
    /// Turns the session has.
    pub turns: u32,
    /// When it ended.
    pub at_ns: u64,
    /// From permitted to last content, or to the failure.
    pub latency_ns: u64,
    /// Think time before the session's next turn.
    pub next_delay_ns: u64,
    /// Tokens of the answer; 0 where the server did not say.
    pub output_tokens: u32,
    /// 0: it succeeded.
    pub failed: u32,
    /// Zero.
    pub reserved: [u64; 4],
}

/// When a turn is to be sent, as the data set says.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnTime {
    /// Since the trace's beginning; `u64::MAX`: not given.
    pub timestamp_ns: u64,
    /// After the end of the turn before it.
    pub delay_ns: u64,
}

impl TurnTime {
    /// Neither given.
    pub const NONE: Self = Self { timestamp_ns: u64::MAX, delay_ns: 0 };
}
