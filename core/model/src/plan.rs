//! [`Plan`]: what will happen, decided once and stored with the results. The engine sees nothing else.

use crate::{
    config::{ConnectionReuse, ExportLevel, ModelSelection, ReadyMode, ReceiveTimestamps, Sampling},
    secret::{self, Secret},
};
use inferometer_abi::documents::Length;
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};
use url::Url;

/// What will happen.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The models asked for.
    pub models: Vec<String>,
    /// How they are shared out.
    pub model_selection: ModelSelection,
    /// The server.
    pub server: ServerPlan,
    /// The data.
    pub data: DataPlan,
    /// The phases, in order.
    pub phases: Vec<PhasePlan>,
    /// Worker threads; absent: as many as help.
    pub workers: Option<u64>,
    /// What is read beside the load.
    pub telemetry: TelemetryPlan,
    /// Service level objectives, as typed.
    pub objectives: Option<String>,
    /// Largest share of failed requests with which the run still succeeds.
    pub error_limit: Option<f64>,
    /// Whether the run succeeds even if its numbers are not to be believed.
    pub accepts_invalid: bool,
    /// The tokenizer.
    pub tokenizer: TokenizerPlan,
    /// Where results go.
    pub output: OutputPlan,
    /// Options of components by name.
    #[serde(serialize_with = "secret::masked")]
    pub plugin_options: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// Exporters besides the built-in ones.
    pub exporters: Vec<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// What was decided for the user and is worth saying.
    pub notes: Vec<String>,
}

/// The server and how it is spoken to.
#[derive(Clone, Debug, Serialize)]
pub struct ServerPlan {
    /// Name of the endpoint component.
    pub endpoint: String,
    /// Base URLs.
    #[serde(serialize_with = "secret::shown_urls")]
    pub urls: Vec<Url>,
    /// Path in place of the endpoint's own.
    pub path: Option<String>,
    /// Whether answers are streamed.
    pub streaming: bool,
    /// The key.
    pub api_key: Option<Secret>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Fields merged into every body.
    #[serde(serialize_with = "secret::masked")]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// Whether the output limit goes by its older name.
    pub legacy_max_tokens: bool,
    /// Most time one request may take, in nanoseconds.
    pub timeout_ns: u64,
    /// Whether connections serve more than one request.
    pub reuse: ConnectionReuse,
    /// What says when a piece of an answer came.
    pub receive_timestamps: ReceiveTimestamps,
    /// Addresses of this machine to connect from, in turn; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// How to wait for the server, if at all.
    pub ready: Option<ReadyPlan>,
}

/// How to wait for the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReadyPlan {
    /// For how long, in nanoseconds.
    pub timeout_ns: u64,
    /// Between two attempts, in nanoseconds.
    pub interval_ns: u64,
    /// What tells.
    pub mode: ReadyMode,
}

/// What is read beside the load.
#[derive(Clone, Debug, Serialize)]
pub struct TelemetryPlan {
    /// The sources, one collector each.
    pub sources: Vec<SourcePlan>,
    /// Time between two readings, in nanoseconds.
    pub interval_ns: u64,
    /// Endings of the files that the server's own metrics go to.
    pub server_metrics: Vec<String>,
}

/// One telemetry source.
#[derive(Clone, Debug, Serialize)]
pub struct SourcePlan {
    /// Name of the collector component.
    pub collector: String,
    /// What it reads, for messages and results: a URL, or the collector's name.
    pub name: String,
    /// How it came to be read.
    pub flag: SourceFlag,
    /// Whether the user asked for it; a source that nobody asked for and that is not there goes unsaid.
    pub asked: bool,
    /// Headers to ask with: those of the load, for pages of the server that the load goes to.
    #[serde(skip)]
    pub headers: Vec<(String, Secret)>,
    /// Options of the collector, over those of the user. Not shown: a URL may hold a key.
    #[serde(skip)]
    pub options: serde_json::Map<String, serde_json::Value>,
}

/// What made a telemetry source one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFlag {
    /// `--gpu-telemetry`, or its default
    Gpu,
    /// `--server-metrics`, or its default
    Server,
    /// The machine that makes the load
    Client,
    /// `--collector`
    Collector,
}

/// Where requests come from.
#[derive(Clone, Debug, Serialize)]
pub struct DataPlan {
    /// Name of the data set component.
    pub loader: String,
    /// The file, if any.
    pub source: Option<PathBuf>,
    /// Size of a pool that is made up.
    pub entries: u64,
    /// Input tokens of made-up prompts.
    pub input_tokens: Length,
    /// Output tokens to ask for.
    pub output_tokens: Option<Length>,
    /// Order of use.
    pub sampling: Sampling,
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhasePlan {
    /// Its name.
    pub name: String,
    /// Whether it is measured.
    pub kind: PhaseKind,
    /// Name of the timing component.
    pub strategy: String,
    /// Slots; absent: no limit.
    pub concurrency: Option<u64>,
    /// Arrivals per second, if a rate is asked.
    pub rate: Option<f64>,
    /// When it ends.
    pub stop: Stop,
}

/// Whether a phase is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// It is kept out of the results.
    Warmup,
    /// It is the result.
    Profiling,
}

impl PhaseKind {
    /// Its name in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Profiling => "profiling",
        }
    }
}

/// When a phase ends: at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// After this many requests; absent with no duration: the data set once.
    pub requests: Option<u64>,
    /// After this long, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// How long answers are waited for after the duration, in nanoseconds.
    pub grace_ns: u64,
}

/// The tokenizer asked for.
#[derive(Clone, Debug, Serialize)]
pub struct TokenizerPlan {
    /// Its name, if one was given.
    pub name: Option<String>,
    /// Its revision, if one was given.
    pub revision: Option<String>,
    /// Whether only the server's counts are used.
    pub server_only: bool,
}

/// Where results go.
#[derive(Clone, Debug, Serialize)]
pub struct OutputPlan {
    /// The folder, if one was given.
    pub folder: Option<PathBuf>,
    /// Whether a run it already holds is replaced.
    pub overwrite: bool,
    /// Stem of the files' names.
    pub prefix: Option<String>,
    /// What is written besides the summary.
    pub level: ExportLevel,
    /// An exporter without progress for so long is given up, in nanoseconds.
    pub export_patience_ns: u64,
}
