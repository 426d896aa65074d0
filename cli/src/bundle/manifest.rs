//! The manifest of a bundle: what it is, and what its files are byte for byte.

use super::{MOST_BYTES, MOST_FILES};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// The manifest's own name, and place in the archive: the first.
pub(super) const MANIFEST: &str = "manifest.json";
/// The version of a bundle's form.
const FORMAT: u64 = 1;

/// What a bundle says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format_version: u64,
    /// The version of the program that made it.
    pub(super) program_version: String,
    /// When it was made, in UTC.
    pub(super) made: String,
    /// The seed that was fixed, so that every run sends the same bytes.
    pub(super) seed: u64,
    /// What the tokenizer was called where the bundle was made.
    pub(super) tokenizer: String,
    /// Settings that the run was made with and that are secrets.
    pub(super) left_out: Vec<LeftOut>,
    /// Plugin libraries that the run needs.
    pub(super) plugins: Vec<Plugin>,
    /// All other files of the bundle, sorted by name.
    pub(super) files: Vec<FileFacts>,
}

/// A setting that is not in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// Its name, without dashes.
    pub(super) setting: String,
    /// What may be seen of its value; empty: nothing.
    pub(super) shown: String,
}

/// A plugin library that the run needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Plugin {
    /// Name of its file.
    pub(super) file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub(super) sha256: String,
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileFacts {
    /// Its path within the bundle, with slashes.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(super) sha256: String,
}

/// The version alone, which is read before anything that depends on it.
#[derive(Deserialize)]
struct Format {
    format_version: u64,
}

impl Manifest {
    /// That of a bundle made now.
    pub(super) fn new(seed: u64, tokenizer: String, left_out: Vec<LeftOut>, plugins: Vec<Plugin>) -> Self {
        Self {
            format_version: FORMAT,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            made: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            seed,
            tokenizer,
            left_out,
            plugins,
            files: Vec::new(),
        }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("its {MANIFEST} is not one: {error}");
        let Format { format_version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format_version != FORMAT {
            return Err(format!(
                "it has the format {format_version}, and this version of the program, {}, reads format {FORMAT}",
                env!("CARGO_PKG_VERSION")
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        let total = manifest.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        if manifest.files.len() > MOST_FILES || total > MOST_BYTES {
            return Err(format!(
                "it says to hold {} files of {total} bytes; {MOST_FILES} of {MOST_BYTES} are the most",
                manifest.files.len()
            ));
        }
        match manifest.files.iter().find(|file| !stays_inside(&file.name) || file.name == MANIFEST) {
            Some(file) => Err(format!("it holds '{}', which is no name of a file within a bundle", file.name)),
            None => Ok(manifest),
        }
    }

    /// Bytes of all files.
    pub(super) fn total(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Whether a path made of outside text only goes down.
pub(super) fn stays_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, u64)]) -> Result<Manifest, String> {
        let mut manifest = Manifest::new(1, "o200k_base".to_owned(), Vec::new(), Vec::new());
        let facts =
            |(name, bytes): &(&str, u64)| FileFacts { name: (*name).to_owned(), bytes: *bytes, sha256: String::new() };
        manifest.files = files.iter().map(facts).collect();
        Manifest::read(&serde_json::to_vec(&manifest).unwrap())
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = with(&[("run.toml", 3), ("data/a", 4)]).unwrap();
        assert_eq!((manifest.seed, manifest.total(), manifest.files.len()), (1, 7, 2));
    }

    #[test]
    fn names_that_lead_out_and_too_much_are_refused() {
        for name in ["", "../x", "/etc/passwd", "a/../../x", "./..", "manifest.json"] {
            assert!(with(&[(name, 1)]).unwrap_err().contains("no name of a file within a bundle"), "{name}");
        }
        for bytes in [MOST_BYTES + 1, u64::MAX] {
            assert!(with(&[("a", bytes), ("b", 1)]).unwrap_err().contains("are the most"));
        }
    }

    #[test]
    fn another_format_is_named_before_anything_else_is_read() {
        let error = Manifest::read(br#"{"format_version": 7}"#).unwrap_err();
        assert!(error.contains("format 7") && error.contains("format 1"), "{error}");
        assert!(Manifest::read(b"{}").unwrap_err().contains("manifest.json"));
    }
}
