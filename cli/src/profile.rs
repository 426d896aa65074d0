//! `profile`: settings → plan → run → files, and what the user reads at the end.

use crate::{
    Ended, Failure,
    args::ProfileArgs,
    bundle, command_line, dry_run,
    process::State,
    progress::Progress,
    registry::registry,
    terminal::{say, stdout_terminal},
};
use inferometer_engine::{Control, Invocation, Prepared};
use inferometer_host::{Registry, drain_log};
use inferometer_model::{ExitCode, config::Ui, file, plan::Plan, resolve::resolve, secret::shown_url};
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{SystemTime, UNIX_EPOCH},
};

/// Runs `inferometer profile`.
pub(crate) fn run(args: &ProfileArgs) -> Ended {
    // Its files are there until the run is over.
    let bundle = args.bundle.as_deref().map(bundle::open).transpose()?;
    let config = bundle.as_ref().map(bundle::Opened::config).or_else(|| args.config.clone());
    let seed = bundle.as_ref().map_or_else(fresh_seed, bundle::Opened::seed);
    let (settings, plugins) = file::load(&args.settings, config.as_deref()).map_err(Failure::usage)?;
    let plan = resolve(&settings, &plugins, seed).map_err(Failure::usage)?;
    let registry = registry(&settings, &plugins)?;
    if let Some(bundle) = &bundle {
        for lack in bundle.lacks(&args.settings, &registry)? {
            eprintln!("note: {lack}");
        }
    }
    if args.dry_run {
        return dry_run::run(plan, &registry, args.dry_run_latency.as_ns());
    }
    measure(plan, &registry, settings.ui)
}

/// Measures what `plan` says, writes the files and shows the result.
pub(crate) fn measure(plan: Plan, registry: &Registry, ui: Option<Ui>) -> Ended {
    let control = Control::default();
    listen_for_interrupts(&control);
    let urls: Vec<String> = plan.server.urls.iter().map(shown_url).collect();
    let invocation = Invocation { command: command_line::redacted(std::env::args()), terminal: stdout_terminal() };
    let before = State::now();
    let prepared = Prepared::new(plan, registry, invocation, control.clone())?;
    for change in before.since() {
        eprintln!("warning: a plugin {change}; `inferometer plugins check` tells which one");
    }
    let folder = prepared.folder()?;
    prepared.wait_until_ready(registry, &mut |waiting| eprintln!("{waiting}"))?;
    let progress = Progress::start(ui, &control, prepared.phases());
    let ran = prepared.run(&folder);
    drop(progress);
    let (finished, exporters) = ran?;
    let failed = exporters.export(&finished, |shown| {
        if !shown.is_empty() {
            say(shown.trim_end());
        }
    });
    for line in drain_log() {
        eprintln!("{}: {}", line.target, line.message);
    }
    for failure in &failed {
        eprintln!("warning: {failure}");
    }
    if finished.was_unreachable() {
        eprintln!("error: no connection to {}; is the server running, and is --url right?", urls.join(", "));
    }
    let code = finished.exit_code();
    Ok(if code == ExitCode::Ok && !failed.is_empty() { ExitCode::Internal } else { code })
}

/// The first Ctrl-C ends the run with what there is; the second ends the program. Before the load there is nothing yet,
/// so the first ends the program.
fn listen_for_interrupts(control: &Control) {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    let control = control.clone();
    let listening = ctrlc::set_handler(move || {
        let nothing_sent = control.snapshot().phase == 0;
        if INTERRUPTED.swap(true, SeqCst) || nothing_sent {
            bundle::clear_away();
            std::process::exit(i32::from(ExitCode::Interrupted as u8));
        }
        eprintln!("\nstopping; results of what was sent follow (once more: out at once)");
        control.stop();
    });
    if let Err(error) = listening {
        eprintln!("warning: Ctrl-C will end the program without results: {error}");
    }
}

/// A seed for a run that was given none. It is reported, so that the run can be repeated.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(40)
}
