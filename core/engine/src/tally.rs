//! Counting tokens by the local tokenizer, after the load: the measured threads never do.

use crate::{
    data::{Pool, body},
    prompt::{ChatBody, text_of},
    reading::unescape,
    records::Records,
    segment::{Answer, Segment},
};
use inferometer_abi::types::{NO_COUNT, Outcome};
use inferometer_model::Row;
use inferometer_tokens::{TemplateError, Tokenizer};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

/// Answers that are worth a thread.
const SHARE: usize = 64;

/// Fills in the local counts of the answers that were kept to be counted, and of the prompts of these and of failed
/// requests. The answers are let go. With `by_template` the prompts of chats are counted as the model is given them; what
/// is worth saying of that is returned.
pub(crate) fn tally(records: &mut Records, pool: &Pool, tokenizer: &Tokenizer, by_template: bool) -> Option<String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let prompts = Prompts { pool, tokenizer, by_template, refused: Refused::default(), counted: Mutex::default() };
    records.count_each(|segment| {
        let counted = count_all(segment, threads, &prompts);
        for (row, counts) in counted {
            let row = &mut segment.rows[row];
            (row.local_prompt, row.local_output) = (counts.prompt, counts.output);
            (row.local_reasoning, row.local_first) = (counts.reasoning, counts.first);
        }
        segment.forget_answers();
    });
    prompts.refused.note()
}

struct Counts {
    prompt: u32,
    output: u32,
    reasoning: u32,
    first: u32,
}

/// The counts of a segment, by row.
fn count_all(segment: &Segment, threads: usize, prompts: &Prompts<'_>) -> Vec<(usize, Counts)> {
    let failed = segment.failures().map(|(row, _)| row).filter(|row| segment.rows[*row].outcome == Outcome::ERROR);
    let jobs: Vec<(usize, Answer<'_>)> = segment.answers().chain(failed.map(|row| (row, Answer::default()))).collect();
    let count = |(row, answer): &(usize, Answer<'_>)| (*row, prompts.count(segment, *row, answer));
    let share = jobs.len().div_ceil(threads).max(SHARE);
    thread::scope(|scope| {
        let mut shares = jobs.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> =
            shares.map(|jobs| scope.spawn(move || jobs.iter().map(count).collect::<Vec<_>>())).collect();
        let mut counts: Vec<_> = own.iter().map(count).collect();
        counts.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
        counts
    })
}

/// The prompts of a run, each counted when it is first asked for.
struct Prompts<'a> {
    pool: &'a Pool,
    tokenizer: &'a Tokenizer,
    by_template: bool,
    refused: Refused,
    /// By session and turn.
    counted: Mutex<HashMap<(u64, u32), u32>>,
}

impl Prompts<'_> {
    fn count(&self, segment: &Segment, row: usize, answer: &Answer<'_>) -> Counts {
        let prompt = segment.sent(row).map_or_else(|| self.prompt(&segment.rows[row]), |body| self.body(body));
        let Answer { text, reasoning, first } = answer;
        if text.is_empty() && reasoning.is_empty() {
            return Counts { prompt, output: NO_COUNT, reasoning: NO_COUNT, first: NO_COUNT };
        }
        let of = |bytes: &[u8]| if bytes.is_empty() { 0 } else { self.tokens(&unescape(bytes)) };
        Counts {
            prompt,
            output: of(text),
            reasoning: of(reasoning),
            first: of(cut(text, first.text)).saturating_add(of(cut(reasoning, first.reasoning))),
        }
    }

    fn prompt(&self, row: &Row) -> u32 {
        let counted = || self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (row.session, row.turn);
        if let Some(known) = counted().get(&place) {
            return *known;
        }
        let session = self.pool.look_up(row.session, true).ok();
        let turn = session.as_ref().and_then(|session| session.turns.get(row.turn as usize));
        let count = turn.map_or(NO_COUNT, |turn| match (turn.prompt(), &turn.encoded) {
            (Some(prompt), Some(outgoing)) => self.chat(body(outgoing)).unwrap_or_else(|| self.tokens(&prompt)),
            (Some(prompt), None) => self.tokens(&prompt),
            (None, Some(outgoing)) => self.body(body(outgoing)),
            (None, None) => NO_COUNT,
        });
        counted().insert(place, count);
        count
    }

    /// The count of a whole body.
    fn body(&self, body: &[u8]) -> u32 {
        self.chat(body).unwrap_or_else(|| self.tokens(&text_of(body)))
    }

    /// The count of what the chat template makes of a body, where that is asked, it is a chat, and the template takes it.
    fn chat(&self, body: &[u8]) -> Option<u32> {
        let chat = ChatBody::of(body).filter(|_| self.by_template)?;
        let counted = self.tokenizer.count_chat(&chat.chat());
        counted.map_err(|error| self.refused.add(&error)).ok().map(|count| count as u32)
    }

    fn tokens(&self, text: &str) -> u32 {
        self.tokenizer.count(text).map_or(NO_COUNT, |count| count as u32)
    }
}

/// Prompts that the chat template refused.
#[derive(Default)]
struct Refused {
    count: AtomicU64,
    /// Why one of them was: of several reasons the first by the alphabet, whichever came first.
    reason: Mutex<Option<String>>,
}

impl Refused {
    fn add(&self, error: &TemplateError) {
        self.count.fetch_add(1, Relaxed);
        let mut kept = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.take().into_iter().chain([error.to_string()]).min();
    }

    fn note(self) -> Option<String> {
        let count = self.count.into_inner();
        let reason = self.reason.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        let prompts = if count == 1 { "prompt was" } else { "prompts were" };
        Some(format!("{count} {prompts} counted as plain text: {reason}"))
    }
}

/// The beginning of kept text that the first content event brought.
fn cut(text: &[u8], first: u32) -> &[u8] {
    &text[..text.len().min(first as usize)]
}
