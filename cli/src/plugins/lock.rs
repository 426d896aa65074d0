//! `plugins lock`: writes down the libraries that a run would find, so that `--locked` can hold it to them.

use super::{found, printable};
use crate::{
    Ended, Failure,
    args::LockArgs,
    registry::{LOCK_FILE, LOCK_HEADING},
    terminal::say,
};
use inferometer_host::Lock;
use inferometer_model::ExitCode;
use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Runs `plugins lock`.
pub(crate) fn run(args: &LockArgs) -> Ended {
    let registry = found(&args.places, None)?;
    let lock = Lock::new(registry.libraries().map_err(Failure::usage)?);
    let text = toml::to_string(&lock).map_err(|error| Failure::new(ExitCode::Internal, error))?;
    let file = args.lock_file.as_deref().unwrap_or(Path::new(LOCK_FILE));
    write(file, &format!("{LOCK_HEADING}{text}"))
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let count = lock.libraries().len();
    say(format_args!("Locked {count} {} in {}", if count == 1 { "library" } else { "libraries" }, file.display()));
    for library in lock.libraries() {
        let components: Vec<_> = library.components.iter().map(|one| format!("{} '{}'", one.kind, one.name)).collect();
        say(printable(format!("  {}  {}: {}", library.sha256, library.file, components.join(", "))));
    }
    for skipped in registry.skipped() {
        eprintln!("note: passed over {}", printable(skipped));
    }
    Ok(ExitCode::Ok)
}

/// Puts `text` in the place of the file in one step. Where a link stands, the file that it leads to is meant.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let file = match fs::canonicalize(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.to_owned(),
        found => found?,
    };
    let before = fs::metadata(&file).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return Err(io::Error::other("it is there and no regular file"));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh =
        tempfile::Builder::new().prefix(".inferometer-lock-").tempfile_in(folder).map_err(|error| plain(&error))?;
    fresh.write_all(text.as_bytes()).map_err(|error| plain(&error))?;
    let mode = before.map_or(0o644, |before| before.permissions().mode());
    fresh.as_file().set_permissions(Permissions::from_mode(mode))?;
    fresh.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

/// The error without the name of the temporary file, which says nothing to anyone.
fn plain(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let words = text.split_once(" at path \"").map_or(text.as_str(), |(words, _)| words);
    io::Error::new(error.kind(), words)
}
