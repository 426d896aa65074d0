//! A library as its file tells of it, with everything read once: what is checked is what is hashed. Nothing of it runs.

use crate::{
    error::Refusal,
    manifest::{self, Declared},
    registry::{self, Entry},
    trust,
};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// A plugin library that was examined and not opened.
#[derive(Clone, Debug)]
pub struct LibraryFile {
    /// Its canonical path.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its length, in bytes.
    pub bytes: u64,
    pub(crate) declared: Vec<Declared>,
}

impl LibraryFile {
    /// Examines the file at `path`: that it may be trusted (which is passed over with `allow_unsafe_permissions`), is
    /// whole, was made for this machine, and has a manifest of this program's interface.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn examine(path: &Path, allow_unsafe_permissions: bool) -> Result<Self, Refusal> {
        let path = fs::canonicalize(path).map_err(Refusal::Unreadable)?;
        trust::file(&path, allow_unsafe_permissions)?;
        Self::read(&path)
    }

    /// Reads what the library at `path` declares, without asking whether it may be trusted.
    pub(crate) fn read(path: &Path) -> Result<Self, Refusal> {
        let bytes = trust::read(path)?;
        let declared = manifest::of_data(&*bytes)?;
        Ok(Self { path: path.to_owned(), sha256: sha256(&bytes), bytes: bytes.len() as u64, declared })
    }

    /// The components it declares, by kind and name.
    #[must_use]
    pub fn components(&self) -> Vec<Entry> {
        self.declared.iter().map(|component| registry::entry(component, &self.path)).collect()
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The example of FIPS 180-4 for a message of one block.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_file_that_is_not_there_or_no_library_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.so");
        assert!(matches!(LibraryFile::examine(&path, false), Err(Refusal::Unreadable(_))));
        fs::write(&path, "words").expect("a file");
        assert!(matches!(LibraryFile::examine(&path, false), Err(Refusal::NoObject(_))));
    }
}
