//! [`Failures`]: the failures of a phase in groups, and [`Reach`]: whether the server could be reached at all.

use crate::segment::{Key, key};
use inferometer_abi::{documents::ErrorGroup, types::Outcome};
use inferometer_model::{Failure, FailureKind, Row};
use std::{cmp::Reverse, collections::BTreeMap};

/// Most groups of a phase. What comes after them is counted by kind alone.
const MOST_GROUPS: usize = 1_000;

/// Failures of a phase, grouped by kind, status and message with its numbers masked.
#[derive(Default)]
pub(crate) struct Failures {
    groups: BTreeMap<(FailureKind, u16, String), Group>,
    others: BTreeMap<FailureKind, u64>,
}

struct Group {
    count: u64,
    /// The first of them, which lends the group its message.
    first: Key,
    message: String,
}

impl Failures {
    /// Adds a request and its failure.
    pub(crate) fn push(&mut self, row: &Row, failure: &Failure) {
        if row.outcome != Outcome::ERROR {
            return;
        }
        let group = (failure.kind, row.status, mask(&failure.message));
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&group) {
            *self.others.entry(failure.kind).or_default() += 1;
            return;
        }
        let new = || Group { count: 0, first: key(row), message: failure.message.to_string() };
        let group = self.groups.entry(group).or_insert_with(new);
        group.count += 1;
        if key(row) < group.first {
            (group.first, group.message) = (key(row), failure.message.to_string());
        }
    }

    /// How many there are of `kind`.
    pub(crate) fn count(&self, kind: FailureKind) -> u64 {
        let grouped = self.groups.iter().filter(|((of, ..), _)| *of == kind).map(|(_, group)| group.count);
        grouped.chain(self.others.get(&kind).copied()).sum()
    }

    /// The groups, most frequent first.
    pub(crate) fn groups(self) -> Vec<ErrorGroup> {
        let code = |status: u16| (status != 0).then_some(u32::from(status));
        let mut groups: Vec<ErrorGroup> = self
            .groups
            .into_iter()
            .map(|((kind, status, _), Group { count, message, .. })| ErrorGroup {
                code: code(status),
                kind: kind.as_str().to_owned(),
                message,
                count,
            })
            .collect();
        groups.sort_by_key(|group| Reverse(group.count));
        groups.extend(self.others.into_iter().map(|(kind, count)| ErrorGroup {
            code: None,
            kind: kind.as_str().to_owned(),
            message: format!("each with a message of its own, beyond the first {MOST_GROUPS}"),
            count,
        }));
        groups
    }
}

/// Whether any connection was made, as far as failures tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach {
    unconnected: bool,
    other: bool,
}

impl Reach {
    /// Adds a failure.
    pub(crate) fn push(&mut self, failure: &Failure) {
        if failure.kind == FailureKind::Connect { self.unconnected = true } else { self.other = true }
    }

    /// Whether requests failed, and all of them for want of a connection.
    pub(crate) fn is_none(self) -> bool {
        self.unconnected && !self.other
    }
}

/// Shortest name in quotes that may be a key, and shortest word of hexadecimal letters that is no word.
const TOKEN: usize = 16;
const HEX: usize = 12;
/// What identifiers begin with that need have no digit in them.
const IDENTIFIERS: [&str; 12] =
    ["chatcmpl-", "cmpl-", "msg_", "req_", "req-", "resp_", "run_", "call_", "call-", "trace-", "embd-", "request-"];

/// A message without what differs from request to request, so that one cause is one group: numbers, and words with digits
/// in them, among them identifiers, addresses and times; letters that are a code's and no word's; keys in quotes. All of
/// these become `#`.
fn mask(message: &str) -> String {
    let mut masked = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = token(rest, first) {
            masked.push('#');
            rest = &rest[length..];
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = &rest[..length];
            if varies(word) {
                push_mask(&mut masked);
            } else {
                masked.push_str(word);
            }
            rest = &rest[length..];
        } else {
            masked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    masked
}

/// Adds a `#`, which is one with the `#` before where only a sign of a number, time or address is between them.
fn push_mask(masked: &mut String) {
    let before = masked.trim_end_matches(['.', ':', ',', '/', '+']);
    if before.ends_with('#') && before.len() + 1 >= masked.len() {
        masked.truncate(before.len());
    } else {
        masked.push('#');
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// The length of what `text` begins with if that is a key in quotes.
fn token(text: &str, quote: char) -> Option<usize> {
    let inner = matches!(quote, '\'' | '"' | '`').then(|| &text[1..])?;
    let end = inner.find(quote)?;
    let key = &inner[..end];
    let is_key = key.len() >= TOKEN
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_.~".contains(&byte))
        && key.split(['+', '/', '=', '-', '_', '.', '~']).any(varies);
    is_key.then_some(end + 2)
}

/// Whether a word is of one request alone.
fn varies(word: &str) -> bool {
    let is_hex = || word.len() >= HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    // Words have one capital, or few: far fewer than every sixth letter is one behind a small one.
    let is_mixed = || {
        let pairs = word.as_bytes().windows(2);
        let rises = pairs.filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
        word.len() >= TOKEN && rises * 6 > word.len()
    };
    word.bytes().any(|byte| byte.is_ascii_digit())
        || IDENTIFIERS.iter().any(|prefix| word.len() >= prefix.len() + 6 && word.starts_with(prefix))
        || is_hex()
        || is_mixed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_are_one_group() {
        assert_eq!(mask("request a1b2 took 30 s"), mask("request c3d4 took 31 s"));
        assert_ne!(mask("no such model"), mask("no such route"));
    }

    #[test]
    fn messages_that_differ_in_names_of_one_request_are_one_group() {
        for (one, other) in [
            ("id=chatcmpl-abcdefgh failed", "id=chatcmpl-hgfedcba failed"),
            ("(req_abcdefgh): busy", "(req_zyxwvuts): busy"),
            ("0b9c0ea6-5a3c-4b5e-8a52-ff0bd0cb5a5e is gone", "ffffffff-ffff-ffff-ffff-ffffffffffff is gone"),
            ("trace deadbeefcafe", "trace abcdefabcdef"),
            ("10.0.0.1:8080 refused", "192.168.10.12:50000 refused"),
            ("at 2026-01-02T03:04:05.678Z: lost", "at 2026-11-12T13:14:15Z: lost"),
            ("key 'aGVsbG8gd29ybGQhIQ==' is unknown", "key 'c29tZXRoaW5nIGVsc2Uh+/8=' is unknown"),
            ("took 1.5s of 2,000", "took 12s of 3"),
            ("{\"n\":17,\"why\":\"no_gpu\"}", "{\"n\":18,\"why\":\"no_gpu\"}"),
        ] {
            assert_eq!(mask(one), mask(other));
        }
        for (one, other) in [
            ("{\"n\":17,\"why\":\"no_gpu\"}", "{\"n\":17,\"why\":\"no_model\"}"),
            ("ContextWindowExceededError", "InternalServerErrorException"),
            ("field 'max_completion_tokens' is unknown", "field 'parallel_tool_calls' is unknown"),
            ("/v1/chat is gone", "/v1/completions is gone"),
            ("été", "hiver"),
        ] {
            assert_ne!(mask(one), mask(other));
        }
    }

    #[test]
    fn a_group_has_the_message_of_its_first_failure_whichever_was_seen_first() {
        let mut failures = Failures::default();
        for (end, message) in [(7, "took 7 s"), (3, "took 3 s"), (5, "took 5 s"), (4, "lost")] {
            failures.push(&Row { end, ..Row::EMPTY }, &Failure::new(FailureKind::Timeout, message));
        }
        let groups: Vec<_> = failures.groups().into_iter().map(|group| (group.message, group.count)).collect();
        assert_eq!(groups, [("took 3 s".to_owned(), 3), ("lost".to_owned(), 1)]);
    }

    #[test]
    fn messages_without_number_are_counted_and_not_kept() {
        let mut failures = Failures::default();
        let word = |n: usize| n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>();
        for n in 0..MOST_GROUPS + 50 {
            failures.push(&Row::EMPTY, &Failure::new(FailureKind::Reset, word(n)));
        }
        let groups = failures.groups();
        assert_eq!(
            (groups.len(), groups.iter().map(|group| group.count).sum()),
            (MOST_GROUPS + 1, MOST_GROUPS as u64 + 50)
        );
    }
}
