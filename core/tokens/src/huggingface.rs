//! Tokenizers read from a Hugging Face `tokenizer.json`.
//!
//! Other formats (tiktoken rank files, sentencepiece models, tekken) are recognised only to say what
//! they are; they are not read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use crate::error::{TemplateError, TokenizerError};
use crate::template::ChatTemplate;

/// The file that a tokenizer's folder has to hold.
pub(crate) const FILE_NAME: &str = "tokenizer.json";

/// More ids than any vocabulary has. Tables are as long as the highest id, so a damaged one would
/// take gigabytes and minutes before it failed.
const MOST_TOKENS: usize = 1 << 24;

/// A loaded `tokenizer.json`.
pub(crate) struct HuggingFace {
    pipeline: PipelineTokenizer,
    pub(crate) vocabulary_size: usize,
    /// Where the file lies, and what else of the model's does.
    folder: PathBuf,
    /// Read when it is first asked for: most runs never ask.
    chat_template: OnceLock<Result<ChatTemplate, TemplateError>>,
}

impl HuggingFace {
    /// Loads a `tokenizer.json`, or the one inside a folder.
    pub(crate) fn load(path: &Path) -> Result<Self, TokenizerError> {
        let file = tokenizer_file(path)?;
        let unusable = |reason: String| TokenizerError::Unusable { path: file.clone(), reason };
        let bytes = std::fs::read(&file).map_err(|error| unusable(format!("it cannot be read: {error}")))?;
        let mut config = parse(&bytes).map_err(unusable)?;
        let vocabulary_size = vocabulary_size(&config);
        if vocabulary_size > MOST_TOKENS {
            return Err(unusable(format!(
                "it names a token id of {}, far beyond any vocabulary; the file is damaged",
                vocabulary_size - 1
            )));
        }
        // The reader is handed files written by anybody; whatever it trips over is that file's fault.
        let pipeline = catch_unwind(AssertUnwindSafe(|| {
            tokenizers::canonicalize_value(&mut config).map_err(|error| error.to_string())?;
            tokenizers::from_json(&config.to_string()).map_err(|error| error.to_string())
        }))
        .unwrap_or_else(|_| Err("its parts contradict each other".to_owned()))
        .map_err(|reason| unusable(format!("it is not a usable tokenizer.json: {reason}")))?;
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { pipeline, vocabulary_size, folder, chat_template: OnceLock::new() })
    }

    /// The tokens of `text`, as the file's own pipeline cuts them: no special tokens added, nothing
    /// truncated or padded whatever the file asks for.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut tokens: Vec<PipelineToken> = Vec::with_capacity(text.len() / 4 + 1);
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: false,
            padding: Override::Off,
            truncation: Override::Off,
        };
        self.pipeline.encode_into(text, &options, &mut tokens).map_err(|error| error.to_string())?;
        Ok(tokens.iter().map(|token| token.id()).collect())
    }

    /// The chat template in the file's folder.
    pub(crate) fn chat_template(&self) -> Result<&ChatTemplate, TemplateError> {
        let read = self.chat_template.get_or_init(|| ChatTemplate::from_folder(&self.folder));
        read.as_ref().map_err(Clone::clone)
    }

    /// The text of `tokens`, special ones spelled out.
    pub(crate) fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        self.pipeline.decode(tokens, false).map_err(|error| error.to_string())
    }
}

/// The file that `path` names: itself, or the `tokenizer.json` in it.
fn tokenizer_file(path: &Path) -> Result<PathBuf, TokenizerError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if !path.is_dir() {
        return Err(TokenizerError::NoSuchPath { path: path.to_owned() });
    }
    let file = path.join(FILE_NAME);
    if file.is_file() {
        return Ok(file);
    }
    let reason = match foreign_file(path) {
        Some(name) => format!(
            "the folder has '{name}' but no {FILE_NAME}, the only format read; convert it, or give --tokenizer another folder, or 'builtin'"
        ),
        None => format!("the folder has no {FILE_NAME}; give --tokenizer a folder that has one, or 'builtin'"),
    };
    Err(TokenizerError::Unusable { path: path.to_owned(), reason })
}

/// The first file, by name, of a tokenizer format that is not read.
pub(crate) fn foreign_file(folder: &Path) -> Option<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name == "tekken.json" || [".model", ".tiktoken", ".gguf"].iter().any(|suffix| name.ends_with(suffix))
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

/// Parses a file that should be a `tokenizer.json`, or says what it is instead.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    let remedy = "give --tokenizer a tokenizer.json, a folder with one, or 'builtin'";
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("it is a binary file, perhaps a sentencepiece model, not a {FILE_NAME}; {remedy}"));
    };
    if is_rank_file(text) {
        return Err(format!(
            "it is a tiktoken rank file, not a {FILE_NAME}; {remedy} ('o200k_base' and 'cl100k_base' are built in)"
        ));
    }
    let config: Value = serde_json::from_str(text)
        .map_err(|error| format!("it is not JSON ({error}), so not a {FILE_NAME}; {remedy}"))?;
    if config.get("model").is_none_or(|model| !model.is_object()) {
        return Err(format!("it is JSON but describes no tokenizer (no \"model\" in it); {remedy}"));
    }
    Ok(config)
}

/// Whether the first line reads as base64, a blank, and a rank.
fn is_rank_file(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(' ').is_some_and(|(token, rank)| {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        !token.is_empty() && token.bytes().all(base64) && rank.parse::<u32>().is_ok()
    })
}

/// The highest id that the file names, plus one: the model's vocabulary and the added tokens.
fn vocabulary_size(config: &Value) -> usize {
    let model = match &config["model"]["vocab"] {
        Value::Object(entries) => entries.values().filter_map(Value::as_u64).max().map_or(0, |id| id.saturating_add(1)),
        Value::Array(entries) => entries.len() as u64,
        _ => 0,
    };
    let added = config["added_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["id"].as_u64())
        .max()
        .map_or(0, |id| id.saturating_add(1));
    model.max(added) as usize
}
