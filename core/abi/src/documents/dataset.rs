//! What a data set loader is asked for, and what it says of itself.

use serde::{Deserialize, Serialize};

/// What a data set loader is asked for. A loader passes over what does not concern it; what would change the data it gives
/// and that it cannot do, it refuses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetRequest {
    /// The file or folder, if one was given.
    pub source: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// Size of a pool that is made up.
    pub entries: u64,
    /// Input tokens of made-up prompts.
    pub input_tokens: Length,
    /// Output tokens to ask for; absent: leave it to the server. The host draws them for turns that come without a limit.
    pub output_tokens: Option<Length>,
    /// Pairs of input and output lengths to choose from, in place of the two above; their weights need not add up to 1.
    pub length_pairs: Vec<LengthPair>,
    /// Lengths spread evenly around their means, in place of their deviations.
    pub range_ratio: Option<RangeRatio>,
    /// Turns of a made-up session; absent: 1.
    pub turns: Option<Length>,
    /// Think time between two turns of a made-up session, in milliseconds; absent: none.
    pub delay_ms: Option<Length>,
    /// Texts of one made-up request; 0 and 1: one.
    pub batch: u64,
    /// A pool of texts of which one comes before each made-up session's first prompt.
    pub prefixes: Option<PrefixRequest>,
    /// Images in each made-up request.
    pub images: Option<ImageRequest>,
    /// Audio in each made-up request.
    pub audio: Option<AudioRequest>,
    /// Queries with passages in place of prompts. Since 1.1.
    pub ranking: Option<RankingRequest>,
    /// How traces are read and changed.
    pub trace: TraceRequest,
}

/// A distribution of lengths: a mean and a standard deviation, in tokens unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Length {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 0: always the mean.
    pub stddev: f64,
}

/// A pair of lengths with its share of the sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LengthPair {
    /// Input tokens.
    pub input: Length,
    /// Output tokens.
    pub output: Length,
    /// Its share, in whatever unit.
    pub weight: f64,
}

/// How far lengths spread around their means, as fractions of these: from mean × (1 − ratio) to mean × (1 + ratio).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RangeRatio {
    /// Of the input.
    pub input: f64,
    /// Of the output.
    pub output: f64,
}

/// A pool of texts that prompts begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixRequest {
    /// Number of different texts.
    pub prompts: u64,
    /// Tokens of each, which come on top of the input tokens.
    pub tokens: u64,
}

/// Made-up queries, each with passages to be ranked by it: the texts of a turn are named `query` and `passages`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankingRequest {
    /// Passages of one request.
    pub passages: Length,
    /// Tokens of a passage.
    pub passage_tokens: Length,
    /// Tokens of a query.
    pub query_tokens: Length,
}

impl Default for RankingRequest {
    /// Ten passages of 128 tokens, and a query of 32.
    fn default() -> Self {
        let length = |mean| Length { mean, stddev: 0.0 };
        Self { passages: length(10.0), passage_tokens: length(128.0), query_tokens: length(32.0) }
    }
}

/// Made-up images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRequest {
    /// Images of one request.
    pub batch: u64,
    /// Width in pixels.
    pub width: Length,
    /// Height in pixels.
    pub height: Length,
    /// `png`, `jpeg` or `random`.
    pub format: String,
    /// Folder of pictures to draw from and to resize; absent: noise.
    pub source: Option<String>,
}

/// Made-up audio: noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioRequest {
    /// Clips of one request.
    pub batch: u64,
    /// Seconds of a clip.
    pub seconds: Length,
    /// `wav` or `mp3`.
    pub format: String,
    /// Samples per second to choose from, in Hz.
    pub sample_rates: Vec<u32>,
    /// Bits of a sample to choose from.
    pub depths: Vec<u32>,
    /// Channels: 1 or 2.
    pub channels: u32,
}

/// How traces are read and changed. A multiplier of 1 changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceRequest {
    /// Tokens of the block that a hash id stands for; absent: as the kind of trace has it.
    pub block_tokens: Option<u64>,
    /// Turns with more input tokens than this are left out.
    pub max_input_tokens: Option<u64>,
    /// Most output tokens to ask for: longer answers are asked for as so many.
    pub max_output_tokens: Option<u64>,
    /// Stretches the parts of prompts that several share.
    pub prefix_multiplier: f64,
    /// Splits the shared parts into so many trees that share nothing.
    pub root_multiplier: u64,
    /// Stretches the parts of prompts that are their own.
    pub prompt_multiplier: f64,
    /// Stretches the answers.
    pub output_multiplier: f64,
}

impl Default for TraceRequest {
    fn default() -> Self {
        Self {
            block_tokens: None,
            max_input_tokens: None,
            max_output_tokens: None,
            prefix_multiplier: 1.0,
            root_multiplier: 1,
            prompt_multiplier: 1.0,
            output_multiplier: 1.0,
        }
    }
}

/// What a data set holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetInfo {
    /// Number of sessions that a schedule begins.
    pub sessions: u64,
    /// Further sessions, numbered from there on, that only other sessions begin.
    pub branches: u64,
    /// What the data set took its source for, where it had to find out.
    pub kind: Option<String>,
    /// Whether its sessions say when they are to be sent.
    pub has_timestamps: bool,
    /// Whether the replies it has recorded are to be sent as the history, unless the user wants those that were got.
    pub recorded_replies: bool,
    /// What is worth saying of it, each once.
    pub notes: Vec<String>,
}
