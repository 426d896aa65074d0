//! `plugins probe`: what `plugins check` runs in a process of its own. It opens a library, makes its components and tells of
//! each law that they keep or break.
//!
//! The laws themselves are the conformance kit's. Not here: those that take what only a component's author knows, such as
//! what a server's answers hold.

mod kinds;

use super::check::finding::{AS_IT_WAS, BY_DEFAULT, Finding, Message, OPENS, Outcome, Weight};
use crate::{Ended, Failure, args::ProbeArgs, process::State};
use inferometer_abi::{documents::Kind, options::options, types::ErrorKind};
use inferometer_host::{HostError, LibraryFile, Registry};
use inferometer_model::ExitCode;
use inferometer_testkit::Law;
use std::{
    fmt::Display,
    fs::File,
    io::{Write as _, stderr, stdout},
    os::fd::AsFd as _,
};

/// The longest detail of a law that is told, in characters: it may quote whatever a component wrote.
const LONGEST: usize = 600;

/// Why a check did not pass.
enum Fault {
    /// What has to be so is not so.
    Broken(String),
    /// It could not be tried.
    Untried(String),
}

/// What a check saw, for its line in the report, or why it did not pass.
type Verdict = Result<String, Fault>;

/// Runs the checks of one component, or only opens the library.
pub(super) fn run(args: &ProbeArgs) -> Ended {
    let mut report = Report::new().map_err(|error| Failure::new(ExitCode::Internal, error))?;
    // The parent has examined it and says which file it means; whether it may be trusted is answered.
    let library = LibraryFile::examine(&args.file, true).map_err(Failure::usage)?;
    if library.sha256 != args.sha256 {
        return Err(Failure::usage("the file changed while it was checked; check it again"));
    }
    let registry = Registry::of(&library);
    let Some(component) = &args.component else {
        let before = State::now();
        let is_open = report.check(OPENS, Weight::Safety, || {
            registry.open().map_err(broken)?;
            Ok(String::new())
        });
        if is_open {
            report.check(AS_IT_WAS, Weight::Law, || match before.since() {
                changes if changes.is_empty() => Ok(String::new()),
                changes => Err(broken(format_args!("as it was opened, it {}", changes.join(", and ")))),
            });
        }
        report.say(&Message::Done);
        return Ok(ExitCode::Ok);
    };
    let found = component
        .split_once(':')
        .and_then(|(kind, name)| Some((Kind::ALL.into_iter().find(|known| known.as_str() == kind)?, name)));
    let Some((kind, name)) = found else { return Err(Failure::usage("give a component as KIND:NAME")) };
    report.schema(&registry, kind, name);
    kinds::probe(&mut report, &registry, kind, name, args);
    report.say(&Message::Done);
    Ok(ExitCode::Ok)
}

/// The way back to the parent: standard output as it was at the start. What the library prints goes to standard error.
struct Report(File);

impl Report {
    fn new() -> std::io::Result<Self> {
        // Without the parent nobody would end a library that hangs.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        let to_parent = stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(stderr())?;
        // A process that is ended by a defect is told of, and its memory of no use to anyone.
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        Ok(Self(to_parent.into()))
    }

    fn say(&mut self, message: &Message) {
        let line = serde_json::to_string(message).expect("a message is plain data");
        // Without a parent there is nobody to tell.
        let _ = writeln!(self.0, "{line}");
    }

    /// Makes a check and tells its beginning and its end. Whether it passed.
    fn check(&mut self, check: &str, weight: Weight, tried: impl FnOnce() -> Verdict) -> bool {
        self.say(&Message::Begins(check.to_owned()));
        let (outcome, detail) = match tried() {
            Ok(seen) => (Outcome::Ok, seen),
            Err(Fault::Broken(why)) => (Outcome::Failed, why),
            Err(Fault::Untried(why)) => (Outcome::Skipped, why),
        };
        self.say(&Message::Found(Finding { check: check.to_owned(), outcome, weight, detail }));
        outcome == Outcome::Ok
    }

    fn schema(&mut self, registry: &Registry, kind: Kind, name: &str) {
        let mut schema = None;
        self.check("says which options it has", Weight::Law, || {
            let text = registry.options_schema(kind, name).map_err(broken)?;
            let read: serde_json::Value = serde_json::from_str(&text)
                .map_err(|error| broken(format_args!("the schema of its options is no JSON: {error}")))?;
            if !read.is_object() {
                return Err(broken("the schema of its options is no JSON object"));
            }
            let names: Vec<_> = options(&text).into_iter().map(|option| option.name).collect();
            schema = Some(read);
            Ok(if names.is_empty() { "none".to_owned() } else { names.join(", ") })
        });
        if let Some(schema) = schema {
            self.say(&Message::Schema(schema));
        }
    }

    /// Makes the component for the first time.
    ///
    /// # Errors
    /// Why its laws cannot be tried.
    fn is_made<T>(&mut self, options: &str, make: impl FnOnce() -> Result<T, HostError>) -> Result<(), &'static str> {
        let (check, weight) = match options {
            "" => (BY_DEFAULT, Weight::Safety),
            _ => ("can be made with the given options", Weight::Law),
        };
        let is_made = self.check(check, weight, || match make() {
            Ok(_) => Ok(String::new()),
            // It may well need an option that has no default.
            Err(HostError::Creation { reason, .. }) if reason.kind != ErrorKind::UNSUPPORTED => match options {
                "" => Err(Fault::Untried(format!("without --plugin-option: {reason}"))),
                _ => Err(broken(reason)),
            },
            Err(error) => Err(broken(error)),
        });
        if is_made { Ok(()) } else { Err("it could not be made") }
    }

    /// Tries laws one after the other, unless there is a reason why they cannot be tried.
    fn laws(&mut self, laws: Vec<Law<'_>>, ready: Result<(), &str>) {
        for law in laws {
            self.check(law.words(), Weight::Law, || match ready {
                Ok(()) => law.tried().map(|()| String::new()).map_err(|why| broken(shortened(why))),
                Err(why) => Err(Fault::Untried(why.to_owned())),
            });
        }
    }
}

fn broken(why: impl Display) -> Fault {
    Fault::Broken(why.to_string())
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
