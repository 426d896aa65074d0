//! How far the run is: a bar on a terminal, a line now and then otherwise. Looks at counters only, on its own thread.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inferometer_engine::{Control, Snapshot};
use inferometer_model::{
    config::Ui,
    plan::{PhasePlan, Stop},
};
use std::{
    io::IsTerminal as _,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const REDRAW: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show how far the run behind `control` is.
    pub(crate) fn start(ui: Option<Ui>, control: &Control, phases: Vec<PhasePlan>) -> Self {
        if ui == Some(Ui::None) {
            return Self { stop: None, thread: None };
        }
        let (stop, stopped) = channel();
        let control = control.clone();
        let show = move || {
            if std::io::stderr().is_terminal() {
                bar(&control, &phases, &stopped);
            } else {
                lines(&control, &phases, &stopped);
            }
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(show).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A display that failed has nothing to say about the run.
            let _ = thread.join();
        }
    }
}

/// Calls `show` at intervals with the phase under way, until the run is over.
fn watch(
    control: &Control,
    phases: &[PhasePlan],
    stopped: &Receiver<()>,
    every: Duration,
    mut show: impl FnMut(&PhasePlan, Snapshot),
) {
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let snapshot = control.snapshot();
        let index = (snapshot.phase as usize).wrapping_sub(1);
        if let Some(phase) = phases.get(index) {
            show(phase, snapshot);
        }
    }
}

fn bar(control: &Control, phases: &[PhasePlan], stopped: &Receiver<()>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let counted = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {msg}  {elapsed}").ok();
    let timed = ProgressStyle::with_template("{prefix} {spinner} {msg}  {elapsed}").ok();
    let mut current = String::new();
    watch(control, phases, stopped, REDRAW, |phase, snapshot| {
        if current != phase.name {
            current.clone_from(&phase.name);
            bar.reset();
            bar.set_prefix(phase.name.clone());
            if let Some(style) = if phase.stop.requests.is_some() { &counted } else { &timed } {
                bar.set_style(style.clone());
            }
            if let Some(requests) = phase.stop.requests {
                bar.set_length(requests);
            }
        }
        bar.set_position(snapshot.ok + snapshot.failed);
        bar.set_message(state(snapshot));
        bar.tick();
    });
    bar.finish_and_clear();
}

fn lines(control: &Control, phases: &[PhasePlan], stopped: &Receiver<()>) {
    let mut last = Instant::now();
    watch(control, phases, stopped, REDRAW, |phase, snapshot| {
        if last.elapsed() >= LINE_EVERY {
            last = Instant::now();
            let Stop { requests, .. } = phase.stop;
            let of = requests.map_or_else(String::new, |requests| format!("/{requests}"));
            eprintln!("{}: {}{of} ended, {}", phase.name, snapshot.ok + snapshot.failed, state(snapshot));
        }
    });
}

fn state(snapshot: Snapshot) -> String {
    let in_flight = snapshot.sent.saturating_sub(snapshot.ok + snapshot.failed);
    format!("{in_flight} in flight, {} failed", snapshot.failed)
}
