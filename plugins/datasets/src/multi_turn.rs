//! JSONL files of whole conversations: one object per line, `{"session_id": …, "turns": […]}`, whose turns build on one
//! another.
//!
//! A turn is a row as in files of single requests, or just its text, so that questions as MT-Bench has them are read too.

use crate::conversation::{
    Builder, Contents, Fields, Format, NewMessage, Problem, ROW_KEYS, Records, Row, Rows, from_json,
};
use inferometer_plugin_sdk::types::Result;
use serde_json::{Value, value::RawValue};
use std::collections::HashSet;

/// The fields of a conversation: the latter three are MT-Bench's.
const KEYS: [&str; 6] = ["session_id", "turns", "type", "question_id", "category", "reference"];

/// What only a turn that is sent can have.
const OF_REQUESTS: [&str; 5] = ["output_length", "model", "extra", "timestamp", "delay"];

/// One conversation per line.
#[derive(Default)]
pub(crate) struct MultiTurn;

impl Format for MultiTurn {
    const NAME: &'static str = "multi_turn";

    fn read(source: &str) -> Result<Contents> {
        let (mut records, rows) = (Records::lines(source)?, Rows::of(source));
        let mut builder = Builder::default();
        let mut seen = HashSet::new();
        while let Some((origin, record)) = records.next_record()? {
            let here = |problem: Problem| origin.error(source, &problem);
            let (id, turns) = parse(&rows, record).map_err(here)?;
            let session = builder.session(&if id.is_empty() { origin.name() } else { id.clone() });
            if !id.is_empty() && seen.contains(&id) {
                let reason = format!("`{id}` is the name of an earlier line too; put all its turns on one line");
                return Err(here(Problem::new("session_id", reason)));
            }
            seen.insert(id);
            push(&mut builder, session, turns).map_err(here)?;
        }
        Ok(Contents::new(builder.finish()))
    }
}

/// The name of a conversation, or nothing, and its rows.
fn parse(rows: &Rows, record: &str) -> Result<(String, Vec<Row>), Problem> {
    let fields = Fields::parse(record)?;
    fields.refuse_unknown(&KEYS)?;
    fields.refuse_other_type(MultiTurn::NAME)?;
    fields.refuse_both("session_id", "question_id")?;
    let question = match fields.read::<Value>("question_id")? {
        Some(Value::String(id)) => id,
        Some(id) => id.to_string(),
        None => String::new(),
    };
    let id = fields.word("session_id")?;
    let turn = |(n, item): (usize, &&RawValue)| {
        row(rows, item.get(), n).map_err(|problem| problem.within(&format!("turns[{n}]")))
    };
    let turns = fields.items("turns")?.iter().enumerate().map(turn).collect::<Result<_, _>>()?;
    Ok((if id.is_empty() { question } else { id }, turns))
}

fn row(rows: &Rows, json: &str, place: usize) -> Result<Row, Problem> {
    if json.starts_with('"') {
        let text = from_json::<String>("", json)?;
        let object = serde_json::json!({ "text": text }).to_string();
        return rows.read(&Fields::parse(&object)?);
    }
    let fields = Fields::nested("", json)?;
    fields.refuse_unknown(&ROW_KEYS)?;
    let row = rows.read(&fields)?;
    let is_sent = row.role != "assistant" && (row.role != "system" || place > 0);
    if let Some(key) = OF_REQUESTS.iter().find(|key| !is_sent && fields.raw(key).is_some()) {
        let reason = format!("given with role `{}`, of which no request is made; leave it out", row.role);
        return Err(Problem::new(*key, reason));
    }
    Ok(row)
}

/// Adds a conversation: instructions and replies lead the messages of the turn after them, if there is one.
fn push(builder: &mut Builder, session: usize, rows: Vec<Row>) -> Result<(), Problem> {
    let mut before: Vec<NewMessage> = Vec::new();
    let mut is_first = true;
    for (n, mut row) in rows.into_iter().enumerate() {
        let message = row.message();
        let is_reply = message.role == "assistant";
        if is_reply && is_first {
            let reason = "`assistant` is a reply, and there is no turn before it; begin with the user";
            return Err(Problem::new(format!("turns[{n}].role"), reason));
        }
        let is_sent = !is_reply && (n > 0 || message.role != "system");
        before.push(message);
        if is_sent {
            builder.push(session, &row.turn(std::mem::take(&mut before)));
            is_first = false;
        }
    }
    if is_first { Err(Problem::new("turns", "none of them asks anything; add one of the user")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
