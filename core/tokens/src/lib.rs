//! Counting tokens as a server's model would, and making text of an exact token length.
//!
//! - [`resolve`] finds the tokenizer that a run asks for: embedded, from a path, or from the local
//!   Hugging Face cache. It never touches the network.
//! - [`Tokenizer`] counts, encodes and decodes.
//! - [`TextGenerator`] makes English-looking text whose token count is exact.
//! - [`ChatTemplate`] makes of messages the text that a model is given, and
//!   [`count_chat`](Tokenizer::count_chat) counts that.
//! - [`seed_for`] gives each component of a run seeds of its own.
//!
//! Not here: the choice of what is counted. Nothing in this crate may run on a
//! thread that measures.

mod corpus;
mod embedded;
mod error;
mod huggingface;
mod python;
mod resolve;
mod seed;
mod served;
mod template;
mod text;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use error::{TemplateError, TextError, TokenizerError};
pub use resolve::{Resolved, TokenizerRequest, resolve};
pub use seed::seed_for;
pub use template::{Chat, ChatTemplate};
pub use text::TextGenerator;

use embedded::Embedded;
use huggingface::HuggingFace;

/// A tokenizer. Cheap to clone, and shared between threads.
///
/// No special tokens are added: what is counted is the text as it stands. Where a text itself
/// spells a special token of a `tokenizer.json` (`<|im_end|>`), that is one token, as it is for a
/// server; the embedded vocabularies have no special tokens and take it as plain text.
#[derive(Clone)]
pub struct Tokenizer {
    name: Arc<str>,
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Embedded(Embedded),
    HuggingFace(Arc<HuggingFace>),
}

impl Tokenizer {
    /// OpenAI's `o200k_base`, the default. Its tables are built on first use (see
    /// [`warm`](Self::warm)), so this costs nothing.
    pub fn o200k_base() -> Self {
        Self::embedded(Embedded::O200kBase)
    }

    /// OpenAI's `cl100k_base`; built on first use too.
    pub fn cl100k_base() -> Self {
        Self::embedded(Embedded::Cl100kBase)
    }

    /// Loads a `tokenizer.json`, or the one inside a folder. The path becomes the name.
    ///
    /// # Errors
    /// When nothing is there, or what is there is not a tokenizer that can be read.
    pub fn from_path(path: &Path) -> Result<Self, TokenizerError> {
        Self::load(path, &path.display().to_string())
    }

    pub(crate) fn load(path: &Path, name: &str) -> Result<Self, TokenizerError> {
        Ok(Self { name: name.into(), backend: Backend::HuggingFace(Arc::new(HuggingFace::load(path)?)) })
    }

    fn embedded(vocabulary: Embedded) -> Self {
        Self { name: vocabulary.name().into(), backend: Backend::Embedded(vocabulary) }
    }

    /// What the tokenizer is called in results: a vocabulary's name, `org/name`, or a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many token ids there are: ids run from 0 to below this. Added and special tokens are
    /// included for a `tokenizer.json`; the embedded vocabularies have none.
    pub fn vocabulary_size(&self) -> usize {
        match &self.backend {
            Backend::Embedded(vocabulary) => vocabulary.size(),
            Backend::HuggingFace(tokenizer) => tokenizer.vocabulary_size,
        }
    }

    /// Builds the tables of an embedded vocabulary now, so that a helper thread can do it while
    /// something else is waited for; nothing to do for other tokenizers.
    pub fn warm(&self) {
        if let Backend::Embedded(vocabulary) = &self.backend {
            vocabulary.encoder();
        }
    }

    /// How many tokens `text` is.
    ///
    /// # Errors
    /// When the tokenizer refuses the text, which only those without a token for unknown words do.
    pub fn count(&self, text: &str) -> Result<usize, TokenizerError> {
        match &self.backend {
            Backend::Embedded(vocabulary) => {
                let mut count = 0;
                vocabulary.encoder().for_each_token(text, |_| count += 1);
                Ok(count)
            }
            Backend::HuggingFace(_) => Ok(self.encode(text)?.len()),
        }
    }

    /// The token ids of `text`.
    ///
    /// # Errors
    /// As for [`count`](Self::count).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.backend {
            Backend::Embedded(vocabulary) => {
                let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
                vocabulary.encoder().for_each_token(text, |token| tokens.push(token));
                Ok(tokens)
            }
            Backend::HuggingFace(tokenizer) => tokenizer.encode(text).map_err(|reason| self.refused(reason)),
        }
    }

    /// The text of token ids. Ids that are none of the vocabulary's stand for nothing, and bytes
    /// that are not UTF-8 become U+FFFD. Special tokens are spelled out.
    ///
    /// # Errors
    /// When the decoder of a `tokenizer.json` refuses the ids.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        match &self.backend {
            Backend::Embedded(vocabulary) => {
                let bytes = vocabulary.encoder().decode(tokens);
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Backend::HuggingFace(tokenizer) => tokenizer.decode(tokens).map_err(|reason| self.refused(reason)),
        }
    }

    /// The chat template that lies beside the `tokenizer.json`; read once.
    ///
    /// # Errors
    /// When there is none, as for the embedded vocabularies, or it cannot be read.
    pub fn chat_template(&self) -> Result<&ChatTemplate, TemplateError> {
        match &self.backend {
            Backend::Embedded(_) => Err(TemplateError::Missing { tokenizer: self.name().to_owned() }),
            Backend::HuggingFace(tokenizer) => tokenizer.chat_template(),
        }
    }

    /// How many tokens the model is given for `chat`: the text that the chat template makes of it, in which special
    /// tokens are recognised and to which none are added.
    ///
    /// # Errors
    /// When there is no template, it refuses the chat, or the tokenizer refuses the text.
    pub fn count_chat(&self, chat: &Chat<'_>) -> Result<usize, TemplateError> {
        let text = self.chat_template()?.render(chat)?;
        Ok(self.count(&text)?)
    }

    /// Whether a blank is known to begin a new token always, so that counts of words add up.
    pub(crate) fn splits_at_blanks(&self) -> bool {
        matches!(self.backend, Backend::Embedded(_))
    }

    fn refused(&self, reason: String) -> TokenizerError {
        TokenizerError::Refused { name: self.name().to_owned(), reason }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("name", &self.name).finish_non_exhaustive()
    }
}
