//! A run that is stopped by the user keeps what it found, says that it is not the whole, and ends at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use inferometer_mock::MockConfig;
use inferometer_tests::mock::{Mock, Truth};
use inferometer_tests::results::Results;
use inferometer_tests::run::{Outcome, Program, Running};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

/// Slots of the runs here.
const SLOTS: u64 = 4;

/// A fifth of the answers pause for longer than any test, so that sooner or later every slot waits for one of them, and
/// then nothing moves any more.
fn stuck() -> Mock {
    Mock::start(MockConfig { stall_rate: 0.2, stall_ms: 3_600_000.0, ..MockConfig::default() })
}

/// Starts a run that would take hours, and returns when its slots all wait.
fn start(mock: &Mock) -> Running {
    let slots = SLOTS.to_string();
    let mut running = mock
        .profile()
        .args(["--streaming", "--concurrency", &slots, "--request-count", "100k", "--num-dataset-entries", "10"])
        .args(["--isl", "10", "--osl", "8"])
        .start();
    // One was answered and all slots wait: so an answer was read to its end, and some are missing.
    let one_was_answered = || mock.counter("mock_requests_total{outcome=\"ok\"}") > 0;
    running.wait_until(|_| one_was_answered() && mock.counter("mock_requests_running") == SLOTS);
    running
}

/// The files are there, the sums are exact, and the server's own log agrees.
fn kept(outcome: &Outcome, truth: &[Truth]) {
    let results = Results::of(outcome);
    let outcomes = results.outcomes();
    assert_eq!(outcomes.total, outcomes.ok + outcomes.error + outcomes.cancelled + outcomes.dropped, "{outcomes:?}");
    assert_eq!(outcomes.total, results.records.len() as u64);
    assert_eq!((outcomes.error, outcomes.dropped), (0, 0), "{outcomes:?}");
    assert!(outcomes.ok > 0 && (1..=SLOTS).contains(&outcomes.cancelled), "{outcomes:?}");
    let seen: BTreeMap<&str, &str> =
        truth.iter().map(|truth| (truth.x_request_id.as_str(), truth.outcome.as_str())).collect();
    assert_eq!(seen.len() as u64, outcomes.total);
    for record in &results.records {
        let ended = seen[record.metadata.x_request_id.as_str()];
        assert!(record.metadata.was_cancelled || ended == "ok", "{record:?} ended as {ended}");
    }
    assert_eq!(results.summary["was_cancelled"], true);
    assert_eq!(results.summary["is_complete"], false);
    assert_eq!(results.summary["incomplete_reason"], "interrupted by the user");
    assert_ne!(results.summary["inferometer"]["verdict"]["state"], "valid");
    assert!(outcome.stdout.contains(&format!("{} cancelled", outcomes.cancelled)), "{}", outcome.stdout);
    assert_eq!(
        outcome.artifacts(),
        [
            "client_telemetry_export.jsonl",
            "inputs.json",
            "profile_export.jsonl",
            "profile_export_aiperf.csv",
            "profile_export_aiperf.json",
            "server_metrics_export.csv",
            "server_metrics_export.json"
        ]
    );
}

#[test]
fn a_run_that_is_interrupted_keeps_what_it_found_and_ends_with_exit_code_130() {
    let mock = stuck();
    let running = start(&mock);
    running.interrupt();
    let outcome = running.finish().expect_code(130);
    assert!(outcome.stderr.contains("stopping"), "{}", outcome.stderr);
    kept(&outcome, &mock.stop());
}

#[test]
fn a_run_that_is_terminated_is_kept_in_the_same_way() {
    let mock = stuck();
    let running = start(&mock);
    running.terminate();
    let outcome = running.finish().expect_code(130);
    kept(&outcome, &mock.stop());
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    let mock = stuck();
    let running = start(&mock);
    running.interrupt();
    // The first may have ended it already, which is as well.
    running.interrupt();
    let _ = running.finish().expect_code(130);
}

#[test]
fn waiting_for_a_server_can_be_interrupted() {
    // It takes connections and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut running = Program::profile()
        .args(["--model", "m", "--url", &url, "--tokenizer", "builtin", "--wait-for-model-timeout", "1h"])
        .start();
    // What it has asked it waits for.
    let asked = RefCell::new(None);
    running.wait_until(|_| {
        *asked.borrow_mut() = silent.accept().ok();
        asked.borrow().is_some()
    });
    running.interrupt();
    let _ = running.finish().expect_code(130);
}

#[test]
fn reading_the_data_can_be_interrupted() {
    let program = Program::profile().args(["--model", "m", "--url", "http://127.0.0.1:9", "--tokenizer", "builtin"]);
    let pipe = program.folder().join("endless.jsonl");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut running = program.args(["--input-file", "endless.jsonl"]).start();
    // A pipe can be opened for writing once somebody reads it. Nothing is ever written, so the reader waits.
    let writer = RefCell::new(None);
    running.wait_until(|_| {
        *writer.borrow_mut() = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
        writer.borrow().is_some()
    });
    running.interrupt();
    let _ = running.finish().expect_code(130);
}

#[test]
fn what_a_schedule_would_have_sent_after_the_interrupt_was_never_due() {
    let mock = Mock::start(MockConfig::default());
    let words =
        "--arrival-pattern constant --request-rate 50 --benchmark-duration 1h --num-dataset-entries 10 --isl 5 --osl 1";
    let mut running = mock.profile().args(words.split_whitespace()).start();
    running.wait_until(|_| mock.counter("mock_requests_total{outcome=\"ok\"}") > 0);
    running.interrupt();
    let outcome = running.finish().expect_code(130);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes().dropped, 0, "{:?}", results.outcomes());
    assert_eq!(results.outcomes().total, results.records.len() as u64);
}

/// Answers a reading of a metrics page.
fn answer(mut reading: TcpStream) {
    let _ = reading.read(&mut [0; 4096]);
    let body = "# TYPE readings_total counter\nreadings_total 1\n";
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
    let _ = write!(reading, "{head}\r\n\r\n{body}");
}

#[test]
fn an_interrupt_after_the_load_leaves_a_complete_run() {
    let mock = Mock::start(MockConfig::default());
    let page = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    page.set_nonblocking(true).unwrap();
    let url = format!("http://{}/metrics", page.local_addr().unwrap());
    // Telemetry is read right before the load and right after it.
    let words = "--request-count 8 --isl 5 --osl 1 --telemetry-interval 1h";
    let mut running = mock.profile().args(words.split_whitespace()).args(["--server-metrics", &url]).start();
    let last = RefCell::new(None);
    running.wait_until(|_| {
        let is_last = mock.counter("mock_requests_total{outcome=\"ok\"}") == 8;
        match page.accept() {
            Ok((reading, _)) if is_last => *last.borrow_mut() = Some(reading),
            Ok((reading, _)) => answer(reading),
            Err(_) => {}
        }
        last.borrow().is_some()
    });
    running.interrupt();
    running.wait_until(|running| running.stderr().contains("stopping"));
    last.take().into_iter().for_each(answer);
    let outcome = running.finish().expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!((results.outcomes().ok, &results.summary["was_cancelled"]), (8, &false.into()));
    assert_eq!(results.summary["is_complete"], true);
}
