//! Counting tokens by the local tokenizer, after the load: the measured threads never do.

use crate::{job::Phase, pool::Pool, reading::unescape, store::Store};
use inferometer_abi::types::{NO_COUNT, Outcome};
use inferometer_model::plan::PhaseKind;
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
/// time, and of the first thousand others; and of the prompts of these and of failed requests.
pub(crate) fn tally(stores: &mut [Store], phases: &[Phase], pool: &Pool, tokenizer: &Tokenizer) -> Tally {
    let mut tally = Tally::default();
    let mut jobs: Vec<(usize, usize)> = Vec::new();
    let mut checked = 0;
    for (s, store) in stores.iter().enumerate() {
        for (r, row) in store.rows.iter().enumerate().filter(|(_, row)| row.is_ok()) {
            let plain = row.usage_prompt != NO_COUNT && row.usage_completion == row.events;
            let measured = phases[usize::from(row.phase)].plan.kind == PhaseKind::Profiling;
            // The check is on what is measured; a warm-up only gets the counts it would otherwise lack.
            let check = plain && measured && checked < CHECKED;
            checked += usize::from(check);
            tally.of += u64::from(measured);
            tally.counted += u64::from(measured && (check || !plain));
            if check || !plain {
                jobs.push((s, r));
            }
        }
    }
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
    for ((s, r), counts) in jobs.iter().zip(counted.into_iter().flatten()) {
        let row = &mut stores[*s].rows[*r];
        (row.local_output, row.local_reasoning, row.local_first) = (counts.output, counts.reasoning, counts.first);
    }
    let mut prompts = HashMap::new();
    let failed = stores.iter().enumerate().flat_map(|(s, store)| {
        let failed = store.rows.iter().enumerate().filter(|(_, row)| row.outcome == Outcome::ERROR);
        failed.map(move |(r, _)| (s, r))
    });
    for (s, r) in failed.collect::<Vec<_>>().into_iter().chain(jobs) {
        let row = &mut stores[s].rows[r];
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
    let (detail, arena) = (&stores[s].details[r], &stores[s].text);
    let (text, reasoning) = (arena.get(detail.text), arena.get(detail.reasoning));
    if text.is_empty() && reasoning.is_empty() {
        return Counts { output: NO_COUNT, reasoning: NO_COUNT, first: NO_COUNT };
    }
    let of = |bytes: &[u8]| if bytes.is_empty() { 0 } else { tokens(tokenizer, &unescape(bytes)) };
    Counts {
        output: of(text),
        reasoning: of(reasoning),
        first: of(cut(text, detail.first.text)).saturating_add(of(cut(reasoning, detail.first.reasoning))),
    }
}

/// The beginning of kept text that the first content event brought.
fn cut(text: &[u8], first: u32) -> &[u8] {
    &text[..text.len().min(first as usize)]
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> u32 {
    tokenizer.count(text).map_or(NO_COUNT, |count| count as u32)
}
