//! Made-up queries with the passages that are to be ranked by them.

use crate::{
    lengths::{Lengths, Scale},
    random::{Place, Purpose, Seeds},
};
use inferometer_plugin_sdk::{
    api::TextTools,
    documents::RankingRequest,
    types::{Error, Part, Result},
};

const PASSAGES: Scale = Scale::whole("--rankings-passages-mean", "passages", 1.0, super::MOST_PARTS as f64);

/// What turns ask to be ranked.
#[derive(Debug)]
pub(super) struct Ranking {
    /// Passages of a turn.
    passages: Lengths,
    /// Tokens of each.
    passage: Lengths,
    /// Tokens of the query.
    query: Lengths,
    words: Seeds,
}

impl Ranking {
    /// What was `asked`.
    ///
    /// # Errors
    /// Names the option whose value nothing can have.
    pub(super) fn new(asked: &RankingRequest, seed: u64) -> Result<Self> {
        let RankingRequest { passages, passage_tokens, query_tokens } = *asked;
        let tokens = |option, length, purpose| Lengths::new(option, length, seed, purpose);
        Ok(Self {
            passages: Lengths::scaled(PASSAGES, passages, seed, Purpose::Passages)?,
            passage: tokens("--rankings-passages-prompt-token-mean", passage_tokens, Purpose::PassageLength)?,
            query: tokens("--rankings-query-prompt-token-mean", query_tokens, Purpose::QueryLength)?,
            words: Seeds::new(seed, Purpose::Text),
        })
    }

    /// The texts of the turn at `place`: the query, then the passages.
    ///
    /// # Errors
    /// When the vocabulary allows no such text.
    pub(super) fn texts(&self, place: Place, text: &dyn TextTools) -> Result<Vec<String>> {
        let made = self.lengths(place).map(|(place, tokens)| {
            let made = text.text(self.words.at(place), tokens.into());
            let number = super::number(place);
            made.map_err(|e| {
                Error::new(e.kind, format!("text {} of ranking {number}, {tokens} tokens: {e}", place.part))
            })
        });
        made.collect()
    }

    /// Tokens of the texts of the turn at `place`.
    pub(super) fn tokens(&self, place: Place) -> u64 {
        self.lengths(place).map(|(_, tokens)| u64::from(tokens)).sum()
    }

    /// Where the texts of the turn at `place` stand, and how long each is.
    fn lengths(&self, place: Place) -> impl Iterator<Item = (Place, u32)> {
        let query = (place, self.query.at(place));
        let passages = (1..=self.passages.at(place)).map(move |part| {
            let place = Place { part, ..place };
            (place, self.passage.at(place))
        });
        std::iter::once(query).chain(passages)
    }
}

/// `texts` as the parts of a turn.
pub(super) fn parts(texts: &[String]) -> impl Iterator<Item = Part<'_>> {
    let names = std::iter::once("query").chain(std::iter::repeat("passages"));
    texts.iter().zip(names).map(|(text, name)| Part { name: name.into(), ..Part::text(text) })
}
