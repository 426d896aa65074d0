//! `plugins probe`: what `plugins check` runs in a process of its own. It opens a library, makes its components and puts
//! them to laws that hold for every component of a kind, whatever it is for.
//!
//! Not here: what only a component's author can know, such as what a server's answers hold. The conformance kit is for
//! that.

mod collector;
mod dataset;
mod endpoint;
mod exporter;
mod timing;

use super::check::finding::{Finding, Message, Outcome, Weight};
use crate::{Ended, Failure, args::ProbeArgs};
use inferometer_abi::{
    documents::Kind,
    options::options,
    types::{Error, ErrorKind},
};
use inferometer_host::{HostError, LibraryFile, Registry};
use inferometer_model::ExitCode;
use std::{
    fmt::Display,
    fs::File,
    io::{Write as _, stderr, stdout},
    os::fd::AsFd as _,
};

/// Why a check did not pass.
pub(super) enum Fault {
    /// What has to be so is not so.
    Broken(String),
    /// It could not be tried.
    Untried(String),
}

/// What a check saw, for its line in the report, or why it did not pass.
pub(super) type Verdict = Result<String, Fault>;

/// What is to be made of a component: anew at each call.
type Maker<'a, T> = &'a dyn Fn() -> Result<Box<T>, Fault>;

/// A law: what has to be so, and how that is tried.
type Law<T> = (&'static str, fn(Maker<'_, T>) -> Verdict);

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
        report.check("opens, and registers what it declares", Weight::Safety, || {
            registry.open().map_err(broken)?;
            Ok(String::new())
        });
        report.say(&Message::Done);
        return Ok(ExitCode::Ok);
    };
    let found = component
        .split_once(':')
        .and_then(|(kind, name)| Some((Kind::ALL.into_iter().find(|known| known.as_str() == kind)?, name)));
    let Some((kind, name)) = found else { return Err(Failure::usage("give a component as KIND:NAME")) };
    report.schema(&registry, kind, name);
    macro_rules! put_to_the_laws {
        ($kind:ident) => {
            report.component(&|options| registry.$kind(name, options).map(|made| made.component), &$kind::LAWS)
        };
    }
    match kind {
        Kind::Endpoint => put_to_the_laws!(endpoint),
        Kind::Timing => put_to_the_laws!(timing),
        Kind::Exporter => put_to_the_laws!(exporter),
        Kind::Collector => put_to_the_laws!(collector),
        Kind::Dataset => put_to_the_laws!(dataset),
    };
    report.say(&Message::Done);
    Ok(ExitCode::Ok)
}

/// The way back to the parent: standard output as it was at the start. What the library prints goes to standard error.
struct Report(File);

impl Report {
    fn new() -> std::io::Result<Self> {
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

    /// Makes the component with default options and puts it to the laws of its kind.
    fn component<T: ?Sized>(&mut self, make: &dyn Fn(&str) -> Result<Box<T>, HostError>, laws: &[Law<T>]) {
        let is_made = self.check("can be made with default options", Weight::Safety, || match make("") {
            Ok(_) => Ok(String::new()),
            // It may well need an option that has no default.
            Err(HostError::Creation { reason, .. }) if reason.kind != ErrorKind::UNSUPPORTED => {
                Err(Fault::Untried(reason.to_string()))
            }
            Err(error) => Err(broken(error)),
        });
        let make = || make("").map_err(broken);
        for (law, holds) in laws {
            self.check(law, Weight::Law, || {
                if is_made { holds(&make) } else { Err(Fault::Untried("it cannot be made without options".to_owned())) }
            });
        }
    }
}

fn broken(why: impl Display) -> Fault {
    Fault::Broken(why.to_string())
}

/// Lets an error pass, but not a panic: what comes of a call on `input`.
fn survives<T>(result: Result<T, Error>, input: impl FnOnce() -> String) -> Result<Result<T, Error>, Fault> {
    match result {
        Err(error) if error.kind == ErrorKind::PANICKED => Err(broken(format_args!("on {} it {error}", input()))),
        result => Ok(result),
    }
}

/// The beginning of `bytes`, for a message.
fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 80;
    let dots = if bytes.len() > MOST { "…" } else { "" };
    format!("`{}{dots}`", bytes[..bytes.len().min(MOST)].escape_ascii())
}

/// Texts that a server, a data set or a user may bring.
const HOSTILE: [&str; 6] =
    ["", "\"quoted\" \\back\\", "line\r\nbreak\0\u{1b}[2J", "é 漢字 🦀 \u{202e}", "../../etc/passwd", "{\"json\": [1,"];
