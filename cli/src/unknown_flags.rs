//! What is said when the command line cannot be read: flags of other benchmarks that are not here are answered with the
//! reason or the substitute, values that do not parse with plain words, and a tip is given only where it is likely.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use inferometer_model::{ExitCode, file::nearest};
use std::{
    error::Error as _,
    num::{IntErrorKind, ParseFloatError, ParseIntError},
};

const NO_DOWNLOADS: &str = "public data sets are not downloaded; fetch the file, and give it with --input-file and its \
                            --custom-dataset-type";
const NO_SWEEPS: &str = "repeats, sweeps and searches are not there yet; run once per value";
const ONE_PROCESS: &str = "everything is in one process, so there is nothing to set; leave it out";
const ONE_CORPUS: &str = "made-up prompts are made in one way; for texts of your own, give --input-file";
const FILES_ONLY: &str = "results go to files and to exporters of plugins; read profile_export_aiperf.json, or name an \
                          --exporter";

const NO_OUTPUTS: &str = "texts of answers are not kept; leave it out";
const NO_PLOTS: &str = "nothing is plotted unasked; leave it out";

/// Values of flags of `profile` that users of other benchmarks know, with the reason why they are not here.
const VALUES_ELSEWHERE: [(&str, &str, &str); 2] = [
    ("--export-level", "raw", "whole requests and answers are not kept; give records, which has a line per request"),
    (
        "--model-selection-strategy",
        "weighted",
        "models are asked in turn or by chance; name one several times in --model to ask it more often",
    ),
];

/// Flags of `profile` that users of other benchmarks know, with the reason why they are not here or what does it
/// instead. One that ends in `*` stands for all that begin so.
const ELSEWHERE: [(&str, &str); 37] = [
    ("--public-dataset", NO_DOWNLOADS),
    ("--hf-subset", NO_DOWNLOADS),
    ("--dataset-filter", NO_DOWNLOADS),
    ("--url-strategy", "sessions go to the --url in turn, each to one of them; leave it out"),
    ("--num-profile-runs", NO_SWEEPS),
    ("--profile-run-*", NO_SWEEPS),
    ("--sweep-*", NO_SWEEPS),
    ("--search-*", NO_SWEEPS),
    ("--slice-duration", "results are not cut into slices; cut them by the times in the records, profile_export.jsonl"),
    ("--export-http-trace", "the records have the times of each request already; read profile_export.jsonl"),
    (
        "--show-trace-timing",
        "the times of every stage of a request are measured always: http_req_* in the results; leave it out",
    ),
    ("--export-outputs-json", NO_OUTPUTS),
    ("--no-auto-plot", NO_PLOTS),
    ("--auto-plot", NO_PLOTS),
    (
        "--reset-kv-cache*",
        "the server's cache is not reset from here; do so before the run, such as by curl -X POST \
        http://host:8000/reset_prefix_cache, or keep it from knowing the prompts with --cache-bust",
    ),
    (
        "--server-profiler*",
        "the server's profiler is not steered from here; start and stop it beside the run, such as by curl \
        -X POST http://host:8000/start_profile",
    ),
    (
        "--network-latency-*",
        "nothing is taken off the latencies; the network's part is in http_req_connecting, and a run from \
        a machine beside the server is without it",
    ),
    (
        "--tokenizer-trust-remote-code",
        "no code of a tokenizer is ever run; give a folder with its tokenizer.json by --tokenizer",
    ),
    ("--image-source-sampling", "images of a folder are drawn by --random-seed; leave it out"),
    ("--zmq-*", ONE_PROCESS),
    ("--record-processors", ONE_PROCESS),
    ("--record-processor-*", ONE_PROCESS),
    ("--log-level", "notes and warnings are always shown, and there is no log besides; leave it out"),
    ("--verbose", "notes and warnings are always shown, and there is no log besides; leave it out"),
    ("--extra-verbose", "notes and warnings are always shown, and there is no log besides; leave it out"),
    ("-v", "notes and warnings are always shown, and there is no log besides; leave it out"),
    ("-vv", "notes and warnings are always shown, and there is no log besides; leave it out"),
    ("--prompt-corpus", ONE_CORPUS),
    ("--random-corpus-style", ONE_CORPUS),
    ("--video-*", "no videos are made up; give --input-file with rows whose `video` names one"),
    ("--batch-size-video", "no videos are made up; give --input-file with rows whose `video` names one"),
    ("--api-port", "a run is not steered over a network; Ctrl-C ends it with the results of what was sent"),
    ("--api-host", "a run is not steered over a network; Ctrl-C ends it with the results of what was sent"),
    ("--otel*", FILES_ONLY),
    ("--mlflow*", FILES_ONLY),
    ("--wandb*", FILES_ONLY),
    ("--accuracy-*", "answers are timed and not judged; measure their quality with a tool made for it"),
];

/// Ends the program with what is to be said of `error`; help and versions are such errors too.
pub(crate) fn exit(mut error: clap::Error) -> ! {
    let is_of_a_run = std::env::args().nth(1).is_some_and(|command| ["profile", "bundle"].contains(&command.as_str()));
    match said(&mut error, is_of_a_run) {
        Some(text) => {
            eprintln!("error: {text}");
            std::process::exit(ExitCode::Usage as i32)
        }
        None => error.exit(),
    }
}

/// What to say in place of the parser's text, if anything; tips that are not likely are taken out of that.
fn said(error: &mut clap::Error, is_of_a_run: bool) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::UnknownArgument => {
            if let Some(reason) = reason(&argument).filter(|_| is_of_a_run) {
                return Some(format!("{argument} is not a flag here: {reason}"));
            }
            let bare = |flag: &str| flag.trim_start_matches('-').to_owned();
            let tip = context(ContextKind::SuggestedArg).map(|tip| bare(&tip));
            if tip.is_some_and(|tip| nearest(&bare(&argument), [tip.as_str()].into_iter()).is_empty()) {
                error.remove(ContextKind::SuggestedArg);
            }
            None
        }
        ErrorKind::InvalidValue if is_of_a_run => {
            let value = context(ContextKind::InvalidValue)?;
            let flag = argument.split([' ', '=']).next().unwrap_or(&argument);
            if flag == "--transport" {
                return Some(format!("--transport {}: only http is spoken here; leave it out", shown(&value)));
            }
            let (.., reason) =
                VALUES_ELSEWHERE.iter().find(|(of, known, _)| (*of, *known) == (flag, value.as_str()))?;
            Some(format!("{flag} {value}: {reason}"))
        }
        ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue)?;
            let flag = argument.split([' ', '=']).next().unwrap_or(&argument);
            Some(format!("{flag} {}: {}", shown(&value), why(error.source()?)))
        }
        _ => None,
    }
}

/// Why there is no such flag.
fn reason(flag: &str) -> Option<&'static str> {
    let is_meant = |name: &str| match name.strip_suffix('*') {
        Some(beginning) => flag.starts_with(beginning),
        None => flag == name,
    };
    ELSEWHERE.iter().find(|(name, _)| is_meant(name)).map(|(_, reason)| *reason)
}

/// What is wrong with a value, in plain words.
fn why(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<ParseIntError>() {
        return match error.kind() {
            IntErrorKind::Empty => "is empty; write a whole number".to_owned(),
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "is too large; write a smaller number".to_owned(),
            _ => "is not a whole number from 0 on; write one such as 4".to_owned(),
        };
    }
    if error.is::<ParseFloatError>() {
        return "is not a number; write one such as 4 or 0.5".to_owned();
    }
    error.to_string()
}

fn shown(value: &str) -> String {
    value.chars().flat_map(visible).collect()
}

/// The character, or its escape where a terminal would obey it.
fn visible(c: char) -> impl Iterator<Item = char> {
    let (shown, escaped) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    shown.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Args, taking_negative_numbers};
    use clap::CommandFactory as _;

    /// What is said of a command line that cannot be read: our text, or the parser's.
    fn answer(words: &[&str]) -> String {
        let words = ["inferometer"].into_iter().chain(words.iter().copied());
        let command = taking_negative_numbers(Args::command());
        let mut error = command.try_get_matches_from(words).expect_err("it cannot be read");
        said(&mut error, true).unwrap_or_else(|| error.to_string())
    }

    #[test]
    fn the_parser_takes_the_definition_of_the_commands() {
        taking_negative_numbers(Args::command()).debug_assert();
    }

    #[test]
    fn flags_of_other_benchmarks_are_answered_with_a_reason_or_a_substitute() {
        for (words, expected) in [
            (&["--public-dataset", "sharegpt"][..], "--input-file"),
            (&["--url-strategy", "round_robin"], "in turn"),
            (&["--search-space", "x"], "once per value"),
            (&["--zmq-host", "x"], "one process"),
            (&["--log-level=debug"], "always shown"),
            (&["-v"], "always shown"),
            (&["--accuracy-benchmark", "mmlu"], "not judged"),
            (&["--show-trace-timing"], "http_req_"),
            (&["--reset-kv-cache-path", "/x"], "/reset_prefix_cache"),
            (&["--server-profiler"], "/start_profile"),
            (&["--network-latency-automatic"], "http_req_connecting"),
            (&["--export-outputs-json"], "not kept"),
            (&["--no-auto-plot"], "plotted"),
            (&["--tokenizer-trust-remote-code"], "tokenizer.json"),
            (&["--image-source-sampling", "random"], "--random-seed"),
            (&["--export-level", "raw"], "records"),
            (&["--model-selection-strategy", "weighted"], "in turn"),
            (&["--transport", "grpc"], "only http"),
        ] {
            let said = answer(&[&["profile"], words].concat());
            let flag = words[0].split('=').next().unwrap();
            assert!(said.starts_with(flag) && said.contains(expected), "{said}");
        }
    }

    #[test]
    fn none_of_those_is_a_flag_of_ours() {
        let command = Args::command();
        let profile = command.find_subcommand("profile").unwrap();
        for argument in profile.get_arguments() {
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            let hidden = argument.get_all_aliases().unwrap_or_default();
            for name in names.into_iter().chain(hidden) {
                assert_eq!(reason(&format!("--{name}")), None, "{name}");
            }
        }
    }

    #[test]
    fn the_one_transport_there_is_may_be_named() {
        for words in [["--transport", "http"], ["--transport-type", "http"]] {
            let words = ["inferometer", "profile"].into_iter().chain(words);
            assert!(Args::command().try_get_matches_from(words).is_ok());
        }
    }

    #[test]
    fn a_tip_is_given_only_where_it_is_likely() {
        assert!(answer(&["profile", "--concurency", "4"]).contains("'--concurrency'"));
        let said = answer(&["profile", "--upside-down", "4"]);
        assert!(said.contains("--upside-down") && !said.contains("tip:"), "{said}");
    }

    #[test]
    fn values_are_named_with_their_flag_and_in_plain_words() {
        for (words, expected) in [
            (&["profile", "--request-count", "-5"][..], "--request-count -5: '-5' is not a count"),
            (&["profile", "--concurrency", "1,2,4"], "--concurrency 1,2,4: '1,2,4' is a list"),
            (&["profile", "--benchmark-duration", "-1"], "--benchmark-duration -1: '-1' is not a time"),
            (&["profile", "--random-seed", "x"], "--random-seed x: is not a whole number"),
            (&["profile", "--random-seed", "99999999999999999999"], "is too large"),
            (&["mock", "--ttft-ms", "soon"], "--ttft-ms soon: is not a number"),
            (&["mock", "--tokens-per-chunk", "-1"], "--tokens-per-chunk -1: is not a whole number"),
            (&["plugins", "check", "x", "--timeout", "-3"], "--timeout -3"),
            (&["profile", "--request-count", "\u{1b}[2J"], "\\u{1b}[2J"),
        ] {
            let said = answer(words);
            assert!(said.contains(expected), "{said} should hold {expected}");
        }
    }
}
