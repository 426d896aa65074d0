//! [`Finished`]: what a run found, and how the program ends because of it.

use crate::{failures::Reach, job::Job, records::Records, telemetry::SourceLog};
use inferometer_abi::documents::{Outcomes, Report};
use inferometer_metrics::Options;
use inferometer_model::ExitCode;
use std::sync::Arc;

/// What a run found.
pub struct Finished {
    pub(crate) report: Report,
    pub(crate) records: Records,
    pub(crate) reach: Reach,
    pub(crate) logs: Vec<SourceLog>,
    pub(crate) job: Arc<Job>,
    pub(crate) options: Options,
    /// Largest share of failed requests with which the run still succeeds.
    pub(crate) error_limit: Option<f64>,
    /// Whether the run succeeds even if its numbers are not to be believed.
    pub(crate) accepts_invalid: bool,
}

impl Finished {
    /// The report.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        let outcomes = self.report.profiling().map(|phase| phase.outcomes).unwrap_or_default();
        let is_refused = self.report.verdict.state == "invalid" && !self.accepts_invalid;
        exit_code(self.report.was_cancelled, &outcomes, self.error_limit, is_refused)
    }

    /// Whether nothing could be measured because no connection was ever made.
    pub fn was_unreachable(&self) -> bool {
        self.report.profiling().is_none_or(|phase| phase.outcomes.ok == 0) && self.reach.is_none()
    }
}

/// How the program ends: by the first of its reasons. `is_refused`: its numbers are not to be believed.
fn exit_code(was_cancelled: bool, outcomes: &Outcomes, error_limit: Option<f64>, is_refused: bool) -> ExitCode {
    let attempted = outcomes.ok + outcomes.error;
    if was_cancelled {
        ExitCode::Interrupted
    } else if outcomes.ok == 0 {
        ExitCode::Unreachable
    } else if error_limit.is_some_and(|limit| outcomes.error as f64 > limit * attempted as f64) {
        ExitCode::ErrorRate
    } else if is_refused {
        ExitCode::Invalid
    } else {
        ExitCode::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_by_the_first_of_its_reasons() {
        let some = Outcomes { total: 100, ok: 90, error: 10, ..Outcomes::default() };
        let none = Outcomes { total: 100, error: 100, ..Outcomes::default() };
        for (was_cancelled, outcomes, error_limit, is_refused, expected) in [
            (false, some, None, false, ExitCode::Ok),
            (false, some, Some(0.1), false, ExitCode::Ok),
            (false, some, None, true, ExitCode::Invalid),
            (false, some, Some(0.1), true, ExitCode::Invalid),
            (false, some, Some(0.09), true, ExitCode::ErrorRate),
            (false, none, Some(0.09), true, ExitCode::Unreachable),
            (true, none, Some(0.09), true, ExitCode::Interrupted),
            (true, some, None, true, ExitCode::Interrupted),
        ] {
            let found = exit_code(was_cancelled, &outcomes, error_limit, is_refused);
            assert_eq!(found, expected, "{was_cancelled} {outcomes:?} {error_limit:?} {is_refused}");
        }
    }
}
