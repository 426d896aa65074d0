//! Texts that several sessions begin with, so that a server's prefix cache has something to find.

use crate::random::{Purpose, Seeds};
use inferometer_plugin_sdk::{
    api::TextTools,
    documents::PrefixRequest,
    random::SplitMix64,
    types::{Error, Result},
};
use std::sync::OnceLock;

/// Most tokens of all texts together: they are kept, at about a gigabyte for so many.
const MOST_TOKENS: u64 = 200_000_000;

/// A pool of texts, each made when it is first needed.
#[derive(Debug)]
pub(super) struct Prefixes {
    texts: Vec<OnceLock<String>>,
    tokens: u64,
    words: Seeds,
    choice: Seeds,
}

impl Prefixes {
    /// # Errors
    /// When there is no text, when it has no tokens, or when all together are too long to be kept.
    pub(super) fn new(asked: PrefixRequest, seed: u64) -> Result<Self> {
        let PrefixRequest { prompts, tokens } = asked;
        if prompts == 0 {
            return Err(Error::config(
                "--num-prefix-prompts 0: the pool of prefixes needs at least one; give 1 or more",
            ));
        }
        if tokens == 0 {
            return Err(Error::config("--prefix-prompt-length 0: a prefix has at least one token; give 1 or more"));
        }
        if prompts.saturating_mul(tokens) > MOST_TOKENS {
            return Err(Error::config(format!(
                "--num-prefix-prompts {prompts} and --prefix-prompt-length {tokens}: all prefixes together are kept in \
                 memory and have at most {MOST_TOKENS} tokens; give fewer or shorter ones"
            )));
        }
        Ok(Self {
            texts: (0..prompts).map(|_| OnceLock::new()).collect(),
            tokens,
            words: Seeds::new(seed, Purpose::PrefixText),
            choice: Seeds::new(seed, Purpose::PrefixChoice),
        })
    }

    /// Tokens of each text.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Number of the text that session `session` begins with.
    pub(super) fn choose(&self, session: u64) -> usize {
        SplitMix64::new(self.choice.item(session)).below(self.texts.len() as u64) as usize
    }

    /// Text `number`.
    ///
    /// # Errors
    /// When the tokenizer has no such text.
    pub(super) fn text(&self, number: usize, text: &dyn TextTools) -> Result<&str> {
        let kept = &self.texts[number];
        if kept.get().is_none() {
            // Two workers may both make it; it is the same text, and the later one is dropped.
            let made = text.text(self.words.item(number as u64), self.tokens).map_err(|e| {
                Error::new(e.kind, format!("prefix {number} of --prefix-prompt-length {} tokens: {e}", self.tokens))
            })?;
            return Ok(kept.get_or_init(|| made));
        }
        Ok(kept.get().map_or("", String::as_str))
    }
}
