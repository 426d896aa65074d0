//! The built-in endpoints: which APIs of inference servers the program speaks.
//!
//! - an endpoint each, or a few of a kind: [`Chat`], [`Completions`], [`Responses`], [`Messages`], [`Gemini`], [`CohereChat`],
//!   [`Ollama`], [`HuggingfaceGenerate`], [`Kserve`], [`SolidoRag`] and others;
//! - `body`: request bodies, JSON objects with the user's extras laid over them;
//! - `turns`: what further APIs make of conversations and media;
//! - `reading`: which of two ways an answer is read, the fast one or the thorough one;
//! - `openai`: both ways for OpenAI's words; `table`: both ways for any API whose answers a table describes;
//! - `parts` and `multipart`: turns without a conversation, and forms with files; `listed`: APIs whose answers are lists;
//! - `found`: answers of whatever shape, for [`Raw`] and [`Template`];
//! - `scan` and `usage`, which further APIs have in common with it: a cursor over JSON text, and the names of token counts.
//!
//! Nothing here performs I/O, keeps state, or is known to the program but through the registry; a template that lies in a
//! file is read when its endpoint is made.

mod body;
mod chat;
mod cohere;
mod completions;
mod embeddings;
mod found;
mod gemini;
mod huggingface;
mod image_retrieval;
mod images;
mod kserve;
mod listed;
mod messages;
mod multipart;
mod ollama;
mod openai;
mod parts;
mod rankings;
mod raw;
mod reading;
mod responses;
mod scan;
mod solido;
mod table;
mod template;
mod transcription;
mod turns;
mod usage;
mod video;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod testing;

pub use chat::Chat;
pub use cohere::CohereChat;
pub use completions::Completions;
pub use embeddings::{ChatEmbeddings, Embeddings, NimEmbeddings};
pub use gemini::Gemini;
pub use huggingface::HuggingfaceGenerate;
pub use image_retrieval::ImageRetrieval;
pub use images::{ImageEdit, ImageGeneration};
pub use kserve::Kserve;
pub use messages::Messages;
pub use ollama::{Ollama, OllamaGenerate};
pub use rankings::{CohereRankings, HfTeiRankings, NimRankings};
pub use raw::Raw;
pub use responses::Responses;
pub use solido::SolidoRag;
pub use template::Template;
pub use transcription::AudioTranscription;
pub use video::VideoGeneration;

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
