//! JSONL as Alibaba's Bailian published its serving traces: one request per line, with the request that it continues.
//!
//! Times are in seconds and are counted from the earliest. Requests that go back to the same beginning are one session, in
//! order of their times; where a conversation was continued twice from one place, both ways are in it. Further fields are
//! passed over.

use super::{
    Form,
    clock::SECOND,
    fields::{hash_ids, time, tokens},
    rows::{Entry, Order, Rows},
};
use crate::{
    conversation::{Fields, Problem, from_json},
    lines::Lines,
};
use inferometer_plugin_sdk::types::{NO_COUNT, Result, TurnTime};
use std::collections::HashMap;

/// What stands for the parent of a request that begins a conversation.
const NO_PARENT: i64 = -1;

pub(crate) struct Bailian;

/// A request's place among the others, by their ids.
struct Chat {
    id: i64,
    parent: i64,
}

impl Form for Bailian {
    const NAME: &'static str = "bailian_trace";
    const BLOCK_TOKENS: u32 = 16;
    const ORDER: Order = Order::Time;

    fn read(rows: &mut Rows, notes: &mut Vec<String>) -> Result<()> {
        let mut lines = Lines::open(rows.source())?;
        let mut chats = Vec::new();
        let mut places = HashMap::new();
        let mut zero = u64::MAX;
        while let Some((number, line)) = lines.next_line()? {
            let (chat, entry, hash_ids) = parse(line).map_err(|problem| rows.error(number, problem))?;
            if let Some(before) = places.insert(chat.id, chats.len()) {
                let problem = format!("chat_id: {} is also that of line {}", chat.id, rows.rows[before].line);
                return Err(rows.error(number, problem));
            }
            zero = zero.min(entry.time.timestamp_ns);
            rows.push(&Entry { line: number, hash_ids: &hash_ids, ..entry })?;
            chats.push(chat);
        }
        rows.count_times_from(zero);
        let absent = chats.iter().filter(|c| c.parent != NO_PARENT && !places.contains_key(&c.parent)).count();
        if absent > 0 {
            notes.push(format!(
                "{absent} of {} requests continue one that is not in the trace; they are taken for the beginning of theirs",
                chats.len()
            ));
        }
        for (row, root) in roots(&chats, &places).into_iter().enumerate() {
            let root = root.ok_or_else(|| {
                rows.error(rows.rows[row].line, "parent_chat_id: this request is among those that it goes back to")
            })?;
            let session = rows.session_named(&root.to_string());
            rows.rows[row].session = session;
        }
        Ok(())
    }
}

fn parse(line: &str) -> Result<(Chat, Entry<'static>, Vec<u64>), Problem> {
    let fields = Fields::parse(line)?;
    let id = |field: &str| from_json::<i64>(field, fields.needed(field)?);
    let chat = Chat { id: id("chat_id")?, parent: id("parent_chat_id")? };
    for field in ["timestamp", "input_length"] {
        fields.needed(field)?;
    }
    let entry = Entry {
        time: TurnTime {
            timestamp_ns: time(&fields, "timestamp", SECOND, "seconds")?.unwrap_or_default(),
            ..TurnTime::NONE
        },
        input: tokens(&fields, "input_length", 1)?.unwrap_or_default(),
        output: tokens(&fields, "output_length", 0)?.unwrap_or(NO_COUNT),
        ..Entry::default()
    };
    Ok((chat, entry, hash_ids(&fields)?))
}

/// The id that each request goes back to: of the first request of its conversation, or of the one before that where it
/// is not in the trace. Nothing for requests that go round in a circle.
fn roots(chats: &[Chat], places: &HashMap<i64, usize>) -> Vec<Option<i64>> {
    let mut roots: Vec<Option<i64>> = vec![None; chats.len()];
    let mut path = Vec::new();
    for start in 0..chats.len() {
        path.clear();
        let mut at = start;
        let root = loop {
            // One step more than there are requests can only be a circle.
            if roots[at].is_some() || path.len() > chats.len() {
                break roots[at];
            }
            path.push(at);
            let Chat { id, parent } = chats[at];
            match places.get(&parent) {
                _ if parent == NO_PARENT => break Some(id),
                Some(&place) => at = place,
                None => break Some(parent),
            }
        };
        if root.is_none() {
            return roots;
        }
        path.iter().for_each(|place| roots[*place] = root);
    }
    roots
}
