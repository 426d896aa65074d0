//! [`Plan`]: what will happen, decided once and stored with the results. The engine sees nothing else.

use crate::{
    config::{
        CacheBust, ConcurrencyUnit, ConnectionReuse, ExportLevel, HttpVersion, IpVersion, ModelSelection, OnOverload,
        ReadyMode, ReceiveTimestamps, Replies, Sampling,
    },
    secret::{self, Secret},
};
use inferometer_abi::documents::DatasetRequest;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};
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
    #[serde(serialize_with = "secret::shown_optional_path")]
    pub path: Option<String>,
    /// Whether answers are streamed.
    pub streaming: bool,
    /// The key.
    pub api_key: Option<Secret>,
    /// The header that takes it, in place of the endpoint's own.
    pub api_key_header: Option<String>,
    /// The header that takes the session's identifier, in place of the usual one.
    pub session_header: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Fields merged into every body.
    #[serde(serialize_with = "secret::masked")]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// Whether the output limit goes by its older name.
    pub legacy_max_tokens: bool,
    /// Whether each event of a stream is to bring the usage so far.
    pub chunk_usage: bool,
    /// What flags say that are options of the endpoint.
    pub endpoint_options: serde_json::Map<String, serde_json::Value>,
    /// What says when a piece of an answer came.
    pub receive_timestamps: ReceiveTimestamps,
    /// How connections are made.
    pub connection: ConnectionPlan,
    /// How to wait for the server, if at all.
    pub ready: Option<ReadyPlan>,
}

/// How connections to the server are made. A limit that is absent is none.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionPlan {
    /// Whether connections serve more than one request.
    pub reuse: ConnectionReuse,
    /// Version of HTTP.
    pub http: HttpVersion,
    /// Most requests that share a connection of HTTP/2 at a time.
    pub http2_streams: u64,
    /// Versions of IP.
    pub ip_version: IpVersion,
    /// Addresses of this machine to connect from, in turn; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// Socket file to connect to.
    pub unix_socket: Option<PathBuf>,
    /// Proxy to go through.
    pub proxy: Option<ProxyPlan>,
    /// TLS, where a URL begins with `https://`.
    pub tls: TlsPlan,
    /// Most time that connecting may take, TLS included.
    pub connect_timeout: Option<Duration>,
    /// Most time from the last byte of a request to the first of the answer.
    pub first_byte_timeout: Option<Duration>,
    /// Most time in mid-answer without a byte.
    pub idle_timeout: Option<Duration>,
    /// Most time one request may take, connecting included.
    pub request_timeout: Duration,
}

/// How TLS is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsPlan {
    /// Certificates of who may vouch for the server; absent: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Whether any certificate of the server is taken.
    pub insecure: bool,
}

/// A proxy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyPlan {
    /// As the environment says.
    Environment,
    /// This one.
    Url {
        /// Where it is.
        url: Url,
        /// User and password, a colon between them.
        user: Option<Secret>,
    },
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
    /// What the loader is asked for; its source and seed are filled in from here.
    pub request: DatasetRequest,
    /// Order of use.
    pub sampling: Sampling,
    /// Text of the system message that every session begins with, before one of the data's own.
    pub system_prompt: Option<String>,
    /// Tokens of a made-up system message, the same in all sessions.
    pub shared_system_tokens: Option<u64>,
    /// Tokens of a made-up user message before each session's first turn, one text per session of the data set.
    pub user_context_tokens: Option<u64>,
    /// Where a mark that no other session has keeps the server's cache from knowing the prompt.
    pub cache_bust: CacheBust,
    /// What all think times are multiplied by.
    pub delay_ratio: f64,
    /// Whether the data's own times and delays are passed over.
    pub ignores_times: bool,
    /// Which replies a later turn's history holds; absent: as the data set has it.
    pub replies: Option<Replies>,
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
    /// Options of the timing component that flags stand for, over those that the user gives it.
    pub strategy_options: serde_json::Map<String, serde_json::Value>,
    /// Whether the user said nothing of the load's shape, so that data with times of its own may give it.
    pub is_open_to_times: bool,
    /// Slots; absent: no limit.
    pub concurrency: Option<u64>,
    /// What a slot is held for.
    pub concurrency_unit: ConcurrencyUnit,
    /// Time in which the slots grow from one to all, in nanoseconds; 0: all are there at once.
    pub concurrency_ramp_ns: u64,
    /// Slots for requests without a first token; absent: no limit.
    pub prefill_concurrency: Option<u64>,
    /// As `concurrency_ramp_ns`.
    pub prefill_ramp_ns: u64,
    /// What becomes of arrivals of a rate that find no slot.
    pub on_overload: OnOverload,
    /// Arrivals per second, if a rate is asked.
    pub rate: Option<f64>,
    /// How the data's own times are followed.
    pub replay: Replay,
    /// Requests that are broken off on purpose.
    pub cancellation: Option<Cancellation>,
    /// When it ends.
    pub stop: Stop,
}

impl PhasePlan {
    /// A phase without slots, rate or anything special.
    pub fn new(name: &str, kind: PhaseKind, strategy: &str, stop: Stop) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            strategy: strategy.to_owned(),
            strategy_options: serde_json::Map::new(),
            is_open_to_times: false,
            concurrency: None,
            concurrency_unit: ConcurrencyUnit::default(),
            concurrency_ramp_ns: 0,
            prefill_concurrency: None,
            prefill_ramp_ns: 0,
            on_overload: OnOverload::default(),
            rate: None,
            replay: Replay::default(),
            cancellation: None,
            stop,
        }
    }

    /// Whether arrivals come by the clock, whatever the server does.
    pub fn is_open_loop(&self) -> bool {
        match self.strategy.as_str() {
            "burst" | "fixed_schedule" => true,
            "user_centric" => false,
            _ => self.rate.is_some(),
        }
    }
}

/// How the data's own times are followed, by strategies that do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Replay {
    /// The trace's time at which the phase begins, in nanoseconds; absent: that of its first session.
    pub zero_ns: Option<u64>,
    /// Sessions that begin before this time of the trace are left out, in nanoseconds.
    pub start_ns: u64,
    /// Sessions that begin after this time of the trace are left out, in nanoseconds.
    pub end_ns: u64,
    /// How much faster than it was recorded.
    pub speedup: f64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { zero_ns: None, start_ns: 0, end_ns: u64::MAX, speedup: 1.0 }
    }
}

/// Requests that are broken off on purpose, as users do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cancellation {
    /// Their share of all requests, 0 to 1.
    pub share: f64,
    /// Time from a request's last byte to its end, in nanoseconds.
    pub delay_ns: u64,
}

/// Whether a phase is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// After this many requests; absent with no other limit: the data set once.
    pub requests: Option<u64>,
    /// After this many sessions were begun; they come to their end.
    pub sessions: Option<u64>,
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
    /// Whether prompts of chats are counted by the chat template.
    pub chat_template: bool,
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
