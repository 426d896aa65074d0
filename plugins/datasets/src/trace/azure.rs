//! CSV as Azure published its inference traces (2023: Patel et al., ISCA 2024; 2024: Stojkovic et al., HPCA 2025): one
//! request per row, with the time of day at which it came and the lengths of prompt and answer.
//!
//! Times are counted from the earliest.

use super::{
    Form, clock,
    columns::Columns,
    rows::{Entry, Rows},
};
use crate::conversation::Problem;
use inferometer_plugin_sdk::types::{Result, TurnTime};

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
const TIMESTAMP: usize = 0;
const INPUT: usize = 1;
const OUTPUT: usize = 2;

pub(crate) struct Azure;

impl Form for Azure {
    const NAME: &'static str = "azure_trace";

    fn read(rows: &mut Rows, _: &mut Vec<String>) -> Result<()> {
        let mut columns = Columns::open(rows.source(), COLUMNS, COLUMNS.len())?;
        let mut zero = u64::MAX;
        while let Some(line) = columns.next_line()? {
            let read = || {
                let date = "a date and time such as 2024-05-10 00:00:00.009930+00:00";
                let timestamp_ns = columns.time(TIMESTAMP, clock::date_time, date)?;
                Ok((timestamp_ns, columns.tokens(INPUT, 1)?, columns.tokens(OUTPUT, 0)?))
            };
            let (timestamp_ns, input, output) = read().map_err(|problem: Problem| rows.error(line, problem))?;
            zero = zero.min(timestamp_ns);
            let session = rows.new_session();
            let time = TurnTime { timestamp_ns, ..TurnTime::NONE };
            rows.push(&Entry { line, session, time, input, output, ..Entry::default() })?;
        }
        rows.count_times_from(zero);
        Ok(())
    }
}
