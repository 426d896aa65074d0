//! The two vocabularies that travel inside the program, `o200k_base` and `cl100k_base`: a byte-pair
//! encoder over a packed table.
//!
//! Why not a ready crate: those that carry these vocabularies cost either 47 MB of program text
//! (prebuilt automata, 40 ms to load) or 150 ms of start-up (base64 and two maps of boxed keys). A
//! packed table with one hash index is 2.3 MB and loads in a few milliseconds, on first use.
//!
//! This is not a reader of other people's vocabularies: see `huggingface` for those.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::LazyLock;

use hashbrown::{DefaultHashBuilder, HashTable};
use regex::Regex;

/// Which embedded vocabulary. Copying one costs nothing; its tables are built on first use and
/// shared by the whole program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Embedded {
    O200kBase,
    Cl100kBase,
}

static O200K_BASE: LazyLock<Encoder> = LazyLock::new(|| {
    Encoder::new(
        include_bytes!("../data/o200k_base.vocab"),
        &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+",
        ],
    )
});

static CL100K_BASE: LazyLock<Encoder> = LazyLock::new(|| {
    Encoder::new(
        include_bytes!("../data/cl100k_base.vocab"),
        &[
            r"'(?i:[sdmt]|ll|ve|re)",
            r"[^\r\n\p{L}\p{N}]?\p{L}+",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"\s+$",
            r"\s*[\r\n]",
            r"\s+",
        ],
    )
});

impl Embedded {
    /// The vocabulary's published name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
        }
    }

    /// How many tokens there are; read from the packed table's head, without building anything.
    pub(crate) fn size(self) -> usize {
        let packed: &[u8] = match self {
            Self::O200kBase => include_bytes!("../data/o200k_base.vocab"),
            Self::Cl100kBase => include_bytes!("../data/cl100k_base.vocab"),
        };
        split_packed(packed).0.len()
    }

    /// The encoder, built now if nobody has asked before.
    pub(crate) fn encoder(self) -> &'static Encoder {
        match self {
            Self::O200kBase => &O200K_BASE,
            Self::Cl100kBase => &CL100K_BASE,
        }
    }
}

/// Splits a packed vocabulary into the tokens' lengths and their bytes. The format: the number of
/// tokens (u32, little-endian), one length byte per token, then all tokens' bytes, in rank order.
fn split_packed(packed: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let (head, rest) = packed.split_first_chunk::<4>().expect("an embedded vocabulary has a head");
    rest.split_at(u32::from_le_bytes(*head) as usize)
}

/// A byte-pair encoder: text is cut into pieces by a pattern, and each piece that is not a token
/// itself is merged pair by pair, lowest rank first.
pub(crate) struct Encoder {
    bytes: &'static [u8],
    /// Where each token begins in `bytes`, with the end of the last one appended.
    starts: Vec<u32>,
    /// From a token's bytes to its rank; the bytes themselves stay in `bytes`.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The longest token, so that no longer piece is ever hashed.
    longest: usize,
    pieces: Regex,
}

impl Encoder {
    fn new(packed: &'static [u8], alternatives: &[&str]) -> Self {
        let (lengths, bytes) = split_packed(packed);
        let mut starts = Vec::with_capacity(lengths.len() + 1);
        let mut at = 0u32;
        starts.push(at);
        for &length in lengths {
            at += u32::from(length);
            starts.push(at);
        }
        let hasher = DefaultHashBuilder::default();
        let mut index = HashTable::with_capacity(lengths.len());
        let hash = |&rank: &u32| hasher.hash_one(token(bytes, &starts, rank));
        for rank in 0..lengths.len() as u32 {
            index.insert_unique(hash(&rank), rank, hash);
        }
        Self {
            longest: lengths.iter().copied().max().unwrap_or(0).into(),
            pieces: Regex::new(&alternatives.join("|")).expect("the patterns are valid"),
            bytes,
            starts,
            index,
            hasher,
        }
    }

    /// Calls `sink` with the rank of each token of `text`, in order.
    pub(crate) fn for_each_token(&self, text: &str, mut sink: impl FnMut(u32)) {
        let mut merger = Merger::default();
        let mut rest = text;
        while let Some(end) = self.first_piece(rest) {
            let piece = &rest.as_bytes()[..end];
            match self.rank(piece) {
                Some(rank) => sink(rank),
                None => merger.merge(self, piece, &mut sink),
            }
            rest = &rest[end..];
        }
    }

    /// Where the first piece of `rest` ends; nothing where nothing is left.
    fn first_piece(&self, rest: &str) -> Option<usize> {
        plain_word(rest.as_bytes()).or_else(|| Some(piece_end(rest, self.pieces.find(rest)?.end())))
    }

    /// The bytes of the tokens joined; ranks beyond the vocabulary stand for nothing.
    pub(crate) fn decode(&self, ranks: &[u32]) -> Vec<u8> {
        ranks
            .iter()
            .filter(|&&rank| (rank as usize) < self.starts.len() - 1)
            .flat_map(|&rank| token(self.bytes, &self.starts, rank))
            .copied()
            .collect()
    }

    fn rank(&self, piece: &[u8]) -> Option<u32> {
        if piece.len() > self.longest {
            return None;
        }
        self.index.find(self.hasher.hash_one(piece), |&rank| token(self.bytes, &self.starts, rank) == piece).copied()
    }
}

fn token<'a>(bytes: &'a [u8], starts: &[u32], rank: u32) -> &'a [u8] {
    let rank = rank as usize;
    &bytes[starts[rank] as usize..starts[rank + 1] as usize]
}

/// Where the first piece ends if it is the commonest kind, which all the patterns cut alike: English letters, none but the
/// first of them a capital, after a blank or none, and before another ASCII character that is no apostrophe. With this,
/// English text is counted nearly twice as fast as by the pattern alone.
fn plain_word(rest: &[u8]) -> Option<usize> {
    let blank = usize::from(rest.first() == Some(&b' '));
    let capital = usize::from(rest.get(blank).is_some_and(u8::is_ascii_uppercase));
    let begin = blank + capital;
    let end = begin + rest[begin..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let ends_plainly = rest.get(end).is_none_or(|next| next.is_ascii() && !next.is_ascii_uppercase() && *next != b'\'');
    (end > begin && ends_plainly).then_some(end)
}

/// Where the piece that the pattern found at the start of `rest` really ends. The published
/// patterns say `\s+(?!\S)`: blanks before a word leave their last one to that word. Only the last
/// alternative, a run of blanks without a line break, can meet that case, and cutting here keeps
/// the pattern free of look-ahead, so that matching is linear in the text whatever it holds.
fn piece_end(rest: &str, end: usize) -> usize {
    let piece = &rest[..end];
    let Some(last) = piece.chars().next_back() else {
        return end;
    };
    let before = end - last.len_utf8();
    let leaves_one = end < rest.len()
        && before > 0
        && last.is_whitespace()
        && !matches!(last, '\r' | '\n')
        && piece.chars().all(char::is_whitespace);
    if leaves_one { before } else { end }
}

/// The working memory of merging, kept over the pieces of one text.
#[derive(Default)]
struct Merger {
    /// One entry per byte of the piece; entry `i` is alive while a part begins at byte `i`.
    parts: Vec<Part>,
    /// Candidate merges, lowest rank first, leftmost first among equals: (rank, start, middle, end).
    candidates: BinaryHeap<Reverse<(u32, u32, u32, u32)>>,
}

#[derive(Clone, Copy)]
struct Part {
    /// Where the part ends; equal to its own start once it was merged into its left neighbour.
    end: u32,
    /// Where the left neighbour begins; meaningless for the first part.
    left: u32,
    rank: u32,
}

impl Merger {
    fn merge(&mut self, encoder: &Encoder, piece: &[u8], sink: &mut impl FnMut(u32)) {
        self.candidates.clear();
        self.parts.clear();
        self.parts.extend((0..piece.len()).map(|at| Part {
            end: at as u32 + 1,
            left: (at as u32).saturating_sub(1),
            rank: encoder.rank(&piece[at..=at]).expect("every single byte is a token"),
        }));
        for start in 0..piece.len() as u32 {
            self.offer(encoder, piece, start);
        }
        while let Some(Reverse((rank, start, middle, end))) = self.candidates.pop() {
            // Stale when either part has changed since the candidate was offered.
            let (left, right) = (self.parts[start as usize], self.parts[middle as usize]);
            if left.end != middle || right.end != end {
                continue;
            }
            self.parts[start as usize].end = end;
            self.parts[start as usize].rank = rank;
            self.parts[middle as usize].end = middle;
            if let Some(next) = self.parts.get_mut(end as usize) {
                next.left = start;
            }
            self.offer(encoder, piece, start);
            if start > 0 {
                self.offer(encoder, piece, left.left);
            }
        }
        let mut at = 0;
        while let Some(part) = self.parts.get(at) {
            sink(part.rank);
            at = part.end as usize;
        }
    }

    /// Offers to merge the part at `start` with its right neighbour.
    fn offer(&mut self, encoder: &Encoder, piece: &[u8], start: u32) {
        let middle = self.parts[start as usize].end;
        let Some(right) = self.parts.get(middle as usize) else {
            return;
        };
        let end = right.end;
        if let Some(rank) = encoder.rank(&piece[start as usize..end as usize]) {
            self.candidates.push(Reverse((rank, start, middle, end)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(vocabulary: Embedded, text: &str) -> Vec<u32> {
        let mut ranks = Vec::new();
        vocabulary.encoder().for_each_token(text, |rank| ranks.push(rank));
        ranks
    }

    #[test]
    fn the_tables_hold_the_published_number_of_tokens() {
        assert_eq!(Embedded::O200kBase.size(), 199_998);
        assert_eq!(Embedded::Cl100kBase.size(), 100_256);
    }

    #[test]
    fn ids_are_those_of_the_published_encoders() {
        let o200k: [(&str, &[u32]); 4] = [
            ("Shall I compare thee to a summer's day?", &[2179, 586, 357, 12221, 54979, 316, 261, 9333, 885, 2163, 30]),
            ("hello  world\n\n  don't 12345", &[24912, 220, 2375, 279, 220, 4128, 220, 7633, 2548]),
            ("日本語 😀 naïve", &[9048, 40909, 88038, 153_475, 737]),
            ("ABCdef'll  \n x ", &[44197, 1314, 6090, 4066, 1215, 220]),
        ];
        let cl100k: [(&str, &[u32]); 4] = [
            ("Shall I compare thee to a summer's day?", &[2059, 543, 358, 9616, 40344, 311, 264, 7474, 596, 1938, 30]),
            ("hello  world\n\n  don't 12345", &[15339, 220, 1917, 271, 220, 1541, 956, 220, 4513, 1774]),
            ("日本語 😀 naïve", &[9080, 22656, 45918, 252, 91416, 95980, 588]),
            ("ABCdef'll  \n x ", &[26484, 755, 3358, 2355, 865, 220]),
        ];
        for (text, ids) in o200k {
            assert_eq!(encode(Embedded::O200kBase, text), ids, "{text}");
        }
        for (text, ids) in cl100k {
            assert_eq!(encode(Embedded::Cl100kBase, text), ids, "{text}");
        }
    }

    #[test]
    fn a_blank_always_begins_a_new_token() {
        // This is why counts of words add up, and what the text generator relies on untested.
        let mut words: Vec<&str> = include_str!("../data/sonnets.txt").split_whitespace().collect();
        words.sort_unstable();
        words.dedup();
        for vocabulary in [Embedded::O200kBase, Embedded::Cl100kBase] {
            let count = |text: &str| encode(vocabulary, text).len();
            for first in &words {
                let leading = count(first);
                let apart: usize = words.iter().map(|word| count(&format!("{first} {word}"))).sum();
                let each: usize = words.iter().map(|word| count(&format!(" {word}"))).sum();
                assert_eq!(apart, leading * words.len() + each, "{first}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn plain_words_are_cut_as_the_pattern_cuts_them(text in "([ A-Za-z]{0,3}[a-z]{0,3}[ '\\n.,0é\u{301}A-Zsd]{0,2}){0,6}") {
            for vocabulary in [Embedded::O200kBase, Embedded::Cl100kBase] {
                let encoder = vocabulary.encoder();
                for (at, _) in text.char_indices() {
                    let rest = &text[at..];
                    if let Some(end) = plain_word(rest.as_bytes()) {
                        let found = encoder.pieces.find(rest).unwrap().end();
                        proptest::prop_assert_eq!(end, piece_end(rest, found), "{:?}", rest);
                    }
                }
            }
        }
    }

    #[test]
    fn every_token_encodes_to_itself_when_it_is_a_piece_of_its_own() {
        for vocabulary in [Embedded::O200kBase, Embedded::Cl100kBase] {
            let encoder = vocabulary.encoder();
            for rank in 0..vocabulary.size() as u32 {
                let bytes = encoder.decode(&[rank]);
                assert_eq!(encoder.rank(&bytes), Some(rank), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_very_long_piece_is_encoded_in_little_time_and_exactly() {
        let text = "x".repeat(200_000);
        let ranks = encode(Embedded::O200kBase, &text);
        assert_eq!(Embedded::O200kBase.encoder().decode(&ranks), text.as_bytes());
    }

    #[test]
    fn ranks_beyond_the_vocabulary_decode_to_nothing() {
        assert!(Embedded::Cl100kBase.encoder().decode(&[100_256, u32::MAX]).is_empty());
    }
}
