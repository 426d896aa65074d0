//! Every answer under `tests/data` holds what is said of it, by all laws of the kit; and no damage to it is fatal.

#![allow(clippy::unwrap_used, reason = "a test")]

mod damage;
mod files;

use files::corpora;
use inferometer_testkit::endpoint::{check, reads_usual_events_without_allocating};
use std::collections::BTreeSet;

/// Endpoints that have to have answers here, so that a folder that was lost does not pass.
const AT_LEAST: [&str; 24] = [
    "audio-transcription",
    "chat",
    "chat-embeddings",
    "cohere-chat",
    "cohere-rankings",
    "completions",
    "embeddings",
    "gemini",
    "hf-tei-rankings",
    "huggingface-generate",
    "image-edit",
    "image-generation",
    "image-retrieval",
    "kserve",
    "messages",
    "nim-embeddings",
    "nim-rankings",
    "ollama",
    "ollama-generate",
    "raw",
    "responses",
    "solido-rag",
    "template",
    "video-generation",
];

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
    let names: BTreeSet<&str> = corpora.iter().map(|corpus| corpus.endpoint.as_str()).collect();
    let missing: Vec<_> = AT_LEAST.iter().filter(|name| !names.contains(**name)).collect();
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
