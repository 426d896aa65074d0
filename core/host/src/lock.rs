//! The lock: which libraries a run may use, byte for byte. What a lock file says, and how it is compared with what was found.
//!
//! Libraries are told apart by their SHA-256 alone, so that a lock holds on machines where they lie elsewhere or are called
//! otherwise. Reading and writing the file is not done here.

use crate::{library::LibraryFile, registry::Entry};
use inferometer_abi::documents::Kind;
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
};

/// The version of the lock file's form.
const VERSION: u32 = 1;

/// What a lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    #[serde(default, rename = "library", skip_serializing_if = "Vec::is_empty")]
    libraries: Vec<LockedLibrary>,
}

/// A library of a lock file. Ordered by file name, then by checksum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLibrary {
    /// Name of its file, without the folder. For messages: nothing is looked up by it.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What it brings.
    #[serde(default, rename = "component", skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<LockedComponent>,
}

/// A component of a locked library, for people who read a change of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedComponent {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The package it comes from.
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// Version of the interface it was built for.
    pub interface: String,
}

impl LockedLibrary {
    /// What a lock file says of `library`.
    #[must_use]
    pub fn of(library: &LibraryFile) -> Self {
        let component = |entry: Entry| {
            let Entry { kind, name, package, version, interface, .. } = entry;
            LockedComponent { kind, name, package, version, interface }
        };
        Self {
            file: library.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: library.sha256.clone(),
            components: library.components().into_iter().map(component).collect(),
        }
    }
}

impl Lock {
    /// A lock of these libraries; the order in which they are given makes no difference.
    #[must_use]
    pub fn new(mut libraries: Vec<LockedLibrary>) -> Self {
        libraries.sort();
        libraries.dedup_by(|a, b| (&a.file, &a.sha256) == (&b.file, &b.sha256));
        Self { version: VERSION, libraries }
    }

    /// The libraries, sorted.
    #[must_use]
    pub fn libraries(&self) -> &[LockedLibrary] {
        &self.libraries
    }

    /// Whether this program can read the form of the file.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.version == VERSION
    }

    /// Whether what was `found` at each path is what is locked; `skipped` files, each with the reason, may tell where a
    /// missing one is.
    ///
    /// # Errors
    /// Everything that differs.
    pub(crate) fn compare(
        &self,
        found: &[(&Path, &LockedLibrary)],
        skipped: &[(&Path, String)],
    ) -> Result<(), Differences> {
        let is_locked = |library: &LockedLibrary| self.libraries.iter().any(|locked| locked.sha256 == library.sha256);
        let is_found = |locked: &LockedLibrary| found.iter().any(|(_, library)| library.sha256 == locked.sha256);
        let mut missing: Vec<&LockedLibrary> = self.libraries.iter().filter(|locked| !is_found(locked)).collect();
        let mut differences = Vec::new();
        for (path, library) in found.iter().filter(|(_, library)| !is_locked(library)) {
            let path = path.to_path_buf();
            let sha256 = library.sha256.clone();
            // Most likely another build of one that is missing.
            let other = missing.iter().position(|locked| locked.file == library.file);
            differences.push(match other.map(|at| missing.remove(at)) {
                Some(locked) => Difference::Changed { path, sha256, locked: locked.sha256.clone() },
                None => Difference::Unknown { path, sha256 },
            });
        }
        for LockedLibrary { file, sha256, .. } in missing {
            let called_so = |path: &Path| path.file_name().is_some_and(|name| name == file.as_str());
            let reason = skipped.iter().find(|(path, _)| called_so(path));
            differences.push(Difference::Missing {
                file: file.clone(),
                sha256: sha256.clone(),
                reason: reason.map(|(path, why)| format!("{}: {why}", path.display())),
            });
        }
        if differences.is_empty() { Ok(()) } else { Err(Differences(differences)) }
    }
}

/// How what was found differs from what is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A library has other bytes than the locked one of its name.
    Changed {
        /// The library.
        path: PathBuf,
        /// Its checksum.
        sha256: String,
        /// The checksum that is locked.
        locked: String,
    },
    /// A library is not locked.
    Unknown {
        /// The library.
        path: PathBuf,
        /// Its checksum.
        sha256: String,
    },
    /// A locked library was not found.
    Missing {
        /// Name of its file when it was locked.
        file: String,
        /// The checksum that is locked.
        sha256: String,
        /// A file of that name that was passed over, and why.
        reason: Option<String>,
    },
}

/// All that differs: at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { path, sha256, locked } => {
                write!(f, "{} has the SHA-256 {sha256} where {locked} is locked", path.display())
            }
            Self::Unknown { path, sha256 } => write!(f, "{} (SHA-256 {sha256}) is not locked", path.display()),
            Self::Missing { file, sha256, reason: None } => write!(f, "{file} (SHA-256 {sha256}) is missing"),
            Self::Missing { file, sha256, reason: Some(reason) } => {
                write!(f, "{file} (SHA-256 {sha256}) is missing; {reason}")
            }
        }
    }
}

impl Display for Differences {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|difference| format!("\n  {difference}")).collect();
        f.write_str(&lines.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(file: &str, sha256: &str) -> LockedLibrary {
        let component = LockedComponent {
            kind: Kind::Endpoint,
            name: "chat".into(),
            package: "acme".into(),
            version: "1.2.3".into(),
            interface: "1.0".into(),
        };
        LockedLibrary { file: file.into(), sha256: sha256.into(), components: vec![component] }
    }

    /// What differs when the libraries at these paths are found, by checksum.
    fn differences(lock: &[LockedLibrary], found: &[(&str, &str)], skipped: &[(&str, &str)]) -> Vec<Difference> {
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let libraries: Vec<_> = found.iter().map(|(path, sha256)| library(&name(path), sha256)).collect();
        let found: Vec<_> = found.iter().map(|(path, _)| Path::new(*path)).zip(&libraries).collect();
        let skipped: Vec<_> = skipped.iter().map(|(path, why)| (Path::new(*path), (*why).to_owned())).collect();
        Lock::new(lock.to_vec()).compare(&found, &skipped).err().map_or_else(Vec::new, |differences| differences.0)
    }

    #[test]
    fn the_same_libraries_are_let_pass_wherever_they_lie_and_whatever_they_are_called() {
        let lock = [library("a.so", "aa"), library("b.so", "bb")];
        assert_eq!(differences(&lock, &[("/p/b.so", "bb"), ("/q/other.so", "aa")], &[]), []);
        assert_eq!(differences(&lock, &[("/p/a.so", "aa"), ("/q/a.so", "aa"), ("/p/b.so", "bb")], &[]), []);
        assert_eq!(differences(&[], &[], &[]), []);
    }

    #[test]
    fn a_changed_library_is_told_once_with_both_checksums() {
        let found = differences(&[library("a.so", "aa")], &[("/p/a.so", "a1")], &[]);
        let changed = Difference::Changed { path: "/p/a.so".into(), sha256: "a1".into(), locked: "aa".into() };
        assert_eq!(found, [changed]);
        assert_eq!(found[0].to_string(), "/p/a.so has the SHA-256 a1 where aa is locked");
    }

    #[test]
    fn a_library_that_is_not_locked_and_one_that_is_missing_are_both_told() {
        let found = differences(&[library("a.so", "aa")], &[("/p/b.so", "bb")], &[("/p/a.so", "it is cut short")]);
        assert_eq!(
            Differences(found).to_string(),
            "\n  /p/b.so (SHA-256 bb) is not locked\n  a.so (SHA-256 aa) is missing; /p/a.so: it is cut short"
        );
        let gone = Difference::Missing { file: "a.so".into(), sha256: "aa".into(), reason: None };
        assert_eq!(differences(&[library("a.so", "aa")], &[], &[]), [gone]);
    }

    #[test]
    fn a_lock_does_not_depend_on_the_order_or_the_number_of_copies() {
        let (a, b) = (library("a.so", "aa"), library("b.so", "bb"));
        assert_eq!(Lock::new(vec![b.clone(), a.clone(), b.clone()]), Lock::new(vec![a, b]));
    }

    #[test]
    fn what_is_written_is_read_again_and_later_forms_are_told() {
        let lock = Lock::new(vec![library("a.so", "aa")]);
        let text = serde_json::to_string(&lock).expect("it is plain data");
        assert_eq!(serde_json::from_str::<Lock>(&text).expect("it was just written"), lock);
        let later: Lock = serde_json::from_str(r#"{"version": 2}"#).expect("it is of the same shape");
        assert!(lock.is_readable() && !later.is_readable());
        assert!(serde_json::from_str::<Lock>(r#"{"version": 1, "librarys": []}"#).is_err());
    }
}
