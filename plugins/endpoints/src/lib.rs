//! The built-in endpoints: which APIs of inference servers the program speaks.
//!
//! - an endpoint each, or a few of a kind: [`Chat`], [`Completions`], [`Responses`], [`Messages`], [`Gemini`], [`CohereChat`],
//!   [`Ollama`], [`HuggingfaceGenerate`], [`Kserve`], [`SolidoRag`] and others;
//! - `speaks`: what makes an endpoint of a table, and registers it;
//! - `body`: request bodies, JSON objects with the user's extras laid over them;
//! - `turns`: what requests make of conversations and media; `parts` and `multipart`: turns without a conversation, and forms
//!   with files;
//! - `reading`: how answers are read, text in one of two ways, the fast one or the thorough one;
//! - `openai`: both ways for OpenAI's words; `table`: both ways for any API whose answers a table describes;
//! - `found`: answers of whatever shape, for [`Raw`] and [`Template`];
//! - `halves`: parsing what is JSON but for halves of characters;
//! - `scan` and `usage`, which all ways of reading have in common: a cursor over JSON text, and the names of token counts.
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
mod halves;
mod huggingface;
mod image_retrieval;
mod images;
mod kserve;
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
mod speaks;
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
