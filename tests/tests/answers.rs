//! Odd and broken answers, byte by byte as servers send them: each is one request that is counted once, and what is said of
//! it is what `docs/errors.md` says.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use inferometer_tests::results::{Outcomes, Record, Results};
use inferometer_tests::run::{Outcome, Program};

#[path = "answers/cases.rs"]
mod cases;
#[path = "answers/wire.rs"]
mod wire;

use cases::{Case, Expected, Failed, Good, of_whole_answers, streaming};

/// A server that gives each connection the next of some answers. It has the answers' numbers by the requests' ids.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Server {
    /// With so many threads as may wait for a connection that stays open; they end with the test.
    fn start(cases: &[Case]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let answers: Vec<(Vec<u8>, bool)> = cases.iter().map(|case| (case.wire.clone(), case.stays)).collect();
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            for (number, (wire, stays)) in answers.into_iter().enumerate() {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                let Some(id) = read_request(&mut stream) else { return };
                known.lock().expect("nobody panics with it").insert(id, number);
                let _ = stream.write_all(&wire);
                if !stays {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Until the client has closed: a reset would take back what was sent.
                while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
            }
        });
        Self { address, asked }
    }

    /// Sends it as many requests as it has answers, one after another.
    fn run(&self, requests: usize, words: &str) -> Outcome {
        let (url, count) = (format!("http://{}", self.address), requests.to_string());
        let program = Program::profile().args(["--model", "mock", "--url", &url, "--tokenizer", "builtin"]);
        let program = program.args(["--request-count", &count, "--concurrency", "1", "--isl", "10", "--osl", "8"]);
        let program = program.args(["--connection-reuse-strategy", "never", "--no-server-metrics"]);
        program.args(["--request-timeout-seconds", "20"]).args(words.split_whitespace()).run()
    }
}

/// Reads a request to its end; the value of its `X-Request-ID`.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut input, mut room) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut room) {
            Ok(0) => return None,
            Ok(count) => input.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        }
        let text = String::from_utf8_lossy(&input);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        if field("content-length")?.parse() == Ok(body.len()) {
            return field("x-request-id");
        }
    }
}

/// Every answer of `cases` is reported as it is to be.
fn check(cases: &[Case], words: &str) -> (Outcome, Results) {
    let server = Server::start(cases);
    let outcome = server.run(cases.len(), words);
    let outcome = outcome.expect_code(0);
    let results = Results::of(&outcome);
    let asked = server.asked.lock().expect("nobody panics with it");
    let mut wrong = Vec::new();
    let (mut ok, mut error) = (0, 0);
    assert_eq!(results.records.len(), cases.len());
    for record in &results.records {
        let case = &cases[asked[&record.metadata.x_request_id]];
        match case.expected {
            Good(..) => ok += 1,
            Failed(..) => error += 1,
        }
        if let Some(found) = differs(case.expected, record) {
            wrong.push(format!("{}: {:?} was expected, and it is {found}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(results.outcomes(), Outcomes { total: cases.len() as u64, ok, error, ..Outcomes::default() });
    (outcome, results)
}

/// What `record` says instead, if it does not say what is expected.
fn differs(expected: Expected, record: &Record) -> Option<String> {
    match (&record.error, expected) {
        (Some(error), Failed(kind, words)) if error.kind == kind && error.message.contains(words) => None,
        (Some(error), _) => Some(format!("{}: {}", error.kind, error.message)),
        (None, expected) => {
            let tokens = record.number("output_sequence_length");
            let streamed = record.metrics.contains_key("time_to_first_token");
            let is_right = matches!(expected, Good(count, stream) if count == tokens && stream == streamed);
            (!is_right).then(|| format!("an answer of {tokens} tokens, streamed: {streamed}"))
        }
    }
}

fn notes(results: &Results) -> String {
    results.summary["inferometer"]["notes"].to_string()
}

#[test]
fn every_odd_or_broken_answer_is_counted_once_and_said_as_what_it_is() {
    let cases = streaming();
    let (outcome, results) = check(&cases, "--streaming");
    let whole = cases.iter().filter(|case| matches!(case.expected, Good(_, false))).count();
    assert!(notes(&results).contains(&format!("{whole} of ")), "{}", notes(&results));
    assert!(notes(&results).contains("came whole where streams were asked for"));
    assert!(notes(&results).contains("1 answer was kept open by the server"));
    let overflows = cases.iter().filter(|case| matches!(case.expected, Failed("context_overflow", _))).count();
    assert_eq!(results.value("context_overflow_count"), overflows as f64);
    assert!(outcome.says(&format!("{} requests = ", cases.len())), "{}", outcome.stdout);
}

#[test]
fn every_odd_or_broken_answer_to_a_request_without_streaming_is_said_as_what_it_is() {
    let (_, results) = check(&of_whole_answers(), "");
    assert!(
        notes(&results).contains("1 of 3 answers came as streams where none were asked for"),
        "{}",
        notes(&results)
    );
}

#[test]
fn the_page_on_errors_lists_what_each_answer_is_reported_as() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let cases: Vec<Case> = streaming().into_iter().chain(of_whole_answers()).collect();
    assert!(cases.len() >= 40);
    for case in &cases {
        let row = match case.expected {
            Good(..) => format!("| {} | ok |", case.name),
            Failed(kind, _) => format!("| {} | `{kind}` |", case.name),
        };
        assert!(page.contains(&row), "docs/errors.md has no row that begins with: {row}");
    }
}
