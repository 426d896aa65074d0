//! Builds the library of a crate, for the commands that take a folder in place of a library.

use crate::Failure;
use serde_json::Value;
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The library that `path` means: itself, or that of the crate in this folder, which is built.
///
/// # Errors
/// When the folder is no crate, does not build, or makes no library or several.
pub(super) fn library_of(path: &Path) -> Result<Cow<'_, Path>, Failure> {
    if path.is_dir() { build(path).map(Cow::Owned) } else { Ok(Cow::Borrowed(path)) }
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
        return Err(Failure::usage(format!("{}: it does not build; mend what cargo says", folder.display())));
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

/// Whether a file is called like a library; runs find no others in folders.
pub(super) fn is_library(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "so" || ending == "dylib")
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
}
