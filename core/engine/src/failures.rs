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

/// A message without what differs from request to request: words with digits in them.
fn mask(message: &str) -> String {
    let varies = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    message.split(' ').map(|word| if varies(word) { "#" } else { word }).collect::<Vec<_>>().join(" ")
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
