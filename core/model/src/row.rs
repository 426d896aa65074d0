//! [`Row`]: the fixed-size part of what is known of one finished request, as the measured threads keep it.

use inferometer_abi::types::{ABSENT_NS, NO_COUNT, Outcome, UsageDetails};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One finished request. Stamps are nanoseconds since the run began, [`ABSENT_NS`] where not reached; token counts are
/// [`NO_COUNT`] where not known.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Number of the arrival in its phase, from 0.
    pub index: u64,
    /// Number of the session in the data set.
    pub session: u64,
    /// Place in the session, from 0.
    pub turn: u32,
    /// Index of the phase in the plan.
    pub phase: u16,
    /// The worker that sent it.
    pub worker: u16,
    /// How it ended.
    #[serde(serialize_with = "outcome_as_number", deserialize_with = "outcome_of_number")]
    pub outcome: Outcome,
    /// HTTP status; 0: none was received.
    pub status: u16,
    /// Whether the connection had served before.
    pub reused: bool,
    /// Whether it was sent a second time, since the server had closed the pooled connection.
    pub resent: bool,
    /// When the schedule wanted it sent.
    pub intended: u64,
    /// When it got its slot; the start of every service latency.
    pub permitted: u64,
    /// When a connection was ready for it.
    pub connected: u64,
    /// When its first byte was handed to the kernel.
    pub sent: u64,
    /// When its last byte was handed to the kernel.
    pub written: u64,
    /// When the first byte of the response was read.
    pub first_byte: u64,
    /// When the response's head was complete.
    pub headers: u64,
    /// First content: text, reasoning or a tool call.
    pub first: u64,
    /// First content that is not reasoning.
    pub first_output: u64,
    /// Second content.
    pub second: u64,
    /// Last content.
    pub last: u64,
    /// When the last byte was read.
    pub last_byte: u64,
    /// When the answer, or the failure, was complete.
    pub end: u64,
    /// Time spent on name resolution, in nanoseconds.
    pub dns_ns: u64,
    /// Time spent on connecting, TLS apart, in nanoseconds.
    pub connect_ns: u64,
    /// Time spent on agreeing upon TLS, in nanoseconds.
    pub tls_ns: u64,
    /// Bytes of the request's body.
    pub body_bytes: u32,
    /// Reads from the socket that brought bytes of the response, its head included.
    pub reads: u32,
    /// Bytes of the response's body, as framed on the wire.
    pub received_bytes: u64,
    /// How long the first content had been in the system's hands when it was read, in nanoseconds; [`NO_COUNT`] where the
    /// system does not say. The stamps are already without it.
    pub first_lag: u32,
    /// The same of the last content.
    pub last_lag: u32,
    /// Content events.
    pub events: u32,
    /// Usage: tokens of the prompt.
    pub usage_prompt: u32,
    /// Usage: tokens of the answer, reasoning included.
    pub usage_completion: u32,
    /// Usage: prompt tokens found in the server's cache.
    pub usage_cached: u32,
    /// Usage: tokens spent on reasoning.
    pub usage_reasoning: u32,
    /// Usage: answer tokens up to the first content event, that one included, where the server told them with it.
    pub usage_first: u32,
    /// Usage: further counts.
    #[serde(serialize_with = "details_as_words", deserialize_with = "details_of_words")]
    pub usage_details: UsageDetails,
    /// Prompt tokens by the local tokenizer; filled in after the load.
    pub local_prompt: u32,
    /// Answer tokens without reasoning by the local tokenizer; filled in after the load.
    pub local_output: u32,
    /// Reasoning tokens by the local tokenizer; filled in after the load.
    pub local_reasoning: u32,
    /// Tokens of the first content event by the local tokenizer; filled in after the load.
    pub local_first: u32,
    /// Most output tokens asked for; 0: no limit was sent.
    pub requested_output: u32,
}

impl Row {
    /// A row in which nothing has happened yet.
    pub const EMPTY: Self = Self {
        index: 0,
        session: 0,
        turn: 0,
        phase: 0,
        worker: 0,
        outcome: Outcome::ERROR,
        status: 0,
        reused: false,
        resent: false,
        intended: ABSENT_NS,
        permitted: ABSENT_NS,
        connected: ABSENT_NS,
        sent: ABSENT_NS,
        written: ABSENT_NS,
        first_byte: ABSENT_NS,
        headers: ABSENT_NS,
        first: ABSENT_NS,
        first_output: ABSENT_NS,
        second: ABSENT_NS,
        last: ABSENT_NS,
        last_byte: ABSENT_NS,
        end: ABSENT_NS,
        dns_ns: 0,
        connect_ns: 0,
        tls_ns: 0,
        body_bytes: 0,
        reads: 0,
        received_bytes: 0,
        first_lag: NO_COUNT,
        last_lag: NO_COUNT,
        events: 0,
        usage_prompt: NO_COUNT,
        usage_completion: NO_COUNT,
        usage_cached: NO_COUNT,
        usage_reasoning: NO_COUNT,
        usage_first: NO_COUNT,
        usage_details: UsageDetails([0; 4]),
        local_prompt: NO_COUNT,
        local_output: NO_COUNT,
        local_reasoning: NO_COUNT,
        local_first: NO_COUNT,
        requested_output: 0,
    };

    /// Whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::OK
    }
}

fn outcome_as_number<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.0.serialize(serializer)
}

fn outcome_of_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    u32::deserialize(deserializer).map(Outcome)
}

fn details_as_words<S: Serializer>(details: &UsageDetails, serializer: S) -> Result<S::Ok, S::Error> {
    details.0.serialize(serializer)
}

fn details_of_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UsageDetails, D::Error> {
    <[u64; 4]>::deserialize(deserializer).map(UsageDetails)
}
