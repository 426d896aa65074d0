//! Counting tokens by the local tokenizer, after the load: the measured threads never do.

use crate::{
    pool::Pool,
    reading::unescape,
    store::{Detail, Store},
};
use inferometer_abi::types::NO_COUNT;
use inferometer_model::Row;
use inferometer_tokens::Tokenizer;
use std::collections::HashMap;

/// Where the server gives the counts itself, so many requests are counted to check them.
const CHECKED: usize = 1_000;

/// How much was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Requests whose tokens were counted here.
    pub(crate) counted: u64,
    /// Requests that ended well.
    pub(crate) of: u64,
}

/// Fills in the local counts of `stores`: of every answer whose tokens the server did not count or sent several at a
/// time, and of the first thousand others.
pub(crate) fn tally(stores: &mut [Store], pool: &Pool, tokenizer: &Tokenizer) -> Tally {
    let mut tally = Tally::default();
    let mut jobs: Vec<(usize, usize)> = Vec::new();
    let mut checked = 0;
    for (s, store) in stores.iter().enumerate() {
        for (r, row) in store.rows.iter().enumerate().filter(|(_, row)| row.is_ok()) {
            tally.of += 1;
            let plain = row.usage_prompt != NO_COUNT && row.usage_completion == row.events;
            if plain {
                checked += 1;
            }
            if !plain || checked <= CHECKED {
                jobs.push((s, r));
            }
        }
    }
    tally.counted = jobs.len() as u64;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len().div_ceil(64)).max(1);
    let share = jobs.len().div_ceil(threads).max(1);
    let view = &*stores;
    let counted: Vec<Vec<Counts>> = std::thread::scope(|scope| {
        let handles: Vec<_> = jobs
            .chunks(share)
            .map(|jobs| scope.spawn(move || jobs.iter().map(|job| count(view, *job, tokenizer)).collect()))
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect()
    });
    let mut prompts = HashMap::new();
    for ((s, r), counts) in jobs.into_iter().zip(counted.into_iter().flatten()) {
        let row = &mut stores[s].rows[r];
        (row.local_output, row.local_reasoning, row.local_first) = (counts.output, counts.reasoning, counts.first);
        row.local_prompt = *prompts.entry((row.session, row.turn)).or_insert_with(|| {
            let turn = pool.sessions.get(row.session as usize).and_then(|s| s.turns.get(row.turn as usize));
            turn.map_or(NO_COUNT, |turn| tokens(tokenizer, &turn.prompt))
        });
    }
    tally
}

struct Counts {
    output: u32,
    reasoning: u32,
    first: u32,
}

fn count(stores: &[Store], (s, r): (usize, usize), tokenizer: &Tokenizer) -> Counts {
    let (row, detail, arena) = (&stores[s].rows[r], &stores[s].details[r], &stores[s].text);
    let (text, reasoning) = (arena.get(detail.text), arena.get(detail.reasoning));
    if text.is_empty() && reasoning.is_empty() {
        return Counts { output: NO_COUNT, reasoning: NO_COUNT, first: NO_COUNT };
    }
    let of = |bytes: &[u8]| if bytes.is_empty() { 0 } else { tokens(tokenizer, &unescape(bytes)) };
    Counts { output: of(text), reasoning: of(reasoning), first: of(first_event(row, detail, text, reasoning)) }
}

/// What the first content event brought: text or reasoning.
fn first_event<'a>(row: &Row, detail: &Detail, text: &'a [u8], reasoning: &'a [u8]) -> &'a [u8] {
    let of = if row.first_output == row.first { text } else { reasoning };
    &of[..of.len().min(detail.first_bytes as usize)]
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> u32 {
    tokenizer.count(text).map_or(NO_COUNT, |count| count as u32)
}
