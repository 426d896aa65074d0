//! Whose files may be run: not those that everyone may write, nor those of another user.
//!
//! This guards against a library slipped in by someone else on a shared machine. It does not judge what a library does.

use crate::error::Refusal;
use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

const WRITABLE_BY_ALL: u32 = 0o002;
const ROOT: u32 = 0;

/// Refuses a library that is no regular file, or that someone else could have put in its place.
pub(crate) fn file(path: &Path, allow_unsafe: bool) -> Result<(), Refusal> {
    let metadata = look(path)?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its other end.
        return Err(Refusal::NoFile);
    }
    if allow_unsafe {
        return Ok(());
    }
    judge(path, &metadata)?;
    match path.parent() {
        Some(folder) => judge(folder, &look(folder)?),
        None => Ok(()),
    }
}

/// Refuses a folder into which someone else could put libraries.
pub(crate) fn folder(path: &Path, allow_unsafe: bool) -> Result<(), Refusal> {
    if allow_unsafe { Ok(()) } else { judge(path, &look(path)?) }
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
    fn what_is_not_a_regular_file_is_refused_even_when_unsafe_files_are_allowed() {
        assert!(matches!(file(Path::new("/dev/null"), true), Err(Refusal::NoFile)));
        assert!(matches!(file(Path::new("/no/such/file.so"), true), Err(Refusal::Unreadable(_))));
    }
}
