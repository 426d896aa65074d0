//! Names of the result files, relative to the artifact folder.

use inferometer_plugin_sdk::documents::Export;

/// The request bodies; no prefix changes this name, for it is what a later run reads as its data set.
pub(crate) const INPUTS: &str = "inputs.json";

/// Endings of result files, longer ones before those they end with: a prefix may be given as one of its files.
const ENDINGS: [&str; 15] = [
    "_client_telemetry.jsonl",
    "_gpu_telemetry.jsonl",
    "_network_latency.jsonl",
    "_server_metrics.jsonl",
    "_server_metrics.json",
    "_server_metrics.csv",
    "_server_metrics.parquet",
    "_timeslices.json",
    "_timeslices.csv",
    "_accuracy.jsonl",
    "_console.txt",
    "_raw.jsonl",
    ".jsonl",
    ".json",
    ".csv",
];

/// The summary as JSON.
pub(crate) fn json(export: &Export) -> String {
    named(export, "profile_export_aiperf", ".json")
}

/// The summary as CSV.
pub(crate) fn csv(export: &Export) -> String {
    named(export, "profile_export_aiperf", ".csv")
}

/// One line per request.
pub(crate) fn records(export: &Export) -> String {
    named(export, "profile_export", ".jsonl")
}

/// One line per reading of a GPU.
pub(crate) fn gpu_telemetry(export: &Export) -> String {
    beside(export, "gpu_telemetry", ".jsonl")
}

/// One line per reading of the machine that makes the load.
pub(crate) fn client_telemetry(export: &Export) -> String {
    beside(export, "client_telemetry", ".jsonl")
}

/// What the server says of itself, in a file that ends in `.json`, `.csv` or `.jsonl`.
pub(crate) fn server_metrics(export: &Export, ending: &str) -> String {
    beside(export, "server_metrics", ending)
}

/// `what_export.ending`, or `prefix_what.ending`.
fn beside(export: &Export, what: &str, ending: &str) -> String {
    match stem(export) {
        "" => format!("{what}_export{ending}"),
        stem => format!("{stem}_{what}{ending}"),
    }
}

fn named(export: &Export, default_stem: &str, ending: &str) -> String {
    let stem = match stem(export) {
        "" => default_stem,
        stem => stem,
    };
    format!("{stem}{ending}")
}

/// The prefix without the ending it may have been given with.
fn stem(export: &Export) -> &str {
    let prefix = export.prefix.as_deref().unwrap_or_default();
    let known = ENDINGS.iter().find_map(|ending| prefix.strip_suffix(ending));
    known.unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_prefix(prefix: &str) -> Export {
        Export { prefix: Some(prefix.to_owned()), ..Export::default() }
    }

    #[test]
    fn without_a_prefix_the_files_have_their_usual_names() {
        for export in [Export::default(), with_prefix(""), with_prefix(".json")] {
            assert_eq!(json(&export), "profile_export_aiperf.json");
            assert_eq!(csv(&export), "profile_export_aiperf.csv");
            assert_eq!(records(&export), "profile_export.jsonl");
            assert_eq!(gpu_telemetry(&export), "gpu_telemetry_export.jsonl");
            assert_eq!(client_telemetry(&export), "client_telemetry_export.jsonl");
            assert_eq!(server_metrics(&export, ".csv"), "server_metrics_export.csv");
        }
    }

    #[test]
    fn a_prefix_replaces_the_stem_and_may_be_given_with_a_known_ending() {
        for prefix in ["foo", "foo.json", "foo.csv", "foo.jsonl", "foo_raw.jsonl", "foo_server_metrics.parquet"] {
            let export = with_prefix(prefix);
            assert_eq!(json(&export), "foo.json", "{prefix}");
            assert_eq!(csv(&export), "foo.csv", "{prefix}");
            assert_eq!(records(&export), "foo.jsonl", "{prefix}");
            assert_eq!(gpu_telemetry(&export), "foo_gpu_telemetry.jsonl", "{prefix}");
            assert_eq!(client_telemetry(&export), "foo_client_telemetry.jsonl", "{prefix}");
            assert_eq!(server_metrics(&export, ".json"), "foo_server_metrics.json", "{prefix}");
        }
        assert_eq!(json(&with_prefix("v1.2")), "v1.2.json", "only known endings are cut");
    }
}
