//! CSV as BurstGPT published it (Wang et al., 2024): one request per row, with its length and that of the answer.
//!
//! Times are in seconds and are counted from the earliest. Rows that share a `Session ID`, which the newer files have, are
//! turns of one session. Rows without response tokens are requests that had failed, and are left out. The models that were
//! asked then are not asked again.

use super::{
    Form,
    clock::{self, SECOND},
    columns::Columns,
    rows::{Entry, Rows},
};
use inferometer_plugin_sdk::types::{Result, TurnTime};

const COLUMNS: [&str; 5] = ["Timestamp", "Request tokens", "Response tokens", "Session ID", "Model"];
const TIMESTAMP: usize = 0;
const INPUT: usize = 1;
const OUTPUT: usize = 2;
const SESSION: usize = 3;
const MODEL: usize = 4;

pub(crate) struct BurstGpt;

impl Form for BurstGpt {
    const NAME: &'static str = "burst_gpt_trace";

    fn read(rows: &mut Rows, notes: &mut Vec<String>) -> Result<()> {
        let mut columns = Columns::open(rows.source(), COLUMNS, 3)?;
        let (mut zero, mut failures, mut all) = (u64::MAX, 0_u64, 0_u64);
        while let Some(line) = columns.next_line()? {
            all += 1;
            let seconds = |text: &str| clock::decimal(text, SECOND);
            let timestamp_ns = columns.time(TIMESTAMP, seconds, "seconds, 0 or more");
            let timestamp_ns = timestamp_ns.map_err(|problem| rows.error(line, problem))?;
            zero = zero.min(timestamp_ns);
            let output = columns.tokens(OUTPUT, 0).map_err(|problem| rows.error(line, problem))?;
            if output == 0 {
                failures += 1;
                continue;
            }
            let input = columns.tokens(INPUT, 1).map_err(|problem| rows.error(line, problem))?;
            let session = match columns.field(SESSION) {
                "" => rows.new_session(),
                id => rows.session_named(id),
            };
            let time = TurnTime { timestamp_ns, ..TurnTime::NONE };
            rows.push(&Entry { line, session, time, input, output, ..Entry::default() })?;
        }
        rows.count_times_from(zero);
        if failures > 0 {
            notes.push(format!(
                "{failures} of {all} rows have no response tokens: requests that had failed when the trace was recorded; \
                 they are left out"
            ));
        }
        if columns.has(MODEL) {
            notes.push("the trace's `Model` column is not used: all requests go to the run's own models".to_owned());
        }
        Ok(())
    }
}
