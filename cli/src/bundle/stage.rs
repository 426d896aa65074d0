//! The folder in which the files of a bundle are gathered, as a run will find them.

use super::{
    DATA, MOST_BYTES, MOST_FILES,
    archive::Hashed,
    manifest::{FileFacts, stays_inside},
};
use crate::Failure;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Folders within each other, at most; one that has more leads into itself.
const DEEPEST: usize = 16;

/// Files that are being gathered.
pub(super) struct Stage {
    folder: PathBuf,
    files: BTreeMap<String, FileFacts>,
    /// Where each path of the settings went.
    taken: BTreeMap<(PathBuf, &'static str), String>,
    bytes: u64,
}

impl Stage {
    /// Gathers files in `folder`, which is empty.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new(), taken: BTreeMap::new(), bytes: 0 }
    }

    /// Where the files lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was gathered, sorted by name.
    pub(super) fn into_files(self) -> Vec<FileFacts> {
        self.files.into_values().collect()
    }

    /// Copies what `setting` names, a file or a folder, below the folder of that kind of data; its name within the bundle.
    pub(super) fn take(&mut self, setting: &str, source: &Path, kind: &'static str) -> Result<String, Failure> {
        if let Some(name) = self.taken.get(&(source.to_owned(), kind)) {
            return Ok(name.clone());
        }
        let wrong = |why: &str| Failure::usage(format!("--{setting} {}: {why}", source.display()));
        let last = source
            .file_name()
            .map(PathBuf::from)
            .or_else(|| source.canonicalize().ok()?.file_name().map(PathBuf::from));
        let last = last.ok_or_else(|| wrong("it has no name of its own; give the path of a file"))?;
        let last = last.to_str().ok_or_else(|| wrong("its name is not UTF-8; rename it"))?;
        // Several of one kind may be called the same.
        let count = self.taken.keys().filter(|(_, other)| *other == kind).count();
        let folder = if count == 0 { format!("{DATA}/{kind}") } else { format!("{DATA}/{kind}-{}", count + 1) };
        let name = format!("{folder}/{last}");
        self.copy(source, &name, DEEPEST).map_err(|error| wrong(&format!("{error}; a bundle holds a copy of it")))?;
        self.taken.insert((source.to_owned(), kind), name.clone());
        Ok(name)
    }

    /// Copies a file, or all files of a folder, to `name`. Those whose names begin with a dot are passed over in folders.
    fn copy(&mut self, source: &Path, name: &str, depth: usize) -> io::Result<()> {
        if !fs::metadata(source)?.is_dir() {
            return self.add(name, File::open(source)?);
        }
        if depth == 0 {
            return Err(io::Error::other(format!("{} lies too deep in folders", source.display())));
        }
        fs::create_dir_all(self.folder.join(name))?;
        for entry in fs::read_dir(source)? {
            let path = entry?.path();
            let own = path.file_name().and_then(|own| own.to_str());
            let own = own.ok_or_else(|| io::Error::other(format!("the name of {} is not UTF-8", path.display())))?;
            if !own.starts_with('.') {
                self.copy(&path, &format!("{name}/{own}"), depth - 1)?;
            }
        }
        Ok(())
    }

    /// Puts a file with this content at `name`, once.
    pub(super) fn add(&mut self, name: &str, content: impl Read) -> io::Result<()> {
        if self.files.contains_key(name) {
            return Ok(());
        }
        if !stays_inside(name) {
            return Err(io::Error::other(format!("'{name}' would lie outside the bundle")));
        }
        let path = self.folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut hashed = Hashed::new(content.take(MOST_BYTES + 1 - self.bytes));
        io::copy(&mut hashed, &mut File::create_new(path)?)?;
        let (bytes, sha256) = hashed.finish();
        self.bytes += bytes;
        self.files.insert(name.to_owned(), FileFacts { name: name.to_owned(), bytes, sha256 });
        if self.bytes > MOST_BYTES || self.files.len() > MOST_FILES {
            return Err(io::Error::other(format!(
                "a bundle holds {MOST_FILES} files and {} GiB at most, and this would be more",
                MOST_BYTES >> 30
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_names_and_two_of_one_name_their_own_folders() {
        let from = tempfile::tempdir().unwrap();
        for name in ["one/rates.json", "two/rates.json", "pictures/a.png", "pictures/.hidden"] {
            let path = from.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let into = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(into.path().to_owned());
        let mut take = |name: &str, kind| stage.take("flag", &from.path().join(name), kind).map_err(|f| f.message);
        assert_eq!(take("one/rates.json", "rates").unwrap(), "data/rates/rates.json");
        assert_eq!(take("two/rates.json", "rates").unwrap(), "data/rates-2/rates.json");
        assert_eq!(take("one/rates.json", "rates").unwrap(), "data/rates/rates.json");
        assert_eq!(take("pictures", "images").unwrap(), "data/images/pictures");
        let gone = take("gone", "input").unwrap_err();
        assert!(gone.contains("--flag") && gone.contains("gone"), "{gone}");
        let files: Vec<_> = stage.into_files().into_iter().map(|file| (file.name, file.bytes)).collect();
        assert_eq!(
            files,
            [
                ("data/images/pictures/a.png".to_owned(), 14),
                ("data/rates-2/rates.json".to_owned(), 14),
                ("data/rates/rates.json".to_owned(), 14)
            ]
        );
    }
}
