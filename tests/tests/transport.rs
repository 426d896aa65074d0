//! The ways to a server: TLS, HTTP/2, a Unix socket, a proxy; and what is said where there is none, or none in time.

use std::fs;

use inferometer_mock::MockConfig;
use inferometer_tests::http2::{Http2Server, TOKENS};
use inferometer_tests::mock::Mock;
use inferometer_tests::relay::{Door, Relay, field};
use inferometer_tests::results::{Outcomes, Record, Results};
use inferometer_tests::run::{Outcome, Program};
use inferometer_tests::sent::Sent;
use inferometer_tests::tls::Authority;

const REQUESTS: u64 = 4;
const HTTP1: &[&str] = &["http/1.1"];

/// A run of a few streamed chats, one after another, at this URL.
fn profile(url: &str) -> Program {
    let program = Program::profile().args(["--url", url, "--model", "mock", "--tokenizer", "builtin", "--streaming"]);
    program.args(["--request-count", &REQUESTS.to_string(), "--isl", "12", "--osl", "5", "--no-server-metrics"])
}

/// The same by TLS, trusting `authority` alone.
fn by_tls(port: u16, authority: &Authority) -> Program {
    profile(&format!("https://localhost:{port}")).file("ca.pem", authority.pem()).args(["--ca-certificate", "ca.pem"])
}

fn mock() -> Mock {
    Mock::start(MockConfig::default())
}

fn all_ok() -> Outcomes {
    Outcomes { total: REQUESTS, ok: REQUESTS, ..Outcomes::default() }
}

/// The parts of a request's time, in the order in which they follow one another.
const PARTS: [&str; 7] = [
    "http_req_blocked",
    "http_req_dns_lookup",
    "http_req_connecting",
    "http_req_tls_handshaking",
    "http_req_sending",
    "http_req_waiting",
    "http_req_receiving",
];

/// The parts of each request's time make up the whole of it.
fn parts_add_up(records: &[Record]) {
    for record in records {
        let sum: f64 = PARTS.iter().map(|tag| record.number(tag)).sum();
        let total = record.number("http_req_total");
        assert!((sum - total).abs() < 1e-6, "{sum} {total} {record:?}");
        assert!(PARTS.iter().all(|tag| record.number(tag) >= 0.0), "{record:?}");
    }
}

/// All requests failed with this kind, and the message of each says `words`.
fn failed(outcome: &Outcome, kind: &str, words: &[&str]) {
    let results = Results::of(outcome);
    assert_eq!(results.outcomes(), Outcomes { total: REQUESTS, error: REQUESTS, ..Outcomes::default() });
    for record in &results.records {
        let error = record.error.as_ref().expect("it failed");
        assert_eq!(error.kind, kind, "{error:?}");
        for word in words {
            assert!(error.message.contains(word), "`{word}` is not in: {error:?}");
        }
    }
}

#[test]
fn a_server_that_a_given_authority_vouches_for_is_spoken_to_by_tls_and_a_handshake_is_paid_once_a_connection() {
    let authority = Authority::new();
    for reused in [true, false] {
        let mock = mock();
        let relay = Relay::start(Door::Tls(authority.server(HTTP1)), mock.address());
        let strategy = if reused { "pooled" } else { "never" };
        let program = by_tls(relay.port(), &authority).args(["--connection-reuse-strategy", strategy]);
        let program = program.args(["--concurrency", "1"]);
        let sent = Sent::of(program.run().expect_code(0), mock.stop());
        assert_eq!(sent.results.outcomes(), all_ok());
        assert_eq!(relay.connections() as u64, if reused { 1 } else { REQUESTS });
        parts_add_up(&sent.results.records);
        for (place, request) in sent.requests.iter().enumerate() {
            let (record, fresh) = (&request.record, place == 0 || !reused);
            assert_eq!(record.number("output_sequence_length"), request.truth.tokens as f64);
            assert_eq!(record.number("http_req_connection_reused"), f64::from(u8::from(!fresh)), "{record:?}");
            assert_eq!(record.number("http_req_tls_handshaking") > 0.0, fresh, "{record:?}");
            assert_eq!(record.number("http_req_connecting") > 0.0, fresh, "{record:?}");
        }
    }
}

#[test]
fn a_server_that_nobody_known_vouches_for_is_not_spoken_to_and_the_remedy_is_named() {
    let (authority, mock) = (Authority::new(), mock());
    let relay = Relay::start(Door::Tls(authority.server(HTTP1)), mock.address());
    let port = relay.port();
    // Neither the system's authorities nor another one.
    let untrusted = profile(&format!("https://localhost:{port}")).run().expect_code(3);
    failed(&untrusted, "tls", &["--ca-certificate"]);
    failed(&by_tls(port, &Authority::new()).run().expect_code(3), "tls", &["--ca-certificate"]);
    // One that vouches for another name.
    let program = profile(&format!("https://127.0.0.1:{port}")).file("ca.pem", authority.pem());
    failed(&program.args(["--ca-certificate", "ca.pem"]).run().expect_code(3), "tls", &["localhost"]);
    assert_eq!((relay.heads().len(), mock.stop().len()), (0, 0));
}

#[test]
fn a_server_that_was_not_checked_is_measured_and_the_verdict_says_so() {
    let mock = mock();
    let relay = Relay::start(Door::Tls(Authority::new().server(HTTP1)), mock.address());
    let outcome = profile(&format!("https://127.0.0.1:{}", relay.port())).arg("--insecure").run().expect_code(0);
    let results = Results::of(&outcome);
    assert_eq!(results.outcomes(), all_ok());
    let verdict = &results.summary["inferometer"]["verdict"];
    // A busy machine can make it worse, and nothing makes it better.
    assert_ne!(verdict["state"], "valid", "{verdict}");
    assert!(verdict["reasons"].to_string().contains("--insecure"), "{verdict}");
    parts_add_up(&results.records);
}

#[test]
fn a_server_that_wants_to_know_its_clients_is_shown_the_certificate_and_says_so_without_one() {
    let (authority, mock) = (Authority::new(), mock());
    let relay = Relay::start(Door::Tls(authority.server_for_its_clients(HTTP1)), mock.address());
    let (certificate, key) = authority.client();
    let known = |certificate: &str, key: &str| {
        let program = by_tls(relay.port(), &authority).file("client.pem", certificate).file("client.key", key);
        program.args(["--client-certificate", "client.pem", "--client-key", "client.key"]).run()
    };
    let outcome = known(&certificate, &key).expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok());
    failed(&by_tls(relay.port(), &authority).run().expect_code(3), "tls", &["--client-certificate"]);
    let (certificate, key) = Authority::new().client();
    failed(&known(&certificate, &key).expect_code(3), "tls", &[]);
    assert_eq!(mock.stop().len() as u64, REQUESTS);
}

#[test]
fn http2_is_spoken_by_tls_and_without_and_one_connection_carries_all_requests() {
    let authority = Authority::new();
    let clear = Http2Server::start(Door::Tcp);
    let secret = Http2Server::start(Door::Tls(authority.server(&["h2"])));
    let url = format!("http://127.0.0.1:{}", clear.port());
    let programs = [
        (&clear, "http", profile(&url).args(["--http-version", "2"])),
        (&secret, "https", by_tls(secret.port(), &authority).args(["--http-version", "2"])),
    ];
    for (server, scheme, program) in programs {
        let outcome = program.args(["--concurrency", "4", "--workers", "1"]).run();
        let results = Results::of(&outcome.expect_code(0));
        assert_eq!(results.outcomes(), all_ok());
        parts_add_up(&results.records);
        for record in &results.records {
            assert_eq!(record.number("output_sequence_length"), TOKENS as f64);
            assert_eq!(record.number("usage_prompt_tokens"), 7.0);
            assert!(record.number("time_to_first_token") > 0.0, "{record:?}");
        }
        assert_eq!(results.records.iter().any(|r| r.number("http_req_tls_handshaking") > 0.0), scheme == "https");
        assert_eq!(server.connections(), 1);
        let asked = server.asked();
        assert_eq!(asked.len() as u64, REQUESTS);
        for request in asked {
            assert_eq!((request.uri().scheme_str(), request.uri().path()), (Some(scheme), "/v1/chat/completions"));
            assert!(request.body().starts_with(b"{") && request.body().ends_with(b"}"));
        }
    }
}

#[test]
fn http2_is_chosen_where_the_server_offers_it_and_wanted_only_where_it_is_spoken() {
    let authority = Authority::new();
    let both = Http2Server::start(Door::Tls(authority.server(&["h2", "http/1.1"])));
    let outcome = by_tls(both.port(), &authority).args(["--http-version", "auto"]).run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok());
    let mock = mock();
    let one = Relay::start(Door::Tls(authority.server(HTTP1)), mock.address());
    let outcome = by_tls(one.port(), &authority).args(["--http-version", "auto"]).run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), all_ok());
    let outcome = by_tls(one.port(), &authority).args(["--http-version", "2"]).run().expect_code(3);
    failed(&outcome, "tls", &["--http-version"]);
    assert_eq!(mock.stop().len() as u64, REQUESTS);
}

#[test]
fn a_unix_socket_leads_to_the_server_whatever_the_url_says() {
    let (mock, folder) = (mock(), tempfile::tempdir().expect("a folder can be made"));
    let path = folder.path().join("socket");
    let relay = Relay::on_unix_socket(path.clone(), mock.address());
    let program = profile("http://model.invalid").arg("--unix-socket").arg(&path);
    let sent = Sent::of(program.run().expect_code(0), mock.stop());
    assert_eq!(sent.results.outcomes(), all_ok());
    parts_add_up(&sent.results.records);
    let asked = relay.heads();
    assert_eq!(asked.len() as u64, REQUESTS);
    assert!(asked.iter().all(|head| field(head, "host") == Some("model.invalid")), "{asked:?}");
}

#[test]
fn a_proxy_is_told_whole_urls_and_its_password_is_nowhere_in_the_results() {
    const WORD: &str = "not-to-be-seen";
    // `user:not-to-be-seen` in base64.
    const CODED: &str = "dXNlcjpub3QtdG8tYmUtc2Vlbg==";
    let mock = mock();
    let relay = Relay::start(Door::Tcp, mock.address());
    let proxy = format!("http://user:{WORD}@127.0.0.1:{}", relay.port());
    let outcome = profile("http://model.invalid:81").args(["--proxy", &proxy]).run().expect_code(0);
    let heads = relay.heads();
    assert_eq!((heads.len() as u64, Results::of(&outcome).outcomes()), (REQUESTS, all_ok()));
    for head in &heads {
        assert!(head.starts_with("POST http://model.invalid:81/v1/chat/completions HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(head, "host"), Some("model.invalid:81"), "{head}");
        assert_eq!(field(head, "proxy-authorization"), Some(&*format!("Basic {CODED}")), "{head}");
    }
    let names = outcome.artifacts();
    assert!(names.len() >= 3, "{names:?}");
    let files =
        names.iter().map(|name| String::from_utf8_lossy(&fs::read(outcome.artifact(name)).unwrap()).into_owned());
    for text in files.chain([outcome.stdout.clone(), outcome.stderr.clone()]) {
        assert!(!text.contains(WORD) && !text.contains(CODED), "{text}");
    }
}

#[test]
fn what_does_not_come_in_time_is_a_timeout_that_names_its_flag() {
    // Takes connections, by the kernel, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let connecting = profile(&format!("https://localhost:{port}")).args(["--connect-timeout-seconds", "0.1"]);
    failed(&connecting.run().expect_code(3), "timeout", &["--connect-timeout-seconds", "100ms"]);
    let waiting = profile(&format!("http://127.0.0.1:{port}")).args(["--first-byte-timeout-seconds", "0.1"]);
    failed(&waiting.run().expect_code(3), "timeout", &["--first-byte-timeout-seconds", "100ms"]);
    // Sends a head and then nothing for an hour.
    let slow = Mock::start(MockConfig { ttft_ms: 3_600_000.0, ..MockConfig::default() });
    let idle = profile(&slow.url()).args(["--idle-timeout-seconds", "0.1"]).run().expect_code(3);
    failed(&idle, "timeout", &["--idle-timeout-seconds", "100ms"]);
    let whole = profile(&slow.url()).args(["--request-timeout-seconds", "0.1"]).run().expect_code(3);
    failed(&whole, "timeout", &["100ms"]);
    assert!(slow.stop().iter().all(|truth| truth.outcome == "aborted"));
}
