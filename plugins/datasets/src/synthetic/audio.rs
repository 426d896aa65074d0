//! Made-up audio: clips of noise as WAV files, in base64.
//!
//! A WAV file is a header of 44 bytes and the samples as they are ("Multimedia Programming Interface and Data
//! Specifications 1.0", IBM and Microsoft, 1991). MP3 is refused: it takes an encoder of whose bytes nothing promises
//! that they are the same on every machine.

use super::{MOST_BYTES, parts};
use crate::{
    lengths::{Lengths, Scale},
    random::{Place, Purpose, Seeds},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use inferometer_plugin_sdk::{
    documents::AudioRequest,
    random::SplitMix64,
    types::{Error, Result},
};

/// From a hundredth of a second to an hour, in thousandths.
const SECONDS: Scale =
    Scale { option: "--audio-length-mean", unit: "seconds", least: 0.01, most: 3_600.0, ceiling: 3_600.0, step: 0.001 };
const LEAST_RATE: u32 = 1_000;
const MOST_RATE: u32 = 384_000;
const DEPTHS: [u32; 4] = [8, 16, 24, 32];
/// The noise's deviation, as a part of full scale: one sample in 16,000 is cut off.
const LOUDNESS: f64 = 0.25;
const HEADER: usize = 44;

/// The clips of a pool.
#[derive(Debug)]
pub(super) struct Audio {
    batch: u32,
    seconds: Lengths,
    rates: Vec<u32>,
    depths: Vec<u32>,
    channels: u32,
    choice: Seeds,
    noise: Seeds,
}

impl Audio {
    /// # Errors
    /// Names the option whose value no clip can have.
    pub(super) fn new(asked: &AudioRequest, seed: u64) -> Result<Self> {
        match asked.format.as_str() {
            "wav" => {}
            "mp3" => {
                return Err(Error::config(
                    "--audio-format mp3: made-up audio cannot be had as MP3; use --audio-format wav, or a file with clips \
                     of your own (--custom-dataset-type single_turn)",
                ));
            }
            other => return Err(Error::config(format!("--audio-format {other}: made-up audio comes as wav"))),
        }
        one_of("--audio-sample-rates", &asked.sample_rates, "a rate is from 1000 to 384000 Hz", |rate| {
            (LEAST_RATE..=MOST_RATE).contains(&rate)
        })?;
        one_of("--audio-depths", &asked.depths, "a sample has 8, 16, 24 or 32 bits", |depth| DEPTHS.contains(&depth))?;
        one_of("--audio-num-channels", &[asked.channels], "a clip has 1 or 2", |channels| (1..=2).contains(&channels))?;
        let audio = Self {
            batch: parts("--audio-batch-size", asked.batch)?,
            seconds: Lengths::scaled(SECONDS, asked.seconds, seed, Purpose::Seconds)?,
            rates: asked.sample_rates.clone(),
            depths: asked.depths.clone(),
            channels: asked.channels,
            choice: Seeds::new(seed, Purpose::AudioChoice),
            noise: Seeds::new(seed, Purpose::AudioNoise),
        };
        let most = |choices: &[u32]| f64::from(choices.iter().copied().max().unwrap_or(0));
        let seconds = asked.seconds.mean + asked.seconds.stddev;
        let bytes = seconds * most(&asked.sample_rates) * most(&asked.depths) / 8.0 * f64::from(asked.channels);
        if bytes * f64::from(audio.batch) > MOST_BYTES {
            return Err(Error::config(format!(
                "--audio-length-mean {:?}: the {} clip(s) of one request would take {:.1} GiB, and 1 is the most; make \
                 them shorter or fewer, or the sample rate lower",
                asked.seconds.mean,
                audio.batch,
                bytes * f64::from(audio.batch) / MOST_BYTES
            )));
        }
        Ok(audio)
    }

    /// Format and base64 of the clips of the turn at `place`.
    pub(super) fn of_turn(&self, place: Place) -> Vec<(&'static str, String)> {
        let clips = (0..self.batch).map(|part| self.wav(Place { part, ..place }));
        clips.map(|wav| ("wav", BASE64_STANDARD.encode(wav))).collect()
    }

    fn wav(&self, place: Place) -> Vec<u8> {
        let mut choice = SplitMix64::new(self.choice.at(place));
        let mut choose = |among: &[u32]| among[choice.below(among.len() as u64) as usize];
        let (rate, depth) = (choose(&self.rates), choose(&self.depths));
        let frames = (self.seconds.number(place) * f64::from(rate)).round() as usize;
        wav(rate, depth, self.channels, frames, SplitMix64::new(self.noise.at(place)))
    }
}

/// Refuses an empty list, and one with a number that cannot be.
fn one_of(option: &str, given: &[u32], rule: &str, holds: impl Fn(u32) -> bool) -> Result<()> {
    if given.is_empty() {
        return Err(Error::config(format!("{option}: nothing to choose from; {rule}")));
    }
    match given.iter().find(|number| !holds(**number)) {
        Some(number) => Err(Error::config(format!("{option} {number}: {rule}"))),
        None => Ok(()),
    }
}

/// A file of `frames` samples a channel, each by itself from the normal distribution.
fn wav(rate: u32, depth: u32, channels: u32, frames: usize, mut random: SplitMix64) -> Vec<u8> {
    let width = depth as usize / 8;
    let frame = width * channels as usize;
    let data = frames * frame;
    // Chunks have even lengths; a byte that is left over is not counted.
    let padded = data.next_multiple_of(2);
    let mut file = Vec::with_capacity(HEADER + padded);
    let long = |file: &mut Vec<u8>, number: u32| file.extend_from_slice(&number.to_le_bytes());
    let short = |file: &mut Vec<u8>, number: u32| file.extend_from_slice(&(number as u16).to_le_bytes());
    file.extend_from_slice(b"RIFF");
    long(&mut file, (HEADER - 8 + padded) as u32);
    file.extend_from_slice(b"WAVEfmt ");
    long(&mut file, 16);
    short(&mut file, 1);
    short(&mut file, channels);
    long(&mut file, rate);
    long(&mut file, rate * frame as u32);
    short(&mut file, frame as u32);
    short(&mut file, depth);
    file.extend_from_slice(b"data");
    long(&mut file, data as u32);

    let full = (1_i64 << (depth - 1)) as f64;
    let mut sample = |noise: f64| {
        let level = (noise * LOUDNESS * full).round().clamp(-full, full - 1.0) as i32;
        // Eight bits are counted from the bottom, all others from the middle.
        let level = if depth == 8 { level + 128 } else { level };
        file.extend_from_slice(&level.to_le_bytes()[..width]);
    };
    let samples = frames * channels as usize;
    for _ in 0..samples / 2 {
        let (one, other) = normals(&mut random);
        sample(one);
        sample(other);
    }
    if samples % 2 == 1 {
        sample(random.normal());
    }
    file.resize(HEADER + padded, 0);
    file
}

/// Two independent numbers from the standard normal distribution: what [`SplitMix64::normal`] draws and the one that comes
/// with it, since noise takes very many.
fn normals(random: &mut SplitMix64) -> (f64, f64) {
    loop {
        let (x, y) = (random.unit() * 2.0 - 1.0, random.unit() * 2.0 - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            let scale = (-2.0 * libm::log(square) / square).sqrt();
            return (x * scale, y * scale);
        }
    }
}
