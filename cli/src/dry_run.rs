//! `profile --dry-run`: what would happen, the first requests, and the schedule as a file, with nothing sent.

mod body;

use crate::{Ended, Failure, terminal::say};
use inferometer_engine::{Planned, Prepared, Preview};
use inferometer_host::Registry;
use inferometer_model::{
    ExitCode,
    plan::{PhasePlan, Plan},
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
};

/// Requests that are shown.
const SHOWN: usize = 3;
/// Requests that are written: some 100 MB of lines.
const MOST: u64 = 1_000_000;
/// Name of the schedule's file.
const SCHEDULE: &str = "schedule.jsonl";

/// Prints the plan as JSON, then the first requests; writes the schedule as it would be if each answer took `latency_ns`.
pub(crate) fn run(plan: Plan, registry: &Registry, latency_ns: u64) -> Ended {
    let internal = |error: serde_json::Error| Failure::new(ExitCode::Internal, error);
    let text = serde_json::to_string_pretty(&plan).map_err(internal)?;
    let prepared = Prepared::unsent(plan, registry)?;
    say(text);
    for note in prepared.notes() {
        say(format_args!("note: {note}"));
    }
    for (number, request) in prepared.preview(SHOWN).into_iter().enumerate() {
        let Preview { session, method, url, content_type, body } = request;
        let body = body::shown(&content_type, &body);
        let gap = if body.starts_with('\n') { "" } else { " " };
        say(format_args!("request {number} ({session}): {method} {url}{gap}{body}"));
    }
    let path = prepared.folder()?.join(SCHEDULE);
    let refused = |error: io::Error| Failure::new(ExitCode::Internal, format!("{}: {error}", path.display()));
    let phases = prepared.phases();
    let mut schedule =
        Schedule { file: BufWriter::new(File::create(&path).map_err(refused)?), failed: None, requests: 0 };
    prepared.rehearse(latency_ns, |planned| {
        schedule.write(&phases, &planned);
        schedule.requests < MOST
    })?;
    let requests = schedule.finish().map_err(refused)?;
    if requests == MOST {
        say(format_args!("note: the schedule goes on after its first {MOST} requests"));
    }
    let seconds = latency_ns as f64 / 1e9;
    say(format_args!(
        "schedule: {requests} requests in {}, as they would be sent if every answer took {seconds} s",
        path.display()
    ));
    Ok(ExitCode::Ok)
}

/// The file of the schedule: one JSON object a request.
struct Schedule {
    file: BufWriter<File>,
    failed: Option<io::Error>,
    requests: u64,
}

impl Schedule {
    fn write(&mut self, phases: &[PhasePlan], planned: &Planned) {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let line = json!({
            "phase": phases.get(planned.phase).map(|phase| phase.name.as_str()),
            "request": planned.request,
            "session": planned.session,
            "turn": planned.turn,
            "intended_s": seconds(planned.intended_ns),
            "sent_s": planned.sent_ns.map(seconds),
        });
        self.requests += 1;
        if self.failed.is_none() {
            self.failed = writeln!(self.file, "{line}").err();
        }
    }

    fn finish(mut self) -> io::Result<u64> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.flush().map(|()| self.requests),
        }
    }
}
