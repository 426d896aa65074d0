//! [`Finished`]: what a run found, and how the program ends because of it.

use crate::{job::Job, store::Store, telemetry::SourceLog};
use inferometer_abi::documents::Report;
use inferometer_metrics::Options;
use inferometer_model::{ExitCode, FailureKind};
use std::sync::Arc;

/// What a run found.
pub struct Finished {
    pub(crate) report: Report,
    pub(crate) stores: Vec<Store>,
    pub(crate) logs: Vec<SourceLog>,
    pub(crate) job: Arc<Job>,
    pub(crate) options: Options,
    /// Largest share of failed requests with which the run still succeeds.
    pub(crate) error_limit: Option<f64>,
}

impl Finished {
    /// The report.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        let outcomes = self.report.profiling().map(|phase| phase.outcomes).unwrap_or_default();
        let attempted = outcomes.ok + outcomes.error;
        if self.report.was_cancelled {
            ExitCode::Interrupted
        } else if outcomes.ok == 0 {
            ExitCode::Unreachable
        } else if self.error_limit.is_some_and(|limit| outcomes.error as f64 > limit * attempted as f64) {
            ExitCode::ErrorRate
        } else if self.report.verdict.state == "invalid" {
            ExitCode::Invalid
        } else {
            ExitCode::Ok
        }
    }

    /// Whether nothing could be measured because no connection was ever made.
    pub fn was_unreachable(&self) -> bool {
        let failures = || self.stores.iter().flat_map(|store| &store.failures);
        self.report.profiling().is_none_or(|phase| phase.outcomes.ok == 0)
            && failures().any(|(_, failure)| failure.kind == FailureKind::Connect)
            && failures().all(|(_, failure)| failure.kind == FailureKind::Connect)
    }

    /// All rows in order of their end.
    pub(crate) fn order(&self) -> Vec<(usize, usize)> {
        let mut order: Vec<(usize, usize)> =
            self.stores.iter().enumerate().flat_map(|(s, store)| (0..store.rows.len()).map(move |r| (s, r))).collect();
        order.sort_by_key(|(s, r)| {
            let row = &self.stores[*s].rows[*r];
            (row.phase, row.end, row.index)
        });
        order
    }
}
