//! Prompts of which only lengths and the identities of blocks are known, as texts.
//!
//! The text of a block depends on the data set's seed, its id and its size, and on whether it begins the prompt, for only
//! then is there no blank before it. No markers are put between blocks.

use crate::random::{Purpose, Seeds};
use inferometer_plugin_sdk::{api::TextTools, random::SplitMix64, types::Result};

/// The seeds of all texts of a trace.
pub(super) struct Prompts {
    blocks: SplitMix64,
    lines: SplitMix64,
    /// Which copy of a split trace each session is of.
    copies: SplitMix64,
}

impl Prompts {
    pub(super) fn new(seed: u64) -> Self {
        let seeds = Seeds::new(seed, Purpose::Text);
        let stream = |index| SplitMix64::new(seeds.item(index));
        Self { blocks: stream(0), lines: stream(1), copies: stream(2) }
    }

    /// The prompt of a line: its blocks, of which the last holds what is left; without any, one text of its own.
    ///
    /// # Errors
    /// When the tokenizer knows no text of some length.
    pub(super) fn text(
        &self,
        line: u32,
        tokens: u32,
        block_tokens: u32,
        blocks: &[u64],
        text: &dyn TextTools,
    ) -> Result<String> {
        let Some((first, others)) = blocks.split_first() else {
            return text.text(self.lines.nth(line.into()), tokens.into());
        };
        let mut left = u64::from(tokens);
        let mut size_of = |is_last: bool| {
            let size = if is_last { left } else { block_tokens.into() };
            left -= size;
            size
        };
        let size = size_of(others.is_empty());
        let mut prompt = text.text(self.block(*first, size), size)?;
        for (n, id) in others.iter().enumerate() {
            let size = size_of(n + 1 == others.len());
            prompt.push_str(&text.continuation(self.block(*id, size), size)?);
        }
        Ok(prompt)
    }

    /// The number of a session's copy, of so many.
    pub(super) fn copy(&self, session: u32, copies: u64) -> u64 {
        SplitMix64::new(self.copies.nth(session.into())).below(copies)
    }

    fn block(&self, id: u64, size: u64) -> u64 {
        SplitMix64::new(SplitMix64::new(self.blocks.nth(id)).nth(size)).nth(0)
    }
}
