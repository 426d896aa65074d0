//! The settings of `profile` that are one of a few words.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
    #[value(alias = "sticky_user_sessions")]
    #[serde(alias = "sticky-user-sessions")]
    StickyUserSessions,
}

/// What requests travel by: a choice of other benchmarks, of which there is one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// HTTP
    Http,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum HttpVersion {
    /// One request at a time on a connection
    #[default]
    #[value(name = "1.1")]
    #[serde(rename = "1.1")]
    Http1,
    /// Several requests on a connection; without TLS the server is taken to speak it
    #[value(name = "2")]
    #[serde(rename = "2")]
    Http2,
    /// HTTP/2 where the server offers it in TLS, else HTTP/1.1
    #[value(name = "auto")]
    #[serde(rename = "auto")]
    Auto,
}

/// Versions of IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum IpVersion {
    /// Both, whichever answers first
    #[default]
    #[value(name = "auto")]
    #[serde(rename = "auto")]
    Auto,
    /// Version 4 alone
    #[value(name = "4")]
    #[serde(rename = "4")]
    V4,
    /// Version 6 alone
    #[value(name = "6")]
    #[serde(rename = "6")]
    V6,
}

/// Type of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum RequestContentType {
    /// A JSON object
    #[value(name = "application/json")]
    #[serde(rename = "application/json")]
    Json,
    /// A form, files as they are
    #[value(name = "multipart/form-data")]
    #[serde(rename = "multipart/form-data")]
    Multipart,
}

impl RequestContentType {
    /// Its name as a media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Multipart => "multipart/form-data",
        }
    }
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
    #[value(alias = "system_start")]
    #[serde(alias = "system-start")]
    SystemStart,
    /// After the system message, which is made if there is none
    #[value(alias = "system_end")]
    #[serde(alias = "system-end")]
    SystemEnd,
    /// Before the first turn's text
    #[value(alias = "first_turn_start")]
    #[serde(alias = "first-turn-start")]
    FirstTurnStart,
    /// After the first turn's text
    #[value(alias = "first_turn_end")]
    #[serde(alias = "first-turn-end")]
    FirstTurnEnd,
}

/// How made-up images are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// JPEG
    #[default]
    Jpeg,
    /// PNG
    Png,
    /// One of the two, by chance
    Random,
}

impl ImageFormat {
    /// Its name for loaders.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Random => "random",
        }
    }
}

/// How made-up audio is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// WAV
    #[default]
    Wav,
    /// MP3
    Mp3,
}

impl AudioFormat {
    /// Its name for loaders.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
        }
    }
}

/// What tells that a server is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyMode {
    /// It lists the model under `/v1/models`
    Models,
    /// It answers a request of one token
    #[default]
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
