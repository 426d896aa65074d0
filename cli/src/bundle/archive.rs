//! The archive itself: files in, files out, every byte held against the manifest.
//!
//! Plain entries alone are written and read. Everything that a tar archive can say beyond that (links, devices, further
//! headers) is refused, so that nothing is made but files below one folder, and nothing is read without a bound.

use super::manifest::{FileFacts, MANIFEST, Manifest};
use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};
use tar::{Archive, Builder, EntryType, Header};

/// The most bytes that a manifest may have.
const LONGEST_MANIFEST: u64 = 64 << 20;
/// The most bytes after the last file: the archive's end mark, and what fills its last block.
const LONGEST_END: u64 = 1 << 20;

/// Writes the manifest and its files, which lie in `folder`.
///
/// # Errors
/// When a file cannot be read, is no longer as the manifest has it, or the archive cannot be written.
pub(super) fn write(into: impl Write, manifest: &Manifest, folder: &Path) -> io::Result<()> {
    let packed = GzBuilder::new().mtime(0).write(BufWriter::new(into), Compression::default());
    let mut archive = Builder::new(packed);
    let text = serde_json::to_vec_pretty(manifest)?;
    archive.append(&header(MANIFEST, text.len() as u64)?, &text[..])?;
    for facts in &manifest.files {
        let mut hashed = Hashed::new(File::open(folder.join(&facts.name))?.take(facts.bytes));
        archive.append(&header(&facts.name, facts.bytes)?, &mut hashed)?;
        if hashed.finish() != (facts.bytes, facts.sha256.clone()) {
            return Err(io::Error::other(format!("'{}' changed while it was read", facts.name)));
        }
    }
    archive.into_inner()?.finish()?.flush()
}

/// The header of a plain file, the same whoever makes it and when.
fn header(name: &str, bytes: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidFilename,
            format!("the name '{name}' is too long for an archive; shorten it"),
        )
    })?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// Unpacks an archive into `folder`, which is empty, and holds every file against the manifest.
///
/// # Errors
/// What is wrong with the archive; some of its files may be there all the same.
pub(super) fn read(from: impl Read, folder: &Path) -> Result<Manifest, String> {
    let damaged = |error: io::Error| format!("it is damaged, or no bundle at all ({error})");
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(from)));
    // Raw: the names of further headers would be read to their end, however far that is.
    let mut entries = archive.entries().map_err(damaged)?.raw(true);
    let first = entries.next().ok_or("it is empty")?.map_err(damaged)?;
    if first.path_bytes().as_ref() != MANIFEST.as_bytes() || first.header().entry_type() != EntryType::Regular {
        return Err(format!("it does not begin with {MANIFEST}"));
    }
    let mut text = Vec::new();
    first.take(LONGEST_MANIFEST).read_to_end(&mut text).map_err(damaged)?;
    let manifest = Manifest::read(&text)?;
    let mut expected: BTreeMap<&str, &FileFacts> = BTreeMap::new();
    for facts in &manifest.files {
        if expected.insert(&facts.name, facts).is_some() {
            return Err(format!("its {MANIFEST} names '{}' twice", facts.name));
        }
    }
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let facts = expected
            .remove(name.as_str())
            .ok_or_else(|| format!("it holds '{name}' besides what its {MANIFEST} names, or twice"))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(format!("'{name}' is not a plain file"));
        }
        let unwritable = |error: io::Error| format!("'{name}' cannot be unpacked to {}: {error}", folder.display());
        let path = folder.join(&facts.name);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(unwritable)?;
        let mut file = File::create_new(&path).map_err(unwritable)?;
        let mut hashed = Hashed::new((&mut entry).take(facts.bytes.saturating_add(1)));
        let copied = io::copy(&mut hashed, &mut file);
        let found = hashed.finish();
        copied.map_err(|error| {
            format!("'{name}' cannot be unpacked ({error}): the bundle is damaged, or the disk full")
        })?;
        if found != (facts.bytes, facts.sha256.clone()) {
            return Err(format!("'{name}' is not what was put in: its length or its SHA-256 is another"));
        }
    }
    if let Some(missing) = expected.keys().next() {
        return Err(format!("'{missing}' is missing"));
    }
    // To the end, where the checksum of the whole is.
    let rest = io::copy(&mut archive.into_inner().take(LONGEST_END), &mut io::sink()).map_err(damaged)?;
    if rest == LONGEST_END { Err("it goes on after its last file".to_owned()) } else { Ok(manifest) }
}

/// A reader that counts and hashes what passes through it.
pub(super) struct Hashed<R> {
    inner: R,
    bytes: u64,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, bytes: 0, hash: Sha256::new() }
    }

    /// How many bytes there were, and their SHA-256 in hexadecimal.
    pub(super) fn finish(self) -> (u64, String) {
        (self.bytes, self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// The SHA-256 of all that `content` holds, in hexadecimal.
///
/// # Errors
/// The reader's.
pub(super) fn sha256(content: impl Read) -> io::Result<String> {
    let mut hashed = Hashed::new(content);
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(hashed.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, content: &[u8]) -> FileFacts {
        let mut hashed = Hashed::new(content);
        io::copy(&mut hashed, &mut io::sink()).unwrap();
        let (bytes, sha256) = hashed.finish();
        FileFacts { name: name.to_owned(), bytes, sha256 }
    }

    fn manifest(files: &[(&str, &[u8])]) -> Manifest {
        let mut manifest = Manifest::new(1, String::new(), Vec::new(), Vec::new());
        manifest.files = files.iter().map(|(name, content)| facts(name, content)).collect();
        manifest
    }

    /// An archive with this manifest and these entries, whatever the manifest says of them.
    fn archive(manifest: &Manifest, entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(GzBuilder::new().write(Vec::new(), Compression::fast()));
        let text = serde_json::to_vec(manifest).unwrap();
        archive.append(&header(MANIFEST, text.len() as u64).unwrap(), &text[..]).unwrap();
        for (name, kind, content) in entries {
            let mut header = header("x", content.len() as u64).unwrap();
            // As is: names that no writer would let through.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            if *kind == EntryType::Symlink {
                header.set_link_name_literal("/etc").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(archive: &[u8]) -> Result<Vec<String>, String> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("inside");
        fs::create_dir(&folder).unwrap();
        let read = read(archive, &folder);
        let outside: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["inside"], "nothing is made outside");
        read.map(|manifest| manifest.files.into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn what_is_written_is_read_and_the_same_files_make_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/a"), "1").unwrap();
        fs::write(folder.path().join("run.toml"), "").unwrap();
        let manifest = manifest(&[("data/a", b"1"), ("run.toml", b"")]);
        let written = || {
            let mut bytes = Vec::new();
            write(&mut bytes, &manifest, folder.path()).unwrap();
            bytes
        };
        assert_eq!(written(), written());
        assert_eq!(unpacked(&written()).unwrap(), ["data/a", "run.toml"]);
        fs::write(folder.path().join("data/a"), "2").unwrap();
        assert!(write(io::sink(), &manifest, folder.path()).unwrap_err().to_string().contains("'data/a' changed"));
    }

    #[test]
    fn whatever_differs_from_the_manifest_is_refused_by_name() {
        const PLAIN: EntryType = EntryType::Regular;
        let one = manifest(&[("a", b"1")]);
        type Entries<'a> = &'a [(&'a str, EntryType, &'a [u8])];
        for (entries, expected) in [
            (&[][..] as Entries<'_>, "'a' is missing"),
            (&[("a", PLAIN, b"2")], "'a' is not what was put in"),
            (&[("a", PLAIN, b"11")], "'a' is not what was put in"),
            (&[("a", PLAIN, b"")], "'a' is not what was put in"),
            (&[("a", PLAIN, b"1"), ("b", PLAIN, b"1")], "'b' besides"),
            (&[("a", PLAIN, b"1"), ("a", PLAIN, b"1")], "'a' besides"),
            (&[("../a", PLAIN, b"1")], "'../a' besides"),
            (&[("/a", PLAIN, b"1")], "'/a' besides"),
            (&[("a", EntryType::Symlink, b"")], "'a' is not a plain file"),
            (&[("a", EntryType::Directory, b"")], "'a' is not a plain file"),
            (&[("a", EntryType::GNULongName, b"1")], "'a' is not a plain file"),
        ] {
            let error = unpacked(&archive(&one, entries)).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let outward = manifest(&[("../a", b"1")]);
        assert!(unpacked(&archive(&outward, &[("../a", PLAIN, b"1")])).unwrap_err().contains("no name of a file"));
        let twice = manifest(&[("a", b"1"), ("a", b"1")]);
        assert!(unpacked(&archive(&twice, &[("a", PLAIN, b"1")])).unwrap_err().contains("'a' twice"));
    }

    #[test]
    fn no_flipped_byte_goes_unseen_and_nothing_that_is_cut_short() {
        let whole =
            archive(&manifest(&[("a", b"some words to pack")]), &[("a", EntryType::Regular, b"some words to pack")]);
        let plain = |packed: &[u8]| {
            let mut plain = Vec::new();
            GzDecoder::new(packed).read_to_end(&mut plain).map(|_| plain).ok()
        };
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            // A few bits say nothing: when and where it was packed, and what fills the last byte.
            assert!(unpacked(&flipped).is_err() || plain(&flipped) == plain(&whole), "byte {at}");
        }
        for end in 0..whole.len() {
            assert!(unpacked(&whole[..end]).is_err(), "cut at {end}");
        }
        for other in [&b""[..], b"{}", b"PK\x03\x04"] {
            assert!(unpacked(other).unwrap_err().contains("no bundle"), "{other:?}");
        }
    }
}
