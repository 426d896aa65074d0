//! [`Record`]s as exporters see them, made of what the workers kept: a batch at a time, for all exporters at once.

use crate::{
    Finished,
    data::{Session, body},
    segment::{Segment, gaps},
};
use inferometer_abi::types::Record;
use inferometer_model::{Failure, Row};
use inferometer_net::RequestIds;
use std::{collections::HashMap, ops::Range, sync::Arc};

/// Records of a batch.
const MOST_RECORDS: usize = 1_024;
/// Gaps of a batch, if there are not as many records before.
const MOST_GAPS: usize = 1 << 16;
/// Bytes that the bodies of a batch take, if they are not reached by the last record. Several batches are under way at a
/// time.
const MOST_BODY_BYTES: usize = 8 << 20;

/// Sessions that are at hand: turns of one session come one after another, with some of others in between.
const MOST_SESSIONS: usize = 256;
/// Bytes that they take, if they are not as many before.
const MOST_SESSION_BYTES: usize = 16 << 20;

/// What making records takes besides the requests themselves.
#[derive(Default)]
pub(crate) struct Tools {
    values: Vec<f64>,
    sessions: Sessions,
}

/// Sessions at hand, by their numbers in the data set.
#[derive(Default)]
struct Sessions {
    held: HashMap<u64, Held>,
    bytes: usize,
}

/// A session that is kept here or in a batch; none where it cannot be made.
#[derive(Clone, Default)]
struct Held {
    session: Option<Arc<Session>>,
    /// What it takes because of that; nothing where the run keeps it anyway.
    bytes: usize,
}

impl Held {
    /// A session that was just looked up.
    fn new(session: Option<Arc<Session>>) -> Self {
        let own = session.as_ref().filter(|session| Arc::strong_count(session) == 1);
        Self { bytes: own.map_or(0, |session| session.bytes()), session }
    }
}

impl Sessions {
    /// Session `entry`, made by `make` if it is not at hand.
    fn get(&mut self, entry: u64, make: impl FnOnce() -> Option<Arc<Session>>) -> Held {
        if let Some(held) = self.held.get(&entry) {
            return held.clone();
        }
        if self.held.len() >= MOST_SESSIONS || self.bytes >= MOST_SESSION_BYTES {
            *self = Self::default();
        }
        let held = Held::new(make());
        self.bytes += held.bytes;
        self.held.insert(entry, held.clone());
        held
    }
}

/// What some records are made of, in the order in which they are told.
#[derive(Default)]
pub(crate) struct Batch {
    parts: Vec<Parts>,
    gaps: Vec<u64>,
    /// Of all metrics of the run's catalogue for each record.
    values: Vec<f64>,
    /// The bodies that were kept.
    sent: Vec<u8>,
    /// The sessions of the records, by their numbers in the data set, and what they take.
    sessions: HashMap<u64, Option<Arc<Session>>>,
    session_bytes: usize,
}

struct Parts {
    row: Row,
    ids: RequestIds,
    gaps: Range<usize>,
    values: Range<usize>,
    failure: Option<Failure>,
    /// The body, where it was kept.
    sent: Option<Range<usize>>,
}

impl Batch {
    /// Adds the request that is `row` of `segment`.
    pub(crate) fn push(&mut self, finished: &Finished, segment: &Segment, row: usize, tools: &mut Tools) {
        let (gaps_start, values_start) = (self.gaps.len(), self.values.len());
        gaps::read(segment.gaps(row), &mut self.gaps);
        let (session, failure) = (segment.session(row), segment.failure(row).cloned());
        let sent = segment.sent(row).map(|sent| self.keep_body(sent));
        let row = segment.rows[row];
        inferometer_metrics::values(&finished.options, &row, &mut tools.values);
        self.values.extend_from_slice(&tools.values);
        let look_up = || finished.job.pool.look_up(row.session, false).ok();
        self.keep_session(row.session, tools.sessions.get(row.session, look_up));
        self.parts.push(Parts {
            row,
            ids: finished.job.ids(row.phase, session, row.turn),
            gaps: gaps_start..self.gaps.len(),
            values: values_start..self.values.len(),
            failure,
            sent,
        });
    }

    fn keep_body(&mut self, sent: &[u8]) -> Range<usize> {
        let start = self.sent.len();
        self.sent.extend_from_slice(sent);
        start..self.sent.len()
    }

    fn keep_session(&mut self, entry: u64, Held { session, bytes }: Held) {
        if self.sessions.insert(entry, session).is_none() {
            self.session_bytes += bytes;
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.parts.len() >= MOST_RECORDS
            || self.gaps.len() >= MOST_GAPS
            || self.sent.len() + self.session_bytes >= MOST_BODY_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The records.
    pub(crate) fn records<'a>(&'a self, finished: &'a Finished) -> Vec<Record<'a>> {
        self.parts.iter().map(|parts| self.record(finished, parts)).collect()
    }

    fn record<'a>(&'a self, finished: &'a Finished, parts: &'a Parts) -> Record<'a> {
        let Parts { row, ids, failure, sent, .. } = parts;
        let session = self.sessions.get(&row.session).and_then(Option::as_ref);
        let name = session.map_or("", |session| &session.name);
        let turn = session.and_then(|session| session.turns.get(row.turn as usize));
        let made = || turn.and_then(|turn| turn.encoded.as_ref()).map_or(&[][..], body);
        let phase = &finished.job.phases[usize::from(row.phase)].plan;
        Record {
            index: row.index,
            session: row.session,
            turn: row.turn,
            phase: u32::from(row.phase),
            worker: u32::from(row.worker),
            status: u32::from(row.status),
            outcome: row.outcome,
            events: row.events,
            request_id: ids.request,
            correlation_id: ids.correlation,
            intended_ns: row.intended,
            permitted_ns: row.permitted,
            sent_ns: row.sent,
            headers_ns: row.headers,
            first_ns: row.first,
            last_ns: row.last,
            end_ns: row.end,
            gaps_ns: self.gaps[parts.gaps.clone()].into(),
            values: self.values[parts.values.clone()].into(),
            conversation_id: name.into(),
            phase_name: phase.name.as_str().into(),
            phase_kind: phase.kind.as_str().into(),
            error_type: failure.as_ref().map_or("", |failure| failure.kind.as_str()).into(),
            error_message: failure.as_ref().map_or("", |failure| &failure.message).into(),
            body: sent.clone().map_or_else(made, |sent| &self.sent[sent]).into(),
            reserved: [0; 8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Ready;
    use inferometer_abi::types::{Outgoing, TurnTime};

    const BODY: usize = 600_000;

    /// A session of one turn with such a long body.
    fn long(entry: u64) -> Arc<Session> {
        let outgoing = Outgoing { body: vec![b'x'; BODY].into(), ..Outgoing::default() };
        let turn = Ready {
            encoded: Some(outgoing),
            said: Vec::new(),
            builds: false,
            model: "m".into(),
            extra: "".into(),
            max_tokens: 0,
            time: TurnTime::NONE,
        };
        Arc::new(Session { name: format!("session {entry}"), turns: vec![turn], branches: Vec::new() })
    }

    #[test]
    fn a_batch_of_long_bodies_is_full_before_it_takes_much_memory() {
        let most = MOST_BODY_BYTES / BODY + 1;
        let (mut of_sessions, mut of_bodies) = (Batch::default(), Batch::default());
        for entry in 0..most as u64 {
            assert!(!of_sessions.is_full() && !of_bodies.is_full(), "after {entry}");
            of_sessions.keep_session(entry, Held::new(Some(long(entry))));
            assert_eq!(of_bodies.keep_body(&vec![b'x'; BODY]), entry as usize * BODY..(entry as usize + 1) * BODY);
        }
        assert!(of_sessions.is_full() && of_bodies.is_full());
    }

    #[test]
    fn a_session_counts_once_in_a_batch_and_not_at_all_where_the_run_keeps_it() {
        let mut batch = Batch::default();
        let (kept, made) = (long(0), Held::new(Some(long(1))));
        for _ in 0..2 {
            batch.keep_session(0, Held::new(Some(Arc::clone(&kept))));
            batch.keep_session(1, made.clone());
        }
        assert_eq!((batch.sessions.len(), batch.session_bytes), (2, long(1).bytes()));
    }

    #[test]
    fn long_sessions_at_hand_are_few_and_kept_ones_are_made_once() {
        let mut sessions = Sessions::default();
        for entry in 0..100 {
            sessions.get(entry, || Some(long(entry)));
            assert!(sessions.bytes < MOST_SESSION_BYTES + long(entry).bytes());
            let held: usize =
                sessions.held.values().filter_map(|held| held.session.as_ref()).map(|one| one.bytes()).sum();
            assert_eq!(held, sessions.bytes);
        }
        let again = sessions.get(99, || panic!("it is at hand"));
        assert_eq!(again.session.unwrap().name, "session 99");
    }
}
