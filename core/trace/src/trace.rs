//! [`Trace`]: the outlines of all sessions, as they came.

use inferometer_abi::{
    api::OutlineSink,
    types::{NO_COUNT, Outline, TurnTime},
};
use std::ops::Range;

/// The outlines of a data set's sessions, in their order. Begin each session with [`Trace::begin_session`], then give it to
/// the loader to put the turns in.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    sessions: Vec<Session>,
    turns: Vec<Turn>,
    /// The identities of all turns' blocks.
    blocks: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Session {
    name: String,
    first_turn: usize,
}

/// One turn. Counts that are not known are [`NO_COUNT`].
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) time: TurnTime,
    input: u32,
    output: u32,
    /// Tokens of a block; 0 without blocks.
    pub(crate) block_tokens: u32,
    /// Where its blocks lie.
    pub(crate) blocks: Range<usize>,
}

impl Turn {
    pub(crate) fn input(&self) -> Option<u32> {
        known(self.input)
    }

    pub(crate) fn output(&self) -> Option<u32> {
        known(self.output)
    }

    pub(crate) fn timestamp_ns(&self) -> Option<u64> {
        (self.time.timestamp_ns != TurnTime::NONE.timestamp_ns).then_some(self.time.timestamp_ns)
    }

    /// Tokens of its first `blocks` blocks. The last block holds what the others leave of the prompt; where that is not
    /// known it counts as full.
    pub(crate) fn tokens_of(&self, blocks: usize) -> u64 {
        let tokens = (blocks as u64).saturating_mul(self.block_tokens.into());
        let Some(input) = self.input().map(u64::from) else { return tokens };
        if blocks == self.blocks.len() && blocks > 0 { input } else { tokens.min(input) }
    }

    /// Tokens of the prompt; those of its blocks where the data set does not say.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        self.input().map_or_else(|| self.tokens_of(self.blocks.len()), u64::from)
    }
}

fn known(count: u32) -> Option<u32> {
    (count != NO_COUNT).then_some(count)
}

impl Trace {
    /// Begins a session; the turns that follow are its own.
    pub fn begin_session(&mut self) {
        self.sessions.push(Session { name: String::new(), first_turn: self.turns.len() });
    }

    /// Whether a turn of the session begun last is without a count of its prompt's tokens.
    pub fn lacks_input_counts(&self) -> bool {
        self.last_session().iter().any(|turn| turn.input().is_none())
    }

    /// Says how many tokens the turn `turn` of the session begun last has, where that is not known yet. [`NO_COUNT`]: it is
    /// not known either. Turns that there are not are passed over.
    pub fn supply_counts(&mut self, turn: usize, input_tokens: u32, output_tokens: u32) {
        let first = self.sessions.last().map_or(0, |session| session.first_turn);
        if let Some(turn) = self.turns.get_mut(first + turn) {
            turn.input = turn.input().unwrap_or(input_tokens);
            turn.output = turn.output().unwrap_or(output_tokens);
        }
    }

    /// Number of sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Number of requests: the turns of all sessions.
    pub fn requests(&self) -> usize {
        self.turns.len()
    }

    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(crate) fn blocks(&self, turn: &Turn) -> &[u64] {
        &self.blocks[turn.blocks.clone()]
    }

    pub(crate) fn all_blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// The numbers of each session's turns, and its name, which is empty if it has none.
    pub(crate) fn each_session(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        let ends = self.sessions.iter().skip(1).map(|next| next.first_turn).chain([self.turns.len()]);
        self.sessions.iter().zip(ends).map(|(session, end)| (session.first_turn..end, session.name.as_str()))
    }

    fn last_session(&self) -> &[Turn] {
        &self.turns[self.sessions.last().map_or(0, |session| session.first_turn)..]
    }
}

impl OutlineSink for Trace {
    fn name(&mut self, name: &str) {
        if let Some(session) = self.sessions.last_mut() {
            name.clone_into(&mut session.name);
        }
    }

    fn turn(&mut self, outline: &Outline<'_>) {
        if self.sessions.is_empty() {
            self.begin_session();
        }
        let begin = self.blocks.len();
        if outline.block_tokens > 0 {
            self.blocks.extend_from_slice(outline.blocks.as_slice());
        }
        self.turns.push(Turn {
            time: outline.time,
            input: outline.input_tokens,
            output: outline.output_tokens,
            block_tokens: if self.blocks.len() > begin { outline.block_tokens } else { 0 },
            blocks: begin..self.blocks.len(),
        });
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Trace;
    use inferometer_abi::{
        api::OutlineSink as _,
        types::{Outline, TurnTime},
    };

    /// Nanoseconds of a millisecond.
    pub(crate) const MS: u64 = 1_000_000;

    /// A request at a time in ms.
    pub(crate) fn at(ms: u64) -> TurnTime {
        TurnTime { timestamp_ns: ms * MS, delay_ns: 0 }
    }

    /// A request so many ms after the turn before it.
    pub(crate) fn after(ms: u64) -> TurnTime {
        TurnTime { delay_ns: ms * MS, ..TurnTime::NONE }
    }

    /// Adds a turn to the session begun last. Blocks are of ten tokens.
    pub(crate) fn turn(trace: &mut Trace, time: TurnTime, input: u32, output: u32, blocks: &[u64]) {
        let block_tokens = if blocks.is_empty() { 0 } else { 10 };
        trace.turn(&Outline {
            time,
            input_tokens: input,
            output_tokens: output,
            block_tokens,
            blocks: blocks.into(),
            ..Outline::EMPTY
        });
    }

    /// A trace of sessions with one turn each: time in ms, input tokens, output tokens, blocks of ten tokens.
    pub(crate) fn trace(requests: &[(u64, u32, u32, &[u64])]) -> Trace {
        let mut trace = Trace::default();
        for (ms, input, output, blocks) in requests {
            trace.begin_session();
            turn(&mut trace, at(*ms), *input, *output, blocks);
        }
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::turn, *};

    #[test]
    fn counts_are_supplied_only_where_there_are_none() {
        let mut trace = Trace::default();
        trace.begin_session();
        turn(&mut trace, TurnTime::NONE, 5, 6, &[]);
        trace.begin_session();
        turn(&mut trace, TurnTime::NONE, 7, NO_COUNT, &[]);
        assert!(!trace.lacks_input_counts());
        turn(&mut trace, TurnTime::NONE, NO_COUNT, 9, &[]);
        assert!(trace.lacks_input_counts());
        trace.supply_counts(0, 1, 2);
        trace.supply_counts(1, 3, 4);
        trace.supply_counts(2, 1, 1);
        let counts: Vec<_> = trace.turns().iter().map(|turn| (turn.input(), turn.output())).collect();
        assert_eq!(counts, [(Some(5), Some(6)), (Some(7), Some(2)), (Some(3), Some(9))]);
    }

    #[test]
    fn the_last_block_holds_what_the_others_leave() {
        let mut trace = Trace::default();
        for (input, tokens) in [(25, 25), (40, 40), (NO_COUNT, 30), (7, 7)] {
            trace.begin_session();
            turn(&mut trace, TurnTime::NONE, input, 1, &[1, 2, 3]);
            assert_eq!(trace.turns().last().unwrap().tokens_of(3), tokens, "{input}");
        }
    }

    #[test]
    fn blocks_without_a_size_are_none() {
        let mut trace = Trace::default();
        trace.begin_session();
        trace.turn(&Outline { blocks: [1, 2].as_slice().into(), ..Outline::EMPTY });
        assert!(trace.blocks(&trace.turns()[0]).is_empty());
    }
}
