//! Images and audio in made-up requests. Any setting of a medium switches it on; what is left open is chosen and said.

use super::lengths::length;
use crate::{
    config::MediaConfig,
    error::{ConfigError, refuse},
    values::{Count, Number, Seconds},
};
use inferometer_abi::documents::{AudioRequest, ImageRequest};
use std::path::Path;

const DEFAULT_SIDE: f64 = 512.0;
const LONGEST_SIDE: f64 = 8_192.0;
const DEFAULT_CLIP_SECONDS: f64 = 1.0;
const LONGEST_CLIP_SECONDS: f64 = 3_600.0;
const DEFAULT_SAMPLE_RATE: u32 = 16_000;
/// A sample rate above this is meant in Hz, else in kHz.
const LARGEST_KHZ: f64 = 96.0;
const HIGHEST_SAMPLE_RATE: f64 = 384_000.0;
const DEPTHS: [u64; 4] = [8, 16, 24, 32];
const DEFAULT_DEPTH: u32 = 16;
/// Most pieces of a medium, or texts, in one request.
const LARGEST_BATCH: u64 = 10_000;

/// Whether anything but batch sizes was typed.
pub(super) fn makes_content(config: &MediaConfig) -> bool {
    let content = MediaConfig {
        image_batch_size: None,
        audio_batch_size: None,
        image_width_stddev: config.image_width_stddev.filter(|stddev| stddev.0 != 0.0),
        image_height_stddev: config.image_height_stddev.filter(|stddev| stddev.0 != 0.0),
        audio_length_stddev: config.audio_length_stddev.filter(|stddev| stddev.0 != 0.0),
        ..config.clone()
    };
    content != MediaConfig::default()
}

/// How many of something one request holds.
pub(super) fn batch(flag: &str, count: Option<Count>) -> Result<u64, ConfigError> {
    let Count(count) = count.unwrap_or(Count(1));
    if !(1..=LARGEST_BATCH).contains(&count) {
        return refuse(format!("{flag} {count} is not a batch; give 1 to {LARGEST_BATCH}"));
    }
    Ok(count)
}

/// The images asked for, if any.
pub(super) fn images(config: &MediaConfig, notes: &mut Vec<String>) -> Result<Option<ImageRequest>, ConfigError> {
    let MediaConfig {
        image_width_mean: width,
        image_width_stddev,
        image_height_mean: height,
        image_height_stddev,
        image_batch_size,
        image_format,
        image_source,
        ..
    } = config;
    let deviates = [image_width_stddev, image_height_stddev].into_iter().flatten().any(|stddev| stddev.0 != 0.0);
    let is_sized = width.is_some() || height.is_some() || deviates;
    if !is_sized && image_batch_size.is_none() && image_format.is_none() && image_source.is_none() {
        return Ok(None);
    }
    let side = |name: &str, mean: Option<Number>, stddev| {
        let mean = mean.map_or(DEFAULT_SIDE, |mean| mean.0);
        let (flag, stddev_flag) = (format!("--image-{name}-mean"), format!("--image-{name}-stddev"));
        length(&flag, mean, &stddev_flag, stddev, 1.0..=LONGEST_SIDE, "a number of pixels")
    };
    let source = match image_source.as_deref() {
        None | Some("noise") => None,
        Some("assets") => {
            return refuse("--image-source assets: there are no pictures of our own; give a folder of some, or noise");
        }
        Some(folder) if Path::new(folder).is_dir() => Some(folder.to_owned()),
        Some(other) => {
            return refuse(format!("--image-source {other} is not a folder; give a folder of pictures, or noise"));
        }
    };
    let request = ImageRequest {
        batch: batch("--image-batch-size", *image_batch_size)?,
        width: side("width", *width, *image_width_stddev)?,
        height: side("height", *height, *image_height_stddev)?,
        format: image_format.unwrap_or_default().as_str().to_owned(),
        source,
    };
    if width.is_none() || height.is_none() || image_format.is_none() {
        notes.push(format!(
            "images: {} × {} pixels, {}, {} a request",
            request.width.mean, request.height.mean, request.format, request.batch
        ));
    }
    Ok(Some(request))
}

/// The audio asked for, if any.
pub(super) fn audio(config: &MediaConfig, notes: &mut Vec<String>) -> Result<Option<AudioRequest>, ConfigError> {
    let MediaConfig {
        audio_length_mean,
        audio_length_stddev,
        audio_batch_size,
        audio_format,
        audio_sample_rates,
        audio_depths,
        audio_num_channels,
        ..
    } = config;
    let is_listed = !audio_sample_rates.is_empty() || !audio_depths.is_empty();
    let is_long = audio_length_mean.is_some() || audio_length_stddev.is_some_and(|stddev| stddev.0 != 0.0);
    if !is_listed && !is_long && audio_batch_size.is_none() && audio_format.is_none() && audio_num_channels.is_none() {
        return Ok(None);
    }
    let mean = audio_length_mean.map_or(DEFAULT_CLIP_SECONDS, |mean| mean.0);
    let stddev = audio_length_stddev.map(|Seconds(stddev)| Number(stddev));
    let range = f64::MIN_POSITIVE..=LONGEST_CLIP_SECONDS;
    if !range.contains(&mean) {
        return refuse(format!(
            "--audio-length-mean {mean} is no length of a clip; give a time above 0, an hour at most"
        ));
    }
    let sample_rates = if audio_sample_rates.is_empty() {
        vec![DEFAULT_SAMPLE_RATE]
    } else {
        audio_sample_rates.iter().map(|rate| sample_rate(*rate)).collect::<Result<_, _>>()?
    };
    let depths = if audio_depths.is_empty() {
        vec![DEFAULT_DEPTH]
    } else {
        audio_depths.iter().map(|bits| depth(*bits)).collect::<Result<_, _>>()?
    };
    let channels = match audio_num_channels {
        None | Some(Count(1)) => 1,
        Some(Count(2)) => 2,
        Some(Count(other)) => return refuse(format!("--audio-num-channels {other} is not made; give 1 or 2")),
    };
    let request = AudioRequest {
        batch: batch("--audio-batch-size", *audio_batch_size)?,
        seconds: length("--audio-length-mean", mean, "--audio-length-stddev", stddev, range, "a length")?,
        format: audio_format.unwrap_or_default().as_str().to_owned(),
        sample_rates,
        depths,
        channels,
    };
    let is_open = audio_length_mean.is_none()
        || audio_format.is_none()
        || audio_sample_rates.is_empty()
        || audio_depths.is_empty()
        || audio_num_channels.is_none();
    if is_open {
        let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ");
        notes.push(format!(
            "audio: {} s, {}, {} Hz, {} bits, {}, {} a request",
            request.seconds.mean,
            request.format,
            list(&request.sample_rates),
            list(&request.depths),
            if channels == 1 { "mono" } else { "stereo" },
            request.batch
        ));
    }
    Ok(Some(request))
}

/// A sample rate in Hz.
fn sample_rate(Number(rate): Number) -> Result<u32, ConfigError> {
    // Rounded, as 44.1 × 1000 is not whole in binary.
    let hertz = if rate > LARGEST_KHZ { rate } else { (rate * 1e3).round() };
    if !(1.0..=HIGHEST_SAMPLE_RATE).contains(&hertz) || hertz.fract() != 0.0 {
        return refuse(format!("--audio-sample-rates {rate} is no sample rate; give kHz such as 16 or 44.1, or Hz"));
    }
    Ok(hertz as u32)
}

fn depth(Count(bits): Count) -> Result<u32, ConfigError> {
    match u32::try_from(bits) {
        Ok(depth) if DEPTHS.contains(&bits) => Ok(depth),
        _ => refuse(format!("--audio-depths {bits} is not made; choose among 8, 16, 24 and 32")),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{plan, refused};
    use inferometer_abi::documents::{AudioRequest, ImageRequest, Length};

    const fn length(mean: f64, stddev: f64) -> Length {
        Length { mean, stddev }
    }

    #[test]
    fn any_setting_of_a_medium_switches_it_on_and_what_it_leaves_open_is_said() {
        let standard = ImageRequest {
            batch: 1,
            width: length(512.0, 0.0),
            height: length(512.0, 0.0),
            format: "jpeg".to_owned(),
            source: None,
        };
        let folder = std::env::temp_dir().display().to_string();
        for (flags, expected) in [
            ("--image-width-mean 64", ImageRequest { width: length(64.0, 0.0), ..standard.clone() }),
            ("--image-width-stddev 4", ImageRequest { width: length(512.0, 4.0), ..standard.clone() }),
            ("--image-height-mean 64", ImageRequest { height: length(64.0, 0.0), ..standard.clone() }),
            ("--image-height-stddev 4", ImageRequest { height: length(512.0, 4.0), ..standard.clone() }),
            ("--image-batch-size 3", ImageRequest { batch: 3, ..standard.clone() }),
            ("--batch-size-image 3", ImageRequest { batch: 3, ..standard.clone() }),
            ("--image-format png", ImageRequest { format: "png".to_owned(), ..standard.clone() }),
            ("--image-source noise", standard.clone()),
            (&format!("--image-source {folder}"), ImageRequest { source: Some(folder.clone()), ..standard.clone() }),
        ] {
            let plan = plan(flags).unwrap();
            assert_eq!(plan.data.request.images, Some(expected), "{flags}");
            assert!(plan.notes.iter().any(|note| note.starts_with("images: ")), "{flags}: {:?}", plan.notes);
            assert_eq!(plan.data.request.audio, None);
        }
    }

    #[test]
    fn audio_is_16_khz_16_bit_mono_wav_unless_said_otherwise() {
        let standard = AudioRequest {
            batch: 1,
            seconds: length(1.0, 0.0),
            format: "wav".to_owned(),
            sample_rates: vec![16_000],
            depths: vec![16],
            channels: 1,
        };
        for (flags, expected) in [
            ("--audio-length-mean 2.5", AudioRequest { seconds: length(2.5, 0.0), ..standard.clone() }),
            ("--audio-length-stddev 500ms", AudioRequest { seconds: length(1.0, 0.5), ..standard.clone() }),
            ("--audio-format mp3", AudioRequest { format: "mp3".to_owned(), ..standard.clone() }),
            (
                "--audio-sample-rates 8,44.1 48000",
                AudioRequest { sample_rates: vec![8_000, 44_100, 48_000], ..standard.clone() },
            ),
            ("--audio-depths 8 --audio-depths 24,32", AudioRequest { depths: vec![8, 24, 32], ..standard.clone() }),
            ("--audio-num-channels 2", AudioRequest { channels: 2, ..standard.clone() }),
            ("--audio-batch-size 2", AudioRequest { batch: 2, ..standard.clone() }),
        ] {
            let plan = plan(flags).unwrap();
            assert_eq!(plan.data.request.audio, Some(expected), "{flags}");
            assert!(plan.notes.iter().any(|note| note.starts_with("audio: ")), "{flags}: {:?}", plan.notes);
            assert_eq!(plan.data.request.images, None);
        }
    }

    #[test]
    fn media_that_cannot_be_made_are_refused_with_what_can() {
        refused(&[
            ("--image-width-mean 0", &["--image-width-mean 0", "pixels"]),
            ("--image-height-stddev=-1", &["--image-height-stddev -1"]),
            ("--image-batch-size 0", &["--image-batch-size 0"]),
            ("--image-source assets", &["a folder"]),
            ("--image-source /no/such/folder", &["/no/such/folder"]),
            ("--audio-length-mean 0", &["--audio-length-mean 0"]),
            ("--audio-sample-rates 0", &["--audio-sample-rates 0"]),
            ("--audio-sample-rates 22050.5", &["--audio-sample-rates 22050.5"]),
            ("--audio-depths 12", &["--audio-depths 12", "8, 16, 24 and 32"]),
            ("--audio-num-channels 3", &["1 or 2"]),
            ("--audio-batch-size 1000000", &["--audio-batch-size"]),
        ]);
    }
}
