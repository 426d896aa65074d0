//! What can go wrong with tokenizers and with texts of an exact length.

use std::path::PathBuf;

/// Why a tokenizer could not be had or used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A path was given and nothing is there.
    #[error(
        "there is no tokenizer at '{}': no such file or folder; give --tokenizer a folder with a tokenizer.json, or 'builtin'",
        path.display()
    )]
    NoSuchPath {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A file or folder is there, but holds no tokenizer that can be read.
    #[error("cannot use '{}' as a tokenizer: {reason}", path.display())]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what would do.
        reason: String,
    },
    /// A model's name was given and its tokenizer is not in the local cache.
    #[error(
        "the tokenizer '{name}' is not on this machine (looked {looked}); nothing is downloaded during a run: \
         fetch it once with 'hf download {name} tokenizer.json', or give --tokenizer a folder with a tokenizer.json, or 'builtin'"
    )]
    NotCached {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        looked: String,
    },
    /// One of OpenAI's older vocabularies was asked for.
    #[error(
        "the vocabulary '{name}' is not built in; those that are: o200k_base, cl100k_base; give --tokenizer one of them, or a folder with a tokenizer.json"
    )]
    NotBuiltIn {
        /// The name that was asked for.
        name: String,
    },
    /// The tokenizer refused a text or ids, as some do that have no token for unknown words.
    #[error("the tokenizer '{name}' refused its input: {reason}; give --tokenizer another one")]
    Refused {
        /// The tokenizer's name.
        name: String,
        /// Its own words.
        reason: String,
    },
}

/// Why a text of an exact token length could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// No choice of words has exactly this many tokens.
    #[error(
        "the tokenizer '{tokenizer}' has no text of exactly {tokens} tokens made of English words{nearest}; ask for another length, or give --tokenizer another one"
    )]
    NoExactText {
        /// The tokenizer's name.
        tokenizer: String,
        /// The length asked for, in tokens.
        tokens: usize,
        /// How near the tries came, or nothing where none was made.
        nearest: String,
    },
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Why messages could not be made the text that a model sees.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The tokenizer comes without a chat template.
    #[error(
        "the tokenizer '{tokenizer}' has no chat template; give --tokenizer the model's folder, with its \
         tokenizer_config.json or chat_template.jinja beside the tokenizer.json"
    )]
    Missing {
        /// The tokenizer's name, or its folder.
        tokenizer: String,
    },
    /// A file that holds templates cannot be read.
    #[error("cannot read '{}': {reason}; fetch the model's tokenizer files anew", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A template is not valid.
    #[error("the chat template of '{template}' is not valid: {reason}")]
    Invalid {
        /// Where the template is from.
        template: String,
        /// What is wrong with it, and in which line.
        reason: String,
    },
    /// The template refused the messages, or failed over them.
    #[error("the chat template of '{template}' refuses these messages: {reason}")]
    Refused {
        /// Where the template is from.
        template: String,
        /// The template's own words, or what failed, and in which line.
        reason: String,
    },
    /// The messages, tools or variables are not what they have to be.
    #[error("the {part} for a chat template are wrong: {reason}")]
    BadInput {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer refused the text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
