//! The files of a streamed run have everything that those of AIPerf 0.13 have, in the same shape: whatever reads one
//! reads the other. `../data/` holds the files of a real run of AIPerf with the same settings.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::run::Outcome;
use serde_json::Value;

const SUMMARY: &str = include_str!("../data/profile_export_aiperf.json");
const RECORDS: &str = include_str!("../data/profile_export.head3.jsonl");
const INPUTS: &str = include_str!("../data/inputs.head.json");
const TABLE: &str = include_str!("../data/profile_export_aiperf.csv");

/// The sample's settings, against the mock.
static RUN: LazyLock<Outcome> = LazyLock::new(|| {
    let mock = Mock::start(MockConfig { ttft_ms: 4.0, itl_ms: 0.5, ..MockConfig::default() });
    let words = "--endpoint-type chat --streaming --concurrency 4 --request-count 24 --isl 64 --osl 16 --ui none";
    mock.profile().args(words.split_whitespace()).run().expect_code(0)
});

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The JSON type of a value.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Every place of the sample that `found` lacks or fills with another type or unit. Of a list the first entry stands
/// for all.
fn differences(path: &str, sample: &Value, found: Option<&Value>, out: &mut Vec<String>) {
    let Some(found) = found else {
        out.push(format!("{path} is missing"));
        return;
    };
    match (sample, found) {
        (Value::Object(sample), Value::Object(found)) => {
            for (key, value) in sample {
                differences(&format!("{path}/{key}"), value, found.get(key), out);
            }
        }
        (Value::Array(sample), Value::Array(found)) => {
            if let Some(first) = sample.first() {
                differences(&format!("{path}/[]"), first, found.first(), out);
            }
        }
        (Value::String(unit), Value::String(own)) if path.ends_with("/unit") && unit != own => {
            out.push(format!("{path} is '{own}', not '{unit}'"));
        }
        _ if shape(sample) == shape(found) => {}
        _ => out.push(format!("{path} is of type {}, not {}", shape(found), shape(sample))),
    }
}

fn assert_no_differences(sample: &Value, found: &Value) {
    let mut differences_found = Vec::new();
    differences("", sample, Some(found), &mut differences_found);
    assert!(differences_found.is_empty(), "{differences_found:#?}");
}

#[test]
fn the_summary_has_every_key_of_the_sample_with_its_type_and_unit() {
    assert_no_differences(&parse(SUMMARY), &RUN.json("profile_export_aiperf.json"));
}

#[test]
fn the_summary_counts_whole_things_in_whole_numbers_and_knows_no_null() {
    let summary = RUN.json("profile_export_aiperf.json");
    for (tag, metric) in summary.as_object().expect("an object") {
        if let Some(count) = metric.get("count") {
            assert!(count.is_u64(), "{tag}: {count}");
        }
    }
    assert!(!RUN.text("profile_export_aiperf.json").contains("null"));
    for time in ["start_time", "end_time"] {
        let time = summary[time].as_str().expect("a time is a text");
        assert!(time.ends_with('Z'), "{time} does not say its time zone");
    }
}

#[test]
fn each_line_per_request_has_every_key_of_the_sample_with_its_type_and_unit() {
    let lines = RUN.jsonl("profile_export.jsonl");
    assert_eq!(lines.len(), 24);
    for sample in RECORDS.lines().map(parse) {
        for line in &lines {
            assert_no_differences(&sample, line);
        }
    }
}

#[test]
fn requests_are_identified_by_uuids_and_their_stamps_are_in_order() {
    for line in RUN.jsonl("profile_export.jsonl") {
        let metadata = &line["metadata"];
        for key in ["x_request_id", "x_correlation_id", "root_correlation_id"] {
            let id = metadata[key].as_str().expect("an identifier is a text");
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{key}: {id}");
            assert!(id.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')), "{key}: {id}");
            // The variant that RFC 9562 describes.
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{key}: {id}");
        }
        let stamps = ["credit_issued_ns", "request_start_ns", "request_ack_ns", "request_end_ns"]
            .map(|key| metadata[key].as_u64().expect("a stamp is whole nanoseconds"));
        assert!(stamps.is_sorted(), "{metadata}");
    }
}

#[test]
fn the_table_has_every_row_of_the_sample_under_the_same_columns() {
    let table = RUN.text("profile_export_aiperf.csv");
    // The header of each part, and the name of each row: no name of the sample holds a comma or a quote.
    let names = |text: &str| -> BTreeSet<String> {
        let header = |line: &str| line.starts_with("Metric,") || line.starts_with("Endpoint,");
        let name = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
        text.lines().map(|line| if header(line) { line.to_owned() } else { name(line) }).collect()
    };
    let missing: Vec<String> = names(TABLE).difference(&names(&table)).cloned().collect();
    assert!(missing.is_empty(), "{missing:#?}");
    // Each row has as many cells as the header of its part.
    let mut width = 0;
    for line in table.lines().filter(|line| !line.is_empty()) {
        let cells = line.split(',').count();
        if line.starts_with("Metric,") || line.starts_with("Endpoint,") {
            width = cells;
        }
        assert_eq!(cells, width, "{line}");
    }
}

#[test]
fn the_inputs_hold_each_session_with_its_bodies_as_they_were_sent() {
    let inputs = RUN.json("inputs.json");
    assert_no_differences(&parse(INPUTS), &inputs);
    let sessions = inputs["data"].as_array().expect("a list of sessions");
    assert_eq!(sessions.len(), 24);
    let named: BTreeSet<Option<&str>> = sessions.iter().map(|session| session["session_id"].as_str()).collect();
    let lines = RUN.jsonl("profile_export.jsonl");
    let used: BTreeSet<Option<&str>> = lines.iter().map(|line| line["metadata"]["conversation_id"].as_str()).collect();
    assert_eq!(named, used);
}

#[test]
fn the_files_can_be_given_another_stem_and_the_lines_per_request_left_out() {
    let mock = Mock::start(MockConfig::default());
    let words = "--request-count 2 --isl 10 --osl 4 --profile-export-prefix mine --export-level summary";
    let outcome = mock.profile().args(words.split_whitespace()).run().expect_code(0);
    let of_telemetry = ["mine_client_telemetry.jsonl", "mine_server_metrics.csv", "mine_server_metrics.json"];
    assert_eq!(outcome.artifacts(), [&["inputs.json", "mine.csv", "mine.json"][..], &of_telemetry].concat());
}
