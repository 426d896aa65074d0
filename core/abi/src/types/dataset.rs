//! What a data set says of its sessions beside their texts: outlines, and which session begins which. Since 1.1.

use super::TurnTime;
use abi_stable::{StableAbi, std_types::RSlice};

/// A turn without its text: all that schedules and statistics need, and far cheaper to make.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// When it is to be sent.
    pub time: TurnTime,
    /// Tokens of the whole prompt, as the data set says; [`NO_COUNT`](super::NO_COUNT): it does not say.
    pub input_tokens: u32,
    /// Tokens of the answer that was recorded or is asked for; [`NO_COUNT`](super::NO_COUNT): it does not say.
    pub output_tokens: u32,
    /// Tokens of each block but the last, which holds the rest; 0 without blocks.
    pub block_tokens: u32,
    /// Zero.
    pub flags: u32,
    /// Identities of the prompt's blocks, in order: two prompts that begin with the same identities begin with the same
    /// tokens. Empty: the data set does not say.
    pub blocks: RSlice<'a, u64>,
    /// Zero.
    pub reserved: [u64; 6],
}

impl Outline<'_> {
    /// Nothing known.
    pub const EMPTY: Self = Self {
        time: TurnTime::NONE,
        input_tokens: super::NO_COUNT,
        output_tokens: super::NO_COUNT,
        block_tokens: 0,
        flags: 0,
        blocks: RSlice::EMPTY,
        reserved: [0; 6],
    };
}

/// In [`Branch::after_turn`]: with the session's own beginning.
pub const BEFORE_FIRST: u32 = u32::MAX;
/// In [`Branch::join_turn`]: no turn waits for it.
pub const NO_TURN: u32 = u32::MAX;

/// A session that another one begins.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Number of the session that begins: one of the data set's [branches](crate::documents::DatasetInfo::branches).
    pub session: u64,
    /// It begins when this turn of the session at hand was answered; [`BEFORE_FIRST`]: together with it.
    pub after_turn: u32,
    /// The turn of the session at hand that waits until it has ended; [`NO_TURN`]: none does.
    pub join_turn: u32,
    /// See [`branch_flags`].
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// Zero.
    pub reserved: [u64; 4],
}

impl Branch {
    /// Session `session`, which begins without a history when turn `after_turn` was answered, and which no turn waits for.
    pub const fn new(session: u64, after_turn: u32) -> Self {
        Self { session, after_turn, join_turn: NO_TURN, flags: 0, pad: 0, reserved: [0; 4] }
    }
}

/// Bits of [`Branch::flags`].
pub mod branch_flags {
    /// It begins with all messages so far of the session at hand, replies included: a fork.
    pub const INHERITS: u32 = 1;
}
