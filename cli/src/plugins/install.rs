//! `plugins install`: puts a checked library where every run finds it.

use super::{
    check::{Report, Terms},
    printable,
};
use crate::{Ended, Failure, args::InstallArgs, terminal::say};
use inferometer_host::{Discovery, Entry, LibraryFile, Origin, Registry};
use inferometer_model::ExitCode;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, DirBuilder, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Of folders that hold a user's data, as the XDG base directory specification has it; and of what lies in them.
const PRIVATE: u32 = 0o700;
const READABLE: u32 = 0o755;

/// Runs `plugins install`.
pub(crate) fn run(args: &InstallArgs) -> Ended {
    let discovery = Discovery::from_environment(Vec::new(), Vec::new());
    let Some(folder) = discovery.users_folder() else {
        return Err(Failure::usage(
            "there is no home folder to install to; set HOME or XDG_DATA_HOME to an absolute path",
        ));
    };
    let file = if args.file.is_dir() { build(&args.file)? } else { args.file.clone() };
    let report = Report::of(&file, &Terms::new(args.allow_unsafe_permissions, args.timeout))?;
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

/// Builds the crate in `folder` and says where its library is.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Failure::usage(format!(
            "{}: this folder is no crate; give a library or a crate",
            folder.display()
        )));
    }
    let manifest =
        fs::canonicalize(&manifest).map_err(|error| Failure::usage(format!("{}: {error}", manifest.display())))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("running `cargo build --release` in {}", folder.display());
    let output = Command::new(&cargo)
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            Failure::usage(format!("{}: {error}; install Rust, or build it and give the library", cargo.display()))
        })?;
    if !output.status.success() {
        return Err(Failure::usage(format!("{}: it does not build; nothing is installed", folder.display())));
    }
    let mut libraries = libraries(&String::from_utf8_lossy(&output.stdout), &manifest);
    match (libraries.pop(), libraries.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Failure::usage(format!(
            "{}: it makes no library to load; add crate-type = [\"cdylib\"] to [lib] in its Cargo.toml",
            folder.display()
        ))),
        (Some(_), false) => {
            Err(Failure::usage(format!("{}: it makes several libraries; give the one you mean", folder.display())))
        }
    }
}

/// The shared libraries of one crate among what cargo says that it made.
fn libraries(messages: &str, manifest: &Path) -> Vec<PathBuf> {
    let is_ours = |message: &Value| {
        let made = &message["target"]["crate_types"];
        message["reason"] == "compiler-artifact"
            && message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
            && made.as_array().is_some_and(|types| types.iter().any(|one| one == "cdylib"))
    };
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(is_ours);
    messages
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .filter(|file| is_library(file))
        .collect()
}

fn is_library(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "so" || ending == "dylib")
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

fn packages(library: &LibraryFile) -> BTreeSet<String> {
    library.components().into_iter().map(|entry| entry.package).collect()
}

/// The installed libraries that `library` takes the place of, each with what it is: those of the same package.
fn older(folder: &Path, library: &LibraryFile, target: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let ours = packages(library);
    let mut older = Vec::new();
    let files = fs::read_dir(folder).map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    let mut paths: Vec<_> =
        files.filter_map(Result::ok).map(|file| file.path()).filter(|path| is_library(path)).collect();
    paths.sort();
    for path in paths {
        let installed = LibraryFile::examine(&path, true);
        match installed {
            Ok(installed) if packages(&installed).is_subset(&ours) => {
                let words: BTreeSet<_> =
                    installed.components().iter().map(|entry| format!("{} {}", entry.package, entry.version)).collect();
                let mut words = words.into_iter().collect::<Vec<_>>().join(", ");
                if installed.sha256 == library.sha256 {
                    words.push_str(" (the same file)");
                }
                older.push((path, words));
            }
            // A library that never worked, or one of another author's: not ours to remove.
            _ if path == target => {
                return Err(Failure::usage(format!(
                    "{} is there already and comes from elsewhere; remove it, or rename the library to be installed",
                    path.display()
                )));
            }
            _ => {}
        }
    }
    Ok(older)
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
    for skipped in registry.skipped().iter().filter(|skipped| skipped.path == target) {
        say(printable(format!("  note: {}", skipped.reason)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_library_of_a_crate_is_found_in_what_cargo_says_and_no_other() {
        let artifact = |manifest: &str, types: &[&str], files: &[&str]| {
            json!({"reason": "compiler-artifact", "manifest_path": manifest, "target": {"crate_types": types}, "filenames": files})
                .to_string()
        };
        let messages = [
            artifact("/a/Cargo.toml", &["cdylib", "rlib"], &["/t/liba.so", "/t/liba.rlib"]),
            artifact("/b/Cargo.toml", &["cdylib"], &["/t/libb.so"]),
            artifact("/a/Cargo.toml", &["bin"], &["/t/a.so"]),
            "not JSON".to_owned(),
            json!({"reason": "build-finished"}).to_string(),
        ];
        assert_eq!(libraries(&messages.join("\n"), Path::new("/a/Cargo.toml")), [Path::new("/t/liba.so")]);
    }

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
