//! The built-in data set loaders: made-up prompts, and JSONL files of single requests.
//!
//! A loader gives sessions by number and says nothing of when they are sent; what becomes of them on the wire is the
//! endpoint's matter. Tokens are counted and made by the host.

mod agentic_messages;
mod auto;
mod conversation;
mod dag_jsonl;
mod inputs_json;
mod lengths;
mod lines;
mod multi_turn;
mod openai_batch;
mod random;
mod random_pool;
mod raw_payload;
mod sharegpt;
mod single_turn;
mod synthetic;
#[cfg(test)]
mod testing;
mod trace;

pub use synthetic::Synthetic;

use inferometer_plugin_sdk::types::{Error, ErrorKind};

inferometer_plugin_sdk::dataset! {
    name: "synthetic",
    summary: "Makes up prompts of a given length in tokens.",
    component: synthetic::Synthetic,
}

inferometer_plugin_sdk::dataset! {
    name: "single_turn",
    summary: "Reads a JSONL file with one request per line; .gz works.",
    component: conversation::Conversations<single_turn::SingleTurn>,
}

inferometer_plugin_sdk::dataset! {
    name: "multi_turn",
    summary: "Reads a JSONL file with one conversation per line, or MT-Bench's questions; .gz works.",
    component: conversation::Conversations<multi_turn::MultiTurn>,
}

inferometer_plugin_sdk::dataset! {
    name: "random_pool",
    summary: "Draws each request from the rows of a JSONL file, or from every file of a folder; .gz works.",
    component: random_pool::RandomPool,
}

inferometer_plugin_sdk::dataset! {
    name: "sharegpt",
    summary: "Reads recorded conversations in ShareGPT's or OpenAI's form: a JSON array, or JSONL; .gz works.",
    component: conversation::Conversations<sharegpt::ShareGpt>,
}

inferometer_plugin_sdk::dataset! {
    name: "raw_payload",
    summary: "Sends the lines of a JSONL file as they are; in a folder each file is a session; .gz works.",
    component: conversation::Conversations<raw_payload::RawPayload>,
}

inferometer_plugin_sdk::dataset! {
    name: "inputs_json",
    summary: "Sends what an earlier run sent, from its inputs.json; .gz works.",
    component: conversation::Conversations<inputs_json::InputsJson>,
}

inferometer_plugin_sdk::dataset! {
    name: "dag_jsonl",
    summary: "Reads a JSONL file of sessions that fork and spawn others; .gz works.",
    component: conversation::Conversations<dag_jsonl::DagJsonl>,
}

inferometer_plugin_sdk::dataset! {
    name: "openai_batch",
    summary: "Sends the bodies of an input file of OpenAI's Batch API; .gz works.",
    component: conversation::Conversations<openai_batch::OpenAiBatch>,
}

inferometer_plugin_sdk::dataset! {
    name: "agentic_messages",
    summary: "Reads recorded agent runs with their tool calls: JSONL with one message per line; .gz works.",
    component: conversation::Conversations<agentic_messages::AgenticMessages>,
}

inferometer_plugin_sdk::dataset! {
    name: "auto",
    summary: "Finds out what kind of data set a file or folder holds, and reads it as that.",
    component: auto::Auto,
}

inferometer_plugin_sdk::dataset! {
    name: "mooncake_trace",
    summary: "Reads a trace in Mooncake's JSONL: lengths with hash ids, texts, messages or whole bodies; .gz works.",
    component: trace::MooncakeTrace,
}

inferometer_plugin_sdk::dataset! {
    name: "bailian_trace",
    summary: "Reads a trace in Bailian's JSONL: lengths with hash ids, and which request continues which; .gz works.",
    component: trace::BailianTrace,
}

inferometer_plugin_sdk::dataset! {
    name: "burst_gpt_trace",
    summary: "Reads a BurstGPT trace: CSV of lengths and times in seconds; .gz works.",
    component: trace::BurstGptTrace,
}

inferometer_plugin_sdk::dataset! {
    name: "azure_trace",
    summary: "Reads an Azure inference trace: CSV of lengths and times of day; .gz works.",
    component: trace::AzureTrace,
}

/// A host asked for what is not there, or before it opened the data set.
fn no_session(index: u64) -> Error {
    Error::new(ErrorKind::OTHER, format!("session {index} is not in the data set that was opened"))
}
