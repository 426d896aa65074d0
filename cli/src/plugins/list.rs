//! `plugins list`: a line per component, and what was passed over. Runs no foreign code.

use super::{described, found, printable, say_json};
use crate::{
    Ended,
    args::ListArgs,
    terminal::{say, stdout_width},
};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use inferometer_abi::INTERFACE_VERSION;
use inferometer_host::{Entry, HostError, Origin, Registry, Skipped};
use inferometer_model::ExitCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Blanks between columns.
const GAP: u16 = 2;

/// Lists all components.
pub(crate) fn run(args: &ListArgs) -> Ended {
    let registry = found(&args.places, Some(&args.locked))?;
    if args.json {
        return say_json(&document(&registry));
    }
    say(table(&registry, stdout_width()));
    let libraries: Vec<String> = libraries(&registry).values().map(printable).collect();
    let notes = eclipsed(&registry);
    let skipped: Vec<String> = registry.skipped().iter().map(printable).collect();
    for (title, lines) in [("Libraries:", libraries), ("Same names:", notes), ("Passed over:", skipped)] {
        if !lines.is_empty() {
            say(format_args!("\n{title}\n  {}", lines.join("\n  ")));
        }
    }
    Ok(ExitCode::Ok)
}

/// The table, laid out for a terminal of `width` columns, or with each component on one line where there is none.
fn table(registry: &Registry, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["KIND", "NAME", "VERSION", "ORIGIN", "SUMMARY"]);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for Entry { kind, name, version, origin, summary, .. } in registry.entries() {
        table.add_row([kind.to_string(), name.clone(), printable(version), printable(origin), printable(summary)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

/// Each library that a component comes from, with its packages and the interface they were built for.
fn libraries(registry: &Registry) -> BTreeMap<&Origin, String> {
    let mut libraries: BTreeMap<&Origin, Vec<String>> = BTreeMap::new();
    for Entry { origin, package, version, interface, .. } in registry.entries() {
        if matches!(origin, Origin::Library(_)) {
            let words = format!("{package} {version}, built for interface {interface}");
            let all = libraries.entry(origin).or_default();
            if !all.contains(&words) {
                all.push(words);
            }
        }
    }
    libraries.into_iter().map(|(origin, words)| (origin, format!("{origin}: {}", words.join("; ")))).collect()
}

/// Which component a name means, or that none can be chosen, for each name that several have.
fn eclipsed(registry: &Registry) -> Vec<String> {
    let mut lines = Vec::new();
    let mut last = None;
    for entry in registry.entries() {
        let chosen = registry.find(entry.kind, &entry.name);
        let line = match chosen {
            Ok(chosen) if chosen != entry => {
                let Entry { kind, name, origin, priority, .. } = entry;
                let (by, over) = (&chosen.origin, chosen.priority);
                let why = if over > *priority {
                    format!("priority {over} over {priority}")
                } else {
                    "by [plugins.prefer]".to_owned()
                };
                format!("{kind} '{name}' means that of {by} ({why}), not that of {origin}")
            }
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        // A tie has several entries and one text.
        if last.as_ref() != Some(&line) {
            lines.push(printable(&line));
        }
        last = Some(line);
    }
    lines
}

fn document(registry: &Registry) -> Value {
    let component = |entry: &Entry| {
        let mut fields = described(entry);
        let chosen: Result<&Entry, HostError> = registry.find(entry.kind, &entry.name);
        let shadow = chosen.as_ref().ok().filter(|chosen| **chosen != entry).map(|chosen| chosen.origin.to_string());
        fields.insert("shadowed_by".to_owned(), json!(shadow));
        fields.insert("chosen".to_owned(), json!(chosen.is_ok_and(|chosen| chosen == entry)));
        fields
    };
    let components: Vec<_> = registry.entries().map(component).collect();
    let skipped = registry.skipped().iter();
    let skipped: Vec<_> = skipped
        .map(|Skipped { path, reason }| {
            json!({"path": path.display().to_string(), "code": reason.code(), "reason": reason.to_string()})
        })
        .collect();
    json!({"interface": INTERFACE_VERSION, "components": components, "skipped": skipped})
}
