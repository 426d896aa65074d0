//! `plugins show`: everything about a component, above all what can be set. Opens its library.

use super::{described, found, printable, say_json};
use crate::{Ended, Failure, args::ShowArgs, terminal::say};
use inferometer_abi::{
    documents::Kind,
    options::{OptionInfo, options},
};
use inferometer_host::{Entry, HostError, Registry};
use inferometer_model::ExitCode;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Shows every component that the name means; one of each kind at most.
pub(crate) fn run(args: &ShowArgs) -> Ended {
    let registry = found(&args.places, Some(&args.locked))?;
    let kinds = match args.kind {
        Some(kind) => vec![kind],
        None => kinds(&registry, &args.name).map_err(Failure::usage)?,
    };
    let mut shown = Vec::new();
    for kind in kinds {
        let entry = registry.find(kind, &args.name).map_err(Failure::usage)?;
        shown.push((entry, registry.options_schema(kind, &args.name)));
    }
    if args.json {
        say_json(&shown.iter().map(|(entry, schema)| document(entry, schema.as_deref().ok())).collect())?;
    } else {
        let pages: Vec<_> = shown.iter().map(|(entry, schema)| page(entry, schema.as_deref().ok())).collect();
        say(pages.join("\n\n"));
    }
    // What the files say of a component is worth seeing even if it cannot be had.
    match shown.into_iter().find_map(|(_, schema)| schema.err()) {
        Some(error) => Err(Failure::usage(error)),
        None => Ok(ExitCode::Ok),
    }
}

/// The kinds in which something is called `name`.
fn kinds(registry: &Registry, name: &str) -> Result<Vec<Kind>, HostError> {
    let mut kinds: Vec<_> = registry.called(name)?.into_iter().map(|entry| entry.kind).collect();
    kinds.dedup();
    Ok(kinds)
}

/// A component for people; without its schema if it cannot be had.
fn page(entry: &Entry, schema: Option<&str>) -> String {
    let Entry { kind, name, summary, priority, origin, version, package, interface } = entry;
    let mut page = format!("{kind} '{name}': {}\n\n", printable(summary));
    let facts = [
        ("Origin", printable(origin)),
        ("Version", printable(version)),
        ("Package", printable(package)),
        ("Interface", printable(interface)),
        ("Priority", priority.to_string()),
    ];
    for (title, fact) in facts {
        put(&mut page, &format!("{title:<10}{fact}"));
    }
    let Some(schema) = schema else {
        page.push_str("Options   not known");
        return page;
    };
    let options = options(schema);
    let Some(example) = options.iter().find(|option| option.required).or(options.first()) else {
        page.push_str("Options   none");
        return page;
    };
    put(&mut page, "\nOptions");
    for option in &options {
        let OptionInfo { name, takes, default, required, description, .. } = option;
        let default = match default {
            Some(default) => format!(" [default: {default}]"),
            None if *required => " (has to be given)".to_owned(),
            None => String::new(),
        };
        put(&mut page, &printable(format!("  {name}: {takes}{default}")));
        if !description.is_empty() {
            put(&mut page, &printable(format!("      {description}")));
        }
    }
    page.push('\n');
    page.push_str(&how_to_set(name, example));
    page
}

/// How to set an option, on the command line and in a file.
fn how_to_set(component: &str, option: &OptionInfo) -> String {
    let key = printable(&option.name);
    let value = match &option.default {
        _ if option.is_text => "\"…\"".to_owned(),
        Some(default) => default.to_string(),
        None => "…".to_owned(),
    };
    // A dot is a level of its own in TOML.
    let table = if component.contains('.') { format!("\"{component}\"") } else { component.to_owned() };
    format!(
        "Set one with --plugin-option {component}.{key}=VALUE, or in a file given with --config:\n  \
         [plugins.options.{table}]\n  {key} = {}",
        printable(value)
    )
}

fn put(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a string takes all that is written to it");
}

/// A component for machines: what `plugins list` says of it, its options, and their schema as its author's type has it.
fn document(entry: &Entry, schema: Option<&str>) -> Value {
    let mut fields = described(entry);
    let option = |option: OptionInfo| {
        let OptionInfo { name, takes, default, required, description, .. } = option;
        json!({"name": name, "takes": takes, "default": default, "required": required, "description": description})
    };
    let listed = schema.map(|schema| options(schema).into_iter().map(option).collect::<Vec<_>>());
    fields.insert("options".to_owned(), json!(listed));
    let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(schema).ok());
    fields.insert("options_schema".to_owned(), json!(schema));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_host::Origin;

    fn entry(name: &str) -> Entry {
        Entry {
            kind: Kind::Timing,
            name: name.to_owned(),
            summary: "Keeps a\u{1b}[31m pace.".to_owned(),
            priority: -1,
            origin: Origin::Library("/p/libacme.so".into()),
            version: "1.2.3".to_owned(),
            package: "acme".to_owned(),
            interface: "1.0".to_owned(),
        }
    }

    #[test]
    fn a_page_lists_the_options_and_says_how_to_set_one_with_nothing_that_a_terminal_acts_upon() {
        let schema = json!({
            "properties": {
                "jitter": {"type": "number", "minimum": 0, "default": 0.5, "description": "How far\nit strays."},
                "pace": {"type": "integer"}
            },
            "required": ["pace"]
        });
        assert_eq!(
            page(&entry("acme.v2"), Some(&schema.to_string())),
            "timing 'acme.v2': Keeps a\u{FFFD}[31m pace.\n\n\
             Origin    /p/libacme.so\n\
             Version   1.2.3\n\
             Package   acme\n\
             Interface 1.0\n\
             Priority  -1\n\n\
             Options\n  \
               jitter: a number of at least 0 [default: 0.5]\n      How far it strays.\n  \
               pace: a whole number (has to be given)\n\n\
             Set one with --plugin-option acme.v2.pace=VALUE, or in a file given with --config:\n  \
               [plugins.options.\"acme.v2\"]\n  pace = …"
        );
    }

    #[test]
    fn a_component_without_options_says_so_and_one_without_a_schema_that_they_are_not_known() {
        let empty = r#"{"type": "object"}"#;
        assert!(page(&entry("a"), Some(empty)).ends_with("\nOptions   none"));
        assert!(page(&entry("a"), None).ends_with("\nOptions   not known"));
        assert_eq!(document(&entry("a"), Some(empty))["options"], json!([]));
        assert_eq!(document(&entry("a"), None)["options"], Value::Null);
    }
}
