//! What is known of one finished request, as exporters see it.

use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr},
};

/// A stamp that was not reached.
pub const ABSENT_NS: u64 = u64::MAX;

/// How an arrival ended; every arrival ends in exactly one of these.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outcome(pub u32);

impl Outcome {
    /// A complete answer with content.
    pub const OK: Self = Self(0);
    /// It failed; the record says how.
    pub const ERROR: Self = Self(1);
    /// Stopped by the user or by the end of the grace period.
    pub const CANCELLED: Self = Self(2);
    /// Never sent: its time came and went without a slot.
    pub const DROPPED: Self = Self(3);
}

/// One finished request. Stamps are nanoseconds since the run began, [`ABSENT_NS`] where not reached.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Number of the arrival in its phase, from 0.
    pub index: u64,
    /// Number of the session in the data set.
    pub session: u64,
    /// Place in the session.
    pub turn: u32,
    /// Index of the phase.
    pub phase: u32,
    /// The worker that sent it.
    pub worker: u32,
    /// HTTP status; 0: none was received.
    pub status: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Content events received.
    pub events: u32,
    /// `X-Request-ID`, as 128 bits in network order.
    pub request_id: [u8; 16],
    /// `X-Correlation-ID` (one per session), as 128 bits in network order.
    pub correlation_id: [u8; 16],
    /// When the schedule wanted it sent.
    pub intended_ns: u64,
    /// When it got its slot: the start of every service latency.
    pub permitted_ns: u64,
    /// When its first byte was handed to the kernel.
    pub sent_ns: u64,
    /// When the response's head was complete.
    pub headers_ns: u64,
    /// First content.
    pub first_ns: u64,
    /// Last content.
    pub last_ns: u64,
    /// When the answer, or the failure, was complete.
    pub end_ns: u64,
    /// Gaps between content events.
    pub gaps_ns: RSlice<'a, u64>,
    /// Values of the run's per-request metrics, in the order of its catalogue; NaN where absent.
    pub values: RSlice<'a, f64>,
    /// The data set's name for the session.
    pub conversation_id: RStr<'a>,
    /// Name of the phase.
    pub phase_name: RStr<'a>,
    /// `warmup` or `profiling`.
    pub phase_kind: RStr<'a>,
    /// The failure's kind (`http_status`, `connect`, `truncated` …), or empty.
    pub error_type: RStr<'a>,
    /// The failure's message, or empty.
    pub error_message: RStr<'a>,
    /// The request's body, as it was sent.
    pub body: RSlice<'a, u8>,
    /// Zero.
    pub reserved: [u64; 8],
}
