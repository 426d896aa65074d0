//! Whether a server is ready, asked before the load: what waiting mends is waited for, and for everything else the run ends
//! at once, says what is wrong and what to change, and sends nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::run::{Outcome, Program};

const SHORT: [&str; 8] = ["--request-count", "2", "--concurrency", "1", "--isl", "10", "--osl", "4"];
/// Longer than any test: what ends before it has not waited.
const LONG: [&str; 2] = ["--wait-for-model-timeout", "1h"];
/// For what never comes.
const SOON: [&str; 4] = ["--wait-for-model-timeout", "0.3", "--wait-for-model-interval", "0.05"];
const INFERENCE: [&str; 2] = ["--wait-for-model-mode", "inference"];
const MODELS: [&str; 2] = ["--wait-for-model-mode", "models"];

/// A run against the server at `url`, for the model `m`.
fn profile(url: &str) -> Program {
    Program::profile().args(["--url", url, "--tokenizer", "builtin", "--model", "m"]).args(SHORT)
}

/// A run against `mock`.
fn on(mock: &Mock) -> Program {
    mock.profile().args(SHORT)
}

fn mock() -> Mock {
    Mock::start(MockConfig::default())
}

/// The run ended because the server is not to be used, and says `words`.
fn refused(program: Program, words: &[&str]) -> Outcome {
    let outcome = program.run().expect_code(3);
    for word in words {
        assert!(outcome.stderr.contains(word), "`{word}` is not in: {}", outcome.stderr);
    }
    outcome
}

/// What is asked of a server, as `GET /path`, and how often it was asked anything before; and the status, the further
/// header and the body of the answer.
type Answers = fn(&str, usize) -> (u16, &'static str, &'static str);

/// A server that answers as it is told, until the tests are over.
fn server(answers: Answers) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of this machine is free");
    let url = format!("http://{}", listener.local_addr().expect("what is bound has an address"));
    thread::spawn(move || {
        let asked = AtomicUsize::new(0);
        for stream in listener.incoming().flatten() {
            answer(stream, |line| answers(line, asked.fetch_add(1, SeqCst)));
        }
    });
    url
}

/// Answers one request. A client that goes before that is no matter.
fn answer(mut stream: TcpStream, answers: impl FnOnce(&str) -> (u16, &'static str, &'static str)) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let line: Vec<&str> = head.split(' ').take(2).collect();
                let (status, header, body) = answers(&line.join(" "));
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

const JSON: &str = "Content-Type: application/json\r\n";
const LISTED: (u16, &str, &str) = (200, JSON, r#"{"object":"list","data":[{"id":"m"}]}"#);

#[test]
fn a_server_that_is_ready_is_loaded_without_a_word() {
    // Unasked, it is asked for an answer.
    for mode in [&["--wait-for-model-mode", "both"][..], &[]] {
        let mock = mock();
        let outcome = on(&mock).args(LONG).args(mode).run().expect_code(0);
        assert!(!outcome.stderr.contains("waiting"), "{}", outcome.stderr);
        // One request for the answer to whether it is ready, and the load.
        assert_eq!(mock.stop().len(), 3, "{mode:?}");
    }
}

#[test]
fn a_missing_key_is_told_from_a_wrong_one_and_neither_is_shown() {
    let mock = Mock::start(MockConfig { api_key: Some("sk-the-right-one".to_owned()), ..MockConfig::default() });
    for mode in ["models", "inference"] {
        let program = || on(&mock).args(LONG).args(["--wait-for-model-mode", mode]);
        let _ = refused(program(), &["wants a key", "none was given", "401", "INFEROMETER_API_KEY", "--api-key-file"]);
        let wrong = program().env("INFEROMETER_API_KEY", "sk-the-wrong-one");
        let outcome = refused(wrong, &["does not take the key", "401", "--api-key-file"]);
        assert!(!outcome.stderr.contains("sk-the"), "{}", outcome.stderr);
        let header = program().args(["-H", "Authorization: Bearer sk-the-wrong-one"]);
        let outcome = refused(header, &["the key of the header Authorization"]);
        assert!(!outcome.stderr.contains("sk-the"), "{}", outcome.stderr);
    }
    assert!(mock.stop().iter().all(|truth| truth.status == Some(401)));
}

#[test]
fn a_key_that_a_server_repeats_is_not_shown() {
    let url = server(|_, _| (401, JSON, r#"{"error":{"message":"bad key sk-the-wrong-one"}}"#));
    let outcome = refused(profile(&url).args(LONG).args(["--api-key", "sk-the-wrong-one"]), &["bad key <redacted>"]);
    assert!(!outcome.stderr.contains("sk-the"), "{}", outcome.stderr);
}

#[test]
fn a_wrong_model_is_answered_with_those_there_are_the_nearest_first() {
    let models = ["phi-4", "meta/llama-3.1-8b", "bge-m3"].map(str::to_owned).to_vec();
    let mock = Mock::start(MockConfig { models, ..MockConfig::default() });
    for mode in ["models", "inference", "both"] {
        let program = profile(&mock.url()).args(["--model", "lama-3.1-8b"]).args(LONG);
        let words = ["does not have the model 'm'", "--model"];
        let _ = refused(program.args(["--wait-for-model-mode", mode]), &words);
    }
    let program = Program::profile().args(["--url", &mock.url(), "--model", "lama-3.1-8b", "--tokenizer", "builtin"]);
    let _ = refused(
        program.args(SHORT).args(LONG).args(MODELS),
        &["the model 'lama-3.1-8b'; it has 'meta/llama-3.1-8b', "],
    );
    // The second of two models counts as well.
    let program = mock.profile().args(["--model", "other"]).args(SHORT).args(LONG).args(MODELS);
    let _ = refused(program, &["the model 'other'"]);
    assert!(mock.stop().iter().all(|truth| truth.status == Some(404)));
}

#[test]
fn a_wrong_path_is_told_from_a_wrong_model_and_the_right_one_is_named() {
    let mock = mock();
    let program = on(&mock).args(["--endpoint", "/v1/chat/completion"]).args(LONG).args(INFERENCE);
    let words = [
        "there is nothing at /v1/chat/completion ",
        "404",
        "/v1/chat/completions (--endpoint-type chat)",
        "/v1/completions (--endpoint-type completions)",
        "--endpoint",
    ];
    let _ = refused(program, &words);
    let below = format!("{}/api", mock.url());
    for mode in ["models", "inference"] {
        let program = profile(&below).args(LONG).args(["--wait-for-model-mode", mode]);
        let _ = refused(program, &["nothing below /api", "leave the path out"]);
    }
}

#[test]
fn what_does_not_list_its_models_is_to_be_asked_for_an_answer() {
    let url = server(|line, _| match line {
        "GET /health" => (200, "", "ok"),
        _ => (404, "", "no"),
    });
    let _ = refused(profile(&url).args(LONG).args(MODELS), &["lists no models", "--wait-for-model-mode inference"]);
    let page = server(|_, _| (200, "Content-Type: text/html\r\n", "<html><title>Welcome</title></html>"));
    let _ = refused(profile(&page).args(LONG).args(MODELS), &["is no list of models", "Welcome"]);
}

#[test]
fn an_answer_that_the_endpoint_cannot_read_is_quoted() {
    let page = server(|_, _| (200, "Content-Type: text/html\r\n", "<html><title>Welcome</title></html>"));
    let words = ["endpoint 'chat' cannot read its answer to POST /v1/chat/completions", "Welcome", "--endpoint-type"];
    let _ = refused(profile(&page).args(LONG).args(INFERENCE), &words);
    let other = server(|_, _| (200, JSON, r#"{"object":"list","data":[{"object":"embedding","embedding":[1,2]}]}"#));
    let _ = refused(
        profile(&other).args(LONG).args(INFERENCE),
        &["cannot read its answer", "embedding", "--endpoint-type"],
    );
}

#[test]
fn redirects_and_methods_that_are_not_taken_say_what_to_change() {
    let moved = server(|_, _| (308, "Location: https://elsewhere.example/v1?token=abcdef\r\n", ""));
    for mode in ["models", "inference"] {
        let program = profile(&moved).args(LONG).args(["--wait-for-model-mode", mode]);
        let outcome = refused(program, &["308", "https://elsewhere.example/v1", "--url"]);
        assert!(!outcome.stderr.contains("abcdef"), "{}", outcome.stderr);
    }
    let get_only = server(|_, _| (405, JSON, r#"{"detail":"Method Not Allowed"}"#));
    let words = ["/v1/chat/completions is there and does not take POST", "--endpoint-type"];
    let _ = refused(profile(&get_only).args(LONG).args(INFERENCE), &words);
    let tls = server(|_, _| (400, "", "Client sent an HTTP request to an HTTPS server."));
    let _ = refused(profile(&tls).args(LONG), &["write https:// in --url"]);
}

#[test]
fn a_server_that_refuses_what_it_is_asked_is_not_waited_for() {
    let picky = server(|_, _| (422, JSON, r#"{"detail":[{"loc":["body","text"],"msg":"field required"}]}"#));
    let words = ["422", "field required", "--endpoint-type", "--extra-inputs"];
    let _ = refused(profile(&picky).args(LONG).args(INFERENCE), &words);
}

#[test]
fn a_server_that_is_loading_is_waited_for() {
    // The last word ends the wait, which so was one.
    let url = server(|_, asked| match asked {
        0 | 1 => (503, JSON, r#"{"error":{"message":"Loading model","code":503}}"#),
        2 => (200, JSON, r#"{"object":"list","data":[]}"#),
        _ => (401, "", ""),
    });
    let program = profile(&url).args(LONG).args(MODELS).args(["--wait-for-model-interval", "0.01"]);
    let outcome = refused(program, &["waiting up to 1h for http://", "503", "Loading model", "wants a key"]);
    assert_eq!(outcome.stderr.matches("waiting").count(), 1, "{}", outcome.stderr);
}

#[test]
fn a_server_that_is_not_ready_in_time_is_named_with_what_was_waited_for() {
    // A port that is taken, and that nobody listens on.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let free = socket.local_addr().unwrap();
    for (url, state) in [
        (format!("http://{free}"), "nothing listens there"),
        (server(|_, _| (200, JSON, r#"{"object":"list","data":[]}"#)), "it lists no model"),
        (server(|_, _| (404, "", "")), "404 for GET /v1/models"),
        (server(|_, _| (500, "", "oh")), "500 for GET /v1/models: oh"),
    ] {
        let outcome =
            refused(profile(&url).args(SOON).args(MODELS), &[&url, state, "within 300ms", "--wait-for-model-timeout"]);
        assert_eq!(outcome.stderr.matches("waiting").count(), 1, "{}", outcome.stderr);
    }
}

#[test]
fn a_model_that_is_listed_and_not_answered_for_is_still_on_its_way() {
    let url = server(|line, _| match line {
        "GET /v1/models" => LISTED,
        _ => (404, JSON, r#"{"error":{"message":"model 'm' not found"}}"#),
    });
    let words = ["it lists the model 'm' and does not answer for it", "--wait-for-model-timeout"];
    let _ = refused(profile(&url).args(SOON).args(["--wait-for-model-mode", "both"]), &words);
}
