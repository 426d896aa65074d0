//! [`Segment`]: finished requests of one worker, in the order in which they were kept, and the bytes that they are in a
//! file. Where segments lie, and in what order requests are read from them, is not decided here.
//!
//! In memory a request takes 276 bytes, four more for each gap between its content events, 40 and its message if it did
//! not end well, and 20 and its text if its tokens are to be counted here. In a file the fixed part takes about 150
//! bytes and a gap three to five.

use inferometer_model::{Failure, Row};
use serde::{Deserialize, Serialize};
use std::io;

/// Requests of a full segment.
const FULL_ROWS: usize = 4_096;
/// Bytes of a full segment, if it is not full before.
const FULL_BYTES: usize = 1 << 20;

/// The order in which records are told: by phase, end and number.
pub(crate) type Key = (u16, u64, u64);

/// Where `row` comes in the order of records.
pub(crate) fn key(row: &Row) -> Key {
    (row.phase, row.end, row.index)
}

/// How much the first content event brought, in bytes of kept text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstEvent {
    pub(crate) text: u32,
    pub(crate) reasoning: u32,
}

/// An answer whose tokens are counted after the load, still JSON-escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) reasoning: &'a [u8],
    pub(crate) first: FirstEvent,
}

/// One request, to be kept.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) row: &'a Row,
    /// Number of its session in the schedule.
    pub(crate) session: u64,
    /// Gaps between its content events; see [`gaps`].
    pub(crate) gaps: &'a [u32],
    /// Its answer, if the tokens are to be counted.
    pub(crate) answer: Option<Answer<'a>>,
    pub(crate) failure: Option<Failure>,
    /// The body that was sent, where it cannot be made again.
    pub(crate) sent: Option<&'a [u8]>,
}

/// Finished requests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) rows: Vec<Row>,
    sessions: Vec<u64>,
    /// Where the gaps of each row end.
    gap_ends: Vec<u32>,
    gaps: Vec<u32>,
    /// Answers to be counted, by row.
    answers: Vec<Place>,
    /// Failures, by row.
    failures: Vec<(u32, Failure)>,
    /// Bytes of the failures' messages.
    message_bytes: usize,
    /// By row, where the bodies end that are kept.
    sent_ends: Vec<(u32, u32)>,
    /// Those bodies; they follow the rest in a file.
    #[serde(skip)]
    sent: Vec<u8>,
    /// The answers' text; it comes last in a file.
    #[serde(skip)]
    text: Vec<u8>,
}

/// Where in the text an answer ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    row: u32,
    text_end: u32,
    reasoning_end: u32,
    first: FirstEvent,
}

impl Segment {
    /// Appends a request.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry<'_>) {
        let row = self.rows.len() as u32;
        self.rows.push(*entry.row);
        self.sessions.push(entry.session);
        self.gaps.extend_from_slice(entry.gaps);
        self.gap_ends.push(self.gaps.len() as u32);
        if let Some(Answer { text, reasoning, first }) = entry.answer {
            self.text.extend_from_slice(text);
            let text_end = self.text.len() as u32;
            self.text.extend_from_slice(reasoning);
            self.answers.push(Place { row, text_end, reasoning_end: self.text.len() as u32, first });
        }
        if let Some(failure) = entry.failure {
            self.message_bytes += failure.message.len();
            self.failures.push((row, failure));
        }
        if let Some(sent) = entry.sent {
            self.sent.extend_from_slice(sent);
            self.sent_ends.push((row, self.sent.len() as u32));
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= FULL_ROWS || self.bytes() >= FULL_BYTES
    }

    /// Bytes that it takes in memory, unused room aside.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.rows)
            + size_of_val(&*self.sessions)
            + size_of_val(&*self.gap_ends)
            + size_of_val(&*self.gaps)
            + size_of_val(&*self.answers)
            + size_of_val(&*self.failures)
            + self.message_bytes
            + size_of_val(&*self.sent_ends)
            + self.sent.len()
            + self.text.len()
    }

    /// The place of its first request in the order of records; `None`: it is empty.
    pub(crate) fn first(&self) -> Option<Key> {
        self.rows.iter().map(key).min()
    }

    /// Number of a row's session in the schedule.
    pub(crate) fn session(&self, row: usize) -> u64 {
        self.sessions[row]
    }

    /// Gaps between the content events of a row.
    pub(crate) fn gaps(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.gap_ends[before]);
        &self.gaps[start as usize..self.gap_ends[row] as usize]
    }

    /// The body that a row's request had, where it was kept.
    pub(crate) fn sent(&self, row: usize) -> Option<&[u8]> {
        let at = self.sent_ends.binary_search_by_key(&(row as u32), |(row, _)| *row).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.sent_ends[before].1);
        Some(&self.sent[start as usize..self.sent_ends[at].1 as usize])
    }

    /// How a row failed.
    pub(crate) fn failure(&self, row: usize) -> Option<&Failure> {
        let at = self.failures.binary_search_by_key(&(row as u32), |(row, _)| *row);
        at.ok().map(|at| &self.failures[at].1)
    }

    /// All failures with their rows.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (usize, &Failure)> {
        self.failures.iter().map(|(row, failure)| (*row as usize, failure))
    }

    /// The answers to be counted with their rows.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (usize, Answer<'_>)> {
        let mut start = 0;
        self.answers.iter().map(move |place| {
            let (text_end, end) = (place.text_end as usize, place.reasoning_end as usize);
            let (text, reasoning) = (&self.text[start..text_end], &self.text[text_end..end]);
            start = end;
            (place.row as usize, Answer { text, reasoning, first: place.first })
        })
    }

    /// Whether the local tokenizer has anything to do here.
    pub(crate) fn is_to_be_counted(&self) -> bool {
        !(self.answers.is_empty() && self.failures.is_empty())
    }

    /// Lets the answers go, which nothing needs when they are counted.
    pub(crate) fn forget_answers(&mut self) {
        (self.answers, self.text) = (Vec::new(), Vec::new());
    }

    /// Makes it empty, to be filled again.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.sessions.clear();
        self.gap_ends.clear();
        self.gaps.clear();
        self.answers.clear();
        self.failures.clear();
        self.message_bytes = 0;
        self.sent_ends.clear();
        self.sent.clear();
        self.text.clear();
    }

    /// Appends its bytes to `out`; returns how many of them are text, which comes last.
    ///
    /// # Errors
    /// When it cannot be put into bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        *out = postcard::to_extend(self, std::mem::take(out)).map_err(io::Error::other)?;
        out.extend_from_slice(&self.sent);
        out.extend_from_slice(&self.text);
        Ok(self.text.len())
    }

    /// The segment that `bytes` are, of which the last `text` are text.
    ///
    /// # Errors
    /// When they are none.
    pub(crate) fn read(bytes: &[u8], text: usize) -> io::Result<Self> {
        let (rest, text) = bytes.split_at(bytes.len().saturating_sub(text));
        let (segment, sent): (Self, _) = postcard::take_from_bytes(rest).map_err(io::Error::other)?;
        if sent.len() != segment.sent_ends.last().map_or(0, |(_, end)| *end as usize) {
            return Err(io::Error::other("bodies are missing"));
        }
        Ok(Self { sent: sent.to_vec(), text: text.to_vec(), ..segment })
    }
}

/// Gaps between events in nanoseconds, 32 bits each; longer ones (over 4.29 s) take three words.
pub(crate) mod gaps {
    const LONG: u32 = u32::MAX;

    /// Appends `gap_ns`.
    #[inline]
    pub(crate) fn push(words: &mut Vec<u32>, gap_ns: u64) {
        match u32::try_from(gap_ns) {
            Ok(short) if short != LONG => words.push(short),
            _ => words.extend_from_slice(&[LONG, (gap_ns >> 32) as u32, gap_ns as u32]),
        }
    }

    /// Appends the gaps in `words` to `out`.
    pub(crate) fn read(words: &[u32], out: &mut Vec<u64>) {
        let mut words = words.iter().map(|word| u64::from(*word));
        while let Some(word) = words.next() {
            let gap = if word == u64::from(LONG) {
                words.next().unwrap_or_default() << 32 | words.next().unwrap_or_default()
            } else {
                word
            };
            out.push(gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::Outcome;
    use inferometer_model::FailureKind;
    use proptest::prelude::*;

    #[test]
    fn gaps_of_any_length_come_back() {
        let given = [0, 1, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, 5];
        let (mut words, mut out) = (Vec::new(), Vec::new());
        given.iter().for_each(|gap| gaps::push(&mut words, *gap));
        gaps::read(&words, &mut out);
        assert_eq!(out, given);
    }

    #[test]
    fn a_request_takes_as_many_bytes_as_the_documentation_says() {
        let mut segment = Segment::default();
        let row = Row { session: 77_000, intended: 17_000_000_000, end: 17_000_000_900, ..Row::EMPTY };
        let stamps = Row { permitted: row.end, connected: row.end, sent: row.end, written: row.end, ..row };
        let row = Row { first_byte: row.end, headers: row.end, last: row.end, last_byte: row.end, ..stamps };
        segment.push(Entry { row: &row, session: 1_000_000, gaps: &[7; 3], answer: None, failure: None, sent: None });
        assert_eq!(segment.bytes(), 276 + 3 * 4);
        let mut bytes = Vec::new();
        segment.write(&mut bytes).unwrap();
        assert!((140..180).contains(&bytes.len()), "{}", bytes.len());
    }

    #[test]
    fn bytes_that_are_no_segment_are_refused() {
        assert!(Segment::read(&[0xff; 40], 7).is_err());
        assert!(Segment::read(&[], 7).is_err());
    }

    proptest! {
        #[test]
        fn what_was_kept_comes_back_from_memory_and_from_bytes(
            kept in prop::collection::vec(
                (
                    any::<[u64; 3]>(),
                    prop::collection::vec(any::<u32>(), 0..5),
                    prop::option::of((any::<Vec<u8>>(), any::<Vec<u8>>(), any::<u32>())),
                    prop::option::of(".{0,20}"),
                    prop::option::of(any::<Vec<u8>>()),
                ),
                0..20,
            ),
        ) {
            let mut segment = Segment::default();
            let rows: Vec<Row> = kept
                .iter()
                .map(|([index, end, _], ..)| Row { index: *index, end: *end, outcome: Outcome::CANCELLED, ..Row::EMPTY })
                .collect();
            for (row, ([.., session], gaps, answer, message, sent)) in rows.iter().zip(&kept) {
                let answer = answer.as_ref().map(|(text, reasoning, first)| Answer {
                    text,
                    reasoning,
                    first: FirstEvent { text: *first, reasoning: 3 },
                });
                let failure = message.clone().map(|message| Failure::new(FailureKind::Reset, message));
                let sent = sent.as_deref();
                segment.push(Entry { row, session: *session, gaps, answer, failure, sent });
            }
            let mut bytes = vec![1, 2, 3];
            let text = segment.write(&mut bytes).unwrap();
            for segment in [&segment, &Segment::read(&bytes[3..], text).unwrap()] {
                prop_assert_eq!(segment.rows.len(), kept.len());
                let mut answers = segment.answers();
                for (n, ([index, end, session], gaps, answer, message, sent)) in kept.iter().enumerate() {
                    let row = &segment.rows[n];
                    prop_assert_eq!((row.index, row.end, row.outcome), (*index, *end, Outcome::CANCELLED));
                    prop_assert_eq!((segment.session(n), segment.gaps(n)), (*session, &gaps[..]));
                    let failure = segment.failure(n).map(|failure| failure.message.to_string());
                    prop_assert_eq!(&failure, message);
                    prop_assert_eq!(segment.sent(n), sent.as_deref());
                    if let Some((text, reasoning, first)) = answer {
                        let (row, found) = answers.next().unwrap();
                        prop_assert_eq!((row, found.first.text), (n, *first));
                        prop_assert_eq!((found.text, found.reasoning), (&text[..], &reasoning[..]));
                    }
                }
                prop_assert!(answers.next().is_none());
            }
        }
    }
}
