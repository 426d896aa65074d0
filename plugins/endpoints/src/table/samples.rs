//! Answers made up for tests, by a table: usual in most ways, and now and then odd in one.

use super::{Holds, Member, Shape, When};
use crate::samples::{ODD, anything, count, list, null_or, object, one_of, scalar, string, usage};
use proptest::{prelude::*, sample::select};

/// An answer of a shape.
pub(super) fn answer(shape: &'static Shape) -> BoxedStrategy<String> {
    let mut members = members(shape);
    members.extend([
        ("error", 0.2, prop_oneof![8 => one_of(&["null"]), 1 => anything()].boxed()),
        ("message", ODD, string()),
        ("detail", ODD, anything()),
        ("type", ODD, one_of(&["\"error\"", "\"other\""])),
    ]);
    let rest = prop_oneof![20 => one_of(&["", "\n"]), 1 => one_of(&["}", "{}", ",", "x", "\0"])];
    (object(members), rest).prop_map(|(answer, rest)| answer + &rest).boxed()
}

fn members(shape: &'static Shape) -> Vec<(&'static str, f64, BoxedStrategy<String>)> {
    let mut members = vec![("id", 0.5, string()), ("logprobs", 0.3, anything()), ("extra", 0.2, scalar())];
    for (at, member) in shape.members.iter().enumerate().filter(|(_, member)| member.key != shape.kind) {
        let of_key = |other: &&Member| other.key == member.key;
        if shape.members[..at].iter().any(|other| of_key(&other)) {
            continue;
        }
        let values = shape.members.iter().filter(of_key).map(|member| value(member.holds)).collect::<Vec<_>>();
        let value = select(values).prop_flat_map(|value| value).boxed();
        members.push((member.key, ODD, value.clone()));
        members.push((member.key, 0.6, value));
    }
    if !shape.kind.is_empty() {
        let known = shape.members.iter().flat_map(|member| match member.when {
            When::Always => &[][..],
            When::Is(kinds) | When::IsNot(kinds) => kinds,
        });
        let words = known.map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
        let others = one_of(&["true", "false", "null", "\"other\"", "\"\"", "\"error\"", "7", "\"a\\u0062\""]);
        let kind = prop_oneof![6 => select(words), 2 => others].boxed();
        members.push((shape.kind, 0.9, kind.clone()));
        members.push((shape.kind, ODD, kind));
    }
    members
}

fn value(holds: Holds) -> BoxedStrategy<String> {
    match holds {
        Holds::Text | Holds::Reasoning | Holds::Tool => prop_oneof![40 => null_or(string()), 1 => anything()].boxed(),
        Holds::Within(shape) => {
            let inner = object(members(shape));
            prop_oneof![12 => inner.clone(), 6 => list(inner, 0..3), 1 => anything()].boxed()
        }
        Holds::Usage => prop_oneof![20 => null_or(usage()), 1 => anything()].boxed(),
        Holds::Count(_) => null_or(count()),
        Holds::Mark(_) => one_of(&["true", "false", "null", "\"stop\"", "\"stop\"", "\"\"", "[]"]),
        Holds::Error => prop_oneof![12 => one_of(&["null"]), 1 => anything()].boxed(),
    }
}
