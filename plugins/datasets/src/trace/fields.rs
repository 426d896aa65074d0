//! The numbers that traces have in their fields: tokens, times, and ids of blocks.

use super::{clock, rows::MOST_TOKENS};
use crate::conversation::{Fields, Problem, shortened};

/// A number of tokens that is at least `least`.
pub(super) fn tokens(fields: &Fields<'_>, field: &str, least: u32) -> Result<Option<u32>, Problem> {
    fields.raw(field).map(|json| number_of_tokens(field, json, least)).transpose()
}

/// A number of tokens, as a file has it.
pub(super) fn number_of_tokens(field: &str, text: &str, least: u32) -> Result<u32, Problem> {
    let number = text.parse().ok().filter(|tokens| (least..=MOST_TOKENS).contains(tokens));
    number.ok_or_else(|| {
        let found = shortened(text);
        Problem::new(
            field,
            format!("expected a whole number of tokens from {least} to {MOST_TOKENS}, but found `{found}`"),
        )
    })
}

/// A time in `unit`s, as nanoseconds; `units` is what those are called.
pub(super) fn time(fields: &Fields<'_>, field: &str, unit: u64, units: &str) -> Result<Option<u64>, Problem> {
    let Some(json) = fields.raw(field) else { return Ok(None) };
    let ns = clock::decimal(json, unit);
    ns.map(Some).ok_or_else(|| {
        Problem::new(field, format!("expected a time in {units}, 0 or later, but found `{}`", shortened(json)))
    })
}

/// The ids of a prompt's blocks; none where they are not given.
pub(super) fn hash_ids(fields: &Fields<'_>) -> Result<Vec<u64>, Problem> {
    Ok(fields.read("hash_ids")?.unwrap_or_default())
}
