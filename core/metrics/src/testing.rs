//! Rows for tests.

use crate::Options;
use inferometer_abi::types::Outcome;
use inferometer_model::Row;
use proptest::prelude::*;

/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// A run that streams tokens.
pub(crate) fn streaming() -> Options {
    Options { streaming: true, produces_tokens: true, tokenizes_input: true, ..Options::default() }
}

/// A success: wanted at 8 ms, begun at 10, first content at 50, last of four tokens at 110, end at 111; 100 tokens in.
pub(crate) fn answered() -> Row {
    Row {
        outcome: Outcome::OK,
        status: 200,
        intended: 8 * MS,
        permitted: 10 * MS,
        connected: 14 * MS,
        sent: 14 * MS,
        written: 15 * MS,
        first_byte: 45 * MS,
        headers: 45 * MS,
        first: 50 * MS,
        first_output: 70 * MS,
        second: 70 * MS,
        last: 110 * MS,
        last_byte: 111 * MS,
        end: 111 * MS,
        dns_ns: MS,
        connect_ns: 2 * MS,
        body_bytes: 512,
        reads: 5,
        received_bytes: 2048,
        events: 4,
        usage_prompt: 100,
        usage_completion: 4,
        ..Row::EMPTY
    }
}

/// The gaps of [`answered`].
pub(crate) fn gaps() -> Vec<u64> {
    vec![20 * MS, 15 * MS, 25 * MS]
}

/// A failure of which everything is known that a success has.
pub(crate) fn failed() -> Row {
    Row { outcome: Outcome::ERROR, status: 500, ..answered() }
}

/// Successes with their gaps, anywhere in the first second.
pub(crate) fn rows(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<(Row, Vec<u64>)>> {
    let row = (0..1_000 * MS, 0..5 * MS, 0..50 * MS, prop::collection::vec(0..9 * MS, 0..12), 0..4_u32, 1..500_u32);
    let row = row.prop_map(|(intended, queued, prefill, gaps, extra, prompt)| {
        let (permitted, events) = (intended + queued, gaps.len() as u32 + 1);
        let first = permitted + prefill;
        let last = first + gaps.iter().sum::<u64>();
        let row = Row {
            intended,
            permitted,
            connected: permitted,
            sent: permitted,
            written: permitted,
            first_byte: first,
            headers: first,
            first,
            first_output: first,
            second: gaps.first().map_or(u64::MAX, |gap| first + gap),
            last,
            last_byte: last,
            end: last,
            events,
            usage_prompt: prompt,
            usage_completion: events + extra,
            ..answered()
        };
        (row, gaps)
    });
    prop::collection::vec(row, count)
}

/// Arrivals that ended in all possible ways.
pub(crate) fn arrivals(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<(Row, Vec<u64>)>> {
    let outcomes =
        prop::sample::select(vec![Outcome::OK, Outcome::OK, Outcome::ERROR, Outcome::CANCELLED, Outcome::DROPPED]);
    let arrival = (rows(1..2), outcomes).prop_map(|(mut one, outcome)| {
        let (row, gaps) = one.remove(0);
        (Row { outcome, ..row }, gaps)
    });
    prop::collection::vec(arrival, count)
}
