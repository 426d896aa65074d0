//! The numbers and names of the interface, kept by version: what a layout does not show, and what plugins have compiled in.
//!
//! If a test here fails, the code is wrong and not the table. A number that has been given out is never changed and never
//! given to something else: an old plugin goes on saying it and goes on being told it. What is new gets a number that was
//! never used, and a row under the version that brings it. (The levels of the log have no names here; the kept plugins of
//! `tests/compat` say one line at each.)

use crate::{
    INTERFACE_VERSION,
    documents::{Framing, Kind, Subject as SubjectName, metric_kind},
    types::{
        ABSENT_NS, ANY_SESSION, BEFORE_FIRST, Delta, ErrorKind, MetricKind, NO_COUNT, NO_TURN, Outcome, Outline,
        PartKind, Step, StepKind, Subject, TurnTime, UsageDetail, answer_flags, branch_flags, delta_flags,
        request_flags, step_flags, turn_flags,
    },
    wire::{manifest, module},
};
use std::{fs, path::Path};

/// What one minor version brought: file and name, the number it has now, and the number it was given.
type Rows = &'static [(&'static str, u64, u64)];

/// Widens, so that one table holds numbers of both widths.
const fn wide(number: u32) -> u64 {
    number as u64
}

const V1_0: Rows = &[
    ("types/error.rs OTHER", wide(ErrorKind::OTHER.0), 0),
    ("types/error.rs CONFIG", wide(ErrorKind::CONFIG.0), 1),
    ("types/error.rs UNSUPPORTED", wide(ErrorKind::UNSUPPORTED.0), 2),
    ("types/error.rs MALFORMED", wide(ErrorKind::MALFORMED.0), 3),
    ("types/error.rs PANICKED", wide(ErrorKind::PANICKED.0), 4),
    ("types/error.rs IO", wide(ErrorKind::IO.0), 5),
    ("types/telemetry.rs GAUGE", wide(MetricKind::GAUGE.0), 0),
    ("types/telemetry.rs COUNTER", wide(MetricKind::COUNTER.0), 1),
    ("types/record.rs ABSENT_NS", ABSENT_NS, u64::MAX),
    ("types/record.rs OK", wide(Outcome::OK.0), 0),
    ("types/record.rs ERROR", wide(Outcome::ERROR.0), 1),
    ("types/record.rs CANCELLED", wide(Outcome::CANCELLED.0), 2),
    ("types/record.rs DROPPED", wide(Outcome::DROPPED.0), 3),
    ("types/timing.rs ANY_SESSION", ANY_SESSION, u64::MAX),
    ("types/timing.rs PARK", wide(StepKind::PARK.0), 0),
    ("types/timing.rs SEND", wide(StepKind::SEND.0), 1),
    ("types/timing.rs WAIT", wide(StepKind::WAIT.0), 2),
    ("types/timing.rs END", wide(StepKind::END.0), 3),
    ("types/timing.rs EXACT", step_flags::EXACT, 1),
    // The values that stand for "none": the steps' kinds and flags, and the times.
    ("types/timing.rs PARK", wide(Step::PARK.kind.0) | Step::PARK.flags, 0),
    ("types/timing.rs END", wide(Step::END.kind.0) | Step::END.flags, 3),
    ("types/timing.rs NONE", TurnTime::NONE.timestamp_ns, u64::MAX),
    ("types/timing.rs NONE", TurnTime::NONE.delay_ns, 0),
    ("types/request.rs TEXT", wide(PartKind::TEXT.0), 0),
    ("types/request.rs IMAGE", wide(PartKind::IMAGE.0), 1),
    ("types/request.rs AUDIO", wide(PartKind::AUDIO.0), 2),
    ("types/request.rs VIDEO", wide(PartKind::VIDEO.0), 3),
    ("types/request.rs STREAM", wide(request_flags::STREAM), 1),
    ("types/request.rs LEGACY_MAX_TOKENS", wide(request_flags::LEGACY_MAX_TOKENS), 2),
    ("types/answer.rs NO_COUNT", wide(NO_COUNT), 0xffff_ffff),
    ("types/answer.rs ESCAPED", wide(delta_flags::ESCAPED), 1),
    ("types/answer.rs SCRATCH", wide(delta_flags::SCRATCH), 2),
    ("types/answer.rs DONE", wide(delta_flags::DONE), 4),
    ("types/answer.rs FINISH", wide(delta_flags::FINISH), 8),
    ("types/answer.rs ERROR", wide(delta_flags::ERROR), 16),
    ("types/answer.rs CONTENT", wide(delta_flags::CONTENT), 32),
    ("types/answer.rs EMPTY", wide(Delta::EMPTY.flags | Delta::EMPTY.choice), 0),
    ("types/answer.rs EMPTY", wide(Delta::EMPTY.prompt_tokens & Delta::EMPTY.completion_tokens), 0xffff_ffff),
    ("types/answer.rs EMPTY", wide(Delta::EMPTY.cached_tokens & Delta::EMPTY.reasoning_tokens), 0xffff_ffff),
];

const V1_1: Rows = &[
    ("types/telemetry.rs HISTOGRAM", wide(MetricKind::HISTOGRAM.0), 2),
    ("types/telemetry.rs DEVICE", wide(Subject::DEVICE.0), 0),
    ("types/telemetry.rs SERVER", wide(Subject::SERVER.0), 1),
    ("types/telemetry.rs CLIENT", wide(Subject::CLIENT.0), 2),
    ("types/answer.rs TRUNCATED", wide(answer_flags::TRUNCATED), 1),
    ("types/request.rs STANDS_ALONE", wide(turn_flags::STANDS_ALONE), 1),
    ("types/dataset.rs BEFORE_FIRST", wide(BEFORE_FIRST), 0xffff_ffff),
    ("types/dataset.rs NO_TURN", wide(NO_TURN), 0xffff_ffff),
    ("types/dataset.rs INHERITS", wide(branch_flags::INHERITS), 1),
    ("types/dataset.rs EMPTY", wide(Outline::EMPTY.input_tokens & Outline::EMPTY.output_tokens), 0xffff_ffff),
    ("types/request.rs CHUNK_USAGE", wide(request_flags::CHUNK_USAGE), 4),
    ("types/answer.rs CACHE_WRITE", wide(UsageDetail::CACHE_WRITE.0), 0),
    ("types/answer.rs CACHE_MISS", wide(UsageDetail::CACHE_MISS.0), 1),
    ("types/answer.rs PROMPT_AUDIO", wide(UsageDetail::PROMPT_AUDIO.0), 2),
    ("types/answer.rs COMPLETION_AUDIO", wide(UsageDetail::COMPLETION_AUDIO.0), 3),
    ("types/answer.rs ACCEPTED_PREDICTION", wide(UsageDetail::ACCEPTED_PREDICTION.0), 4),
    ("types/answer.rs REJECTED_PREDICTION", wide(UsageDetail::REJECTED_PREDICTION.0), 5),
    ("types/answer.rs TOOL_PROMPT", wide(UsageDetail::TOOL_PROMPT.0), 6),
    ("types/answer.rs TOTAL", wide(UsageDetail::TOTAL.0), 7),
];

const VERSIONS: &[(&str, Rows)] = &[("1.0", V1_0), ("1.1", V1_1)];

/// How a value reads as JSON.
fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

#[test]
fn every_number_is_the_one_it_was_given() {
    for (version, rows) in VERSIONS {
        for (name, now, given) in *rows {
            assert_eq!(
                now, given,
                "{name} was given {given} in {version}; numbers are never changed, what is new gets one of its own"
            );
        }
    }
}

#[test]
fn every_number_has_its_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/types");
    let mut seen = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let declared = line.trim_start().strip_prefix("pub const ").and_then(|rest| rest.split_once(':'));
            let Some((name, _)) = declared.filter(|(name, _)| name.chars().all(|c| c.is_uppercase() || c == '_'))
            else {
                continue;
            };
            let name = format!("types/{file} {name}");
            assert!(
                VERSIONS.iter().any(|(_, rows)| rows.iter().any(|(row, ..)| *row == name)),
                "{name} has no row; add one to the table of {INTERFACE_VERSION} if that is not released, else to a new one"
            );
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} constants were found; are they declared in another way now?");
}

#[test]
fn the_names_that_libraries_are_found_by_are_those_of_1_0() {
    assert_eq!(module::SYMBOL, b"INFEROMETER_PLUGIN\0");
    assert_eq!((manifest::SECTION, manifest::SECTION_MACHO), (".inferometer", "__inferometer"));
}

#[test]
fn the_words_of_closed_sets_are_those_they_were_given() {
    let kinds = ["endpoint", "timing", "exporter", "collector", "dataset"];
    assert_eq!(Kind::ALL.map(Kind::as_str), kinds);
    assert_eq!(Kind::ALL.map(json), kinds.map(json));
    assert_eq!([Framing::Sse, Framing::JsonLines].map(json), ["sse", "json_lines"].map(json));
    // Since 1.1.
    let subjects = [SubjectName::Device, SubjectName::Server, SubjectName::Client];
    assert_eq!(subjects.map(json), ["device", "server", "client"].map(json));
    assert_eq!([0, 1, 2].map(|kind| metric_kind(MetricKind(kind))), ["gauge", "counter", "histogram"]);
    let told = [0, 1, 2].map(|subject| SubjectName::from(Subject(subject)));
    assert_eq!(told, subjects);
}
