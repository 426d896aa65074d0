//! Plugins that do wrong on purpose. None of them ends a run that can go on, none keeps a run from ending, and none goes
//! unsaid: the user reads which component it was, in which call, and what it did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use inferometer_mock::MockConfig;
use inferometer_tests::binary;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::{Outcome, Program, Running};

/// Far more than any of these runs takes; one that hangs fails before the others of this file are done.
const LIMIT: Duration = Duration::from_secs(40);

/// Requests of a run that nothing goes wrong in.
const ALL: u64 = 24;

const COMPONENTS: [&str; 5] = ["wrong-endpoint", "wrong-timing", "wrong-dataset", "wrong-exporter", "wrong-collector"];

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| binary::example_plugin("inferometer-misbehaving"));

/// What a component does wrong: in which call, how, and after how many that go well.
#[derive(Clone, Copy)]
struct Wrong<'a> {
    component: &'a str,
    when: &'a str,
    how: &'a str,
    after: u32,
}

fn wrong<'a>(component: &'a str, when: &'a str, how: &'a str) -> Wrong<'a> {
    Wrong { component, when, how, after: 0 }
}

impl Wrong<'_> {
    fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }

    /// The flags that put the component to use.
    fn flags(self) -> &'static str {
        match self.component {
            "wrong-endpoint" => "--endpoint-type wrong-endpoint",
            "wrong-timing" => "--arrival-pattern wrong-timing",
            "wrong-dataset" => "--custom-dataset-type wrong-dataset",
            "wrong-exporter" => "--exporter wrong-exporter",
            "wrong-collector" => "--collector wrong-collector",
            other => panic!("no component is called {other}"),
        }
    }

    /// A run with it, of 24 requests and four at a time unless `more` says otherwise.
    fn program(self, mock: &Mock, more: &str) -> Program {
        let Self { component, when, how, after } = self;
        let mut program = mock.profile().within(LIMIT).arg("--plugin").arg(&*LIBRARY);
        for option in [format!("when={when}"), format!("how={how}"), format!("after={after}")] {
            program = program.args(["--plugin-option", &format!("{component}.{option}")]);
        }
        let others = "--no-server-metrics --no-gpu-telemetry --no-client-telemetry";
        let load = format!("--concurrency 4 --isl 10 --osl 6 {others} {} {more}", self.flags());
        let is_bounded = ["--benchmark-duration", "--request-count"].iter().any(|flag| more.contains(flag));
        let count = if is_bounded { String::new() } else { format!("--request-count {ALL}") };
        program.args(load.split_whitespace()).args(count.split_whitespace())
    }

    fn run(self, more: &str) -> Outcome {
        let mock = Mock::start(MockConfig::default());
        self.program(&mock, more).run()
    }

    /// Starts a run that goes on until the component blocks, and for ever from then on.
    fn blocks(self, mock: &Mock, more: &str) -> Running {
        let mut running = self.program(mock, more).start();
        let line = format!("blocks on purpose in {}", self.when);
        running.wait_until(|running| running.stderr().contains(&line));
        running
    }

    /// Expects a whole run in spite of a collector, and a note that names it, in `words`.
    fn is_noted(self, words: &[&str]) {
        let outcome = self.run("").expect_code(0);
        let results = all_measured(&outcome);
        let notes = results.summary["inferometer"]["notes"].as_array().expect("the summary has notes");
        let about = notes.iter().filter_map(|note| note.as_str()).find(|note| note.contains(self.component));
        let note = about.unwrap_or_else(|| panic!("{} {}: nothing of it in {notes:?}", self.when, self.how));
        for word in words {
            assert!(note.contains(word), "{} {}: no '{word}' in: {note}", self.when, self.how);
        }
    }

    /// Expects the run to be refused with all of `words` before anything is sent.
    fn is_refused(self, more: &str, words: &[&str]) {
        let mock = Mock::start(MockConfig::default());
        let outcome = self.program(&mock, more).run().expect_code(2);
        let last = outcome.stderr.lines().rfind(|line| line.starts_with("error: "));
        let said = last.unwrap_or_else(|| panic!("no error in: {}", outcome.stderr));
        for word in words.iter().chain([&self.component]) {
            assert!(said.contains(word), "no '{word}' in: {said}");
        }
        assert!(mock.stop().is_empty(), "{} {}: a request was sent", self.when, self.how);
    }

    /// Expects the run to go on to its end, so many requests to fail, and a failure to be told in `words`.
    fn fails_requests(self, more: &str, failed: u64, words: &[&str]) {
        let ok = ALL - failed;
        let outcome = self.run(more).expect_code(if ok == 0 { 3 } else { 0 });
        let results = Results::of(&outcome);
        assert_eq!(results.outcomes(), Outcomes { total: ALL, ok, error: failed, ..Outcomes::default() }, "{words:?}");
        assert_eq!(results.errors(), BTreeMap::from([("plugin".to_owned(), failed)]), "{words:?}");
        let messages: Vec<_> = results.records.iter().filter_map(|record| record.error.as_ref()).collect();
        assert_eq!(messages.len() as u64, failed);
        for word in words {
            assert!(messages.iter().any(|error| error.message.contains(word)), "no '{word}' in {messages:?}");
            assert!(outcome.says(word), "no '{word}' in {}", outcome.stdout);
        }
    }

    /// Expects the phase to end early with `ok` good requests or, if none is given, with some; and the reason in `words`.
    fn ends_its_phase(self, more: &str, code: i32, ok: Option<u64>, words: &[&str]) {
        let outcome = self.run(more).expect_code(code);
        let results = Results::of(&outcome);
        let outcomes = results.outcomes();
        assert_eq!(outcomes.total, outcomes.ok, "what was sent is measured: {outcomes:?}");
        assert!(ok.map_or(outcomes.ok > 0 && outcomes.ok < ALL, |ok| outcomes.ok == ok), "{outcomes:?}");
        assert_ne!(results.summary["inferometer"]["verdict"]["state"], "valid");
        let reason = results.summary["incomplete_reason"].as_str().expect("the run is not complete").to_owned();
        for word in words.iter().chain([&self.component]) {
            assert!(reason.contains(word), "no '{word}' in: {reason}");
            assert!(outcome.says(word), "no '{word}' in: {}", outcome.stdout);
        }
    }
}

/// The results of a run that nothing went wrong in, but for what it does with them.
fn all_measured(outcome: &Outcome) -> Results {
    let results = Results::of(outcome);
    assert_eq!(results.outcomes(), Outcomes { total: ALL, ok: ALL, ..Outcomes::default() });
    assert!(outcome.artifact("profile_export_aiperf.csv").exists());
    results
}

#[test]
fn each_component_serves_a_whole_run_as_long_as_nothing_is_wrong() {
    for component in COMPONENTS {
        let outcome = wrong(component, "", "").run("--streaming").expect_code(0);
        let _ = all_measured(&outcome);
        assert!(outcome.text("profile_export_aiperf.json").contains(component));
    }
}

#[test]
fn a_component_that_cannot_be_made_is_refused_before_the_run() {
    for component in COMPONENTS {
        wrong(component, "create", "panic").is_refused("", &["panicked", "on purpose in create"]);
        wrong(component, "create", "fail").is_refused("", &["failed on purpose in create"]);
    }
}

#[test]
fn what_goes_wrong_before_the_load_is_told_with_the_call_and_nothing_is_sent() {
    for (component, call) in [
        ("wrong-endpoint", "info"),
        ("wrong-endpoint", "encode"),
        ("wrong-timing", "start"),
        ("wrong-dataset", "open"),
        ("wrong-dataset", "session"),
    ] {
        wrong(component, call, "panic").is_refused("", &["panicked", &format!("on purpose in {call}")]);
    }
    wrong("wrong-endpoint", "info", "no_slash").is_refused("", &["'v1/completions'", "begins with a slash"]);
    wrong("wrong-endpoint", "encode", "fail").after(7).is_refused("", &["session ", "failed on purpose in encode"]);
    wrong("wrong-dataset", "session", "fail").after(5).is_refused("", &["session 5", "failed on purpose in session"]);
    wrong("wrong-dataset", "session", "panic").after(5).is_refused("", &["session, session 5", "panicked"]);
    wrong("wrong-dataset", "session", "empty").after(5).is_refused("", &["session 5", "holds no request"]);
}

#[test]
fn a_data_set_with_nothing_in_it_or_without_an_end_is_refused() {
    wrong("wrong-dataset", "open", "empty").is_refused("", &["holds no request", "at least one session"]);
    wrong("wrong-dataset", "open", "huge").is_refused("", &["has 1000000000000 sessions", "at most 10000000"]);
    wrong("wrong-dataset", "session", "long").after(3).is_refused("", &["session 3", "more than 100000 turns"]);
}

#[test]
fn an_endpoint_that_panics_fails_its_requests_from_then_on_and_the_run_goes_on() {
    let body = wrong("wrong-endpoint", "on_body", "panic");
    body.fails_requests("", ALL, &["endpoint 'wrong-endpoint': on_body panicked: on purpose in on_body"]);
    body.after(10).fails_requests("", ALL - 10, &["on_body panicked: on purpose in on_body"]);
    let event = wrong("wrong-endpoint", "on_event", "panic");
    event.fails_requests("--streaming", ALL, &["endpoint 'wrong-endpoint': on_event panicked"]);
    // Of four streams of seven events each some are over, and the others are not.
    let outcome = event.after(60).run("--streaming").expect_code(0);
    let outcomes = Results::of(&outcome).outcomes();
    assert!(outcomes.ok > 0 && outcomes.error > 0 && outcomes.ok + outcomes.error == ALL, "{outcomes:?}");
}

#[test]
fn an_endpoint_that_says_what_cannot_be_fails_the_request_it_says_it_of() {
    let event = |how| wrong("wrong-endpoint", "on_event", how);
    let body = |how| wrong("wrong-endpoint", "on_body", how);
    event("outside").fails_requests("--streaming", ALL, &["named bytes outside the event"]);
    event("outside_scratch").fails_requests("--streaming", ALL, &["named bytes outside the event"]);
    event("outside_error").fails_requests("--streaming", ALL, &["named bytes outside the event"]);
    event("unknown_code").fails_requests(
        "--streaming",
        ALL,
        &["endpoint 'wrong-endpoint': on_event failed with code 77"],
    );
    body("outside").after(3).fails_requests("", ALL - 3, &["named bytes outside the event"]);
    body("fail").after(3).fails_requests(
        "",
        ALL - 3,
        &["endpoint 'wrong-endpoint': on_body: failed on purpose in on_body"],
    );
    body("several").fails_requests("", ALL, &["asked for 2 exchanges at once"]);
    body("bad_next").fails_requests("", ALL, &["the path \"no slash\" cannot be sent"]);
}

#[test]
fn an_endpoint_cannot_put_lines_of_its_own_into_a_requests_head() {
    for (how, words) in [("bad_method", "the method"), ("bad_path", "the path"), ("bad_header", "the header \"X\"")] {
        wrong("wrong-endpoint", "encode", how).fails_requests("", ALL, &[words, "cannot be sent"]);
    }
}

#[test]
fn an_endpoint_that_asks_for_one_exchange_after_another_is_stopped() {
    let mock = Mock::start(MockConfig::default());
    let program = wrong("wrong-endpoint", "on_body", "endless").program(&mock, "--request-count 2");
    let outcome = program.run().expect_code(3);
    let results = Results::of(&outcome);
    assert_eq!(results.errors(), BTreeMap::from([("plugin".to_owned(), 2)]));
    assert!(outcome.says("more than 10000 exchanges"), "{}", outcome.stdout);
    let asked = mock.stop();
    assert_eq!(asked.iter().filter(|truth| truth.path == "/v1/completions").count(), 2);
}

#[test]
fn an_endpoint_that_puts_its_next_exchange_off_for_ever_runs_into_the_time_limit() {
    let outcome =
        wrong("wrong-endpoint", "on_body", "far").after(3).run("--request-timeout-seconds 0.2").expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.errors(), BTreeMap::from([("timeout".to_owned(), ALL - 3)]));
    let words = "waiting to send after 200ms (--request-timeout-seconds) (in exchange 2)";
    assert!(outcome.says(words), "{}", outcome.stdout);
}

#[test]
fn a_strategy_that_panics_or_fails_ends_its_phase_and_what_was_sent_is_measured() {
    let next = |how| wrong("wrong-timing", "next", how);
    next("panic").ends_its_phase("", 3, Some(0), &["next", "panicked: on purpose in next"]);
    next("panic").after(12).ends_its_phase("", 0, None, &["next", "panicked: on purpose in next"]);
    next("fail").after(12).ends_its_phase("", 0, None, &["next", "failed on purpose in next"]);
    next("unknown_step").after(12).ends_its_phase("", 0, None, &["next", "unknown kind 9"]);
    let on_flow = |how| wrong("wrong-timing", "on_flow", how);
    on_flow("panic").after(5).ends_its_phase("", 0, None, &["on_flow", "panicked: on purpose in on_flow"]);
    on_flow("fail").after(5).ends_its_phase("", 0, None, &["on_flow", "failed on purpose in on_flow"]);
}

#[test]
fn a_strategy_that_waits_for_nothing_ends_its_phase() {
    let next = |how| wrong("wrong-timing", "next", how);
    for how in ["wait_for_past", "wait_for_next_instant", "wait_for_ever", "park", "send_in_far_future"] {
        next(how).ends_its_phase("", 3, Some(0), &["next", "it waits"]);
        next(how).after(12).ends_its_phase("", 0, None, &["next", "it waits"]);
    }
}

#[test]
fn a_strategy_that_waits_for_nothing_is_ended_by_the_clock_where_there_is_one() {
    for how in ["wait_for_past", "wait_for_next_instant", "wait_for_ever", "park", "send_in_far_future"] {
        let outcome = wrong("wrong-timing", "next", how).after(12).run("--benchmark-duration 0.5").expect_code(0);
        let outcomes = Results::of(&outcome).outcomes();
        assert!(outcomes.ok > 0 && outcomes.ok == outcomes.total, "{how}: {outcomes:?}");
    }
}

#[test]
fn a_strategy_that_never_ends_is_ended_by_the_count_and_its_sessions_are_those_there_are() {
    for how in ["endless", "out_of_nothing"] {
        let outcome = wrong("wrong-timing", "next", how).run("").expect_code(0);
        let _ = all_measured(&outcome);
    }
}

/// Its arrivals have no end, so what it missed is counted as far as can be, and the accounts hold.
#[test]
fn a_strategy_that_never_ends_is_ended_by_the_clock_and_its_missed_arrivals_are_counted_up_to_a_limit() {
    for how in ["endless", "crawl"] {
        let outcome = wrong("wrong-timing", "next", how).run("--benchmark-duration 0.3").expect_code(0);
        let results = Results::of(&outcome);
        let Outcomes { total, ok, error, cancelled, dropped } = results.outcomes();
        assert!(ok > 0 && dropped > 0 && ok + dropped == total, "{how}: {:?}", results.outcomes());
        assert_eq!((error, cancelled), (0, 0));
        let reason = results.summary["incomplete_reason"].as_str().expect("not all was counted").to_owned();
        assert!(reason.contains("next of 'wrong-timing'") && reason.contains("could be counted"), "{how}: {reason}");
        assert_ne!(results.summary["inferometer"]["verdict"]["state"], "valid");
    }
}

#[test]
fn a_strategy_that_never_ends_can_be_interrupted_and_fills_no_memory() {
    let mock = Mock::start(MockConfig { ttft_ms: 3_600_000.0, ..MockConfig::default() });
    let mut running = wrong("wrong-timing", "next", "endless").program(&mock, "--benchmark-duration 1h").start();
    running.wait_until(|_| mock.counter("mock_requests_running") == 4);
    running.terminate();
    let outcome = running.finish().expect_code(130);
    let outcomes = Results::of(&outcome).outcomes();
    assert_eq!((outcomes.ok, outcomes.error, outcomes.cancelled), (0, 0, 4));
    assert!(outcomes.dropped <= 1 << 17, "so many wait for a slot at most: {outcomes:?}");
}

#[test]
fn an_exporter_that_panics_or_fails_is_named_and_the_others_write() {
    for call in ["begin", "records", "finish"] {
        for (how, words) in [("panic", "panicked: on purpose in"), ("fail", "failed on purpose in")] {
            let outcome = wrong("wrong-exporter", call, how).run("").expect_code(1);
            let _ = all_measured(&outcome);
            let line = outcome.stderr.lines().find(|line| line.starts_with("warning: exporter 'wrong-exporter'"));
            let line = line.unwrap_or_else(|| panic!("no warning in {}", outcome.stderr));
            assert!(line.contains(&format!("{words} {call}")), "{line}");
        }
    }
}

#[test]
fn an_exporter_cannot_write_outside_of_the_runs_folder_or_without_a_name() {
    for how in ["above", "absolute", "no_name"] {
        let outcome = wrong("wrong-exporter", "records", how).run("").expect_code(1);
        let _ = all_measured(&outcome);
        assert!(outcome.stderr.contains("would leave the artifact folder"), "{how}: {}", outcome.stderr);
        assert!(!outcome.folder().join("above.txt").exists());
        assert!(!PathBuf::from("/tmp/inferometer-misbehaving.txt").exists());
    }
}

#[test]
fn an_exporter_cannot_write_through_a_link_that_it_made() {
    let outcome = wrong("wrong-exporter", "records", "link").run("").expect_code(1);
    let _ = all_measured(&outcome);
    assert!(outcome.stderr.contains("'link' is a symbolic link"), "{}", outcome.stderr);
    assert!(outcome.artifact("link").is_symlink() && !outcome.folder().join("behind.txt").exists());
}

#[test]
fn an_exporter_cannot_write_over_anothers_file() {
    for call in ["begin", "records", "finish"] {
        let outcome = wrong("wrong-exporter", call, "same").run("").expect_code(1);
        let _ = all_measured(&outcome);
        let words =
            "warning: exporter 'wrong-exporter': 'profile_export_aiperf.json' is written by exporter 'json' already";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn an_exporter_that_blocks_is_left_behind_and_the_others_write() {
    for call in ["begin", "records", "finish", "drop"] {
        let outcome = wrong("wrong-exporter", call, "block").run("--export-timeout 1").expect_code(1);
        let _ = all_measured(&outcome);
        let words = "warning: exporter 'wrong-exporter': it has done nothing for 1 s and is left behind";
        assert!(outcome.stderr.contains(words), "{call}: {}", outcome.stderr);
    }
}

#[test]
fn whatever_a_collector_does_the_run_is_whole_and_its_note_names_it() {
    for call in ["describe", "collect"] {
        wrong("wrong-collector", call, "panic").is_noted(&[&format!("panicked: on purpose in {call}")]);
        wrong("wrong-collector", call, "fail").is_noted(&[&format!("failed on purpose in {call}")]);
        wrong("wrong-collector", call, "block").is_noted(&["does not answer"]);
    }
    wrong("wrong-collector", "collect", "panic").after(1).is_noted(&["panicked: on purpose in collect"]);
    wrong("wrong-collector", "collect", "fail").after(1).is_noted(&["failed on purpose in collect"]);
    wrong("wrong-collector", "collect", "block").after(1).is_noted(&["does not answer", "what it gave before is kept"]);
    for how in ["outside", "not_a_number"] {
        wrong("wrong-collector", "collect", how).is_noted(&["samples were of things it does not list, or no numbers"]);
    }
}

#[test]
fn what_blocks_before_the_load_is_ended_by_one_interrupt() {
    for (component, call) in [
        ("wrong-endpoint", "create"),
        ("wrong-endpoint", "encode"),
        ("wrong-dataset", "open"),
        ("wrong-dataset", "session"),
        ("wrong-timing", "start"),
    ] {
        let mock = Mock::start(MockConfig::default());
        let running = wrong(component, call, "block").blocks(&mock, "");
        running.interrupt();
        let _ = running.finish().expect_code(130);
        assert!(mock.stop().is_empty(), "{component} {call}: a request was sent");
    }
}

#[test]
fn what_blocks_a_worker_is_ended_by_a_second_interrupt() {
    for (component, call) in [("wrong-endpoint", "on_body"), ("wrong-timing", "next"), ("wrong-timing", "on_flow")] {
        let mock = Mock::start(MockConfig::default());
        let mut running = wrong(component, call, "block").after(5).blocks(&mock, "");
        running.interrupt();
        running.wait_until(|running| running.stderr().contains("once more: out at once"));
        running.interrupt();
        let _ = running.finish().expect_code(130);
    }
}

#[test]
fn a_collectors_destructor_that_blocks_keeps_no_results_back() {
    let outcome = wrong("wrong-collector", "drop", "block").run("").expect_code(0);
    let _ = all_measured(&outcome);
}

#[test]
fn a_panic_of_what_is_given_back_takes_nothing_away() {
    for component in COMPONENTS {
        let outcome = wrong(component, "drop", "panic").run("").expect_code(0);
        let _ = all_measured(&outcome);
        // A collector is given back on its own thread, for which nobody waits.
        let is_seen = component == "wrong-collector" || outcome.stderr.contains("on purpose in drop");
        assert!(is_seen, "{}", outcome.stderr);
    }
}

#[test]
fn options_that_cannot_be_described_are_told_of_and_do_not_disturb_the_list() {
    let plugins = |words: &[&str]| {
        let program = Program::new().within(LIMIT).arg("plugins").args(words).arg("--plugin").arg(&*LIBRARY);
        program.run()
    };
    assert!(plugins(&["list"]).expect_code(0).stdout.contains("wrong-schema"));
    let shown = plugins(&["show", "wrong-schema"]);
    assert_eq!(shown.code, Some(2), "{shown:?}");
    assert!(shown.stderr.contains("on purpose in json_schema"), "{}", shown.stderr);
}

/// There is no way to go on from an abort, and none to tell who it was: it ends the process, as a fault of memory would.
/// `plugins check` loads a library in a process of its own.
#[test]
fn an_abort_of_a_plugin_ends_the_program_at_once() {
    for (component, call) in [
        ("wrong-endpoint", "on_body"),
        ("wrong-timing", "next"),
        ("wrong-exporter", "records"),
        ("wrong-dataset", "open"),
    ] {
        let outcome = wrong(component, call, "abort").run("");
        assert_eq!(outcome.code, None, "a signal ends it: {outcome:?}");
    }
}
