//! OpenAI's answers made up for tests: events and bodies that are usual in most ways, and now and then odd in one.

use crate::samples::{ODD, USUAL, anything, count, list, null_or, object, one_of, scalar, string, usage};
use proptest::prelude::*;

/// An event of a stream, or a whole body.
pub(super) fn answer() -> BoxedStrategy<String> {
    let choice = prop_oneof![
        choice("delta", message()),
        choice("message", message()),
        choice("text", null_or(string())),
        choice("message", anything()),
    ];
    let number = prop_oneof![2 => Just(0..1_usize), 10 => Just(1..2), 2 => Just(2..4)];
    let choices = number.prop_flat_map(move |n| list(choice.clone().boxed(), n)).boxed();
    let objects = ["\"chat.completion.chunk\"", "\"chat.completion\"", "\"text_completion\"", "\"chat.completion.\""];
    let answer = object(vec![
        ("id", USUAL, string()),
        ("object", USUAL, prop_oneof![4 => one_of(&objects), 1 => string()].boxed()),
        ("created", USUAL, scalar()),
        ("model", USUAL, string()),
        ("choices", 0.98, choices.clone()),
        ("choices", ODD, choices),
        ("usage", 0.7, null_or(usage())),
        ("usage", ODD, usage()),
        ("error", 0.2, prop_oneof![8 => one_of(&["null"]), 1 => anything()].boxed()),
        ("timings", 0.3, anything()),
        ("metadata", 0.3, anything()),
        ("message", ODD, string()),
        ("usageMetadata", ODD, anything()),
        ("meta", ODD, object(vec![("tokens", USUAL, usage())])),
        ("cho\\u0069ces", ODD, anything()),
    ]);
    let rest = prop_oneof![20 => one_of(&["", "\n"]), 1 => one_of(&["}", "{}", ",", "x", "\0"])];
    (answer, rest).prop_map(|(answer, rest)| answer + &rest).boxed()
}

fn choice(key: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    object(vec![
        ("index", USUAL, count()),
        ("index", ODD, count()),
        (key, 0.98, value),
        ("delta", ODD, message()),
        ("message", ODD, message()),
        ("text", ODD, null_or(string())),
        ("finish_reason", USUAL, null_or(one_of(&["\"stop\"", "\"\"", "\"length\""]))),
        ("logprobs", USUAL, prop_oneof![2 => one_of(&["null"]), 1 => anything()].boxed()),
        ("matched_stop", 0.3, anything()),
    ])
}

fn message() -> BoxedStrategy<String> {
    let text = || null_or(string());
    object(vec![
        ("role", USUAL, one_of(&["\"assistant\""])),
        ("content", USUAL, text()),
        ("content", ODD, prop_oneof![text(), one_of(&[r#"[{"type":"text","text":"part"}]"#])].boxed()),
        ("reasoning_content", 0.3, text()),
        ("reasoning", 0.3, text()),
        ("refusal", 0.3, text()),
        ("annotations", 0.3, anything()),
        ("tool_calls", 0.2, one_of(&["null", "[]", "[]", "[]", r#"[{"function":{"name":"f","arguments":"{}"}}]"#])),
    ])
}
