//! Builds the program and the example plugins with cargo and says where they are.
//!
//! Cargo is asked each time instead of guessing a path, so a test never runs a program older than its source.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cargo_metadata::{Artifact, Message, MetadataCommand};

/// The package and the name of the program.
const PACKAGE: &str = "inferometer-cli";
const PROGRAM: &str = "inferometer";

/// The program, built once per test process with the profile of the tests.
///
/// # Panics
/// If it does not build.
pub fn inferometer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| program(PACKAGE, PROGRAM))
}

/// A program of a package of this workspace.
///
/// # Panics
/// If it does not build.
pub(crate) fn program(package: &str, name: &str) -> PathBuf {
    build(package)
        .into_iter()
        .filter(|artifact| artifact.target.name == name)
        .find_map(|artifact| artifact.executable)
        .unwrap_or_else(|| panic!("{package} has no program named {name}"))
        .into_std_path_buf()
}

/// The shared library of a plugin package of this workspace, such as `inferometer-example-endpoint`.
///
/// # Panics
/// If it does not build or is no `cdylib`.
pub fn example_plugin(package: &str) -> PathBuf {
    build(package)
        .into_iter()
        .filter(|artifact| artifact.target.is_cdylib() && artifact.target.name == package.replace('-', "_"))
        .flat_map(|artifact| artifact.filenames)
        .find(|path| path.as_str().ends_with(std::env::consts::DLL_SUFFIX))
        .unwrap_or_else(|| panic!("{package} has no cdylib; add crate-type = [\"cdylib\"] to its [lib]"))
        .into_std_path_buf()
}

/// Where cargo puts what it makes.
///
/// # Panics
/// If cargo does not know.
pub(crate) fn target_directory() -> &'static Path {
    static KNOWN: OnceLock<PathBuf> = OnceLock::new();
    KNOWN.get_or_init(|| {
        MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .no_deps()
            .exec()
            .expect("cargo metadata knows this workspace")
            .target_directory
            .into_std_path_buf()
    })
}

/// Builds one package and returns what cargo made or found fresh.
fn build(package: &str) -> Vec<Artifact> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    // What the cargo that runs the tests says of their package: build scripts that look at it would run anew each time, and
    // all that stands on them would be built anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|of| text.starts_with(of))
        {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .args(["build", "--package", package, "--profile", &profile()])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo can be started");
    let messages = child.stdout.take().expect("its output is piped");
    let artifacts = Message::parse_stream(BufReader::new(messages))
        .filter_map(|message| match message.expect("cargo's messages are readable") {
            Message::CompilerArtifact(artifact) => Some(artifact),
            _ => None,
        })
        .collect();
    let status = child.wait().expect("cargo can be waited for");
    assert!(status.success(), "cargo build --package {package} failed: {status}");
    artifacts
}

/// The profile that this test was built with: its file lies in `<target>/<profile>/deps`.
fn profile() -> String {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .and_then(Path::file_name)
        .expect("a test lies two folders deep")
        .to_string_lossy();
    // The only profile whose folder has another name.
    if folder == "debug" { "dev".to_owned() } else { folder.into_owned() }
}
