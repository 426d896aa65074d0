//! [`Store`]: where a worker keeps its finished requests during the load, in memory of a bounded size.
//!
//! Up to [`MEMORY`] bytes of all workers together stay in memory: some 147,000 requests of one event each, or 32,000
//! of 200 events. What comes after that goes to a temporary file; see [`crate::spill`]. Answers are kept only where
//! their tokens will be counted.

use crate::{
    reading::Buffers,
    segment::{Answer, Entry, FirstEvent, Segment},
    spill::{Link, Stored},
};
use inferometer_abi::types::{ABSENT_NS, NO_COUNT};
use inferometer_model::{Failure, Row};

/// Bytes of finished requests that all workers together keep in memory.
const MEMORY: usize = 32 << 20;
/// Where the server gives the counts itself, so many requests are counted to check them.
const CHECKED: usize = 1_000;

/// Everything one worker found.
#[derive(Debug, Default)]
pub(crate) struct Store {
    filling: Segment,
    full: Vec<Stored>,
    /// Bytes that may still be kept in memory.
    room: usize,
    /// Where full segments go when there is no room.
    link: Option<Link>,
    /// Whether there is a local tokenizer to count with.
    counts: bool,
    /// Answers still to be kept only to check the server's counts.
    checks: usize,
    /// Measured requests whose tokens are to be counted.
    pub(crate) to_count: u64,
    /// Answers that were too long to be kept.
    pub(crate) cut: u64,
    /// Arrivals by phase that were due and that this worker did not come round to.
    pub(crate) missed: Vec<u64>,
}

/// A request that has ended, to be kept.
pub(crate) struct Kept<'a> {
    pub(crate) row: &'a Row,
    /// Number of its session in the schedule.
    pub(crate) session: u64,
    pub(crate) buffers: &'a Buffers,
    pub(crate) first: FirstEvent,
    pub(crate) failure: Option<Failure>,
    /// The body that was sent, where it cannot be made again.
    pub(crate) sent: Option<&'a [u8]>,
    /// Whether its phase is the result.
    pub(crate) measured: bool,
}

impl Store {
    /// The store of worker `shard` of `shards`. With `counts`, answers are kept where their tokens have to be counted.
    pub(crate) fn new(shard: usize, shards: usize, link: Link, counts: bool) -> Self {
        Self {
            room: MEMORY / shards,
            link: Some(link),
            counts,
            checks: CHECKED / shards + usize::from(shard < CHECKED % shards),
            ..Self::default()
        }
    }

    /// Keeps a request.
    pub(crate) fn keep(&mut self, Kept { row, session, buffers, first, failure, sent, measured }: Kept<'_>) {
        let answer = self.is_to_be_counted(row, buffers, measured).then(|| {
            self.to_count += u64::from(measured);
            self.cut += u64::from(buffers.is_cut);
            if buffers.is_cut {
                Answer::default()
            } else {
                Answer { text: &buffers.text, reasoning: &buffers.reasoning, first }
            }
        });
        self.filling.push(Entry { row, session, gaps: &buffers.gaps, answer, failure, sent });
        if self.filling.is_full() {
            self.put_away();
        }
    }

    /// Whether the tokens of an answer are to be counted: if the server did not, or to check it. The check is on what is
    /// measured; a warm-up only gets the counts it would otherwise lack.
    fn is_to_be_counted(&mut self, row: &Row, buffers: &Buffers, is_measured: bool) -> bool {
        if !self.counts || !row.is_ok() {
            return false;
        }
        if !is_plain(row, !buffers.reasoning.is_empty()) {
            return true;
        }
        let check = is_measured && self.checks > 0;
        self.checks -= usize::from(check);
        check
    }

    /// Makes room for more.
    fn put_away(&mut self) {
        let spare = self.link.as_ref().and_then(Link::spare).unwrap_or_default();
        let full = std::mem::replace(&mut self.filling, spare);
        let bytes = full.bytes();
        if bytes <= self.room {
            self.room -= bytes;
            self.full.push(full.into());
            return;
        }
        let refused = match &self.link {
            Some(link) => link.send(full),
            None => Some(full),
        };
        self.full.extend(refused.map(Stored::from));
    }

    /// The segments that are still here. Nothing goes to the file any more.
    pub(crate) fn take_segments(&mut self) -> Vec<Stored> {
        self.link = None;
        let mut segments = std::mem::take(&mut self.full);
        let last = std::mem::take(&mut self.filling);
        segments.extend((!last.rows.is_empty()).then(|| last.into()));
        segments
    }
}

/// Whether the server's usage says all there is to know of the tokens: it has counted, the reasoning by itself if the
/// answer `has_reasoning`, and events of a stream held one token each, so that it is known how many the first one brought.
fn is_plain(row: &Row, has_reasoning: bool) -> bool {
    let is_stream = row.first != ABSENT_NS;
    row.usage_prompt != NO_COUNT
        && row.usage_completion != NO_COUNT
        && (!has_reasoning || row.usage_reasoning != NO_COUNT)
        && (!is_stream || row.usage_completion == row.events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::Outcome;

    fn ok() -> Row {
        Row { outcome: Outcome::OK, usage_prompt: 5, usage_completion: 9, events: 1, ..Row::EMPTY }
    }

    #[test]
    fn usage_says_all_of_a_whole_answer_and_of_a_stream_only_with_a_token_an_event() {
        assert!(is_plain(&ok(), false));
        assert!(!is_plain(&Row { usage_completion: NO_COUNT, ..ok() }, false));
        assert!(!is_plain(&Row { usage_prompt: NO_COUNT, ..ok() }, false));
        let stream = Row { first: 17, ..ok() };
        assert!(!is_plain(&stream, false));
        assert!(is_plain(&Row { events: 9, ..stream }, false));
    }

    #[test]
    fn usage_says_all_of_an_answer_with_reasoning_only_if_it_counts_the_reasoning() {
        for row in [ok(), Row { first: 17, events: 9, ..ok() }] {
            assert!(!is_plain(&row, true));
            assert!(is_plain(&Row { usage_reasoning: 3, ..row }, true));
        }
    }

    fn of<'a>(row: &'a Row, buffers: &'a Buffers, measured: bool) -> Kept<'a> {
        Kept { row, session: 0, buffers, first: FirstEvent::default(), failure: None, sent: None, measured }
    }

    fn kept(store: &mut Store, row: &Row, is_measured: bool) -> bool {
        let mut buffers = Buffers::default();
        buffers.text.extend_from_slice(b"words");
        store.keep(of(row, &buffers, is_measured));
        let last = store.filling.rows.len() - 1;
        store.filling.answers().last().is_some_and(|(row, answer)| row == last && answer.text == b"words")
    }

    #[test]
    fn of_plain_answers_only_so_many_are_kept_and_of_others_all() {
        let mut store = Store { counts: true, checks: 2, ..Store::default() };
        assert!(!kept(&mut store, &ok(), false), "a warm-up is not checked");
        let plain: Vec<bool> = (0..4).map(|_| kept(&mut store, &ok(), true)).collect();
        assert_eq!(plain, [true, true, false, false]);
        let uncounted = Row { usage_completion: NO_COUNT, ..ok() };
        assert!(kept(&mut store, &uncounted, true) && kept(&mut store, &uncounted, false));
        assert!(!kept(&mut store, &Row { outcome: Outcome::ERROR, ..uncounted }, true));
        assert_eq!(store.to_count, 3);
    }

    #[test]
    fn all_answers_are_kept_whose_reasoning_the_server_did_not_count() {
        let mut store = Store { counts: true, checks: 1, ..Store::default() };
        let mut buffers = Buffers::default();
        buffers.reasoning.extend_from_slice(b"thoughts");
        for _ in 0..3 {
            store.keep(of(&ok(), &buffers, true));
        }
        assert_eq!((store.filling.answers().count(), store.to_count, store.checks), (3, 3, 1));
        let counted = Row { usage_reasoning: 4, ..ok() };
        for _ in 0..3 {
            store.keep(of(&counted, &buffers, true));
        }
        assert_eq!(store.to_count, 4, "of those that it did, only as many as are checked");
    }

    #[test]
    fn nothing_is_kept_to_be_counted_where_only_the_server_counts() {
        let mut store = Store { checks: 2, ..Store::default() };
        assert!(!kept(&mut store, &Row { usage_completion: NO_COUNT, ..ok() }, true));
    }
}
