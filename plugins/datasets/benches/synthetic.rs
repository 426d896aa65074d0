//! What it costs to make images and audio up, and whatever a session takes beside its text:
//! `cargo bench --package inferometer-datasets --bench synthetic`
//!
//! Texts are the host's; what they cost is measured where they are made.

use divan::{Bencher, counter::ItemsCount};
use inferometer_datasets::Synthetic;
use inferometer_plugin_sdk::{
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{AudioRequest, DatasetRequest, ImageRequest, Length},
    types::{Outline, Result, Turn},
};
use std::hint::black_box;

fn main() {
    divan::main();
}

/// A tokenizer that costs nothing.
struct NoText;

impl TextTools for NoText {
    fn count(&self, _: &str) -> u64 {
        0
    }

    fn text(&self, _: u64, _: u64) -> Result<String> {
        Ok(String::new())
    }
}

struct Drop;

impl SessionSink for Drop {
    fn name(&mut self, _: &str) {}

    fn turn(&mut self, turn: &Turn<'_>) {
        black_box(turn);
    }
}

impl OutlineSink for Drop {
    fn name(&mut self, _: &str) {}

    fn turn(&mut self, outline: &Outline<'_>) {
        black_box(outline);
    }
}

fn length(mean: f64) -> Length {
    Length { mean, stddev: mean / 10.0 }
}

fn request() -> DatasetRequest {
    DatasetRequest {
        seed: 42,
        entries: u64::MAX,
        input_tokens: length(550.0),
        output_tokens: Some(length(128.0)),
        ..DatasetRequest::default()
    }
}

fn opened(request: &DatasetRequest) -> Synthetic {
    let mut loader = Synthetic::default();
    loader.open(request, &NoText).expect("the request is in order");
    loader
}

/// Sessions a second.
fn sessions(bencher: Bencher<'_, '_>, request: &DatasetRequest) {
    let (loader, mut index) = (opened(request), 0);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        index += 1;
        loader.session(index, &NoText, &mut Drop).expect("the session can be made");
    });
}

/// Sessions of so many turns, without their texts.
#[divan::bench(args = [1.0, 10.0], sample_size = 100)]
fn session(bencher: Bencher<'_, '_>, turns: f64) {
    sessions(bencher, &DatasetRequest { turns: Some(length(turns)), delay_ms: Some(length(500.0)), ..request() });
}

/// Outlines of the same sessions.
#[divan::bench(args = [1.0, 10.0], sample_size = 100)]
fn outline(bencher: Bencher<'_, '_>, turns: f64) {
    let loader = opened(&DatasetRequest { turns: Some(length(turns)), delay_ms: Some(length(500.0)), ..request() });
    let mut index = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        index += 1;
        loader.outline(index, &mut Drop).expect("the outline can be made");
    });
}

/// Images of 512 × 512 pixels.
#[divan::bench(args = ["png", "jpeg"])]
fn image(bencher: Bencher<'_, '_>, format: &str) {
    let side = Length { mean: 512.0, stddev: 0.0 };
    let images = ImageRequest { batch: 1, width: side, height: side, format: format.to_owned(), source: None };
    sessions(bencher, &DatasetRequest { images: Some(images), ..request() });
}

/// Clips of ten seconds, 16 bits and one channel.
#[divan::bench(args = [16_000, 44_100])]
fn clip(bencher: Bencher<'_, '_>, rate: u32) {
    let audio = AudioRequest {
        batch: 1,
        seconds: Length { mean: 10.0, stddev: 0.0 },
        format: "wav".to_owned(),
        sample_rates: vec![rate],
        depths: vec![16],
        channels: 1,
    };
    sessions(bencher, &DatasetRequest { audio: Some(audio), ..request() });
}
