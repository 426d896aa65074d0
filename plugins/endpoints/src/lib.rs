//! The built-in endpoints: which APIs of inference servers the program speaks.
//!
//! - an endpoint each: [`Chat`], [`Completions`];
//! - `body`: request bodies, JSON objects with the user's extras laid over them;
//! - `openai`: reading answers in OpenAI's words, the fast way and the thorough way;
//! - `scan` and `usage`, which further APIs have in common with it: a cursor over JSON text, and the names of token counts.
//!
//! Nothing here performs I/O, keeps state, or is known to the program but through the registry.

mod body;
mod chat;
mod completions;
mod openai;
mod scan;
mod usage;

pub use chat::Chat;
pub use completions::Completions;

inferometer_plugin_sdk::endpoint! {
    name: "chat",
    summary: "OpenAI's chat completions, as most servers offer them (/v1/chat/completions).",
    component: Chat
}

inferometer_plugin_sdk::endpoint! {
    name: "completions",
    summary: "OpenAI's older text completions (/v1/completions).",
    component: Completions
}
