//! [`Records`]: all requests of a run after the load, wherever they lie, to be gone through a segment at a time or in the
//! order in which they are told.

use crate::{
    segment::{Key, Segment, key},
    spill::{Opened, Spill, Stored},
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    ops::ControlFlow::{self, Break, Continue},
};

/// All requests of a run.
pub(crate) struct Records {
    spill: Spill,
    segments: Vec<Stored>,
}

/// Requests that could not be read back from the temporary file, and why.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    requests: u64,
    why: Option<io::Error>,
}

impl Lost {
    fn add(&mut self, requests: u64, error: io::Error) {
        self.requests += requests;
        self.why.get_or_insert(error);
    }

    /// What to say of it.
    pub(crate) fn words(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(format!("{} requests could not be read back from the temporary file: {why}", self.requests))
    }
}

impl Records {
    pub(crate) fn new(spill: Spill, segments: Vec<Stored>) -> Self {
        Self { spill, segments }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.segments.iter().map(|stored| stored.rows).sum()
    }

    /// What to say of where they were kept.
    pub(crate) fn note(&self) -> Option<String> {
        self.spill.note()
    }

    /// Goes through all segments, in no order.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&Segment)) -> Lost {
        let mut lost = Lost::default();
        for stored in &self.segments {
            match self.spill.read(stored) {
                Ok(segment) => look(&segment),
                Err(error) => lost.add(stored.rows, error),
            }
        }
        lost
    }

    /// Changes every segment that the local tokenizer has something to do in.
    pub(crate) fn count_each(&mut self, mut count: impl FnMut(&mut Segment)) {
        for stored in self.segments.iter_mut().filter(|stored| stored.is_to_be_counted) {
            // What cannot be read is told of by whoever wants to read it.
            let _ = self.spill.change(stored, &mut count);
        }
    }

    /// Goes through all requests in order of phase, end and number, as segments and places in them, until it is told to
    /// stop. Of each worker one segment is open at a time, or two where one ends: segments are opened when it is the turn
    /// of their first request.
    pub(crate) fn in_order(&self, mut look: impl FnMut(&Segment, usize) -> ControlFlow<()>) -> Lost {
        let mut lost = Lost::default();
        let mut waiting: Vec<&Stored> = self.segments.iter().collect();
        waiting.sort_by_key(|stored| Reverse(stored.first));
        let mut open: Vec<Option<Cursor<'_>>> = Vec::new();
        let mut next: BinaryHeap<Reverse<(Key, usize)>> = BinaryHeap::new();
        loop {
            while let Some(stored) =
                waiting.pop_if(|first| next.peek().is_none_or(|Reverse((at, _))| first.first <= *at))
            {
                match self.spill.read(stored) {
                    Ok(segment) if !segment.rows.is_empty() => {
                        let slot = open.iter().position(Option::is_none).unwrap_or(open.len());
                        open.resize_with(open.len().max(slot + 1), || None);
                        let cursor = Cursor::new(segment);
                        next.push(Reverse((cursor.key(), slot)));
                        open[slot] = Some(cursor);
                    }
                    Ok(_) => {}
                    Err(error) => lost.add(stored.rows, error),
                }
            }
            let Some(Reverse((_, slot))) = next.pop() else { return lost };
            let Some(cursor) = &mut open[slot] else { continue };
            if let Break(()) = look(&cursor.segment, cursor.row()) {
                return lost;
            }
            match cursor.advance() {
                Continue(()) => next.push(Reverse((cursor.key(), slot))),
                Break(()) => open[slot] = None,
            }
        }
    }
}

/// Goes through a segment in order.
struct Cursor<'a> {
    segment: Opened<'a>,
    /// The order of its rows, if they do not lie in order.
    order: Vec<u32>,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(segment: Opened<'a>) -> Self {
        let mut order = Vec::new();
        if !segment.rows.is_sorted_by_key(key) {
            order.extend(0..segment.rows.len() as u32);
            order.sort_by_key(|row| key(&segment.rows[*row as usize]));
        }
        Self { segment, order, at: 0 }
    }

    fn row(&self) -> usize {
        self.order.get(self.at).map_or(self.at, |row| *row as usize)
    }

    fn key(&self) -> Key {
        key(&self.segment.rows[self.row()])
    }

    fn advance(&mut self) -> ControlFlow<()> {
        self.at += 1;
        if self.at < self.segment.rows.len() { Continue(()) } else { Break(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        precision::ClientFacts,
        segment::{Answer, Entry, FirstEvent},
        spill::Writer,
        totals::Totals,
    };
    use inferometer_abi::types::{NO_COUNT, Outcome};
    use inferometer_metrics::Options;
    use inferometer_model::{
        Failure, FailureKind, Row,
        plan::{PhaseKind, PhasePlan, Stop},
    };
    use proptest::prelude::*;
    use std::fs::File;

    const KINDS: [PhaseKind; 2] = [PhaseKind::Warmup, PhaseKind::Profiling];
    const MS: u64 = 1_000_000;

    /// Requests as workers keep them: of two phases, in whatever order.
    fn kept() -> impl Strategy<Value = Vec<(Row, Vec<u32>)>> {
        let one = (0..2_u16, 0..3_u16, 0..40_u64, prop::collection::vec(1..9_000_000_u32, 0..4), 0..4_u32);
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let row = |(index, (phase, worker, end, gaps, outcome)): (usize, (u16, u16, u64, Vec<u32>, u32))| {
                let row = Row {
                    index: index as u64,
                    phase,
                    worker,
                    outcome: Outcome(outcome),
                    intended: MS,
                    permitted: MS,
                    sent: MS + end,
                    first: 2 * MS,
                    last: 2 * MS + gaps.iter().map(|gap| u64::from(*gap)).sum::<u64>(),
                    end: (40 + end / 3) * MS,
                    events: gaps.len() as u32 + 1,
                    usage_prompt: 5,
                    usage_completion: 2 * gaps.len() as u32,
                    ..Row::EMPTY
                };
                (row, gaps)
            };
            all.into_iter().enumerate().map(row).collect()
        })
    }

    fn push(segment: &mut Segment, row: &Row, gaps: &[u32]) {
        let words = ["took 3 s", "took 4 s", "lost"][(row.index % 3) as usize];
        let failure = (!row.is_ok()).then(|| Failure::new(FailureKind::Timeout, words));
        let first = FirstEvent { text: 3, reasoning: 0 };
        let answer = row.is_ok().then_some(Answer { text: b"one two three", reasoning: b"", first });
        segment.push(Entry { row, session: row.index * 7, gaps, answer, failure, sent: None });
    }

    type Maker = Box<dyn FnOnce() -> io::Result<File> + Send + Sync>;

    fn disk() -> Maker {
        Box::new(tempfile::tempfile)
    }

    /// A device that takes nothing.
    fn full_disk() -> Maker {
        Box::new(|| File::options().read(true).write(true).open("/dev/full"))
    }

    fn no_disk() -> Maker {
        Box::new(|| Err(io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    /// The same requests, in segments of `size` of which every `spilled`-th goes to the file; counted.
    fn records(kept: &[(Row, Vec<u32>)], size: usize, spilled: usize, maker: Maker) -> Records {
        let (writer, links) = Writer::start(Spill::new(maker), 3).unwrap();
        let mut segments: Vec<Stored> = Vec::new();
        for (worker, link) in links.into_iter().enumerate() {
            let own: Vec<_> = kept.iter().filter(|(row, _)| usize::from(row.worker) == worker).collect();
            for (n, part) in own.chunks(size).enumerate() {
                let mut segment = link.spare().unwrap_or_default();
                part.iter().for_each(|(row, gaps)| push(&mut segment, row, gaps));
                if n.is_multiple_of(spilled) {
                    segments.extend(link.send(segment).map(Stored::from));
                } else {
                    segments.push(segment.into());
                }
            }
        }
        let (spill, written) = writer.finish().unwrap();
        segments.extend(written);
        let mut records = Records::new(spill, segments);
        records.count_each(|segment| {
            let counts: Vec<_> = segment.answers().map(|(row, answer)| (row, answer.text.len() as u32)).collect();
            counts.into_iter().for_each(|(row, count)| {
                (segment.rows[row].local_output, segment.rows[row].local_reasoning) = (count, 0);
            });
            segment.forget_answers();
        });
        records
    }

    /// Everything that anyone reads of the records, in order.
    fn told(records: &Records) -> Vec<String> {
        let mut told = Vec::new();
        let lost = records.in_order(|segment, row| {
            let (session, gaps, failure) = (segment.session(row), segment.gaps(row), segment.failure(row));
            told.push(format!("{:?} {session} {gaps:?} {failure:?}", segment.rows[row]));
            Continue(())
        });
        assert_eq!(lost.words(), None);
        told
    }

    fn report(records: &Records) -> String {
        let options = Options { streaming: true, produces_tokens: true, ..Options::default() };
        let client = ClientFacts::of(&[]);
        let plans = KINDS.map(|kind| PhasePlan::new("", kind, "", Stop::default()));
        let Totals { phases, counted, resent, precision, reach, .. } =
            Totals::of(&plans.each_ref(), records, &options, &client);
        let phases: Vec<_> = phases
            .into_iter()
            .map(|phase| (phase.summary.finish(), phase.pace.lag_ms(), phase.failures.groups()))
            .collect();
        format!("{phases:?} {:?} {resent} {:?} {reach:?}", counted.note(1, 2), precision.finish(&client))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_requests_are_kept_their_records_and_the_report_are_the_same(
            kept in kept(),
            size in 1..20_usize,
            spilled in 1..4_usize,
        ) {
            let whole = records(&kept, usize::MAX, usize::MAX, disk());
            let mut expected: Vec<Row> = kept.iter().map(|(row, _)| *row).collect();
            expected.sort_by_key(key);
            let mut order = Vec::new();
            whole.in_order(|segment, row| {
                order.push(segment.rows[row].index);
                Continue(())
            });
            prop_assert_eq!(order, expected.iter().map(|row| row.index).collect::<Vec<_>>());
            for maker in [disk(), full_disk(), no_disk()] {
                let split = records(&kept, size, spilled, maker);
                prop_assert_eq!(told(&split), told(&whole));
                prop_assert_eq!(report(&split), report(&whole));
            }
        }
    }

    #[test]
    fn a_disk_that_refuses_is_told_of_and_one_that_takes_everything_is_not() {
        let kept: Vec<_> = (0..10).map(|index| (Row { index, ..Row::EMPTY }, vec![])).collect();
        assert_eq!(records(&kept, 3, 1, disk()).note(), None);
        for maker in [full_disk(), no_disk()] {
            let records = records(&kept, 3, 1, maker);
            assert!(records.note().unwrap().contains("kept in memory"), "{:?}", records.note());
            assert_eq!(told(&records).len(), 10);
        }
    }

    #[test]
    fn what_cannot_be_read_back_is_counted_and_the_rest_is_told() {
        let kept: Vec<_> = (0..10).map(|index| (Row { index, ..Row::EMPTY }, vec![])).collect();
        let mut broken = records(&kept, 3, 2, disk());
        broken.spill = Spill::new(no_disk());
        let mut seen = 0;
        let lost = broken.in_order(|_, _| {
            seen += 1;
            Continue(())
        });
        assert_eq!((seen, lost.requests), (4, 6));
        assert!(lost.words().unwrap().starts_with("6 requests could not be read back"));
        assert_eq!(broken.for_each(|_| {}).requests, 6);
    }

    #[test]
    fn reading_in_order_stops_when_it_is_told_to() {
        let kept: Vec<_> = (0..10).map(|index| (Row { index, local_output: NO_COUNT, ..Row::EMPTY }, vec![])).collect();
        let mut seen = 0;
        records(&kept, 3, 1, disk()).in_order(|_, _| {
            seen += 1;
            if seen == 5 { Break(()) } else { Continue(()) }
        });
        assert_eq!(seen, 5);
    }
}
