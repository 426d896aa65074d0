//! The folder the results go to, and how exporters write into it.

use crate::EngineError;
use inferometer_abi::{
    api::Output,
    types::{Error, ErrorKind, Result},
};
use inferometer_model::{
    ConfigError,
    plan::{OutputPlan, Plan},
};
use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat},
    io::Errno,
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Files that tell that a folder holds a run.
const RESULTS: [&str; 9] = [
    "profile_export_aiperf.json",
    "profile_export_aiperf.csv",
    "profile_export.jsonl",
    "inputs.json",
    "gpu_telemetry_export.jsonl",
    "client_telemetry_export.jsonl",
    "server_metrics_export.json",
    "server_metrics_export.csv",
    "server_metrics_export.jsonl",
];
/// Their endings under a stem of the user's.
const RESULTS_UNDER_STEM: [&str; 8] = [
    ".json",
    ".csv",
    ".jsonl",
    "_gpu_telemetry.jsonl",
    "_client_telemetry.jsonl",
    "_server_metrics.json",
    "_server_metrics.csv",
    "_server_metrics.jsonl",
];

/// Makes the folder: the one asked for, or a fresh one under `artifacts` with a `latest` link to it.
///
/// # Errors
/// When it cannot be made or already holds a run that is not to be replaced.
pub(crate) fn folder(plan: &Plan, benchmark_id: &str) -> std::result::Result<PathBuf, EngineError> {
    let refuse = |text: String| EngineError::Config(ConfigError::new(text));
    let Some(folder) = &plan.output.folder else {
        let root = Path::new("artifacts");
        let name = format!("{}-{benchmark_id}", stem(plan));
        let folder = root.join(&name);
        fs::create_dir_all(&folder).map_err(|e| {
            refuse(format!("cannot make {}: {e}; choose a folder with --artifact-dir", folder.display()))
        })?;
        link_latest(root, &name);
        return Ok(folder);
    };
    let shown = folder.display();
    if folder.is_file() {
        return Err(refuse(format!("--artifact-dir {shown} is a file; name a folder")));
    }
    fs::create_dir_all(folder).map_err(|e| refuse(format!("--artifact-dir {shown} cannot be made: {e}")))?;
    let held: Vec<PathBuf> =
        results(&plan.output).map(|name| folder.join(name)).filter(|file| is_there(file)).collect();
    if !held.is_empty() && !plan.output.overwrite {
        return Err(refuse(format!(
            "{shown} already holds a run; choose another folder, or add --overwrite to replace it"
        )));
    }
    Ok(folder.clone())
}

/// Removes the run that `folder` holds, just before another takes its place.
///
/// # Errors
/// When a file cannot be removed.
pub(crate) fn clear(folder: &Path, output: &OutputPlan) -> std::io::Result<()> {
    results(output).map(|name| folder.join(name)).filter(|file| is_there(file)).try_for_each(fs::remove_file)
}

/// Also of a link that leads nowhere.
fn is_there(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

fn results(output: &OutputPlan) -> impl Iterator<Item = String> {
    let own = output.prefix.iter().flat_map(|prefix| RESULTS_UNDER_STEM.map(|end| format!("{prefix}{end}")));
    RESULTS.into_iter().map(str::to_owned).chain(own.collect::<Vec<_>>())
}

/// What a run's folder is called after: the model, the API and the load.
fn stem(plan: &Plan) -> String {
    let model = plan.models.first().map_or("model", String::as_str);
    let load = plan.phases.last().map_or_else(String::new, |phase| match (phase.rate, phase.concurrency) {
        (Some(rate), _) => format!("request_rate{rate}"),
        (None, Some(slots)) => format!("concurrency{slots}"),
        (None, None) => phase.strategy.clone(),
    });
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    format!("{model}-{}-{load}", plan.server.endpoint).chars().map(safe).collect()
}

/// Points `latest` at the newest run; on a file system without links there is none.
fn link_latest(root: &Path, name: &str) {
    #[cfg(unix)]
    {
        let (link, fresh) = (root.join("latest"), root.join(format!(".latest-{name}")));
        // Made aside and moved over, so that the link is never missing.
        if std::os::unix::fs::symlink(name, &fresh).is_ok() && fs::rename(&fresh, &link).is_err() {
            let _ = fs::remove_file(&fresh);
        }
    }
}

/// Which exporter writes which file, so that none writes over another's.
#[derive(Debug, Default)]
pub(crate) struct Taken(Mutex<BTreeMap<PathBuf, String>>);

/// What one exporter writes.
pub(crate) struct FolderOutput {
    folder: PathBuf,
    exporter: String,
    files: BTreeMap<String, File>,
    taken: Arc<Taken>,
    written: Arc<AtomicU64>,
    /// What it wants shown.
    pub(crate) shown: String,
}

impl FolderOutput {
    pub(crate) fn new(folder: &Path, exporter: &str, taken: Arc<Taken>) -> Self {
        Self {
            folder: folder.to_owned(),
            exporter: exporter.to_owned(),
            files: BTreeMap::new(),
            taken,
            written: Arc::default(),
            shown: String::new(),
        }
    }

    /// Counts the bytes written.
    pub(crate) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// Makes `file` this exporter's own; where it is in the folder.
    fn take(&self, file: &str) -> Result<PathBuf> {
        let parts = Path::new(file).components();
        let stays = parts.clone().count() > 0 && parts.clone().all(|c| matches!(c, std::path::Component::Normal(_)));
        if !stays {
            return Err(Error::config(format!("'{file}' would leave the artifact folder")));
        }
        let path: PathBuf = parts.collect();
        match self.taken.0.lock().unwrap_or_else(PoisonError::into_inner).entry(path.clone()) {
            Entry::Occupied(other) => {
                return Err(Error::config(format!("'{file}' is written by exporter '{}' already", other.get())));
            }
            Entry::Vacant(free) => free.insert(self.exporter.clone()),
        };
        Ok(path)
    }

    /// Opens a file that is this exporter's own.
    fn open(&self, path: &Path) -> Result<File> {
        create(&self.folder, path).map_err(|error| {
            let link = path.ancestors().find(|part| self.folder.join(part).is_symlink());
            let shown = self.folder.join(path);
            match link.filter(|link| !link.as_os_str().is_empty()) {
                Some(link) => Error::config(format!(
                    "'{}' would leave the artifact folder: '{}' is a symbolic link; remove it",
                    path.display(),
                    link.display()
                )),
                None => Error::new(ErrorKind::IO, format!("{}: {error}", shown.display())),
            }
        })
    }
}

/// Makes the file `path` below `folder`, and the folders in between. No symbolic link is followed on the way, so that the
/// file lies where its name says.
fn create(folder: &Path, path: &Path) -> io::Result<File> {
    let into = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, folder, into, Mode::empty())?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        match mkdirat(&at, part.as_os_str(), Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = openat(&at, part.as_os_str(), into | OFlags::NOFOLLOW, Mode::empty())?;
    }
    let fresh = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(File::from(openat(&at, name, fresh, Mode::from_raw_mode(0o666))?))
}

impl Output for FolderOutput {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        if !self.files.contains_key(file) {
            let path = self.take(file)?;
            self.files.insert(file.to_owned(), self.open(&path)?);
        }
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        match self.files.get_mut(file) {
            Some(open) => open
                .write_all(bytes)
                .map_err(|error| Error::new(ErrorKind::IO, format!("{}: {error}", self.folder.join(file).display()))),
            None => Ok(()),
        }
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.shown.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn output(folder: &Path) -> FolderOutput {
        FolderOutput::new(folder, "ours", Arc::default())
    }

    fn refusal(output: &mut FolderOutput, file: &str) -> String {
        output.write(file, b"x").unwrap_err().message.to_string()
    }

    /// The names of everything in `folder`, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_and_the_folders_they_lie_in_are_made_and_a_file_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = output(folder.path());
        for (file, text) in [("a", "1"), ("b/c/d", "2"), ("b/e", "3"), ("a", "4")] {
            output.write(file, text.as_bytes()).unwrap();
        }
        let read = |file| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!((read("a"), read("b/c/d"), read("b/e")), ("14".to_owned(), "2".to_owned(), "3".to_owned()));
        assert_eq!(output.written().load(Relaxed), 4);
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("results");
        fs::create_dir(&folder).unwrap();
        for file in ["", ".", "..", "../x", "a/../../x", "/tmp/x", "./x"] {
            assert!(refusal(&mut output(&folder), file).contains("would leave the artifact folder"), "{file}");
        }
        assert_eq!(names(root.path()), ["results"]);
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn a_link_in_the_folder_is_not_followed_wherever_it_leads() {
        let root = tempfile::tempdir().unwrap();
        let (folder, outside) = (root.path().join("results"), root.path().join("outside"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "kept").unwrap();
        symlink("../outside", folder.join("folder")).unwrap();
        symlink("../outside/precious", folder.join("file")).unwrap();
        symlink("../outside/fresh", folder.join("dangling")).unwrap();
        for (file, link) in [
            ("folder/x", "'folder'"),
            ("folder/a/b", "'folder'"),
            ("folder", "'folder'"),
            ("file", "'file'"),
            ("dangling", "'dangling'"),
        ] {
            let text = refusal(&mut output(&folder), file);
            assert!(text.contains(&format!("{link} is a symbolic link")), "{file}: {text}");
        }
        assert_eq!(names(&outside), ["precious"]);
        assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "kept");
    }

    #[test]
    fn the_folder_itself_may_be_reached_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink("real", root.path().join("results")).unwrap();
        output(&root.path().join("results")).write("a/b", b"x").unwrap();
        assert_eq!(names(&root.path().join("real")), ["a"]);
    }

    #[test]
    fn a_file_has_one_exporter_under_whatever_spelling_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let taken = Arc::new(Taken::default());
        let of = |name| FolderOutput::new(folder.path(), name, Arc::clone(&taken));
        of("first").write("a/b", b"first").unwrap();
        for file in ["a/b", "a//b", "a/./b"] {
            assert!(refusal(&mut of("second"), file).contains("is written by exporter 'first' already"), "{file}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("a/b")).unwrap(), "first");
    }
}
