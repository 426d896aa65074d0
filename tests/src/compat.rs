//! Earlier versions of the interface, as a registry would hold them, built beside this one.

use crate::binary;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The host and a plugin of interface 1.0.
pub struct Version1_0 {
    /// The program that calls every component of a library through that host.
    pub driver: PathBuf,
    /// The library.
    pub plugin: PathBuf,
}

/// The same driver, with the host of this version.
///
/// # Panics
/// If it does not build.
pub fn driver() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| binary::program("inferometer-compat-driver", "inferometer-compat-driver"))
}

/// Builds what is kept of interface 1.0, once per test process.
///
/// # Panics
/// If it does not build.
pub fn version_1_0() -> &'static Version1_0 {
    static BUILT: OnceLock<Version1_0> = OnceLock::new();
    BUILT.get_or_init(|| {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat");
        let target = binary::target_directory();
        let workspace = target.join("compat/1.0");
        fs::create_dir_all(&workspace).expect("a folder for the old workspace");
        run(Command::new("tar").arg("xzf").arg(kept.join("1.0/interface.tar.gz")).arg("-C").arg(&workspace));
        for (from, to) in [("1.0/plugin", "plugin"), ("driver", "driver")] {
            copy(&kept.join(from), &workspace.join(to));
        }
        // Its dependencies are mostly this workspace's own; in one target folder they are built once.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--package",
                "inferometer-plugin-of-1-0",
                "--package",
                "inferometer-compat-driver",
            ])
            .current_dir(&workspace)
            .env("CARGO_TARGET_DIR", target.join("compat/build"))
            .stdin(Stdio::null()));
        let made = target.join("compat/build/debug");
        let library =
            format!("{}inferometer_plugin_of_1_0{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        Version1_0 { driver: made.join("inferometer-compat-driver"), plugin: made.join(library) }
    })
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Copies a folder; files that are the same already keep their time, so that nothing is built anew.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is kept").map(|entry| entry.expect("it can be read").path()) {
        let target = to.join(entry.file_name().expect("entries have names"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            let bytes = fs::read(&entry).expect("it can be read");
            if fs::read(&target).ok().as_ref() != Some(&bytes) {
                fs::write(&target, bytes).expect("it can be written");
            }
        }
    }
}
