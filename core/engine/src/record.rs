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

/// Sessions that are at hand: turns of one session come one after another, with some of others in between.
const MOST_SESSIONS: usize = 256;

/// What making records takes besides the requests themselves.
#[derive(Default)]
pub(crate) struct Tools {
    values: Vec<f64>,
    sessions: HashMap<u64, Option<Arc<Session>>>,
}

impl Tools {
    fn session(&mut self, finished: &Finished, entry: u64) -> Option<Arc<Session>> {
        if self.sessions.len() >= MOST_SESSIONS && !self.sessions.contains_key(&entry) {
            self.sessions.clear();
        }
        let make = || finished.job.pool.look_up(entry, false).ok();
        self.sessions.entry(entry).or_insert_with(make).clone()
    }
}

/// What some records are made of, in the order in which they are told.
#[derive(Default)]
pub(crate) struct Batch {
    parts: Vec<Parts>,
    gaps: Vec<u64>,
    /// Of all metrics of the run's catalogue for each record.
    values: Vec<f64>,
}

struct Parts {
    row: Row,
    ids: RequestIds,
    gaps: Range<usize>,
    values: Range<usize>,
    failure: Option<Failure>,
    session: Option<Arc<Session>>,
    /// The body, where it was kept.
    sent: Option<Vec<u8>>,
}

impl Batch {
    /// Adds the request that is `row` of `segment`.
    pub(crate) fn push(&mut self, finished: &Finished, segment: &Segment, row: usize, tools: &mut Tools) {
        let (gaps_start, values_start) = (self.gaps.len(), self.values.len());
        gaps::read(segment.gaps(row), &mut self.gaps);
        let (session, failure) = (segment.session(row), segment.failure(row).cloned());
        let sent = segment.sent(row).map(<[u8]>::to_vec);
        let row = segment.rows[row];
        inferometer_metrics::values(&finished.options, &row, &mut tools.values);
        self.values.extend_from_slice(&tools.values);
        self.parts.push(Parts {
            row,
            ids: finished.job.ids(row.phase, session, row.turn),
            gaps: gaps_start..self.gaps.len(),
            values: values_start..self.values.len(),
            failure,
            session: tools.session(finished, row.session),
            sent,
        });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.parts.len() >= MOST_RECORDS || self.gaps.len() >= MOST_GAPS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The records.
    pub(crate) fn records<'a>(&'a self, finished: &'a Finished) -> Vec<Record<'a>> {
        self.parts.iter().map(|parts| self.record(finished, parts)).collect()
    }

    fn record<'a>(&'a self, finished: &'a Finished, parts: &'a Parts) -> Record<'a> {
        let Parts { row, ids, failure, session, sent, .. } = parts;
        let name = session.as_ref().map_or("", |session| &session.name);
        let turn = session.as_ref().and_then(|session| session.turns.get(row.turn as usize));
        let made = turn.and_then(|turn| turn.encoded.as_ref()).map_or(&[][..], body);
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
            body: sent.as_deref().unwrap_or(made).into(),
            reserved: [0; 8],
        }
    }
}
