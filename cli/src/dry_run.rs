//! `profile --dry-run`: what would happen, and the first requests, with nothing sent.

use crate::{Ended, Failure, terminal::say};
use inferometer_engine::{Control, Invocation, Prepared};
use inferometer_host::Registry;
use inferometer_model::{ExitCode, plan::Plan};

/// Requests that are shown.
const SHOWN: usize = 3;

/// Prints the plan as JSON, then the first requests.
pub(crate) fn run(plan: Plan, registry: &Registry) -> Ended {
    let internal = |error: serde_json::Error| Failure::new(ExitCode::Internal, error);
    let text = serde_json::to_string_pretty(&plan).map_err(internal)?;
    let prepared = Prepared::new(plan, registry, Invocation::default(), Control::default())?;
    say(text);
    for note in prepared.notes() {
        say(format_args!("note: {note}"));
    }
    for (number, (session, body)) in prepared.preview(SHOWN).into_iter().enumerate() {
        say(format_args!("request {number} ({session}): {body}"));
    }
    Ok(ExitCode::Ok)
}
