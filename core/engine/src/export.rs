//! Handing a finished run to its exporters, one after another: one that fails is reported, and the others still write.

use crate::{
    Finished,
    artifacts::{self, FolderOutput},
    store::gaps,
};
use inferometer_abi::{
    api::Exporter,
    documents::Report,
    types::{Outcome, Record, Result},
};
use inferometer_model::plan::OutputPlan;
use std::path::{Path, PathBuf};

/// Records handed over at a time.
const BATCH: usize = 1_024;

/// What the exporters did.
#[derive(Debug, Default)]
pub struct Exported {
    /// What they want shown, in order.
    pub shown: String,
    /// Those that failed, with their words.
    pub failed: Vec<String>,
}

/// The exporters of a run, waiting for it to be finished.
pub struct Exporters {
    exporters: Vec<(String, Box<dyn Exporter>)>,
    folder: PathBuf,
    plan: OutputPlan,
}

impl Exporters {
    pub(crate) fn new(exporters: Vec<(String, Box<dyn Exporter>)>, folder: &Path, plan: OutputPlan) -> Self {
        Self { exporters, folder: folder.to_owned(), plan }
    }

    /// Hands `finished` to each of them.
    pub fn export(self, finished: &Finished) -> Exported {
        let mut exported = Exported::default();
        if let Err(error) = artifacts::clear(&self.folder, &self.plan) {
            exported.failed.push(format!("the run before could not be removed: {error}"));
        }
        let order = finished.order();
        for (name, mut exporter) in self.exporters {
            let mut output = FolderOutput::new(&self.folder);
            match write(finished, &order, &mut *exporter, &mut output) {
                Ok(()) => exported.shown.push_str(&output.shown),
                Err(error) => exported.failed.push(format!("exporter '{name}': {error}")),
            }
        }
        exported
    }
}

fn write(
    finished: &Finished,
    order: &[(usize, usize)],
    exporter: &mut dyn Exporter,
    output: &mut FolderOutput<'_>,
) -> Result<()> {
    let report: &Report = &finished.report;
    exporter.begin(&report.run, output)?;
    for batch in order.chunks(BATCH) {
        let parts: Vec<Parts> = batch.iter().map(|place| Parts::new(finished, *place)).collect();
        let records: Vec<Record<'_>> =
            batch.iter().zip(&parts).map(|(place, parts)| record(finished, *place, parts)).collect();
        exporter.records(&records, output)?;
    }
    exporter.finish(report, output)
}

/// The parts of a record that are made for it.
struct Parts {
    gaps: Vec<u64>,
    values: Vec<f64>,
    message: String,
    kind: &'static str,
}

impl Parts {
    fn new(finished: &Finished, (s, r): (usize, usize)) -> Self {
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

fn record<'a>(finished: &'a Finished, (s, r): (usize, usize), parts: &'a Parts) -> Record<'a> {
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
