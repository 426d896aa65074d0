//! `plugins`: which components there are, where they come from, and what can be set.
//!
//! `list`, `lock` and `new` read files only; `show` opens the library of the component it shows; `check` and `install`
//! open theirs in a process of its own, which is `probe`.

mod build;
mod check;
mod install;
mod list;
mod lock;
mod new;
mod probe;
mod show;

use crate::{
    Ended, Failure,
    args::{LockedArgs, PlacesArgs, PluginsCommand},
    registry::registry,
    terminal::say,
};
use inferometer_host::{Entry, Registry};
use inferometer_model::{ExitCode, config::RawConfig, file};
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Runs `inferometer plugins`.
pub(crate) fn run(command: &PluginsCommand) -> Ended {
    match command {
        PluginsCommand::List(args) => list::run(args),
        PluginsCommand::Show(args) => show::run(args),
        PluginsCommand::Check(args) => check::run(args),
        PluginsCommand::New(args) => new::run(args),
        PluginsCommand::Install(args) => install::run(args),
        PluginsCommand::Lock(args) => lock::run(args),
        PluginsCommand::Probe(args) => probe::run(args),
    }
}

/// The components that `profile` would have from the same flags; held to no lock file unless there is `locked`.
fn found(places: &PlacesArgs, locked: Option<&LockedArgs>) -> Result<Registry, Failure> {
    let flags = RawConfig {
        plugin: places.plugin.clone(),
        allow_unsafe_permissions: places.allow_unsafe_permissions,
        // What the configuration file says of a lock is not for those who write one.
        locked: locked.map_or(Some(false), |locked| locked.locked),
        lock_file: locked.and_then(|locked| locked.lock_file.clone()),
        ..RawConfig::default()
    };
    let (settings, plugins) = file::load(&flags, places.config.as_deref()).map_err(Failure::usage)?;
    registry(&settings, &plugins)
}

/// What is known of a component without opening anything.
fn described(entry: &Entry) -> Map<String, Value> {
    let Entry { kind, name, summary, priority, origin, version, package, interface } = entry;
    let fields = [
        ("kind", json!(kind)),
        ("name", json!(name)),
        ("version", json!(version)),
        ("origin", json!(origin.to_string())),
        ("package", json!(package)),
        ("interface", json!(interface)),
        ("priority", json!(priority)),
        ("summary", json!(summary)),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Prints a document for machines.
fn say_json(document: &Value) -> Ended {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(ExitCode::Internal, error))?;
    say(text);
    Ok(ExitCode::Ok)
}

/// The text of a file nobody has vouched for yet, in one line and without anything that a terminal would act upon.
fn printable(text: impl Display) -> String {
    let hides =
        |c| matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    text.to_string().chars().map(|c| if c.is_control() || hides(c) { '\u{FFFD}' } else { c }).collect()
}
