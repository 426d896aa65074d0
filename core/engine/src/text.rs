//! [`Text`]: the run's tokenizer as data sets see it. The text generator is made when it is first asked for: a run on a
//! file never pays for it.

use inferometer_abi::{
    api::TextTools,
    types::{Error, Result},
};
use inferometer_tokens::{TextGenerator, Tokenizer};
use std::sync::OnceLock;

pub(crate) struct Text {
    tokenizer: Tokenizer,
    generator: OnceLock<std::result::Result<TextGenerator, String>>,
}

impl Text {
    pub(crate) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, generator: OnceLock::new() }
    }
}

impl Text {
    fn generator(&self) -> Result<&TextGenerator> {
        let make = || TextGenerator::new(&self.tokenizer).map_err(|e| e.to_string());
        self.generator.get_or_init(make).as_ref().map_err(Error::config)
    }
}

impl TextTools for Text {
    fn count(&self, text: &str) -> u64 {
        self.tokenizer.count(text).map_or(0, |count| count as u64)
    }

    fn text(&self, seed: u64, tokens: u64) -> Result<String> {
        self.generator()?.text(seed, usize::try_from(tokens).unwrap_or(usize::MAX)).map_err(Error::config)
    }

    fn continuation(&self, seed: u64, tokens: u64) -> Result<String> {
        self.generator()?.continuation(seed, usize::try_from(tokens).unwrap_or(usize::MAX)).map_err(Error::config)
    }
}
