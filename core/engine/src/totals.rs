//! [`Totals`]: everything that the report has to know of single requests, taken in one pass over them.

use crate::{
    failures::{Failures, Reach},
    pace::Pace,
    precision::{ClientFacts, Precision},
    records::{Lost, Records},
    segment::gaps,
};
use inferometer_abi::types::{ABSENT_NS, NO_COUNT};
use inferometer_metrics::{Options, Summary};
use inferometer_model::{
    Row,
    plan::{PhaseKind, PhasePlan},
};

/// A difference between the server's and the local token counts beyond this is worth a note.
const COUNT_DIFFERENCE: f64 = 0.1;

/// What one pass over the requests of a run gives.
pub(crate) struct Totals {
    pub(crate) phases: Vec<PhaseTotals>,
    pub(crate) counted: Counted,
    /// Measured requests that were sent twice.
    pub(crate) resent: u64,
    /// Measured answers that came as a stream, and as a whole.
    pub(crate) streamed: u64,
    pub(crate) whole: u64,
    /// Of the measured requests.
    pub(crate) precision: Precision,
    pub(crate) reach: Reach,
    pub(crate) lost: Lost,
}

/// What one pass gives for a phase.
pub(crate) struct PhaseTotals {
    pub(crate) summary: Summary,
    pub(crate) pace: Pace,
    pub(crate) failures: Failures,
}

impl Totals {
    /// Goes through all `records` of phases of `plans`.
    pub(crate) fn of(plans: &[&PhasePlan], records: &Records, options: &Options, client: &ClientFacts) -> Self {
        let phase = |plan: &&PhasePlan| PhaseTotals {
            summary: Summary::new(Options { open_loop: plan.is_open_loop(), ..options.clone() }),
            pace: Pace::of(plan),
            failures: Failures::default(),
        };
        let mut phases: Vec<PhaseTotals> = plans.iter().map(phase).collect();
        let (mut counted, mut resent, mut reach) = (Counted::default(), 0, Reach::default());
        let (mut streamed, mut whole) = (0, 0);
        let mut precision = Precision::new(client);
        let mut gaps_ns = Vec::new();
        let lost = records.for_each(|segment| {
            for (n, row) in segment.rows.iter().enumerate() {
                let phase = &mut phases[usize::from(row.phase)];
                gaps_ns.clear();
                gaps::read(segment.gaps(n), &mut gaps_ns);
                phase.summary.push(row, &gaps_ns);
                phase.pace.push(row);
                if plans[usize::from(row.phase)].kind == PhaseKind::Profiling {
                    counted.push(row);
                    resent += u64::from(row.resent);
                    streamed += u64::from(row.is_ok() && row.first != ABSENT_NS);
                    whole += u64::from(row.is_ok() && row.first == ABSENT_NS);
                    precision.push(row, &gaps_ns);
                }
            }
            for (n, failure) in segment.failures() {
                let row = &segment.rows[n];
                phases[usize::from(row.phase)].failures.push(row, failure);
                reach.push(failure);
            }
        });
        Self { phases, counted, resent, streamed, whole, precision, reach, lost }
    }
}

/// Tokens of the measured requests that both the server and the local tokenizer have counted.
#[derive(Default)]
pub(crate) struct Counted {
    /// Output tokens by the one and by the other, and of how many requests.
    server: u64,
    local: u64,
    requests: u64,
    /// Requests of which both have counted anything.
    compared: u64,
    /// Requests of which the server has counted nothing.
    untold: u64,
}

impl Counted {
    fn push(&mut self, row: &Row) {
        let ours = row.local_output.checked_add(row.local_reasoning);
        if let (Some(ours), true, true) =
            (ours, row.is_ok(), row.usage_completion != NO_COUNT && row.local_output != NO_COUNT)
        {
            self.server += u64::from(row.usage_completion);
            self.local += u64::from(ours);
            self.requests += 1;
        }
        let both = |server, local| server != NO_COUNT && local != NO_COUNT;
        let is_compared = both(row.usage_prompt, row.local_prompt) || both(row.usage_completion, row.local_output);
        self.compared += u64::from(row.is_ok() && is_compared);
        let is_untold = row.usage_prompt == NO_COUNT && row.usage_completion == NO_COUNT;
        self.untold += u64::from(row.is_ok() && is_untold);
    }

    /// Says of how many of `ok` requests no tokens are known, where only the server's counts are used.
    pub(crate) fn untold_note(&self, ok: u64) -> Option<String> {
        (self.untold > 0).then(|| {
            format!(
                "the server told no usage in {} of {ok} answers: leave --use-server-token-count out to have their tokens \
                 counted here",
                self.untold
            )
        })
    }

    /// Says of how many of `ok` requests `usage_discrepancy_count` is, if not of all.
    pub(crate) fn compared_note(&self, ok: u64) -> Option<String> {
        (0 < self.compared && self.compared < ok).then(|| {
            format!(
                "usage_discrepancy_count is of {} of {ok} requests: those whose tokens the server and the local tokenizer \
                 have both counted",
                self.compared
            )
        })
    }

    /// Where the two count differently, said once; `counted` of `ok` requests were counted here.
    pub(crate) fn note(&self, counted: u64, ok: u64) -> Option<String> {
        if self.local == 0 || (self.server as f64 / self.local as f64 - 1.0).abs() <= COUNT_DIFFERENCE {
            return None;
        }
        let mean = |sum: u64| sum as f64 / self.requests as f64;
        let of = if counted < ok { format!(" (counted on {counted} of {ok})") } else { String::new() };
        Some(format!(
            "the server reports {:.1} output tokens a request where the local tokenizer counts {:.1}{of}; the server's \
             are used",
            mean(self.server),
            mean(self.local)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::Outcome;

    #[test]
    fn how_many_requests_were_compared_is_said_unless_all_were() {
        let ok = Row { outcome: Outcome::OK, usage_prompt: 5, usage_completion: 9, ..Row::EMPTY };
        let by_both = Row { local_prompt: 5, ..ok };
        let mut counted = Counted::default();
        counted.push(&ok);
        assert_eq!(counted.compared_note(1), None, "the count is not reported");
        counted.push(&by_both);
        counted.push(&Row { outcome: Outcome::ERROR, ..by_both });
        counted.push(&Row { usage_prompt: NO_COUNT, local_output: 7, local_reasoning: 0, ..by_both });
        let note = counted.compared_note(3).unwrap();
        assert!(note.starts_with("usage_discrepancy_count is of 2 of 3 requests"), "{note}");
        assert_eq!(counted.compared_note(2), None);
        assert_eq!(counted.untold_note(3), None);
        counted.push(&Row { outcome: Outcome::OK, ..Row::EMPTY });
        assert!(counted.untold_note(4).unwrap().contains("in 1 of 4 answers"));
    }
}
