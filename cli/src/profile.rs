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
use inferometer_model::{
    ExitCode,
    config::Ui,
    file,
    plan::{ConnectionPlan, Plan, ProxyPlan, ServerPlan},
    resolve::resolve,
    secret::shown_url,
};
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
    let unreachable = unreachable(&plan.server);
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
        eprintln!("error: {unreachable}");
    }
    let code = finished.exit_code();
    Ok(if code == ExitCode::Ok && !failed.is_empty() { ExitCode::Internal } else { code })
}

/// What to say if no connection is ever made, naming all that may be the reason.
fn unreachable(server: &ServerPlan) -> String {
    let urls = server.urls.iter().map(shown_url).collect::<Vec<_>>().join(", ");
    let proxy = match &server.connection {
        ConnectionPlan { unix_socket: Some(file), .. } => {
            let file = file.display();
            return format!(
                "no connection to the socket file {file}; is the server running, and is --unix-socket right?"
            );
        }
        ConnectionPlan { proxy: None, .. } => {
            return format!("no connection to {urls}; is the server running, and is --url right?");
        }
        ConnectionPlan { proxy: Some(ProxyPlan::Url { url, .. }), .. } => format!("the proxy {}", shown_url(url)),
        ConnectionPlan { proxy: Some(ProxyPlan::Environment), .. } => {
            "what --proxy env finds in the environment".to_owned()
        }
    };
    format!(
        "no connection to {urls} through {proxy}; the errors above say at which of the two it failed: check --proxy or --url"
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use inferometer_model::file::PluginSettings;

    #[test]
    fn what_cannot_be_reached_is_named_with_the_way_to_it() {
        for (flags, parts) in [
            (&[][..], &["http://h:1", "is the server running", "--url"][..]),
            (&["--unix-socket", "/tmp/s"], &["/tmp/s", "is the server running", "--unix-socket"]),
            (&["--proxy", "http://me:pw@p:3128"], &["http://h:1", "http://p:3128", "--proxy", "--url"]),
            (&["--proxy", "env"], &["http://h:1", "--proxy env"]),
        ] {
            let words = ["inferometer", "profile", "--model", "m", "--url", "http://h:1"];
            let args = crate::args::Args::try_parse_from(words.iter().chain(flags)).unwrap();
            let crate::args::Command::Profile(args) = args.command else { panic!("`profile` was typed") };
            let said = unreachable(&resolve(&args.settings, &PluginSettings::default(), 1).unwrap().server);
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains("pw"), "{said}");
        }
    }
}
