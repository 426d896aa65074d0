//! [`Record`]s as exporters see them, made of what the workers kept.

use crate::{Finished, store::gaps};
use inferometer_abi::types::{Outcome, Record};

/// The parts of a record that are made for it.
pub(crate) struct Parts {
    gaps: Vec<u64>,
    values: Vec<f64>,
    message: String,
    kind: &'static str,
}

impl Parts {
    pub(crate) fn new(finished: &Finished, (s, r): (usize, usize)) -> Self {
        let store = &finished.stores[s];
        let (row, detail) = (&store.rows[r], &store.details[r]);
        let (mut words, mut values) = (Vec::new(), Vec::new());
        gaps::read(store.gaps.get(detail.gaps), &mut words);
        inferometer_metrics::values(&finished.options, row, &mut values);
        let failure = if row.outcome == Outcome::OK {
            None
        } else {
            let at = store.failures.binary_search_by_key(&(r as u32), |(number, _)| *number);
            at.ok().map(|at| &store.failures[at].1)
        };
        Self {
            gaps: words,
            values,
            message: failure.map(|failure| failure.message.to_string()).unwrap_or_default(),
            kind: failure.map_or("", |failure| failure.kind.as_str()),
        }
    }
}

pub(crate) fn record<'a>(finished: &'a Finished, (s, r): (usize, usize), parts: &'a Parts) -> Record<'a> {
    let row = &finished.stores[s].rows[r];
    let job = &finished.job;
    let session = &job.pool.sessions[row.session as usize];
    let phase = &job.phases[usize::from(row.phase)].plan;
    let ids = finished.stores[s].details[r].ids;
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
        gaps_ns: parts.gaps.as_slice().into(),
        values: parts.values.as_slice().into(),
        conversation_id: session.name.as_str().into(),
        phase_name: phase.name.as_str().into(),
        phase_kind: phase.kind.as_str().into(),
        error_type: parts.kind.into(),
        error_message: parts.message.as_str().into(),
        body: crate::pool::body(&session.turns[row.turn as usize].outgoing).into(),
        reserved: [0; 8],
    }
}
