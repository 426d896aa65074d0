//! `plugins install`: puts a checked library where every run finds it.

use super::{
    build::{is_library, library_of},
    check::{Report, Terms},
    printable,
};
use crate::{Ended, Failure, args::InstallArgs, terminal::say};
use inferometer_host::{Discovery, Entry, LibraryFile, Origin, Refusal, Registry, check_folder};
use inferometer_model::ExitCode;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, DirBuilder, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Of folders that hold a user's data, as the XDG base directory specification has it; and of what lies in them.
const PRIVATE: u32 = 0o700;
const READABLE: u32 = 0o755;

/// Runs `plugins install`.
pub(crate) fn run(args: &InstallArgs) -> Ended {
    let mut discovery = Discovery::from_environment(Vec::new(), Vec::new());
    discovery.allow_unsafe_permissions = args.checks.allow_unsafe_permissions;
    let Some(folder) = discovery.users_folder() else {
        return Err(Failure::usage(
            "there is no home folder to install to; set HOME or XDG_DATA_HOME to an absolute path",
        ));
    };
    let file = library_of(&args.file)?;
    let report = Report::of(&file, &Terms::new(args.checks.allow_unsafe_permissions, args.checks.timeout))?;
    let is_forced = args.force && report.is_safe();
    if !report.is_good() {
        say(report.page());
        say("");
    }
    let Some(library) = report.library.as_ref().filter(|_| report.is_good() || is_forced) else {
        let way = match (report.is_safe(), args.force) {
            (true, _) => "mend what failed, or pass --force",
            (false, true) => "--force passes over broken laws only, not over what makes a library unusable",
            (false, false) => "mend what failed",
        };
        return Err(Failure::usage(format!("{} is not installed; {way}", file.display())));
    };
    let internal =
        |path: &Path, error: io::Error| Failure::new(ExitCode::Internal, format!("{}: {error}", path.display()));
    make_folder(&folder).map_err(|error| internal(&folder, error))?;
    check_folder(&folder, args.checks.allow_unsafe_permissions)
        .map_err(|reason| Failure::usage(format!("nothing is installed, because runs would pass it over: {reason}")))?;
    let target = folder.join(file_name(library)?);
    let older = older(&folder, library, &target)?;
    copy(library, &target).map_err(|error| internal(&target, error))?;
    for (path, _) in older.iter().filter(|(path, _)| *path != target) {
        fs::remove_file(path).map_err(|error| internal(path, error))?;
    }
    say(format_args!("Installed {}", target.display()));
    for (path, words) in &older {
        let place = if *path == target { String::new() } else { format!(", in {}", path.display()) };
        say(printable(format!("  in place of {words}{place}")));
    }
    tell(&discovery, &target)?;
    Ok(ExitCode::Ok)
}

/// The name that the library keeps; runs find only what is called like a library.
fn file_name(library: &LibraryFile) -> Result<&OsStr, Failure> {
    library.path.file_name().filter(|_| is_library(&library.path)).ok_or_else(|| {
        let path = library.path.display();
        Failure::usage(format!("{path}: runs find only files that end in .so or .dylib; rename it"))
    })
}

/// Makes the folder, and those above it that are not there.
fn make_folder(folder: &Path) -> io::Result<()> {
    // …/inferometer/plugins: the data home holds more than ours.
    let data_home = folder.ancestors().nth(2).unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(PRIVATE).create(data_home)?;
    DirBuilder::new().recursive(true).mode(READABLE).create(folder)
}

/// Whether all that `older` brings is brought by `newer` as well, and by the same package.
fn is_covered(older: &[Entry], newer: &[Entry]) -> bool {
    let brings = |one: &Entry| {
        newer.iter().any(|other| other.kind == one.kind && other.package == one.package && other.answers_to(&one.name))
    };
    older.iter().all(brings)
}

/// Whether both come from the same packages.
fn is_kin(older: &[Entry], newer: &[Entry]) -> bool {
    let packages = |entries: &[Entry]| entries.iter().map(|entry| entry.package.clone()).collect::<BTreeSet<_>>();
    packages(older) == packages(newer)
}

/// The installed libraries that `library` takes the place of, each with what it is: those of the same package that bring
/// nothing which `library` does not, and an earlier build in the same file.
fn older(folder: &Path, library: &LibraryFile, target: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let ours = library.components();
    let mut older = Vec::new();
    let files = fs::read_dir(folder).map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    let mut paths: Vec<_> =
        files.filter_map(Result::ok).map(|file| file.path()).filter(|path| is_library(path)).collect();
    paths.sort();
    for path in paths {
        let is_target = path == target;
        if let Ok(installed) = LibraryFile::examine(&path, true) {
            let theirs = installed.components();
            if is_covered(&theirs, &ours) || is_target && is_kin(&theirs, &ours) {
                let is_same = installed.sha256 == library.sha256;
                older.push((path, words(&theirs, &ours, is_same)));
                continue;
            }
        }
        // A library that never worked, or one of another author's: not ours to remove.
        if is_target {
            return Err(Failure::usage(format!(
                "{} is there already and comes from elsewhere; remove it, or rename the library to be installed",
                path.display()
            )));
        }
    }
    Ok(older)
}

/// What is replaced, and which of its components nothing stands in for.
fn words(theirs: &[Entry], ours: &[Entry], is_same: bool) -> String {
    let packages: BTreeSet<_> = theirs.iter().map(|entry| format!("{} {}", entry.package, entry.version)).collect();
    let mut words = packages.into_iter().collect::<Vec<_>>().join(", ");
    if is_same {
        words.push_str(" (the same file)");
    }
    let gone = theirs.iter().filter(|one| !is_covered(std::slice::from_ref(*one), ours));
    let gone: Vec<_> = gone.map(|entry| format!("{} '{}'", entry.kind, entry.name)).collect();
    if !gone.is_empty() {
        words.push_str(&format!(", which brought {} as well", gone.join(" and ")));
    }
    words
}

/// Puts the library that was checked at `target` in one step.
fn copy(library: &LibraryFile, target: &Path) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let bytes = fs::read(&library.path)?;
    // Its name ends like that of no library, so no run picks up half of it.
    let mut fresh = tempfile::Builder::new().prefix(".installing-").tempfile_in(folder)?;
    fresh.write_all(&bytes)?;
    fresh.as_file().set_permissions(Permissions::from_mode(READABLE))?;
    fresh.as_file().sync_all()?;
    let is_same = LibraryFile::examine(fresh.path(), true).is_ok_and(|copy| copy.sha256 == library.sha256);
    if !is_same {
        return Err(io::Error::other("the library changed while it was checked; install it again"));
    }
    fresh.persist(target)?;
    Ok(())
}

/// Says what the installed library brings, and what that means for components of the same names.
fn tell(discovery: &Discovery, target: &Path) -> Result<(), Failure> {
    let target = fs::canonicalize(target).map_err(|error| Failure::new(ExitCode::Internal, error))?;
    let registry = Registry::discover(discovery).map_err(Failure::usage)?;
    let origin = Origin::Library(target.clone());
    for entry in registry.entries().filter(|entry| entry.origin == origin) {
        let Entry { kind, name, summary, version, .. } = entry;
        say(printable(format!("  {kind} '{name}' {version}: {summary}")));
        let others =
            registry.entries().filter(|other| other.origin != origin && other.kind == *kind && other.answers_to(name));
        let others: Vec<_> =
            others.map(|other| format!("that of {} (priority {})", other.origin, other.priority)).collect();
        if others.is_empty() {
            continue;
        }
        let others = others.join(" and ");
        say(printable(match registry.find(*kind, name) {
            Ok(chosen) if chosen == entry => format!("    shadows {others}"),
            Ok(_) => format!("    is shadowed by {others}; ask for it as {}:{name}", entry.package),
            Err(error) => format!("    warning: {error}"),
        }));
    }
    let mut is_used = registry.entries().any(|entry| entry.origin == origin);
    let mut reasons = Vec::new();
    for skipped in registry.skipped().iter().filter(|skipped| skipped.path == target) {
        match skipped.reason {
            // The same package in an earlier place: it is of use as soon as that is gone.
            Refusal::Hidden { .. } => {
                is_used = true;
                say(printable(format!("  note: {}", skipped.reason)));
            }
            ref reason => reasons.push(reason.to_string()),
        }
    }
    if is_used {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is there, but runs do not use it: {}",
        target.display(),
        if reasons.is_empty() { "its place is not searched".to_owned() } else { reasons.join("; ") }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_with_the_modes_that_discovery_trusts() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("share/inferometer/plugins");
        make_folder(&folder).expect("it can be made");
        make_folder(&folder).expect("it is there");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("share")) & 0o077, 0);
        assert_eq!(mode(&folder) & 0o022, 0);
    }
}
