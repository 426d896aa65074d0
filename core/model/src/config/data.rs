//! Where requests come from, what they are made of, and how traces are read.

use super::choices::{CacheBust, Replies, Sampling};
use crate::values::{Count, Millis, Number, text};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of the data, whatever it is.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Data")]
#[serde(default, rename_all = "kebab-case")]
pub struct DataConfig {
    /// Requests from a file instead of made-up prompts
    #[arg(long, alias = "dataset-path", value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// What the file holds: a loader's name, or `auto` to find out [default: auto]
    #[arg(long, value_name = "KIND")]
    pub custom_dataset_type: Option<String>,
    /// Order in which the data is used [default: sequential]
    #[arg(long, value_name = "HOW")]
    pub dataset_sampling_strategy: Option<Sampling>,
    /// Number of different sessions to make up [default: the sessions to begin, else the requests, else 100]
    #[arg(long, alias = "num-prompts", value_name = "COUNT")]
    pub num_dataset_entries: Option<Count>,
    /// Which replies a later turn's history holds: those the server gave, or those of the file [default: as the
    /// data has it]
    #[arg(long, value_name = "WHICH")]
    pub replies: Option<Replies>,
    /// Multiply all think times by this, those of a file too [default: 1]
    #[arg(long, alias = "conversation-turn-delay-ratio", value_name = "FACTOR")]
    pub session_delay_ratio: Option<Number>,
    /// System message of every session, before one of the data's own
    #[arg(long, value_name = "TEXT")]
    pub system_prompt: Option<String>,
    /// The same from a file, as it is
    #[arg(long, value_name = "FILE")]
    pub system_prompt_file: Option<PathBuf>,
    /// Tokens of a made-up system message, the same in all sessions
    #[arg(long, value_name = "TOKENS")]
    pub shared_system_prompt_length: Option<Count>,
    /// Tokens of a made-up message before each session's first turn, another for each session of the data
    #[arg(long, value_name = "TOKENS")]
    pub user_context_prompt_length: Option<Count>,
    /// Where a mark goes that no other session has, so that the server's cache does not know the prompt [default:
    /// none]
    #[arg(long, value_name = "WHERE")]
    pub cache_bust: Option<CacheBust>,
    /// Seed of everything random; the same seed sends the same bytes [default: a new one per run, reported]
    #[arg(long, alias = "seed", value_name = "NUMBER")]
    pub random_seed: Option<u64>,
}

/// Settings of prompts that are made up.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Synthetic data")]
#[serde(default, rename_all = "kebab-case")]
pub struct SyntheticConfig {
    /// Input sequence length: tokens of a made-up prompt [default: 550]
    #[arg(
        long,
        alias = "prompt-input-tokens-mean",
        alias = "synthetic-input-tokens-mean",
        alias = "random-input-len",
        value_name = "TOKENS"
    )]
    pub isl: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, alias = "prompt-input-tokens-stddev", alias = "synthetic-input-tokens-stddev", value_name = "TOKENS")]
    pub isl_stddev: Option<Number>,
    /// Output sequence length: tokens to ask for [default: no limit is sent]
    #[arg(
        long,
        alias = "prompt-output-tokens-mean",
        alias = "output-tokens-mean",
        alias = "random-output-len",
        value_name = "TOKENS"
    )]
    pub osl: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, alias = "prompt-output-tokens-stddev", alias = "output-tokens-stddev", value_name = "TOKENS")]
    pub osl_stddev: Option<Number>,
    /// Pairs of lengths with their shares in percent: `256,128:60;512|50,256:40`, `[(256,128):60,(512,256):40]` or
    /// `{"pairs": [{"isl": 256, "osl": 128, "prob": 60}, …]}`; a deviation follows a length after `|`
    #[arg(long, alias = "sequence-distribution", value_name = "PAIRS")]
    #[serde(deserialize_with = "text")]
    pub seq_dist: Option<String>,
    /// Spread lengths evenly from mean × (1 − ratio) to mean × (1 + ratio); one number, or `{"input": 0.2,
    /// "output": 0.5}`
    #[arg(long, value_name = "RATIO")]
    #[serde(deserialize_with = "text")]
    pub random_range_ratio: Option<String>,
    /// Turns of a session [default: 1]
    #[arg(
        long,
        alias = "conversation-turn-mean",
        alias = "session-turn-mean",
        alias = "conversation-turns-mean",
        value_name = "TURNS"
    )]
    pub session_turns_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(
        long,
        alias = "conversation-turn-stddev",
        alias = "session-turn-stddev",
        alias = "conversation-turns-stddev",
        value_name = "TURNS"
    )]
    pub session_turns_stddev: Option<Number>,
    /// Think time before each turn but the first, from the reply before it; in milliseconds without a unit
    /// [default: 0]
    #[arg(long, alias = "conversation-turn-delay-mean", value_name = "TIME")]
    pub session_turn_delay_mean: Option<Millis>,
    /// Its standard deviation [default: 0]
    #[arg(long, alias = "conversation-turn-delay-stddev", value_name = "TIME")]
    pub session_turn_delay_stddev: Option<Millis>,
    /// Texts of one request, for embeddings [default: 1]
    #[arg(
        short = 'b',
        long,
        alias = "batch-size-text",
        alias = "batch-size",
        alias = "random-batch-size",
        value_name = "COUNT"
    )]
    pub prompt_batch_size: Option<Count>,
    /// Number of different texts of which one comes before a session's first prompt [default: 1, if these have a length]
    #[arg(long, alias = "prompt-prefix-pool-size", alias = "prefix-prompt-pool-size", value_name = "COUNT")]
    pub num_prefix_prompts: Option<Count>,
    /// Tokens of each, on top of --isl
    #[arg(long, alias = "prompt-prefix-length", alias = "random-prefix-len", value_name = "TOKENS")]
    pub prefix_prompt_length: Option<Count>,
}

/// Settings of how traces are read and changed.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Traces")]
#[serde(default, rename_all = "kebab-case")]
pub struct TraceConfig {
    /// Pass over the times and delays of the data
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ignore_trace_delays: Option<bool>,
    /// Tokens of the block that a hash id stands for [default: as the kind of trace has it]
    #[arg(long, value_name = "TOKENS")]
    pub isl_block_size: Option<Count>,
    /// Stretch the parts of prompts that several share [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub synthesis_prefix_len_multiplier: Option<Number>,
    /// Split the shared parts into so many trees that share nothing [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub synthesis_prefix_root_multiplier: Option<Count>,
    /// Stretch the parts of prompts that are their own [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub synthesis_prompt_len_multiplier: Option<Number>,
    /// Stretch the answers [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub synthesis_output_len_multiplier: Option<Number>,
    /// Leave out turns with more input tokens
    #[arg(long, value_name = "TOKENS")]
    pub synthesis_max_isl: Option<Count>,
    /// Ask for at most so many output tokens
    #[arg(long, value_name = "TOKENS")]
    pub synthesis_max_osl: Option<Count>,
}
