//! [`RawConfig`]: every setting of `profile` as typed, from flags or from a TOML file. The one definition of each option:
//! its help, its aliases, its key in the file and its shape are all here. Nothing is checked against anything else yet.

use crate::values::{Count, Seconds, one_or_many, pairs};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of `profile` as typed; `None` or empty where nothing was.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RawConfig {
    // ── Server ──────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Model to ask; several are asked in turn
    #[arg(
        short,
        long,
        alias = "model-names",
        alias = "served-model-name",
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Server"
    )]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<String>,
    /// How several models are shared out
    #[arg(long, value_name = "HOW", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_selection_strategy: Option<ModelSelection>,
    /// Server's base URL; several are used in turn, one per session [default: http://localhost:8000]
    #[arg(short, long, alias = "base-url", value_name = "URL", value_delimiter = ',', help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub url: Vec<String>,
    /// API to speak [default: chat]
    #[arg(long, value_name = "KIND", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_type: Option<String>,
    /// Path on the server in place of the API's own; empty: the base URL as it is
    #[arg(long, alias = "custom-endpoint", value_name = "PATH", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Ask for streamed answers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Key sent as `Authorization: Bearer`; better given by the environment than on the command line
    #[arg(long, env = "INFEROMETER_API_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Header of every request, as `Name: value`; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Server")]
    #[serde(deserialize_with = "pairs", skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,
    /// Fields merged into every body, as `key:value,…` or as a JSON object; may be repeated
    #[arg(long, value_name = "FIELDS", num_args = 1.., help_heading = "Server")]
    #[serde(deserialize_with = "pairs", skip_serializing_if = "Vec::is_empty")]
    pub extra_inputs: Vec<String>,
    /// Name the output limit `max_tokens` and not `max_completion_tokens` (chat)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_legacy_max_tokens: Option<bool>,
    /// Most time one request may take, connecting included [default: 6h]
    #[arg(long, value_name = "SECONDS", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout_seconds: Option<Seconds>,
    /// Whether connections serve more than one request [default: pooled]
    #[arg(long, value_name = "HOW", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_reuse_strategy: Option<ConnectionReuse>,
    /// Addresses of this machine to connect from, in turn: each has its own ports, some 28,000 to one server [default: the
    /// system chooses]
    #[arg(long, alias = "source-addresses", value_name = "ADDRESS", num_args = 1.., value_delimiter = ',', help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub source_address: Vec<String>,
    /// What says when a piece of an answer came [default: kernel]
    #[arg(long, value_name = "BY", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_timestamps: Option<ReceiveTimestamps>,
    /// Wait this long for the server to be ready before the load starts [default: 0, do not ask]
    #[arg(long, value_name = "SECONDS", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_for_model_timeout: Option<Seconds>,
    /// What tells that the server is ready [default: models]
    #[arg(long, value_name = "HOW", requires = "wait_for_model_timeout", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_for_model_mode: Option<ReadyMode>,
    /// Time between two attempts [default: 1]
    #[arg(long, value_name = "SECONDS", requires = "wait_for_model_timeout", help_heading = "Server")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_for_model_interval: Option<Seconds>,

    // ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Requests from a file instead of made-up prompts
    #[arg(long, alias = "dataset-path", value_name = "FILE", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_file: Option<PathBuf>,
    /// What the file holds [default: single_turn]
    #[arg(long, value_name = "KIND", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_dataset_type: Option<String>,
    /// Order in which the data is used [default: sequential]
    #[arg(long, value_name = "HOW", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_sampling_strategy: Option<Sampling>,
    /// Number of different prompts to make up [default: the number of requests, or 100]
    #[arg(long, alias = "num-prompts", value_name = "COUNT", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_dataset_entries: Option<Count>,
    /// Input sequence length: tokens of a made-up prompt [default: 550]
    #[arg(
        long,
        alias = "prompt-input-tokens-mean",
        alias = "synthetic-input-tokens-mean",
        alias = "random-input-len",
        value_name = "TOKENS",
        help_heading = "Data"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isl: Option<f64>,
    /// Its standard deviation [default: 0]
    #[arg(
        long,
        alias = "prompt-input-tokens-stddev",
        alias = "synthetic-input-tokens-stddev",
        value_name = "TOKENS",
        help_heading = "Data"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isl_stddev: Option<f64>,
    /// Output sequence length: tokens to ask for [default: no limit is sent]
    #[arg(
        long,
        alias = "prompt-output-tokens-mean",
        alias = "output-tokens-mean",
        alias = "random-output-len",
        value_name = "TOKENS",
        help_heading = "Data"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osl: Option<f64>,
    /// Its standard deviation [default: 0]
    #[arg(
        long,
        alias = "prompt-output-tokens-stddev",
        alias = "output-tokens-stddev",
        value_name = "TOKENS",
        help_heading = "Data"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osl_stddev: Option<f64>,
    /// Seed of everything random; the same seed sends the same bytes [default: a new one per run, reported]
    #[arg(long, alias = "seed", value_name = "NUMBER", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_seed: Option<u64>,

    // ── Load ────────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Slots: requests kept in flight; with a rate, the most that may be [default: 1 without a rate]
    #[arg(long, alias = "max-concurrency", value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Count>,
    /// Requests per second, sent whether or not the server keeps up
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<f64>,
    /// How arrivals follow each other at a rate: `constant`, `poisson`, or a plugin's [default: poisson]
    #[arg(long, alias = "request-rate-mode", value_name = "PATTERN", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival_pattern: Option<String>,
    /// Requests to send [default: 2 × concurrency, or the file once]
    #[arg(long, alias = "num-requests", value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_count: Option<Count>,
    /// Stop sending after this long
    #[arg(long, value_name = "SECONDS", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmark_duration: Option<Seconds>,
    /// Then wait this long for answers before cancelling them [default: 30]
    #[arg(long, value_name = "SECONDS", requires = "benchmark_duration", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmark_grace_period: Option<Seconds>,
    /// Requests sent before the measurement and kept out of it
    #[arg(long, alias = "num-warmup-requests", alias = "num-warmups", value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_request_count: Option<Count>,
    /// Worker threads [default: as many as help]
    #[arg(long, alias = "workers-max", value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Count>,

    // ── Telemetry ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// GPUs to read: URLs of metric pages (DCGM's or AMD's exporter), `nvml` for this machine's driver, or a CSV file of
    /// further DCGM fields [default: the pages of ports 9400 and 9401 of this machine, if there are any]
    #[arg(long, num_args = 0.., default_missing_value = "dcgm", value_name = "SOURCE", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub gpu_telemetry: Vec<String>,
    /// Read no GPU
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_gpu_telemetry: Option<bool>,
    /// Metric pages of the inference server to read besides `/metrics` of each --url
    #[arg(long, num_args = 0.., default_missing_value = "url", value_name = "URL", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub server_metrics: Vec<String>,
    /// Read no metric page of the inference server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_server_metrics: Option<bool>,
    /// Files the server's own metrics go to: `json`, `csv`, `jsonl` [default: json csv]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "FORMAT", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub server_metrics_formats: Vec<String>,
    /// Read nothing of the machine that makes the load
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_client_telemetry: Option<bool>,
    /// Telemetry collectors to run besides; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub collector: Vec<String>,
    /// Time between two readings of a source, 0.01 to 3600; this machine and its driver are read ten times a second at
    /// most [default: 0.333]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help_heading = "Telemetry")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry_interval: Option<Seconds>,

    // ── Judgement ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// Service level objectives, as `time_to_first_token:200 inter_token_latency:20` or `ttft:200 tpot:20`
    #[arg(long, value_name = "SLO", num_args = 1.., help_heading = "Judgement")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub goodput: Vec<String>,
    /// Largest share of failed requests (0 to 1) with which the run still succeeds
    #[arg(long, value_name = "FRACTION", help_heading = "Judgement")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_request_threshold: Option<f64>,
    /// Succeed even if the verdict is `invalid`: without this, such a run ends with code 6
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Judgement")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_invalid: Option<bool>,

    // ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Tokenizer: a folder or file with `tokenizer.json`, a name in the Hugging Face cache, or `builtin` [default: the
    /// model's name]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Its revision in the cache [default: main]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer_revision: Option<String>,
    /// Count tokens by the server's usage alone, never by the local tokenizer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Tokens")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_server_token_count: Option<bool>,

    // ── Results ─────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Folder the files go to [default: a fresh one per run under ./artifacts]
    #[arg(long, alias = "output-artifact-dir", alias = "result-dir", value_name = "FOLDER", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_dir: Option<PathBuf>,
    /// Replace a run that the folder already holds
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
    /// Stem of the result files' names
    #[arg(long, value_name = "NAME", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_export_prefix: Option<String>,
    /// Whether there is a line per request [default: records]
    #[arg(long, value_name = "LEVEL", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_level: Option<ExportLevel>,
    /// Exporters to run besides the built-in ones
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Results")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub exporter: Vec<String>,
    /// Give an exporter up that has made no progress for this long [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_timeout: Option<Seconds>,
    /// What is shown while the load runs [default: simple on a terminal, else none]
    #[arg(long, value_name = "WHAT", help_heading = "Results")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ui: Option<Ui>,

    // ── Plugins ─────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Plugin library, or a folder of them; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Plugins")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<String>,
    /// Option of a component, as `name.key=value`; may be repeated
    #[arg(long, value_name = "OPTION", help_heading = "Plugins")]
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub plugin_option: Vec<String>,
    /// Load plugins even if others may write to them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Plugins")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_unsafe_permissions: Option<bool>,
    /// Load only the plugins of a lock file, byte for byte; `inferometer plugins lock` writes it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Plugins")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Lock file that plugins are held to, which needs no --locked then [default: inferometer-plugins.lock]
    #[arg(long, value_name = "FILE", help_heading = "Plugins")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<PathBuf>,
}

/// How several models are shared out among sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ModelSelection {
    /// In turn
    #[default]
    #[value(alias = "round-robin")]
    #[serde(alias = "round-robin")]
    RoundRobin,
    /// By chance
    Random,
}

/// What says when a piece of an answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveTimestamps {
    /// The system's stamp on receipt, where it gives one: right also when the client is late to read
    #[default]
    Kernel,
    /// The client's clock after the read
    Read,
}

/// Whether connections serve more than one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionReuse {
    /// They do
    #[default]
    Pooled,
    /// A new one for each request
    Never,
    /// Each session keeps one to itself
    StickyUserSessions,
}

/// What a slot of `--concurrency` is held for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcurrencyUnit {
    /// A session, think times included
    #[default]
    Sessions,
    /// A request
    Requests,
}

impl ConcurrencyUnit {
    /// Its name in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Requests => "requests",
        }
    }
}

/// What becomes of an arrival of a rate that finds no slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOverload {
    /// It waits for one; latencies from the schedule show it
    #[default]
    Queue,
    /// It is dropped and counted
    Drop,
}

/// Which replies the history of a later turn holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replies {
    /// Those the server gave
    Live,
    /// Those of the data set
    Recorded,
}

/// Where a mark that nothing else has is put into a session's prompts, so that the server's cache does not know them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheBust {
    /// Nowhere
    #[default]
    None,
    /// Before the system message, which is made if there is none
    SystemStart,
    /// After the system message, which is made if there is none
    SystemEnd,
    /// Before the first turn's text
    FirstTurnStart,
    /// After the first turn's text
    FirstTurnEnd,
}

/// What tells that a server is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyMode {
    /// It lists the model under `/v1/models`
    #[default]
    Models,
    /// It answers a request of one token
    Inference,
    /// Both, in this order
    Both,
}

/// Order in which the data set's sessions are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// As they stand, over and over
    #[default]
    Sequential,
    /// By chance, with repetition
    Random,
    /// Each once in a random order, over and over
    Shuffle,
}

/// What is written besides the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLevel {
    /// Nothing
    Summary,
    /// A line per request
    #[default]
    Records,
}

/// What is shown while the load runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ui {
    /// A progress bar on a terminal, lines otherwise
    #[value(alias = "dashboard")]
    #[serde(alias = "dashboard")]
    Simple,
    /// Nothing
    None,
}
