//! The flags of `analyze-trace` and `synthesize`. What `profile` has too means the same here.

use crate::args::{LockedArgs, PlacesArgs};
use clap::Args as ClapArgs;
use std::path::PathBuf;

#[derive(ClapArgs)]
pub(crate) struct AnalyzeTraceArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Find prefixes in a cache of so many blocks, which drops the least recently used [default: unlimited]
    #[arg(long, value_name = "N")]
    pub(super) cache_blocks: Option<u64>,
    /// Write the report as JSON to a file, too
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(super) output_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(ClapArgs)]
pub(crate) struct SynthesizeArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// File to write, in the Mooncake format
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Write over the file if it is there
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) random_seed: u64,
    /// Stretch the parts of prompts that several share
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub(super) synthesis_prefix_len_multiplier: f64,
    /// Split the shared parts into so many trees that share nothing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) synthesis_prefix_root_multiplier: u64,
    /// Stretch the parts of prompts that are their own
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub(super) synthesis_prompt_len_multiplier: f64,
    /// Stretch the answers
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub(super) synthesis_output_len_multiplier: f64,
    /// Leave out turns with more input tokens
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) synthesis_max_isl: Option<u64>,
    /// Ask for so many output tokens at most
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) synthesis_max_osl: Option<u64>,
    /// Divide all times and delays by this: 2 is twice as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub(super) synthesis_speedup_ratio: f64,
}

/// The trace, and what reads it.
#[derive(ClapArgs)]
pub(crate) struct SourceArgs {
    /// The trace
    #[arg(value_name = "FILE")]
    pub(super) file: String,
    /// What it is: the name of a data set loader, as `plugins list` has them
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub(super) custom_dataset_type: String,
    /// Tokens of a block [default: as the kind of trace has it]
    #[arg(long, alias = "block-size", value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub(super) isl_block_size: Option<u64>,
    /// Tokenizer to count prompts with where the data set does not say how long they are: as for `profile`
    #[arg(long, value_name = "NAME")]
    pub(super) tokenizer: Option<String>,
    /// Option of a component, as in `profile`; may be repeated
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    pub(super) plugin_option: Vec<String>,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
    #[command(flatten)]
    pub(super) locked: LockedArgs,
}

/// A number by which something can be multiplied or divided.
fn factor(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number above 0")?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("give a number above 0".to_owned()) }
}
