//! Handing a finished run to its exporters, each on a thread of its own: one that fails is reported, one that comes to a
//! stand is left behind, and the others still write.
//!
//! Our own exporters work at the same time, on records that are made once for all of them; the user's follow one after
//! another. Where the disk might get full, ours do so, too, so that the files of single requests do not take the room of
//! the summary. What they want shown comes in their order.

use crate::{
    Finished,
    artifacts::{self, FolderOutput, Taken},
    fanout::{Fanout, Next},
    record::{Batch, Tools},
    records::Lost,
};
use inferometer_abi::{
    api::Exporter,
    types::{Error, ErrorKind, Result},
};
use inferometer_model::plan::OutputPlan;
use rustix::fs::statvfs;
use std::{
    ops::ControlFlow::{Break, Continue},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes of the files of a run for each request, where answers are long; and of anything else meanwhile.
const ROOM_PER_REQUEST: u64 = 8 << 10;
const ROOM_TO_SPARE: u64 = 256 << 20;

type Named = (String, Box<dyn Exporter>);

/// The exporters of a run, waiting for it to be finished.
pub struct Exporters {
    exporters: Vec<Named>,
    /// So many of them, the first, are our own.
    own: usize,
    folder: PathBuf,
    plan: OutputPlan,
}

impl Exporters {
    pub(crate) fn new(exporters: Vec<Named>, own: usize, folder: &Path, plan: OutputPlan) -> Self {
        // Exporters may come from libraries, and any of them may change the working directory.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Self { exporters, own, folder, plan }
    }

    /// Hands `finished` to each of them; `show` is given what each wants shown, as soon as it and those before it are
    /// done.
    ///
    /// Returns those that failed, with their words.
    pub fn export(mut self, finished: &Arc<Finished>, mut show: impl FnMut(&str)) -> Vec<String> {
        let mut failed = Vec::new();
        if let Err(error) = artifacts::clear(&self.folder, &self.plan) {
            failed.push(format!("the run before could not be removed: {error}"));
        }
        let taken = Arc::new(Taken::default());
        let theirs = self.exporters.split_off(self.own.min(self.exporters.len()));
        let (together, alone) = if has_room(&self.folder, finished.records.len()) {
            (self.exporters, theirs)
        } else {
            (Vec::new(), self.exporters.into_iter().chain(theirs).collect())
        };
        let groups = std::iter::once(together).chain(alone.into_iter().map(|one| vec![one]));
        for group in groups {
            let round = Round::start(finished, group, &self.folder, &taken);
            let lost = round.watch(Duration::from_nanos(self.plan.export_patience_ns), |name, outcome| match outcome {
                Ok(shown) => show(&shown),
                Err(error) => failed.push(format!("exporter '{name}': {error}")),
            });
            if let Some(words) = lost
                && !failed.contains(&words)
            {
                failed.push(words);
            }
        }
        failed
    }
}

/// Whether the disk that `folder` is on has room for the files of a run of so many requests, and some to spare; if the
/// system does not say, it does.
fn has_room(folder: &Path, requests: u64) -> bool {
    let wanted = ROOM_TO_SPARE.saturating_add(requests.saturating_mul(ROOM_PER_REQUEST));
    statvfs(folder).map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= wanted)
}

/// How an exporter ended: what it wants shown.
type Outcome = Result<String>;

/// Exporters at work at the same time.
struct Round {
    exporters: Vec<Watched>,
    fanout: Arc<Fanout<Batch>>,
    /// What has become of them, by number.
    ended: Receiver<(usize, Outcome)>,
    /// Makes the batches.
    source: Option<thread::JoinHandle<Lost>>,
}

/// What is seen of an exporter from outside.
struct Watched {
    name: String,
    /// Calls that have come back.
    calls: Arc<AtomicU64>,
    /// Bytes written.
    written: Arc<AtomicU64>,
    /// Both when they were last looked at, and since when they are so.
    seen: (u64, u64),
    since: Instant,
    has_ended: bool,
    /// How, until it is told.
    outcome: Option<Outcome>,
}

impl Round {
    fn start(finished: &Arc<Finished>, group: Vec<Named>, folder: &Path, taken: &Arc<Taken>) -> Self {
        let fanout = Arc::new(Fanout::new(group.len()));
        let (done, ended) = mpsc::channel();
        let mut exporters = Vec::new();
        for (number, (name, exporter)) in group.into_iter().enumerate() {
            let output = FolderOutput::new(folder, &name, Arc::clone(taken));
            let (written, calls) = (output.written(), Arc::default());
            let work = Work {
                finished: Arc::clone(finished),
                batches: Arc::clone(&fanout),
                number,
                exporter,
                output,
                calls: Arc::clone(&calls),
            };
            work.start(&name, done.clone());
            let (seen, since) = ((0, 0), Instant::now());
            exporters.push(Watched { name, calls, written, seen, since, has_ended: false, outcome: None });
        }
        let source = {
            let (finished, fanout) = (Arc::clone(finished), Arc::clone(&fanout));
            let make = move || make_batches(&finished, &fanout);
            thread::Builder::new().name("export".to_owned()).spawn(make)
        };
        if let Err(error) = &source {
            for number in 0..exporters.len() {
                // Nobody gets records, and nobody is to take that for a run without any.
                let _ = done.send((number, Err(no_thread(error))));
            }
        }
        Self { exporters, fanout, ended, source: source.ok() }
    }

    /// Waits until all have ended or were left behind, and tells of each in turn. Returns what could not be handed over.
    fn watch(mut self, patience: Duration, mut tell: impl FnMut(&str, Outcome)) -> Option<String> {
        let mut untold = 0;
        while untold < self.exporters.len() {
            let now = Instant::now();
            let at_work = self.exporters.iter().filter(|one| !one.has_ended);
            let longest = at_work.map(|one| now.duration_since(one.since)).max().unwrap_or_default();
            if let Ok((number, outcome)) = self.ended.recv_timeout(patience.saturating_sub(longest)) {
                self.end(number, outcome);
            }
            for number in 0..self.exporters.len() {
                if self.stands_still(number, patience) {
                    let error = format!(
                        "it has done nothing for {} s and is left behind (see --export-timeout)",
                        patience.as_secs_f64()
                    );
                    self.end(number, Err(Error::new(ErrorKind::OTHER, error)));
                }
            }
            while let Some(one) = self.exporters.get_mut(untold)
                && let Some(outcome) = one.outcome.take()
            {
                tell(&one.name, outcome);
                untold += 1;
            }
        }
        let lost = self.source?.join();
        lost.map_or_else(
            |_| Some("the records could not be made: this is a defect, please report it".into()),
            |lost| lost.words(),
        )
    }

    /// Whether an exporter has done nothing for `patience` that it could have done.
    fn stands_still(&mut self, number: usize, patience: Duration) -> bool {
        let waits = self.fanout.waits(number);
        let one = &mut self.exporters[number];
        let now = (one.calls.load(Relaxed), one.written.load(Relaxed));
        if waits || one.seen != now {
            (one.seen, one.since) = (now, Instant::now());
        }
        !one.has_ended && one.since.elapsed() >= patience
    }

    fn end(&mut self, number: usize, outcome: Outcome) {
        self.fanout.leave(number);
        let one = &mut self.exporters[number];
        // Of one that was left behind nothing more is heard.
        if !std::mem::replace(&mut one.has_ended, true) {
            one.outcome = Some(outcome);
        }
    }
}

/// Makes all records of a run, once.
fn make_batches(finished: &Finished, fanout: &Fanout<Batch>) -> Lost {
    let _closing = Closing(fanout);
    let (mut batch, mut tools) = (Batch::default(), Tools::default());
    let lost = finished.records.in_order(|segment, row| {
        batch.push(finished, segment, row, &mut tools);
        if batch.is_full() && !fanout.push(std::mem::take(&mut batch)) { Break(()) } else { Continue(()) }
    });
    if !batch.is_empty() {
        fanout.push(batch);
    }
    lost
}

/// Keeps nobody waiting for more than there is, also after a panic.
struct Closing<'a>(&'a Fanout<Batch>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn no_thread(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::IO, format!("no thread could be started: {error}"))
}

/// What one exporter is to do.
struct Work {
    finished: Arc<Finished>,
    batches: Arc<Fanout<Batch>>,
    /// Which of the readers of the batches it is.
    number: usize,
    exporter: Box<dyn Exporter>,
    output: FolderOutput,
    calls: Arc<AtomicU64>,
}

impl Work {
    /// Does it on a thread of its own.
    fn start(self, name: &str, done: Sender<(usize, Outcome)>) {
        let (number, refused) = (self.number, done.clone());
        let work = move || {
            // Whoever waited too long does not hear of it.
            let _ = done.send((number, self.write()));
        };
        // A thread that hangs in an exporter is never joined; it ends with the program.
        if let Err(error) = thread::Builder::new().name(format!("export-{name}")).spawn(work) {
            let _ = refused.send((number, Err(no_thread(&error))));
        }
    }

    fn write(mut self) -> Outcome {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.hand_over()));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::PANICKED, "it panicked")));
        self.batches.leave(self.number);
        let Self { exporter, output, .. } = self;
        // Its results are written; a destructor that panics takes nothing away.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(exporter)));
        outcome.map(|()| output.shown)
    }

    fn hand_over(&mut self) -> Result<()> {
        let (finished, exporter, output) = (&*self.finished, &mut self.exporter, &mut self.output);
        let came_back = || self.calls.fetch_add(1, Relaxed);
        exporter.begin(&finished.report.run, output)?;
        came_back();
        loop {
            match self.batches.next(self.number) {
                Next::Batch(batch) => exporter.records(&batch.records(finished), output)?,
                Next::End => break,
                Next::LeftBehind => return Err(Error::new(ErrorKind::OTHER, "it was left behind")),
            }
            came_back();
        }
        for log in &finished.logs {
            exporter.telemetry(&log.source, &log.collections, &log.samples, output)?;
            came_back();
        }
        exporter.finish(&finished.report, output)
    }
}
