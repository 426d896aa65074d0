//! [`RawConfig`]: every setting of `profile` as typed, from flags or from a TOML file. The one definition of each option:
//! its help, its aliases, its key in the file and its shape are all here. Nothing is checked against anything else yet.

mod choices;
mod connection;
mod data;
mod load;
mod media;
mod ranking;
mod server;
mod warmup;

pub use choices::*;
pub use connection::ConnectionConfig;
pub use data::{DataConfig, SyntheticConfig, TraceConfig};
pub(crate) use load::{FIXED_SCHEDULE, NOT_OF_WARMUPS, SHAPES};
pub use load::{LoadConfig, PhaseConfig};
pub use media::MediaConfig;
pub use ranking::RankingConfig;
pub use server::ServerConfig;
pub use warmup::WarmupConfig;

use crate::values::{Count, Number, Seconds, one_or_many};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of `profile` as typed; `None` or empty where nothing was.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct RawConfig {
    /// The server.
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerConfig,
    /// Connections to it.
    #[command(flatten)]
    #[serde(flatten)]
    pub connection: ConnectionConfig,
    /// The data.
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataConfig,
    /// Prompts that are made up.
    #[command(flatten)]
    #[serde(flatten)]
    pub synthetic: SyntheticConfig,
    /// Images and audio that are made up.
    #[command(flatten)]
    #[serde(flatten)]
    pub media: MediaConfig,
    /// Queries and passages that are made up.
    #[command(flatten)]
    #[serde(flatten)]
    pub ranking: RankingConfig,
    /// How traces are read.
    #[command(flatten)]
    #[serde(flatten)]
    pub trace: TraceConfig,
    /// The load; of a file with phases, what holds for all of them.
    #[command(flatten)]
    #[serde(flatten)]
    pub load: LoadConfig,
    /// Worker threads [default: as many as help]
    #[arg(long, alias = "workers-max", value_name = "COUNT", help_heading = "Load")]
    pub workers: Option<Count>,
    /// The warm-up.
    #[command(flatten)]
    #[serde(flatten)]
    pub warmup: WarmupConfig,
    /// The phases of a file.
    #[arg(skip)]
    pub phase: Vec<PhaseConfig>,

    // ── Telemetry ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// GPUs to read: URLs of metric pages (DCGM's or AMD's exporter), `nvml` for this machine's driver, or a CSV file of
    /// further DCGM fields [default: the pages of ports 9400 and 9401 of this machine, if there are any]
    #[arg(long, num_args = 0.., default_missing_value = "dcgm", value_name = "SOURCE", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many")]
    pub gpu_telemetry: Vec<String>,
    /// Read no GPU
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    pub no_gpu_telemetry: Option<bool>,
    /// Metric pages of the inference server to read besides `/metrics` of each --url
    #[arg(long, num_args = 0.., default_missing_value = "url", value_name = "URL", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many")]
    pub server_metrics: Vec<String>,
    /// Read no metric page of the inference server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    pub no_server_metrics: Option<bool>,
    /// Files the server's own metrics go to: `json`, `csv`, `jsonl` [default: json csv]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "FORMAT", help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many")]
    pub server_metrics_formats: Vec<String>,
    /// Read nothing of the machine that makes the load
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Telemetry")]
    pub no_client_telemetry: Option<bool>,
    /// Telemetry collectors to run besides; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Telemetry")]
    #[serde(deserialize_with = "one_or_many")]
    pub collector: Vec<String>,
    /// Time between two readings of a source, 0.01 to 3600; this machine and its driver are read ten times a second at
    /// most [default: 0.333]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help_heading = "Telemetry")]
    pub telemetry_interval: Option<Seconds>,

    // ── Judgement ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// Service level objectives, as `time_to_first_token:200 inter_token_latency:20` or `ttft:200 tpot:20`
    #[arg(long, value_name = "SLO", num_args = 1.., help_heading = "Judgement")]
    #[serde(deserialize_with = "one_or_many")]
    pub goodput: Vec<String>,
    /// Largest share of failed requests (0 to 1) with which the run still succeeds
    #[arg(long, value_name = "FRACTION", help_heading = "Judgement")]
    pub failed_request_threshold: Option<Number>,
    /// Succeed even if the verdict is `invalid`: without this, such a run ends with code 6
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Judgement")]
    pub accept_invalid: Option<bool>,

    // ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Tokenizer: a folder or file with `tokenizer.json`, a name in the Hugging Face cache, or `builtin` [default: the
    /// model's name]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    pub tokenizer: Option<String>,
    /// Its revision in the cache [default: main]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    pub tokenizer_revision: Option<String>,
    /// Count tokens by the server's usage alone, never by the local tokenizer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Tokens")]
    pub use_server_token_count: Option<bool>,
    /// Count the prompts of chats as the model is given them: the text of the tokenizer's chat template, up to where the
    /// answer begins
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Tokens")]
    pub apply_chat_template: Option<bool>,

    // ── Results ─────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Folder the files go to [default: a fresh one per run under ./artifacts]
    #[arg(long, alias = "output-artifact-dir", alias = "result-dir", value_name = "FOLDER", help_heading = "Results")]
    pub artifact_dir: Option<PathBuf>,
    /// Replace a run that the folder already holds
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Results")]
    pub overwrite: Option<bool>,
    /// Stem of the result files' names
    #[arg(long, value_name = "NAME", help_heading = "Results")]
    pub profile_export_prefix: Option<String>,
    /// Whether there is a line per request [default: records]
    #[arg(long, value_name = "LEVEL", help_heading = "Results")]
    pub export_level: Option<ExportLevel>,
    /// Exporters to run besides the built-in ones
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Results")]
    #[serde(deserialize_with = "one_or_many")]
    pub exporter: Vec<String>,
    /// Give an exporter up that has made no progress for this long [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Results")]
    pub export_timeout: Option<Seconds>,
    /// What is shown while the load runs [default: simple on a terminal, else none]
    #[arg(long, value_name = "WHAT", help_heading = "Results")]
    pub ui: Option<Ui>,

    // ── Plugins ─────────────────────────────────────────────────────────────────────────────────────────────────────
    /// Plugin library, or a folder of them; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Plugins")]
    #[serde(deserialize_with = "one_or_many")]
    pub plugin: Vec<String>,
    /// Option of a component, as `name.key=value`; may be repeated
    #[arg(long, value_name = "OPTION", help_heading = "Plugins")]
    #[serde(deserialize_with = "one_or_many")]
    pub plugin_option: Vec<String>,
    /// Load plugins even if others may write to them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Plugins")]
    pub allow_unsafe_permissions: Option<bool>,
    /// Load only the plugins of a lock file, byte for byte; `inferometer plugins lock` writes it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Plugins")]
    pub locked: Option<bool>,
    /// Lock file that plugins are held to, which needs no --locked then [default: inferometer-plugins.lock]
    #[arg(long, value_name = "FILE", help_heading = "Plugins")]
    pub lock_file: Option<PathBuf>,
}
