//! Images and audio of made-up requests. Any setting of a medium switches it on.

use super::choices::{AudioFormat, ImageFormat};
use crate::values::{Count, Number, Seconds, list};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Settings of images and audio in made-up requests.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Images and audio")]
#[serde(default, rename_all = "kebab-case")]
pub struct MediaConfig {
    /// Width in pixels [default: 512]
    #[arg(long, value_name = "PIXELS")]
    pub image_width_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "PIXELS")]
    pub image_width_stddev: Option<Number>,
    /// Height in pixels [default: 512]
    #[arg(long, value_name = "PIXELS")]
    pub image_height_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "PIXELS")]
    pub image_height_stddev: Option<Number>,
    /// Images of one request [default: 1]
    #[arg(long, alias = "batch-size-image", value_name = "COUNT")]
    pub image_batch_size: Option<Count>,
    /// How images are encoded [default: jpeg]
    #[arg(long, value_name = "FORMAT")]
    pub image_format: Option<ImageFormat>,
    /// What is on them: `noise`, or pictures of a folder, resized [default: noise]
    #[arg(long, value_name = "SOURCE")]
    pub image_source: Option<String>,
    /// Length of a clip [default: 1]
    #[arg(long, value_name = "SECONDS")]
    pub audio_length_mean: Option<Seconds>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub audio_length_stddev: Option<Seconds>,
    /// Clips of one request [default: 1]
    #[arg(long, alias = "batch-size-audio", value_name = "COUNT")]
    pub audio_batch_size: Option<Count>,
    /// How clips are encoded [default: wav]
    #[arg(long, value_name = "FORMAT")]
    pub audio_format: Option<AudioFormat>,
    /// Sample rates to choose from, in kHz; above 96, in Hz [default: 16]
    #[arg(long, value_name = "RATE", num_args = 1.., value_delimiter = ',')]
    #[serde(deserialize_with = "list")]
    pub audio_sample_rates: Vec<Number>,
    /// Bits of a sample to choose from: 8, 16, 24, 32 [default: 16]
    #[arg(long, value_name = "BITS", num_args = 1.., value_delimiter = ',')]
    #[serde(deserialize_with = "list")]
    pub audio_depths: Vec<Count>,
    /// Channels: 1 or 2 [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub audio_num_channels: Option<Count>,
}
