//! `plugins check`: whether a library is a good plugin, and everything that is known of it.
//!
//! The file is examined here, without running any of it. What needs it open happens in a child process, see `child`; what
//! is tried there lies in `probe`.

mod child;
pub(super) mod finding;

use super::{build::library_of, described, printable, say_json};
use crate::{Ended, Failure, args::CheckArgs, terminal::say};
use finding::{BY_DEFAULT, Finding, OPENS, Outcome, Weight};
use inferometer_abi::{INTERFACE_VERSION, options::options};
use inferometer_host::{Entry, LibraryFile, Refusal};
use inferometer_model::{ExitCode, config::RawConfig, file::PluginSettings, resolve::plugin_options};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// What the file has to be, in the order in which it is looked at.
const OF_THE_FILE: [&str; 4] = [
    "can be read, and nobody else could have put it there",
    "is a whole shared library for this machine",
    "declares its components, for this program's interface",
    "keeps its panics to itself",
];

/// Runs `plugins check`.
pub(crate) fn run(args: &CheckArgs) -> Ended {
    let typed = RawConfig { plugin_option: args.plugin_option.clone(), ..RawConfig::default() };
    let terms = Terms {
        options: plugin_options(&typed, &PluginSettings::default()).map_err(Failure::usage)?,
        input_file: args.input_file.clone(),
        ..Terms::new(args.checks.allow_unsafe_permissions, args.checks.timeout)
    };
    let report = Report::of(&library_of(&args.file)?, &terms)?;
    if args.json {
        say_json(&report.document())?;
    } else {
        say(report.page());
    }
    Ok(if report.is_good() { ExitCode::Ok } else { ExitCode::Usage })
}

/// How a library is checked.
pub(super) struct Terms {
    allow_unsafe_permissions: bool,
    /// The longest that the checks of one component may take.
    limit: Duration,
    /// Options of components by what they are called.
    options: BTreeMap<String, Map<String, Value>>,
    /// What data set loaders are to open.
    input_file: Option<String>,
}

impl Terms {
    /// With default options.
    pub(super) fn new(allow_unsafe_permissions: bool, seconds: u32) -> Self {
        let limit = Duration::from_secs(seconds.into());
        Self { allow_unsafe_permissions, limit, options: BTreeMap::new(), input_file: None }
    }

    /// The options of a component as JSON; nothing if none were given. What is given under a qualified name wins.
    fn options_of(&self, component: &Entry) -> String {
        let mut given: Vec<_> = self.options.iter().filter(|(name, _)| component.answers_to(name)).collect();
        given.sort_by_key(|(name, _)| name.contains(':'));
        let options: Map<_, _> = given.into_iter().flat_map(|(_, options)| options.clone()).collect();
        if options.is_empty() { String::new() } else { Value::Object(options).to_string() }
    }

    /// Options are for components that the library has.
    fn fit(&self, components: &[Entry]) -> Result<(), Failure> {
        let is_for_none = |name: &&String| !components.iter().any(|component| component.answers_to(name));
        let Some(name) = self.options.keys().find(is_for_none) else { return Ok(()) };
        let names: BTreeSet<_> = components.iter().map(|component| component.name.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        Err(Failure::usage(format!(
            "--plugin-option {name}: the library has no component of that name; it has {}",
            printable(names)
        )))
    }
}

/// All that was found of a library.
pub(super) struct Report {
    path: String,
    /// What its file tells, if it is a plugin library.
    pub(super) library: Option<LibraryFile>,
    of_the_file: Vec<Finding>,
    components: Vec<OfComponent>,
}

struct OfComponent {
    entry: Entry,
    schema: Option<Value>,
    findings: Vec<Finding>,
}

impl OfComponent {
    /// The flags without which it could not even be made, if it was not.
    fn wants(&self) -> Option<String> {
        let is_unmade = |finding: &Finding| finding.check == BY_DEFAULT && finding.outcome == Outcome::Skipped;
        if !self.findings.iter().any(is_unmade) {
            return None;
        }
        let schema = self.schema.as_ref().map_or_else(String::new, Value::to_string);
        let flag = |key: &str| format!("--plugin-option {}.{key}=…", self.entry.name);
        let needed: Vec<_> = options(&schema).iter().filter(|one| one.required).map(|one| flag(&one.name)).collect();
        Some(if needed.is_empty() { flag("KEY") } else { needed.join(" ") })
    }
}

impl Report {
    /// Checks the library at `path`.
    pub(super) fn of(path: &Path, terms: &Terms) -> Result<Self, Failure> {
        let library = match LibraryFile::examine(path, terms.allow_unsafe_permissions) {
            Ok(library) => library,
            Err(refusal) => return Ok(Self::refused(path, &refusal)),
        };
        terms.fit(&library.components())?;
        let passed = OF_THE_FILE.map(|check| finding(check, Outcome::Ok, ""));
        let opened = child::probe(&library, None, terms)?;
        let mut of_the_file: Vec<Finding> = passed.into_iter().chain(opened.findings).collect();
        let is_open = of_the_file.iter().all(|it| it.outcome == Outcome::Ok || it.weight == Weight::Law);
        if of_the_file.len() == OF_THE_FILE.len() {
            of_the_file.push(finding(OPENS, Outcome::Ok, ""));
        }
        let mut components = Vec::new();
        for entry in library.components() {
            let probed = if is_open {
                child::probe(&library, Some(&entry), terms)?
            } else {
                let skipped = finding("keeps the laws of its kind", Outcome::Skipped, "the library does not open");
                child::Probed { findings: vec![skipped], schema: None }
            };
            components.push(OfComponent { entry, schema: probed.schema, findings: probed.findings });
        }
        Ok(Self { path: library.path.display().to_string(), library: Some(library), of_the_file, components })
    }

    /// The report of a file that is no plugin library.
    fn refused(path: &Path, refusal: &Refusal) -> Self {
        let at = match refusal {
            Refusal::NoObject(_) | Refusal::Damaged(_) | Refusal::WrongMachine { .. } | Refusal::NotShared => 1,
            Refusal::NoManifest | Refusal::NoHeader | Refusal::BadManifest(_) | Refusal::WrongInterface { .. } => 2,
            Refusal::Aborts => 3,
            _ => 0,
        };
        let of = |(index, check): (usize, &&str)| {
            if index < at {
                finding(check, Outcome::Ok, "")
            } else if index == at {
                finding(check, Outcome::Failed, &refusal.to_string())
            } else {
                finding(check, Outcome::Skipped, "not tried after that")
            }
        };
        let of_the_file = OF_THE_FILE.iter().chain([&OPENS]).enumerate().map(of).collect();
        Self { path: path.display().to_string(), library: None, of_the_file, components: Vec::new() }
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.of_the_file.iter().chain(self.components.iter().flat_map(|component| &component.findings))
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.findings().filter(|finding| finding.outcome == outcome).count()
    }

    /// Whether nothing failed.
    pub(super) fn is_good(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// Whether nothing failed but laws of components.
    pub(super) fn is_safe(&self) -> bool {
        self.findings().all(|finding| finding.outcome != Outcome::Failed || finding.weight == Weight::Law)
    }

    /// The report for people.
    pub(super) fn page(&self) -> String {
        let mut lines = vec![printable(&self.path), String::new()];
        if let Some(library) = &self.library {
            let of = |text: fn(&Entry) -> &str| -> String {
                let entries = library.components();
                let all: BTreeSet<_> = entries.iter().map(text).collect();
                printable(all.into_iter().collect::<Vec<_>>().join(", "))
            };
            lines.push(format!("SHA-256    {}", library.sha256));
            lines.push(format!("Size       {} bytes", library.bytes));
            lines.push(format!("Interface  {}", of(|entry| &entry.interface)));
            lines.push(format!("Package    {}", of(|entry| &entry.package)));
            lines.push(format!("Version    {}", of(|entry| &entry.version)));
            lines.push(String::new());
        }
        lines.push("The library".to_owned());
        lines.extend(self.of_the_file.iter().map(line));
        for OfComponent { entry, findings, .. } in &self.components {
            let Entry { kind, name, summary, .. } = entry;
            lines.push(String::new());
            lines.push(format!("{kind} '{name}': {}", printable(summary)));
            lines.extend(findings.iter().map(line));
        }
        lines.push(String::new());
        lines.push(self.verdict());
        lines.join("\n")
    }

    /// The last line.
    fn verdict(&self) -> String {
        let (failed, skipped) = (self.count(Outcome::Failed), self.count(Outcome::Skipped));
        let checks = self.findings().count();
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        let passed = format!("{} of {checks} checks passed{skipped}", self.count(Outcome::Ok));
        let wanting: Vec<_> = self.components.iter().filter_map(OfComponent::wants).collect();
        match (failed, self.library.is_some()) {
            (0, _) if wanting.is_empty() => format!("A good plugin: {passed}."),
            (0, _) => format!("Nothing wrong found, but not tried: give {} ({passed}).", printable(wanting.join(" "))),
            (_, false) => "No usable plugin.".to_owned(),
            (_, true) if !self.is_safe() => format!("No usable plugin: {failed} of {checks} checks failed{skipped}."),
            (_, true) => format!("A plugin that breaks laws: {failed} of {checks} checks failed{skipped}."),
        }
    }

    /// The report for machines.
    fn document(&self) -> Value {
        let component = |component: &OfComponent| {
            let OfComponent { entry, schema, findings } = component;
            let mut fields = described(entry);
            fields.insert("options_schema".to_owned(), json!(schema));
            fields.insert("checks".to_owned(), json!(findings));
            fields
        };
        json!({
            "interface": INTERFACE_VERSION,
            "path": self.path,
            "good": self.is_good(),
            "usable": self.is_safe(),
            "sha256": self.library.as_ref().map(|library| &library.sha256),
            "bytes": self.library.as_ref().map(|library| library.bytes),
            "checks": self.of_the_file,
            "components": self.components.iter().map(component).collect::<Vec<_>>(),
        })
    }
}

fn finding(check: &str, outcome: Outcome, detail: &str) -> Finding {
    Finding { check: check.to_owned(), outcome, weight: Weight::Safety, detail: detail.to_owned() }
}

fn line(finding: &Finding) -> String {
    let Finding { check, outcome, detail, .. } = finding;
    let outcome = match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    format!("  {outcome:<8} {}", printable(format!("{check}{detail}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_refused_passes_the_checks_before_that_and_skips_those_after() {
        let report = Report::refused(Path::new("/p/a.so"), &Refusal::NoManifest);
        let outcomes: Vec<_> = report.findings().map(|finding| finding.outcome).collect();
        use Outcome::{Failed, Ok, Skipped};
        assert_eq!(outcomes, [Ok, Ok, Failed, Skipped, Skipped]);
        assert!(!report.is_good() && !report.is_safe());
        let page = report.page();
        assert!(page.starts_with("/p/a.so\n\nThe library\n  ok       can be read"), "{page}");
        assert!(page.ends_with("\n\nNo usable plugin."), "{page}");
        assert_eq!(report.document()["checks"][2]["outcome"], "failed");
    }

    #[test]
    fn a_component_that_was_not_tried_for_want_of_an_option_is_not_called_good() {
        let entry = Entry {
            kind: inferometer_abi::documents::Kind::Endpoint,
            name: "acme".to_owned(),
            summary: String::new(),
            priority: 0,
            origin: inferometer_host::Origin::BuiltIn,
            version: "1.0.0".to_owned(),
            package: "acme".to_owned(),
            interface: "1.0".to_owned(),
        };
        let findings = vec![finding(BY_DEFAULT, Outcome::Skipped, "'token' has to be given")];
        let verdict = |schema: Option<Value>| {
            let component = OfComponent { entry: entry.clone(), schema, findings: findings.clone() };
            let of_the_file = vec![finding(OPENS, Outcome::Ok, "")];
            let report = Report { path: String::new(), library: None, of_the_file, components: vec![component] };
            assert!(report.is_good());
            report.verdict()
        };
        let schema = json!({"properties": {"token": {"type": "string"}}, "required": ["token"]});
        assert_eq!(
            verdict(Some(schema)),
            "Nothing wrong found, but not tried: give --plugin-option acme.token=… (1 of 2 checks passed, 1 skipped)."
        );
        assert!(verdict(None).contains("--plugin-option acme.KEY=…"));
    }

    #[test]
    fn a_broken_law_is_bad_but_leaves_the_library_usable() {
        let mut report = Report::refused(Path::new("/p/a.so"), &Refusal::NoManifest);
        for finding in &mut report.of_the_file {
            finding.weight = Weight::Law;
        }
        assert!(!report.is_good() && report.is_safe());
    }
}
