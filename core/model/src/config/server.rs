//! The server, and how it is spoken to.

use super::choices::{ModelSelection, ReadyMode, ReceiveTimestamps, RequestContentType};
use crate::values::{Seconds, one_or_many, pairs};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of the server.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Server")]
#[serde(default, rename_all = "kebab-case")]
pub struct ServerConfig {
    /// Model to ask; several are asked in turn
    #[arg(short, long, alias = "model-names", alias = "served-model-name", value_name = "NAME", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub model: Vec<String>,
    /// How several models are shared out
    #[arg(long, value_name = "HOW")]
    pub model_selection_strategy: Option<ModelSelection>,
    /// Server's base URL; several are used in turn, one per session [default: http://localhost:8000]
    #[arg(short, long, alias = "base-url", value_name = "URL", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub url: Vec<String>,
    /// API to speak [default: chat]
    #[arg(long, value_name = "KIND")]
    pub endpoint_type: Option<String>,
    /// Path on the server in place of the API's own; empty: the base URL as it is
    #[arg(long, alias = "custom-endpoint", value_name = "PATH")]
    pub endpoint: Option<String>,
    /// Ask for streamed answers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub streaming: Option<bool>,
    /// Key, sent as the API wants it (`Authorization: Bearer`, `x-api-key` …); better given by the environment or a file than
    /// on the command line
    #[arg(long, env = "INFEROMETER_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// File whose first line is the key; it wins over a key that is given otherwise
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Header that takes the key as it is, in place of the API's own (`api-key` for Azure)
    #[arg(long, value_name = "NAME")]
    pub api_key_header: Option<String>,
    /// Header of every request, as `Name: value`; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    #[serde(deserialize_with = "pairs")]
    pub header: Vec<String>,
    /// Header that takes the session's identifier [default: X-Correlation-ID]
    #[arg(long, value_name = "NAME")]
    pub session_header: Option<String>,
    /// Fields merged into every body, as `key:value,…` or as a JSON object; those that are options of the endpoint are
    /// taken as such. May be repeated
    #[arg(long, value_name = "FIELDS", num_args = 1..)]
    #[serde(deserialize_with = "pairs")]
    pub extra_inputs: Vec<String>,
    /// Name the output limit `max_tokens` and not `max_completion_tokens` (chat)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub use_legacy_max_tokens: Option<bool>,
    /// Ask for the usage so far in every event of a stream
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub per_chunk_usage: Option<bool>,
    /// Fetch the videos that were made, within the request's time
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub download_video_content: Option<bool>,
    /// Type of the request's body, where the API takes several
    #[arg(long, value_name = "TYPE")]
    pub request_content_type: Option<RequestContentType>,
    /// What says when a piece of an answer came [default: kernel]
    #[arg(long, value_name = "BY")]
    pub receive_timestamps: Option<ReceiveTimestamps>,
    /// Wait this long for the server to be ready before the load starts [default: 0, do not ask]
    #[arg(long, value_name = "SECONDS")]
    pub wait_for_model_timeout: Option<Seconds>,
    /// What tells that the server is ready [default: inference]
    #[arg(long, value_name = "HOW", requires = "wait_for_model_timeout")]
    pub wait_for_model_mode: Option<ReadyMode>,
    /// Time between two attempts [default: 1]
    #[arg(long, value_name = "SECONDS", requires = "wait_for_model_timeout")]
    pub wait_for_model_interval: Option<Seconds>,
}
