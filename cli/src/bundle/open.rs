//! Opening a bundle for a run: unpacked, checked, and gone when the run is over.

use super::{
    RUN, archive,
    left_out::of_files,
    manifest::{LeftOut, Manifest},
    settings::{Names, of_the_machine, paths},
    tokenizer::BUILT_IN,
};
use crate::Failure;
use inferometer_host::Registry;
use inferometer_model::{
    config::RawConfig,
    file::{self, PluginSettings},
};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use tempfile::TempDir;

/// Where the bundle of this run lies, for the end of the program that runs no destructors.
static UNPACKED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// A bundle whose files lie in a folder of their own until this is dropped.
pub(crate) struct Opened {
    manifest: Manifest,
    folder: PathBuf,
    /// Removes the folder.
    _scratch: TempDir,
}

/// Unpacks and checks the bundle at `path`.
///
/// # Errors
/// When it cannot be read, or anything in it is not as it was when it was made.
pub(crate) fn open(path: &Path) -> Result<Opened, Failure> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("--bundle {shown}: {error}; give a file that `inferometer bundle` made"))
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a plain file")));
    }
    let no_room = |error: std::io::Error| {
        Failure::usage(format!(
            "--bundle {shown}: no temporary folder to unpack it to: {error}; set TMPDIR to one with room"
        ))
    };
    let scratch = tempfile::Builder::new().prefix("inferometer-").tempdir().map_err(no_room)?;
    *UNPACKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(scratch.path().to_owned());
    // Called after the bundle, so that paths in the results can be read.
    let folder = scratch.path().join(path.file_name().unwrap_or_default());
    fs::create_dir(&folder).map_err(no_room)?;
    let manifest = archive::read(file, &folder).map_err(|why| {
        Failure::usage(format!("--bundle {shown}: {why}; copy it again, or make it anew with `inferometer bundle`"))
    })?;
    let wrong = |why: String| {
        Failure::usage(format!("--bundle {shown}: its {RUN} {why}; make it anew with `inferometer bundle`"))
    };
    at_home(&manifest, &folder).map_err(wrong)?;
    let (settings, plugins) = file::load(&RawConfig::default(), Some(&folder.join(RUN))).map_err(Failure::usage)?;
    check(&settings, &plugins, &folder).map_err(wrong)?;
    Ok(Opened { manifest, folder, _scratch: scratch })
}

/// Has the settings name the files where they lie now.
fn at_home(manifest: &Manifest, folder: &Path) -> Result<(), String> {
    let file = folder.join(RUN);
    let text = fs::read_to_string(&file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut tables: Map<String, Value> =
        toml::from_str(&text).map_err(|error| format!("is no file of settings: {}", error.message()))?;
    let is_inside = |path: &str| {
        let below = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        manifest.files.iter().any(|file| below(&file.name))
    };
    paths(&mut tables, &mut |_, path| -> Result<(), String> {
        if is_inside(path) {
            let inside = folder.join(&*path);
            let text =
                inside.to_str().ok_or_else(|| format!("would lie in {}, which is not UTF-8", inside.display()))?;
            text.clone_into(path);
        }
        Ok(())
    })?;
    let text = super::settings::text(&tables).map_err(|failure| failure.message)?;
    fs::write(&file, text).map_err(|error| format!("cannot be written: {error}"))
}

/// Whoever made the bundle, it reads no other files of this machine, loads no code from it, and replaces nothing on it.
fn check(settings: &RawConfig, plugins: &PluginSettings, folder: &Path) -> Result<(), String> {
    let Ok(Value::Object(mut tables)) = serde_json::to_value(settings) else {
        return Err("holds a path that is not UTF-8".to_owned());
    };
    if let Some(setting) = of_the_machine(&tables) {
        return Err(format!("says '{setting}', which is for whoever runs it to say"));
    }
    if let Some(setting) = of_files(&tables) {
        return Err(format!("says '{setting}', a file that no bundle holds; give it with each run"));
    }
    if !plugins.path.is_empty() {
        return Err("says where plugins lie, which is for whoever runs it to say".to_owned());
    }
    paths(&mut tables, &mut |names, path| {
        let is_builtin = names == Names::Tokenizer && BUILT_IN.contains(&path.as_str());
        match is_builtin || Path::new(path).starts_with(folder) {
            true => Ok(()),
            false => Err(format!("names '{path}', which is not in the bundle")),
        }
    })
}

impl Opened {
    /// The file of its settings.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join(RUN)
    }

    /// The seed of its runs.
    pub(crate) fn seed(&self) -> u64 {
        self.manifest.seed
    }

    /// What its run lacks: secrets that were not typed again, and plugins that are not here.
    ///
    /// # Errors
    /// When a library that was found cannot be read.
    pub(crate) fn lacks(&self, typed: &RawConfig, registry: &Registry) -> Result<Vec<String>, Failure> {
        let typed = serde_json::to_value(typed).unwrap_or_default();
        let is_typed = |left_out: &&LeftOut| {
            let value = &typed[left_out.setting.as_str()];
            !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty())
        };
        let secrets = self.manifest.left_out.iter().filter(|left_out| !is_typed(left_out));
        let mut lacks: Vec<String> = secrets
            .map(|secret| {
                format!("the bundle was made with {secret}, which it does not hold; give it again if it is needed")
            })
            .collect();
        if !self.manifest.plugins.is_empty() {
            let found = registry.libraries().map_err(Failure::usage)?;
            let missing =
                self.manifest.plugins.iter().filter(|plugin| found.iter().all(|own| own.sha256 != plugin.sha256));
            lacks.extend(missing.map(|plugin| {
                format!(
                    "the bundle was made with the plugin library {} (SHA-256 {}), which is not among those found here; give \
                     it with --plugin",
                    plugin.file, plugin.sha256
                )
            }));
        }
        Ok(lacks)
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--{}", self.setting)?;
        if self.shown.is_empty() { Ok(()) } else { write!(f, " '{}'", self.shown) }
    }
}

/// Removes what was unpacked, for when the program ends at once.
pub(crate) fn clear_away() {
    if let Some(folder) = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nobody is left to hear of a failure.
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::stage::Stage;

    /// A bundle with these settings and one file of data.
    fn opened(settings: &str) -> Result<Opened, String> {
        let folder = tempfile::tempdir().unwrap();
        let staged = folder.path().join("staged");
        fs::create_dir(&staged).unwrap();
        let mut stage = Stage::new(staged.clone());
        stage.add(RUN, settings.as_bytes()).unwrap();
        stage.add("data/input/a.jsonl", &b"{}"[..]).unwrap();
        let mut manifest = Manifest::new(7, String::new(), Vec::new(), Vec::new());
        manifest.files = stage.into_files();
        let path = folder.path().join("own.bundle");
        archive::write(fs::File::create(&path).unwrap(), &manifest, &staged).unwrap();
        open(&path).map_err(|failure| failure.message)
    }

    #[test]
    fn the_files_of_a_bundle_lie_in_a_folder_called_after_it_while_it_is_open() {
        let opened = opened("model = 'm'\ninput-file = 'data/input/a.jsonl'\ntokenizer = 'o200k_base'").ok().unwrap();
        let (settings, _) = file::load(&RawConfig::default(), Some(&opened.config())).unwrap();
        let input = settings.data.input_file.unwrap();
        assert!(input.ends_with("own.bundle/data/input/a.jsonl") && input.is_file(), "{}", input.display());
        assert_eq!((settings.tokenizer.as_deref(), opened.seed()), (Some("o200k_base"), 7));
        drop(opened);
        assert!(!input.exists());
    }

    #[test]
    fn a_bundle_reads_loads_and_replaces_nothing_of_the_machine_it_is_run_on() {
        for (settings, expected) in [
            ("input-file = '/etc/passwd'", "'/etc/passwd', which is not in the bundle"),
            ("dataset_path = '/etc/passwd'", "'/etc/passwd', which is not in the bundle"),
            ("input-file = 'data/../../../etc/passwd'", "which is not in the bundle"),
            ("[[phase]]\nrequest-rate-series = '/etc/passwd'", "which is not in the bundle"),
            ("tokenizer = 'acme/tiny'", "'acme/tiny', which is not in the bundle"),
            ("plugin = ['/tmp/evil.so']", "'plugin'"),
            ("allow_unsafe_permissions = true", "'allow-unsafe-permissions'"),
            ("result-dir = '/home'", "'artifact-dir'"),
            ("overwrite = true", "'overwrite'"),
            ("api-key-file = '/etc/passwd'", "'api-key-file'"),
            ("[plugins]\npath = ['/tmp']", "where plugins lie"),
            ("no such = toml", "run.toml"),
            ("nonsense = 1", "'nonsense'"),
        ] {
            let error = opened(settings).err().unwrap_or_else(|| panic!("{settings} is let through"));
            assert!(error.contains(expected), "{settings}: {error}");
        }
    }
}
