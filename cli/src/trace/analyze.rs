//! `analyze-trace`: reads a trace and shows what it is made of. What cannot be read is refused with the line and the
//! field, so this checks a trace as well.

use super::{
    args::AnalyzeTraceArgs,
    page,
    source::{Read, Source},
};
use crate::{Ended, Failure, terminal::say};
use inferometer_abi::documents::TraceRequest;
use inferometer_model::ExitCode;
use inferometer_trace::{Report, analyze};
use serde::Serialize;
use std::fs;

/// Of the JSON form: raised by one behind the dot when something is added.
const SCHEMA_VERSION: &str = "1.0";

/// The report with where it is from.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: &'static str,
    file: &'a str,
    kind: &'a str,
    notes: &'a [String],
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs `inferometer analyze-trace`.
pub(crate) fn run(args: &AnalyzeTraceArgs) -> Ended {
    let file = &args.source.file;
    let Read { trace, kind, notes, .. } = Source::new(&args.source)?.read(TraceRequest::default(), 0)?;
    if trace.requests() == 0 {
        return Err(Failure::usage(format!("{file}: it holds no requests; give a trace that has some")));
    }
    let report = analyze(&trace, args.cache_blocks);
    let document = Document { schema_version: SCHEMA_VERSION, file, kind: &kind, notes: &notes, report: &report };
    let json = || serde_json::to_string_pretty(&document).map_err(|error| Failure::new(ExitCode::Internal, error));
    if let Some(path) = &args.output_file {
        fs::write(path, json()? + "\n")
            .map_err(|error| Failure::usage(format!("--output-file {}: {error}", path.display())))?;
    }
    if args.json {
        say(json()?);
    } else {
        say(page::report(file, &kind, &report, &notes).trim_end());
    }
    Ok(ExitCode::Ok)
}
