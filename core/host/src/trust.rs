//! Whose files may be run: not those that everyone may write, nor those of another user.
//!
//! This guards against a library slipped in by someone else on a shared machine. It does not judge what a library does.

use crate::error::Refusal;
use std::{
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt,
    path::Path,
};

const WRITABLE_BY_ALL: u32 = 0o002;
/// In a folder with this bit, only the owner of a file may put another in its place.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;
/// The most bytes that a library may have; those with a machine learning runtime in them have some hundred million.
const LARGEST: u64 = 1 << 30;

/// Refuses a library that is no regular file, is larger than any, or that someone else could have put in its place.
pub(crate) fn file(path: &Path, allow_unsafe: bool) -> Result<(), Refusal> {
    let metadata = look(path)?;
    regular(&metadata, LARGEST)?;
    if allow_unsafe {
        return Ok(());
    }
    judge(path, &metadata)?;
    path.parent().map_or(Ok(()), |folder| self::folder(folder, false))
}

/// Refuses a folder into which someone else could put libraries, or that someone else could put in its place.
pub(crate) fn folder(path: &Path, allow_unsafe: bool) -> Result<(), Refusal> {
    if allow_unsafe {
        return Ok(());
    }
    judge(path, &look(path)?)?;
    above(path)
}

/// Whether a run would take libraries from this folder, which has to be there.
///
/// # Errors
/// Says who else may write it or one above it; nothing is refused with `allow_unsafe_permissions`.
pub fn check_folder(path: &Path, allow_unsafe_permissions: bool) -> Result<(), Refusal> {
    let path = fs::canonicalize(path).map_err(Refusal::Unreadable)?;
    folder(&path, allow_unsafe_permissions)
}

/// Reads a library whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    read_up_to(path, LARGEST)
}

/// Reads a text on which a run relies, such as a lock file: a regular file of at most `most` bytes that not everyone may
/// write or put another in the place of.
///
/// # Errors
/// Says what is wrong with it; who may write it makes no difference with `allow_unsafe_permissions`.
pub fn read_relied_on(path: &Path, most: u64, allow_unsafe_permissions: bool) -> Result<Vec<u8>, Refusal> {
    let path = fs::canonicalize(path).map_err(Refusal::Unreadable)?;
    let bytes = read_up_to(&path, most)?;
    if !allow_unsafe_permissions {
        // Whoever checked it out may own it.
        if look(&path)?.mode() & WRITABLE_BY_ALL != 0 {
            return Err(Refusal::WorldWritable { path });
        }
        above(&path)?;
    }
    Ok(bytes)
}

fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, Refusal> {
    regular(&look(path)?, most)?;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Refusal::Unreadable)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Refusal::Unreadable)?;
    // It may have grown since it was looked at.
    if bytes.len() as u64 > most { Err(Refusal::TooLarge { most }) } else { Ok(bytes) }
}

/// Opening a pipe would wait for its other end, and a device may have no end.
fn regular(metadata: &Metadata, most: u64) -> Result<(), Refusal> {
    match (metadata.is_file(), metadata.is_dir()) {
        (false, true) => Err(Refusal::Folder),
        (false, false) => Err(Refusal::NoFile),
        (true, _) if metadata.len() > most => Err(Refusal::TooLarge { most }),
        (true, _) => Ok(()),
    }
}

/// Refuses what lies in a folder, at whatever depth, in which everyone may rename what is not theirs.
fn above(path: &Path) -> Result<(), Refusal> {
    for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        let mode = look(folder)?.mode();
        if mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0 {
            return Err(Refusal::WorldWritable { path: folder.to_owned() });
        }
    }
    Ok(())
}

fn look(path: &Path) -> Result<Metadata, Refusal> {
    fs::metadata(path).map_err(Refusal::Unreadable)
}

fn judge(path: &Path, metadata: &Metadata) -> Result<(), Refusal> {
    let user = rustix::process::geteuid().as_raw();
    judge_bits(path, metadata.mode(), metadata.uid(), user)
}

fn judge_bits(path: &Path, mode: u32, owner: u32, user: u32) -> Result<(), Refusal> {
    if mode & WRITABLE_BY_ALL != 0 {
        return Err(Refusal::WorldWritable { path: path.to_owned() });
    }
    if owner != ROOT && owner != user {
        return Err(Refusal::ForeignOwner { path: path.to_owned(), owner, user });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    #[test]
    fn files_of_root_and_of_the_user_are_trusted_and_those_of_others_are_not() {
        let path = Path::new("/plugins/a.so");
        assert!(judge_bits(path, 0o100_755, 0, 1000).is_ok());
        assert!(judge_bits(path, 0o100_755, 1000, 1000).is_ok());
        assert!(judge_bits(path, 0o100_775, 1000, 1000).is_ok());
        let error = judge_bits(path, 0o100_755, 1001, 1000).expect_err("it belongs to another user");
        assert!(matches!(error, Refusal::ForeignOwner { owner: 1001, user: 1000, .. }));
    }

    #[test]
    fn a_file_or_folder_that_everyone_may_write_is_refused_unless_allowed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.so");
        fs::write(&path, "x").expect("a file");
        assert!(file(&path, false).is_ok());

        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("own file");
        let error = file(&path, false).expect_err("everyone may write the file");
        assert!(error.to_string().contains(&format!("chmod o-w {}", path.display())), "{error}");
        assert!(file(&path, true).is_ok());

        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("own file");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("own folder");
        assert!(matches!(file(&path, false), Err(Refusal::WorldWritable { path }) if path == dir.path()));
        assert!(folder(dir.path(), false).is_err());
        assert!(folder(dir.path(), true).is_ok());
    }

    #[test]
    fn a_folder_far_above_that_everyone_may_write_is_refused_unless_it_is_sticky() {
        let dir = tempfile::tempdir().expect("a folder");
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).expect("folders");
        let path = deep.join("a.so");
        fs::write(&path, "x").expect("a file");
        let set = |mode| fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("own folder");
        set(0o777);
        for refused in [file(&path, false), folder(&deep, false), read_relied_on(&path, 9, false).map(drop)] {
            assert!(matches!(refused, Err(Refusal::WorldWritable { .. })), "{refused:?}");
        }
        assert!(file(&path, true).is_ok() && check_folder(&deep, true).is_ok());
        set(0o1777);
        assert!(file(&path, false).is_ok() && folder(&deep, false).is_ok());
    }

    #[test]
    fn what_a_run_relies_on_is_a_regular_file_of_bounded_length_that_not_everyone_may_write() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.lock");
        fs::write(&path, "12345").expect("a file");
        assert_eq!(read_relied_on(&path, 5, false).expect("it is in order"), b"12345");
        assert!(matches!(read_relied_on(&path, 4, true), Err(Refusal::TooLarge { most: 4 })));
        assert!(matches!(read_relied_on(Path::new("/dev/zero"), 4, true), Err(Refusal::NoFile)));
        assert!(matches!(read_relied_on(dir.path(), 4, true), Err(Refusal::Folder)));
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("own file");
        assert!(matches!(read_relied_on(&path, 5, false), Err(Refusal::WorldWritable { .. })));
        assert!(read_relied_on(&path, 5, true).is_ok());
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_even_when_unsafe_files_are_allowed() {
        assert!(matches!(file(Path::new("/dev/null"), true), Err(Refusal::NoFile)));
        assert!(matches!(file(Path::new("/no/such/file.so"), true), Err(Refusal::Unreadable(_))));
    }
}
