//! What a machine gives a load: descriptors, ports, addresses. A load that needs more of them than there are is refused
//! before it begins where that can be known, and every request that is lost to it says so.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::Results;
use inferometer_tests::run::Program;

/// Descriptors that are enough to begin with, and for some dozen connections.
const FEW: u32 = 96;

/// A server that answers so many requests of one connection each, and tells where they came from.
fn listener(requests: usize) -> (String, JoinHandle<Vec<IpAddr>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}"#;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let serve = move || {
        let (mut stream, from) = listener.accept().expect("it listens");
        let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
        // The body is JSON, and short.
        while !asked.ends_with(b"}") {
            let count = stream.read(&mut piece).expect("the request comes whole");
            assert!(count > 0, "closed too early: {}", String::from_utf8_lossy(&asked));
            asked.extend_from_slice(&piece[..count]);
        }
        stream.write_all(answer.as_bytes()).expect("the answer is waited for");
        from.ip()
    };
    (url, thread::spawn(move || (0..requests).map(|_| serve()).collect()))
}

/// A few requests to `url`, each on a connection of its own, and nothing else that would connect.
fn few_requests(url: &str, count: usize) -> Program {
    Program::profile()
        .args(["--model", "m", "--url", url, "--tokenizer", "builtin", "--isl", "5", "--request-count"])
        .arg(count.to_string())
        .args(["--connection-reuse-strategy", "never", "--no-server-metrics", "--no-gpu-telemetry"])
}

#[test]
fn more_slots_than_descriptors_are_refused_before_the_first_request() {
    let mock = Mock::start(MockConfig::default());
    let words = "--concurrency 1000 --request-count 1000 --isl 5 --osl 1";
    let outcome = mock.profile().args(words.split_whitespace()).descriptors(FEW).run().expect_code(2);
    for word in ["1000 connections", "allowed 96", "ulimit -n 1", "LimitNOFILE=1", "--concurrency"] {
        assert!(outcome.stderr.contains(word), "no '{word}' in {}", outcome.stderr);
    }
    assert!(mock.stop().is_empty());
}

#[test]
fn slots_that_never_all_fill_need_no_descriptors() {
    let mock = Mock::start(MockConfig::default());
    let words = "--concurrency 1000 --request-count 10 --isl 5 --osl 1";
    let outcome = mock.profile().args(words.split_whitespace()).descriptors(FEW).run();
    assert_eq!(Results::of(&outcome).outcomes().ok, 10);
}

#[test]
fn every_request_of_a_rate_that_outgrows_the_descriptors_is_counted_and_the_reason_named() {
    // Most of the requests come due before the first is answered, however slow the machine is: a late schedule catches up.
    let mock = Mock::start(MockConfig { ttft_ms: 1_500.0, ..MockConfig::default() });
    let words = "--request-rate 1000 --arrival-pattern constant --request-count 300 --isl 5 --osl 1";
    let outcome = mock.profile().args(words.split_whitespace()).descriptors(FEW).run();
    let results = Results::of(&outcome);
    let outcomes = results.outcomes();
    assert_eq!((outcomes.total, outcomes.ok + outcomes.error), (300, 300), "{outcomes:?}");
    assert!(outcomes.ok > 10 && outcomes.error > 0, "{outcomes:?}");
    assert_eq!(results.errors(), [("connect".to_owned(), outcomes.error)].into());
    for error in results.records.iter().filter_map(|record| record.error.as_ref()) {
        assert!(error.message.contains("96 file descriptors") && error.message.contains("ulimit -n"), "{error:?}");
    }
    for word in ["96 file descriptors", "ulimit -n", "of 300 requests failed"] {
        assert!(outcome.says(word), "no '{word}' in {}", outcome.stdout);
    }
    assert_eq!(mock.stop().len() as u64, outcomes.ok);
}

#[cfg(target_os = "linux")]
#[test]
fn connections_come_from_the_given_addresses_in_turn() {
    let (url, served) = listener(4);
    let sources = ["--source-address", "127.0.0.5", "127.0.0.6"];
    let outcome = few_requests(&url, 4).args(sources).run();
    assert_eq!(Results::of(&outcome).outcomes().ok, 4);
    let (a, b) = (IpAddr::from([127, 0, 0, 5]), IpAddr::from([127, 0, 0, 6]));
    assert_eq!(served.join().unwrap(), [a, b, a, b]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_addresses_may_stand_in_a_file() {
    let (url, served) = listener(1);
    let program = few_requests(&url, 1).file("run.toml", "source_addresses = ['127.0.0.9']");
    let outcome = program.args(["--config", "run.toml"]).run();
    assert_eq!(Results::of(&outcome).outcomes().ok, 1);
    assert_eq!(served.join().unwrap(), [IpAddr::from([127, 0, 0, 9])]);
}

#[test]
fn an_address_that_is_not_ours_is_refused_before_the_first_request() {
    let mock = Mock::start(MockConfig::default());
    for (source, word) in [
        ("203.0.113.1", "ip address"),
        ("::1", "--source-address"),
        ("eth0", "IP address"),
        ("0.0.0.0", "machine's own"),
    ] {
        let outcome = mock.profile().args(["--source-address", source]).run().expect_code(2);
        assert!(outcome.stderr.contains("--source-address") && outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert!(mock.stop().is_empty());
}
