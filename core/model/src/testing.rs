//! For tests: settings from words as they are typed, the plan they make, and files that are gone afterwards.

use crate::{config::RawConfig, file::PluginSettings, plan::Plan, resolve::resolve};
use clap::Parser;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The flags of `profile`.
#[derive(Parser)]
#[command(no_binary_name = true, name = "profile")]
pub(crate) struct Flags {
    #[command(flatten)]
    settings: RawConfig,
}

/// The settings of flags that stand between blanks; what stands in quotes is one word.
pub(crate) fn typed(flags: &str) -> RawConfig {
    let mut words: Vec<String> = Vec::new();
    for (number, piece) in flags.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    Flags::try_parse_from(words).unwrap_or_else(|e| panic!("{flags}: {e}")).settings
}

/// The plan that flags and a model make.
pub(crate) fn plan(flags: &str) -> Result<Plan, String> {
    plan_of(&typed(&format!("--model m {flags}")))
}

/// The plan that settings make.
pub(crate) fn plan_of(config: &RawConfig) -> Result<Plan, String> {
    resolve(config, &PluginSettings::default(), 1).map_err(|e| e.to_string())
}

/// Asserts that each of the flags are refused with words that hold all of those after it.
pub(crate) fn refused(cases: &[(&str, &[&str])]) {
    for (flags, expected) in cases {
        let error = plan(flags).map(|plan| plan.phases).expect_err(flags);
        for part in *expected {
            assert!(error.contains(part), "{flags}: {error} should mention {part}");
        }
    }
}

/// A file that goes with this value.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file whose name ends in `name`.
pub(crate) fn file(name: &str, content: &str) -> TempFile {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("inferometer-{}-{}-{name}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    fs::write(&path, content).unwrap();
    TempFile(path)
}
