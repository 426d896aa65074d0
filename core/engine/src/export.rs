//! Handing a finished run to its exporters, one after another, each on a thread of its own: one that fails is reported, one
//! that comes to a stand is left behind, and the others still write.

use crate::{
    Finished,
    artifacts::{self, FolderOutput, Taken},
    record::{Parts, record},
};
use inferometer_abi::{
    api::Exporter,
    types::{Error, ErrorKind, Record, Result},
};
use inferometer_model::plan::OutputPlan;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

/// Records handed over at a time.
const BATCH: usize = 1_024;

/// The exporters of a run, waiting for it to be finished.
pub struct Exporters {
    exporters: Vec<(String, Box<dyn Exporter>)>,
    folder: PathBuf,
    plan: OutputPlan,
}

impl Exporters {
    pub(crate) fn new(exporters: Vec<(String, Box<dyn Exporter>)>, folder: &Path, plan: OutputPlan) -> Self {
        // Exporters may come from libraries, and any of them may change the working directory.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Self { exporters, folder, plan }
    }

    /// Hands `finished` to each of them; `show` is given what each wants shown, as soon as it is done.
    ///
    /// Returns those that failed, with their words.
    pub fn export(self, finished: &Arc<Finished>, mut show: impl FnMut(&str)) -> Vec<String> {
        let mut failed = Vec::new();
        if let Err(error) = artifacts::clear(&self.folder, &self.plan) {
            failed.push(format!("the run before could not be removed: {error}"));
        }
        let order = Arc::new(finished.order());
        let taken = Arc::new(Taken::default());
        let patience = Duration::from_nanos(self.plan.export_patience_ns);
        for (name, exporter) in self.exporters {
            let output = FolderOutput::new(&self.folder, &name, Arc::clone(&taken));
            let work = Work {
                finished: Arc::clone(finished),
                order: Arc::clone(&order),
                exporter,
                output,
                progress: Arc::default(),
            };
            match work.run(&name, patience) {
                Ok(shown) => show(&shown),
                Err(error) => failed.push(format!("exporter '{name}': {error}")),
            }
        }
        failed
    }
}

/// What one exporter is to do.
struct Work {
    finished: Arc<Finished>,
    order: Arc<Vec<(usize, usize)>>,
    exporter: Box<dyn Exporter>,
    output: FolderOutput,
    /// Calls that have come back.
    progress: Arc<AtomicU64>,
}

impl Work {
    /// Does it on a thread of its own, for as long as there is progress within `patience`.
    fn run(self, name: &str, patience: Duration) -> Result<String> {
        let (done, result) = mpsc::channel();
        let (progress, written) = (Arc::clone(&self.progress), self.output.written());
        let work = move || {
            // Whoever waited too long does not hear of it.
            let _ = done.send(self.write());
        };
        // A thread that hangs in an exporter is never joined; it ends with the program.
        std::thread::Builder::new()
            .name(format!("export-{name}"))
            .spawn(work)
            .map_err(|error| Error::new(ErrorKind::IO, format!("no thread could be started: {error}")))?;
        let mut seen = None;
        loop {
            match result.recv_timeout(patience) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::new(ErrorKind::PANICKED, "it panicked")),
                Err(RecvTimeoutError::Timeout) => {
                    let now = (progress.load(Relaxed), written.load(Relaxed));
                    if seen.replace(now) == Some(now) || now == (0, 0) {
                        return Err(Error::new(
                            ErrorKind::OTHER,
                            format!(
                                "it has done nothing for {} s and is left behind (see --export-timeout)",
                                patience.as_secs_f64()
                            ),
                        ));
                    }
                }
            }
        }
    }

    fn write(mut self) -> Result<String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.hand_over()));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::PANICKED, "it panicked")));
        let Self { exporter, output, .. } = self;
        // Its results are written; a destructor that panics takes nothing away.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(exporter)));
        outcome.map(|()| output.shown)
    }

    fn hand_over(&mut self) -> Result<()> {
        let (finished, exporter, output) = (&*self.finished, &mut self.exporter, &mut self.output);
        let progress = || self.progress.fetch_add(1, Relaxed);
        exporter.begin(&finished.report.run, output)?;
        progress();
        for batch in self.order.chunks(BATCH) {
            let parts: Vec<Parts> = batch.iter().map(|place| Parts::new(finished, *place)).collect();
            let records: Vec<Record<'_>> =
                batch.iter().zip(&parts).map(|(place, parts)| record(finished, *place, parts)).collect();
            exporter.records(&records, output)?;
            progress();
        }
        for log in &finished.logs {
            exporter.telemetry(&log.source, &log.collections, &log.samples, output)?;
            progress();
        }
        exporter.finish(&finished.report, output)
    }
}
