//! The documents of every version, as it wrote them, in this version's types.

use inferometer_plugin_sdk::documents;
use inferometer_tests::compat;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// What a document of `name` is after this version has read and written it.
fn through<T: Serialize + DeserializeOwned>(name: &str, text: &str) -> Value {
    let document: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(document).expect("documents are JSON")
}

/// The same of all kept documents, by file.
fn document(name: &str, text: &str) -> Value {
    match name {
        "endpoint_info" => through::<documents::EndpointInfo>(name, text),
        "dataset_request" => through::<documents::DatasetRequest>(name, text),
        "dataset_info" => through::<documents::DatasetInfo>(name, text),
        "run" => through::<documents::Run>(name, text),
        "report" => through::<documents::Report>(name, text),
        "telemetry_source" => through::<documents::TelemetrySource>(name, text),
        "defaults" => defaults(),
        _ => panic!("no document of this interface is kept as {name}.json"),
    }
}

/// What each part of a document is while nothing is said of it.
fn defaults() -> Value {
    macro_rules! of {
        ($($part:ident)*) => { Value::Object([$((stringify!($part).to_owned(), json!(documents::$part::default()))),*].into_iter().collect()) };
    }
    of!(EndpointInfo DatasetRequest Length LengthPair RangeRatio PrefixRequest ImageRequest AudioRequest TraceRequest
        DatasetInfo Run Export Terminal MetricInfo MetricResult Stats Report Verdict
        PhaseReport Precision Outcomes LoadReport ErrorGroup TelemetrySource TelemetryMetric TelemetryEntity Series
        Increase Histogram Bucket)
}

/// Fails with `why` unless all of `part` is in `whole`, which may hold more fields.
fn assert_holds(whole: &Value, part: &Value, place: &str, why: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                let place = format!("{place}.{key}");
                let found = whole.get(key).unwrap_or_else(|| panic!("{place} is missing; {why}"));
                assert_holds(found, value, &place, why);
            }
        }
        (Value::Array(whole), Value::Array(part)) if whole.len() == part.len() => {
            whole.iter().zip(part).for_each(|(whole, part)| assert_holds(whole, part, place, why));
        }
        _ => assert_eq!(whole, part, "{place} differs; {why}"),
    }
}

#[test]
fn documents_of_every_version_are_read_and_written_as_they_were() {
    let mut versions = BTreeMap::new();
    for folder in fs::read_dir(compat::kept()).expect("the folder is kept") {
        let folder = folder.expect("it can be read").path();
        let version = folder.file_name().expect("entries have names").to_string_lossy().into_owned();
        let Some(minor) = version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok()) else { continue };
        let files = fs::read_dir(folder.join("documents")).expect("each version keeps its documents");
        let files = files.map(|file| file.expect("it can be read").path()).map(|path| {
            let name = path.file_stem().expect("files have names").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("it can be read"))
        });
        versions.insert(minor, files.collect::<BTreeMap<_, _>>());
    }
    assert!(versions.len() >= 2, "{versions:?}");
    for (minor, files) in &versions {
        for (name, text) in files {
            let kept: Value = serde_json::from_str(text).expect("it is JSON");
            let why = "what was released is never renamed, taken away or written in another way";
            assert_holds(&document(name, text), &kept, &format!("{name} of 1.{minor}"), why);
        }
    }
    // What is new has to be kept as well, with the version that brings it.
    let (minor, files) = versions.last_key_value().expect("there are some");
    for (name, text) in files {
        let kept: Value = serde_json::from_str(text).expect("it is JSON");
        let why = format!("what is new is kept too, in tests/compat/1.{minor}/documents");
        assert_holds(&kept, &document(name, text), name, &why);
    }
}
