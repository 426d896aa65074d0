//! Every endpoint has answers under `tests/data`. Each holds what is said of it, by all laws of the kit; and no damage to it is
//! fatal.

#![allow(clippy::unwrap_used, reason = "a test")]

mod damage;
mod files;

use files::corpora;
use inferometer_host::Registry;
use inferometer_plugin_sdk::documents::Kind;
use inferometer_testkit::endpoint::{check, reads_usual_events_without_allocating};

/// Endpoints whose streams are text, event by event.
const STREAM_TEXT: [&str; 11] = [
    "chat",
    "cohere-chat",
    "completions",
    "gemini",
    "huggingface-generate",
    "kserve",
    "messages",
    "ollama",
    "ollama-generate",
    "responses",
    "solido-rag",
];

#[test]
fn all_answers_hold_what_is_said_of_them_by_all_laws() {
    let corpora = corpora();
    let registry = Registry::builtin();
    let has_answers = |name: &&str| corpora.iter().any(|corpus| corpus.endpoint == *name);
    let missing: Vec<_> = registry.names(Kind::Endpoint).into_iter().filter(|name| !has_answers(name)).collect();
    assert!(missing.is_empty(), "no answers for {missing:?}");
    for corpus in &corpora {
        println!("{} {}: {} answers", corpus.endpoint, corpus.options, corpus.goldens.len());
        check(|| corpus.make(), &corpus.goldens);
    }
}

#[test]
fn events_with_text_are_read_without_allocating() {
    for corpus in corpora().iter().filter(|corpus| STREAM_TEXT.contains(&corpus.endpoint.as_str())) {
        let count = |read: &mut dyn FnMut()| allocation_counter::measure(read).count_total;
        reads_usual_events_without_allocating(&*corpus.make(), &corpus.goldens, count);
    }
}
