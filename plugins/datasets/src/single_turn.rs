//! JSONL files of single requests: one object per line, each a request that stands alone.
//!
//! Lines that share a `session_id` are turns of one session, in the order of the file; none of them sees the others.

use crate::conversation::{Builder, Contents, Fields, Format, NewTurn, Origin, Problem, ROW_KEYS, Row, Rows};
use crate::lines::Lines;
use inferometer_plugin_sdk::types::{Result, turn_flags};
use std::collections::HashMap;

/// One request per line.
#[derive(Default)]
pub(crate) struct SingleTurn;

impl Format for SingleTurn {
    const NAME: &'static str = "single_turn";

    fn read(source: &str) -> Result<Contents> {
        let (mut lines, rows) = (Lines::open(source)?, Rows::of(source));
        let mut builder = Builder::default();
        let mut by_id: HashMap<String, usize> = HashMap::new();
        while let Some((number, line)) = lines.next_line()? {
            let origin = Origin::of_line(number);
            let (id, mut row) = parse(&rows, line).map_err(|problem| origin.error(source, &problem))?;
            let session = if id.is_empty() {
                builder.session(&origin.name())
            } else {
                *by_id.entry(id).or_insert_with_key(|id| builder.session(id))
            };
            let messages = vec![row.message()];
            builder.push(session, &NewTurn { flags: turn_flags::STANDS_ALONE, ..row.turn(messages) });
        }
        Ok(Contents::new(builder.finish()))
    }
}

/// The session that a line names, or nothing, and its request.
fn parse(rows: &Rows, line: &str) -> Result<(String, Row), Problem> {
    let fields = Fields::parse(line)?;
    fields.refuse_unknown(&[&ROW_KEYS[..], &["session_id", "type"]].concat())?;
    fields.refuse_other_type(SingleTurn::NAME)?;
    Ok((fields.word("session_id")?, rows.read(&fields)?))
}

#[cfg(test)]
mod tests;
