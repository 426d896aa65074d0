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
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File},
    io::Write as _,
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
    let held: Vec<PathBuf> = results(&plan.output).map(|name| folder.join(name)).filter(|file| file.exists()).collect();
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
    results(output).map(|name| folder.join(name)).filter(|file| file.exists()).try_for_each(fs::remove_file)
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

    /// Makes `file` this exporter's own.
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
        Ok(self.folder.join(path))
    }
}

impl Output for FolderOutput {
    fn write(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let failed =
            |e: std::io::Error| Error::new(ErrorKind::IO, format!("{}: {e}", self.folder.join(file).display()));
        if !self.files.contains_key(file) {
            let path = self.take(file)?;
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            self.files.insert(file.to_owned(), File::create(path).map_err(failed)?);
        }
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        match self.files.get_mut(file) {
            Some(open) => open.write_all(bytes).map_err(failed),
            None => Ok(()),
        }
    }

    fn show(&mut self, text: &str) -> Result<()> {
        self.shown.push_str(text);
        Ok(())
    }
}
