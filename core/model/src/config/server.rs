//! The server, and how it is spoken to.

use super::choices::{ConnectionReuse, ModelSelection, ReadyMode, ReceiveTimestamps};
use crate::values::{Seconds, one_or_many, pairs};
use clap::Args;
use serde::{Deserialize, Serialize};

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
    /// Key sent as `Authorization: Bearer`; better given by the environment than on the command line
    #[arg(long, env = "INFEROMETER_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Header of every request, as `Name: value`; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    #[serde(deserialize_with = "pairs")]
    pub header: Vec<String>,
    /// Fields merged into every body, as `key:value,…` or as a JSON object; may be repeated
    #[arg(long, value_name = "FIELDS", num_args = 1..)]
    #[serde(deserialize_with = "pairs")]
    pub extra_inputs: Vec<String>,
    /// Name the output limit `max_tokens` and not `max_completion_tokens` (chat)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub use_legacy_max_tokens: Option<bool>,
    /// Most time one request may take, connecting included [default: 6h]
    #[arg(long, value_name = "SECONDS")]
    pub request_timeout_seconds: Option<Seconds>,
    /// Whether connections serve more than one request [default: pooled]
    #[arg(long, value_name = "HOW")]
    pub connection_reuse_strategy: Option<ConnectionReuse>,
    /// Addresses of this machine to connect from, in turn: each has its own ports, some 28,000 to one server [default: the
    /// system chooses]
    #[arg(long, alias = "source-addresses", value_name = "ADDRESS", num_args = 1.., value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub source_address: Vec<String>,
    /// What says when a piece of an answer came [default: kernel]
    #[arg(long, value_name = "BY")]
    pub receive_timestamps: Option<ReceiveTimestamps>,
    /// Wait this long for the server to be ready before the load starts [default: 0, do not ask]
    #[arg(long, value_name = "SECONDS")]
    pub wait_for_model_timeout: Option<Seconds>,
    /// What tells that the server is ready [default: models]
    #[arg(long, value_name = "HOW", requires = "wait_for_model_timeout")]
    pub wait_for_model_mode: Option<ReadyMode>,
    /// Time between two attempts [default: 1]
    #[arg(long, value_name = "SECONDS", requires = "wait_for_model_timeout")]
    pub wait_for_model_interval: Option<Seconds>,
}
