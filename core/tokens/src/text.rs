//! English-looking text of an exact token length.
//!
//! Encoding every prompt in full would cost minutes for a large run, so the words of a small corpus
//! are measured once, and a text is composed of runs of them until their counts add up. That is
//! exact wherever a blank always begins a new token, as with nearly all tokenizers; whether it does
//! is tried when the generator is made. Where it does not, each text is encoded, and its end mended
//! until the count is right.
//!
//! Text that is to follow other text is a case of its own: it begins with a blank, so that prompts can be put together of
//! blocks, and shared blocks stay token for token the same.
//!
//! This is not a language model and not a dataset: no meaning, no rules of punctuation.

use std::fmt;

use inferometer_abi::random::{SplitMix64, scale};

use crate::Tokenizer;
use crate::corpus::{BEFORE, Corpus, LONGEST_RUN};
use crate::error::{TextError, TokenizerError};

/// As long as a text is shorter than this, in bytes, it is made of one or two words at a time, so
/// that texts of different seeds part within a few tokens and share no block of a prefix cache.
/// Behind it runs are long, for speed.
const OPENING: usize = 160;

/// How many texts are begun where the counts of words do not add up, and how often the end of each
/// is mended. Only texts that happen to be hard come near these bounds.
const STARTS: usize = 16;
const MENDS: usize = 24;

/// Makes texts of exact token lengths for one tokenizer.
///
/// A text is a pure function of the seed, the length and the tokenizer. It consists of whole words.
pub struct TextGenerator {
    tokenizer: Tokenizer,
    corpus: Corpus,
    /// Whether the number of tokens that is the index can be filled with words; the last entry
    /// speaks for all larger numbers.
    fillable: Vec<bool>,
    /// Whether the counts of words add up to the count of the text.
    additive: bool,
}

impl TextGenerator {
    /// Measures the corpus and tries whether its counts add up.
    ///
    /// # Errors
    /// When the tokenizer refuses English words.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let corpus = Corpus::measure(tokenizer)?;
        let mut generator = Self { tokenizer: tokenizer.clone(), fillable: fillable(&corpus), corpus, additive: true };
        generator.additive = tokenizer.splits_at_blanks() || generator.counts_add_up()?;
        Ok(generator)
    }

    /// A text of exactly `tokens` tokens; the empty text for none.
    ///
    /// # Errors
    /// When no choice of words has that count, or, where the counts of words do not add up, a
    /// bounded number of tries found none. A text of another length is never returned.
    pub fn text(&self, seed: u64, tokens: usize) -> Result<String, TextError> {
        let mut random = SplitMix64::new(seed);
        if tokens == 0 {
            return Ok(String::new());
        }
        if self.additive {
            return self.compose(&mut random, tokens).ok_or_else(|| self.no_text(tokens, None));
        }
        self.compose_and_mend(&mut random, tokens)
    }

    /// A text that begins with a blank and adds exactly `tokens` tokens to any text of ours that it is appended to, be
    /// that another continuation; the empty text for none.
    ///
    /// Where [`adds_up`](Self::adds_up) is false this is exact after one certain word only, or nearly so: count the whole,
    /// and mend its end.
    ///
    /// # Errors
    /// When no choice of words has that count.
    pub fn continuation(&self, seed: u64, tokens: usize) -> Result<String, TextError> {
        let mut random = SplitMix64::new(seed);
        if tokens == 0 {
            return Ok(String::new());
        }
        if self.additive {
            let mut text = String::with_capacity(self.corpus.bytes_of(tokens));
            let filled = self.fill(&mut text, &mut random, tokens);
            return if filled { Ok(text) } else { Err(self.no_text(tokens, None)) };
        }
        let whole = tokens.saturating_add(self.tokenizer.count(BEFORE)?);
        for _ in 0..STARTS {
            let mut text = BEFORE.to_owned();
            if self.fill(&mut text, &mut random, tokens) && self.mend(&mut text, &mut random, whole, &mut None)? {
                return Ok(text.split_off(BEFORE.len()));
            }
        }
        let mut text = String::new();
        if self.fill(&mut text, &mut random, tokens) { Ok(text) } else { Err(self.no_text(tokens, None)) }
    }

    /// Whether the counts of words add up with this tokenizer, so that texts are exact without being counted, and
    /// continuations are exact whatever they follow.
    pub fn adds_up(&self) -> bool {
        self.additive
    }

    /// Composes texts until one can be mended.
    fn compose_and_mend(&self, random: &mut SplitMix64, tokens: usize) -> Result<String, TextError> {
        let mut nearest = None;
        for _ in 0..STARTS {
            let Some(mut text) = self.compose(random, tokens) else {
                break;
            };
            if self.mend(&mut text, random, tokens, &mut nearest)? {
                return Ok(text);
            }
        }
        Err(self.no_text(tokens, nearest))
    }

    /// Takes words off the end of a text or adds others, by its true count; says whether that made
    /// it exact. `nearest` keeps the best count seen.
    fn mend(
        &self,
        text: &mut String,
        random: &mut SplitMix64,
        tokens: usize,
        nearest: &mut Option<usize>,
    ) -> Result<bool, TokenizerError> {
        for _ in 0..MENDS {
            let count = self.tokenizer.count(text)?;
            if count == tokens {
                return Ok(true);
            }
            if nearest.is_none_or(|near| near.abs_diff(tokens) > count.abs_diff(tokens)) {
                *nearest = Some(count);
            }
            let missing = tokens.saturating_sub(count);
            if missing == 0 {
                // Now and then a few words more, so as not to come back to the same text.
                drop_words(text, count - tokens + random.below(6) as usize);
                if text.is_empty() {
                    return Ok(false);
                }
            } else if missing <= 4 || !self.fill(text, random, missing) {
                // So near the end a word's own count says little; any word may be the one.
                text.push_str(self.corpus.run(random.below(self.corpus.words() as u64) as usize, 1));
            }
        }
        Ok(false)
    }

    /// A text whose words' counts add up to `tokens`, or nothing where no words' do.
    fn compose(&self, random: &mut SplitMix64, tokens: usize) -> Option<String> {
        let corpus = &self.corpus;
        let mut text = String::with_capacity(corpus.bytes_of(tokens));
        // The first word has no blank before it, and so a count of its own.
        let first = self.pick(random, tokens, |word| corpus.leading(word))?;
        text.push_str(&corpus.run(first, 1)[1..]);
        self.fill(&mut text, random, tokens - corpus.leading(first)).then_some(text)
    }

    /// Adds words to `text` that cost `left` tokens by their own counts; says whether it could.
    fn fill(&self, text: &mut String, random: &mut SplitMix64, mut left: usize) -> bool {
        let corpus = &self.corpus;
        loop {
            let lengths = if text.len() < OPENING { 1..=2 } else { LONGEST_RUN / 2..=LONGEST_RUN };
            let drawn = random.next_u64();
            let word = scale(drawn, corpus.words() as u64) as usize;
            // The lower half of the number, which choosing the word has hardly used.
            let spread = lengths.end() - lengths.start() + 1;
            let length = lengths.start() + (drawn as u32 as usize) % spread;
            let cost = corpus.following(word, length);
            if cost == 0 || cost > left || !self.can_fill(left - cost) {
                break;
            }
            text.push_str(corpus.run(word, length));
            left -= cost;
        }
        while left > 0 {
            let Some(word) = self.pick(random, left, |word| corpus.following(word, 1)) else {
                return false;
            };
            text.push_str(corpus.run(word, 1));
            left -= corpus.following(word, 1);
        }
        true
    }

    /// A word that costs no more than `left` and leaves a rest that can be filled: the first such
    /// from a random one on.
    fn pick(&self, random: &mut SplitMix64, left: usize, cost: impl Fn(usize) -> usize) -> Option<usize> {
        let words = self.corpus.words();
        let start = random.below(words as u64) as usize;
        (start..words).chain(0..start).find(|&word| {
            let cost = cost(word);
            cost > 0 && cost <= left && self.can_fill(left - cost)
        })
    }

    fn can_fill(&self, tokens: usize) -> bool {
        self.fillable[tokens.min(self.fillable.len() - 1)]
    }

    /// Whether texts of all kinds have the counts that their words add up to: every short length,
    /// where first words and endings weigh most, and some 16,000 tokens of long texts.
    fn counts_add_up(&self) -> Result<bool, TokenizerError> {
        let lengths = (1..=64).chain(std::iter::repeat_n(512, 28));
        for (seed, tokens) in lengths.enumerate() {
            if let Some(text) = self.compose(&mut SplitMix64::new(seed as u64), tokens)
                && self.tokenizer.count(&text)? != tokens
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn no_text(&self, tokens: usize, nearest: Option<usize>) -> TextError {
        TextError::NoExactText {
            tokenizer: self.tokenizer.name().to_owned(),
            tokens,
            nearest: nearest.map_or_else(String::new, |count| format!(" (the nearest that was tried has {count})")),
        }
    }
}

impl fmt::Debug for TextGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextGenerator")
            .field("tokenizer", &self.tokenizer)
            .field("additive", &self.additive)
            .finish_non_exhaustive()
    }
}

/// Takes `count` words off the end, or all there are.
fn drop_words(text: &mut String, count: usize) {
    let end = text.rmatch_indices(' ').nth(count - 1).map_or(0, |(at, _)| at);
    text.truncate(end);
}

/// Which numbers of tokens can be filled with words that follow others; the last entry stands for
/// all numbers from there on.
fn fillable(corpus: &Corpus) -> Vec<bool> {
    let mut costs: Vec<usize> =
        (0..corpus.words()).map(|word| corpus.following(word, 1)).filter(|&cost| cost > 0).collect();
    costs.sort_unstable();
    costs.dedup();
    let Some((&least, &most)) = costs.first().zip(costs.last()) else {
        return vec![true, false];
    };
    let mut fillable = vec![true];
    // Once as many neighbours as the cheapest word costs can all be filled, so can all above them.
    let mut unbroken = 1;
    while unbroken < least && fillable.len() <= least * most {
        let tokens = fillable.len();
        let reached = costs.iter().any(|&cost| cost <= tokens && fillable[tokens - cost]);
        fillable.push(reached);
        unbroken = if reached { unbroken + 1 } else { 0 };
    }
    // Where there are no such neighbours, as when every word costs an even number, try: a text
    // that cannot be filled after all is refused when it is composed.
    fillable.push(true);
    fillable
}
