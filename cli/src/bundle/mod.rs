//! Bundles: one file with all that a run needs but the server, so that it can be repeated where there is no network.
//!
//! A bundle is a tar archive, compressed by gzip: `manifest.json`, which says what else is in it byte for byte;
//! `run.toml`, the settings as a configuration file; `data/`, the files that they name; and `tokenizer/`. Secrets are
//! never put in, and plugin libraries are only named. [`make()`] writes one, [`open()`] unpacks one for a run.

mod archive;
mod left_out;
mod make;
mod manifest;
mod media;
mod open;
mod settings;
mod stage;
mod templates;
mod tokenizer;

pub(crate) use make::run as make;
pub(crate) use open::{Opened, clear_away, open};

/// The settings of the run, as a configuration file.
const RUN: &str = "run.toml";
/// The folder of the files that the settings name.
const DATA: &str = "data";
/// The folder of the tokenizer's files.
const TOKENIZER: &str = "tokenizer";

/// Most bytes of a bundle's files.
const MOST_BYTES: u64 = 64 << 30;
/// Most files of a bundle.
const MOST_FILES: usize = 100_000;
