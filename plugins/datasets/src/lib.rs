//! The built-in data set loaders: made-up prompts, and JSONL files of single requests.
//!
//! A loader gives sessions by number and says nothing of when they are sent; what becomes of them on the wire is the
//! endpoint's matter. Tokens are counted and made by the host.

mod lengths;
mod lines;
mod random;
mod single_turn;
mod synthetic;
#[cfg(test)]
mod testing;

use inferometer_plugin_sdk::types::{Error, ErrorKind};

inferometer_plugin_sdk::dataset! {
    name: "synthetic",
    summary: "Makes up prompts of a given length in tokens.",
    component: synthetic::Synthetic,
}

inferometer_plugin_sdk::dataset! {
    name: "single_turn",
    summary: "Reads a JSONL file with one request per line; .gz works.",
    component: single_turn::SingleTurn,
}

/// A host asked for what is not there, or before it opened the data set.
fn no_session(index: u64) -> Error {
    Error::new(ErrorKind::OTHER, format!("session {index} is not in the data set that was opened"))
}
