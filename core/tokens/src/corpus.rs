//! The words that texts are made of, with what each costs in tokens.
//!
//! The words are lines of William Shakespeare's sonnets (in the public domain): enough for text
//! that reads as English, few enough to be measured in a millisecond. This is not the place where
//! words are chosen: see `text`.

use crate::Tokenizer;
use crate::error::TokenizerError;

const SONNETS: &str = include_str!("../data/sonnets.txt");

/// A word that stands for any text of ours that others follow.
pub(crate) const BEFORE: &str = "the";

/// The longest run of words taken from the corpus in one piece.
pub(crate) const LONGEST_RUN: usize = 12;

/// The corpus as one line, every word with its leading blank, and the token counts of its words.
pub(crate) struct Corpus {
    /// The words, each after a blank; the first `LONGEST_RUN` of them once more at the end, so
    /// that a run may begin anywhere.
    text: String,
    /// Where each word begins in `text`, its blank included, with the end of the last appended.
    starts: Vec<u32>,
    /// How many tokens all words before each one have, as they follow one another; the sum of all
    /// appended.
    sums: Vec<u32>,
    /// How many tokens each word has as the first of a text, without a leading blank.
    leading: Vec<u32>,
}

impl Corpus {
    /// Counts the words of the corpus with `tokenizer`.
    pub(crate) fn measure(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        // A word's count after a blank is what it adds to the word before it: a blank at the
        // beginning of a text is a case of its own for many tokenizers.
        let before = tokenizer.count(BEFORE)? as u32;
        let mut corpus = Self {
            text: String::with_capacity(SONNETS.len() + 16 * LONGEST_RUN),
            starts: vec![0],
            sums: vec![0],
            leading: Vec::new(),
        };
        let mut sum = 0;
        let mut phrase = String::new();
        for word in SONNETS.split_whitespace() {
            phrase.clear();
            phrase.extend([BEFORE, " ", word]);
            sum += (tokenizer.count(&phrase)? as u32).saturating_sub(before);
            corpus.push(word, sum);
            corpus.leading.push(tokenizer.count(word)? as u32);
        }
        for (at, word) in SONNETS.split_whitespace().take(LONGEST_RUN).enumerate() {
            let sum = sum + corpus.sums[at + 1];
            corpus.push(word, sum);
        }
        Ok(corpus)
    }

    fn push(&mut self, word: &str, sum: u32) {
        self.text.extend([" ", word]);
        self.starts.push(self.text.len() as u32);
        self.sums.push(sum);
    }

    /// How many words there are to begin at.
    pub(crate) fn words(&self) -> usize {
        self.leading.len()
    }

    /// How many tokens the word has when it comes first in a text.
    pub(crate) fn leading(&self, word: usize) -> usize {
        self.leading[word] as usize
    }

    /// How many tokens `count` words from `word` on add to a text.
    pub(crate) fn following(&self, word: usize, count: usize) -> usize {
        (self.sums[word + count] - self.sums[word]) as usize
    }

    /// Those words, with their blanks.
    pub(crate) fn run(&self, word: usize, count: usize) -> &str {
        &self.text[self.starts[word] as usize..self.starts[word + count] as usize]
    }

    /// About how many bytes a text of `tokens` tokens has; a little more rather than less.
    pub(crate) fn bytes_of(&self, tokens: usize) -> usize {
        let per_text = self.following(0, self.words()).max(1);
        // Bounded, so that an absurd length is not allocated before a word is chosen.
        tokens.min(1 << 24) * self.text.len() / per_text + 64
    }
}
