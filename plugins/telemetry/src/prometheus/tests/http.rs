//! The collector at work, against servers of every behaviour.

use super::super::{Options, Prometheus};
use inferometer_plugin_sdk::{
    Component, RVec,
    api::TelemetryCollector,
    types::{Error, ErrorKind, Sample, Subject},
};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

const LLAMA: &str = include_str!("../../../tests/data/llama_server_b1.prom");
const VLLM: &str = include_str!("../../../tests/data/vllm_0.32_cpu.prom");
const T4: &str = include_str!("../../../tests/data/dcgm_exporter_t4.prom");
const AMD: &str = include_str!("../../../tests/data/amd_mi300x_labels.prom");

/// Reads one request and gives its path; `None` at the connection's end.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap().split(' ').nth(1)?.to_owned())
}

/// A server that answers the request for a path with whole bytes, for as long as the test runs; gives its place. After an
/// empty answer it closes the connection, after others it waits for more.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                while let Some(path) = request(&mut stream) {
                    let bytes = answer(&path);
                    if bytes.is_empty() || stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    place
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The page with every figure grown by `more`.
fn grown(page: &str, more: u64) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, value)) if !line.starts_with('#') => {
            format!("{series} {}\n", value.parse::<f64>().unwrap() + more as f64)
        }
        _ => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

fn make(place: &str, further: &str) -> Result<Prometheus, Error> {
    let options = format!(r#"{{"url": "{place}"{further}}}"#);
    Prometheus::create(serde_json::from_str::<Options>(&options).unwrap())
}

fn refused(place: &str, further: &str) -> String {
    make(place, further).and_then(|mut made| made.describe()).unwrap_err().message.to_string()
}

#[test]
fn every_kind_of_page_keeps_the_laws_of_collectors() {
    for page in [LLAMA, VLLM, T4, AMD] {
        let reading = AtomicU64::new(0);
        let place = serve(move |_| ok(&grown(page, reading.fetch_add(1, Ordering::Relaxed))));
        inferometer_testkit::collector::check(|| Box::new(make(&place, "").unwrap()), 4, || {});
    }
}

#[test]
fn what_is_there_is_asked_for_once_and_series_that_appear_are_described_without_asking() {
    let asked = AtomicU64::new(0);
    let place = serve(move |path| {
        assert_eq!(path, "/metrics");
        ok(["a 1\n", "a 2\nb{x=\"1\"} 3\n", ""][usize::try_from(asked.fetch_add(1, Ordering::Relaxed)).unwrap().min(2)])
    });
    let mut collector = make(&place, "").unwrap();
    let catalogue = collector.describe().unwrap();
    assert_eq!((catalogue.metrics.len(), catalogue.entities.len(), catalogue.subject()), (1, 1, Subject::SERVER));
    let mut out: RVec<Sample> = RVec::new();
    collector.collect(1_000, &mut out).unwrap();
    assert_eq!(out.len(), 2);
    assert!(out[0].at_ns > 1_000 && out[0].at_ns == out[1].at_ns);
    let grown = collector.describe().unwrap();
    assert_eq!((grown.metrics.len(), grown.entities.len()), (2, 2));
    // Nothing was asked for in between: the third answer comes now.
    out.clear();
    collector.collect(2_000, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn connections_that_a_server_closes_between_readings_do_not_matter() {
    let asked = AtomicU64::new(0);
    let place = serve(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        1 => Vec::new(),
        _ => ok(LLAMA),
    });
    let mut collector = make(&place, "").unwrap();
    collector.describe().unwrap();
    let mut out = RVec::new();
    collector.collect(0, &mut out).unwrap();
    assert_eq!(out.len(), 15);
}

#[test]
fn a_page_that_lies_where_tensorrt_llm_has_it_is_found() {
    let place = serve(|path| match path {
        "/metrics" => ok("[]"),
        "/prometheus/metrics" => ok(LLAMA),
        other => panic!("{other}"),
    });
    let mut collector = make(&place, "").unwrap();
    assert_eq!(collector.describe().unwrap().metrics.len(), 15);
    collector.collect(0, &mut RVec::new()).unwrap();
}

#[test]
fn what_is_no_metrics_page_is_refused_with_what_it_is() {
    for (body, what) in [
        ("[{\"iter\": 1}]", "this is JSON"),
        (" <!doctype html>\n<p>", "this is HTML"),
        ("Hello there\nvisitor\n", "this says 'Hello there'"),
    ] {
        let place = serve(move |_| ok(body));
        let message = refused(&place, "");
        assert!(message.starts_with(&format!("http://{place}/metrics: ")) && message.contains(what), "{message}");
    }
}

#[test]
fn answers_that_are_no_page_are_refused_with_a_remedy() {
    for (answer, words) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "answered 404 Not Found; switch the server's metrics on",
        ),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "answered 503 Service Unavailable"),
        ("HTTP/1.1 307 x\r\nlocation: /there/\r\ncontent-length: 0\r\n\r\n", "/there, which is not followed"),
        (
            "HTTP/1.1 302 x\r\nlocation: http://me:pw@there/m?key=abc\r\ncontent-length: 0\r\n\r\n",
            "redirects to http://there/m?key=<redacted>, which is not followed",
        ),
        ("HTTP/1.1 401 x\r\ncontent-length: 0\r\n\r\n", "the collector's option 'headers'"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nab", "compressed, which is not read"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\x1f\x0b", "compressed, which is not read"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "longer than 64 MiB"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "correct the URL"),
    ] {
        let place = serve(move |_| answer.into());
        let message = refused(&place, "");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_server_that_is_not_there_or_never_ends_its_answer_is_an_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = refused(&nobody.to_string(), "");
    assert!(message.contains("refused") && message.contains("start the server"), "{message}");
    let place = serve(|_| b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\na \r\n".to_vec());
    let message = refused(&place, r#", "timeout_ms": 20"#);
    assert!(message.contains("not come whole after 20 ms") && message.contains("'timeout_ms'"), "{message}");
}

#[test]
fn a_page_without_fields_of_the_preset_says_what_it_has() {
    let place = serve(|_| ok(LLAMA));
    let message = refused(&place, r#", "preset": "dcgm""#);
    assert!(message.contains("but llamacpp:n_busy_slots_per_decode, ") && message.contains('…'), "{message}");
}

#[test]
fn devices_are_found_whosever_exporter_it_is_and_other_pages_are_refused() {
    for (page, platform) in [(T4, "nvidia"), (AMD, "amd")] {
        let catalogue = make(&serve(move |_| ok(page)), r#", "preset": "device""#).unwrap().describe().unwrap();
        assert_eq!(catalogue.subject(), Subject::DEVICE);
        assert!(catalogue.entities.iter().all(|entity| entity.labels_json.contains(platform)));
    }
    let message = refused(&serve(|_| ok(VLLM)), r#", "preset": "device""#);
    assert!(
        message.contains("no page of DCGM's or AMD's exporter") && message.contains("--server-metrics"),
        "{message}"
    );
    let message = refused(&serve(|_| ok("Hello there\n")), r#", "preset": "device""#);
    assert!(message.contains("this says 'Hello there'"), "{message}");
}

#[test]
fn a_page_elsewhere_is_looked_for_and_one_message_says_so() {
    let place = serve(|_| ok("<html>"));
    let message = refused(&place, "");
    assert_eq!(message.matches(&place).count(), 1, "{message}");
    assert!(message.contains("(there is none at /prometheus/metrics either)"), "{message}");
}

#[test]
fn a_page_that_is_still_empty_is_described_and_watched() {
    for (preset, line) in [
        ("auto", "a 1\n"),
        ("server", "a 1\n"),
        ("dcgm", "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"} 30\n"),
        ("device", "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"} 30\n"),
    ] {
        let asked = AtomicU64::new(0);
        let place = serve(move |_| ok(if asked.fetch_add(1, Ordering::Relaxed) == 0 { "" } else { line }));
        let mut collector = make(&place, &format!(r#", "preset": "{preset}""#)).unwrap();
        assert!(collector.describe().unwrap().metrics.is_empty());
        let mut out = RVec::new();
        collector.collect(0, &mut out).unwrap();
        assert_eq!((out.len(), collector.describe().unwrap().metrics.len()), (1, 1));
    }
}

#[test]
fn a_page_that_is_broken_for_once_is_an_error_and_the_next_is_read() {
    let asked = AtomicU64::new(0);
    let place = serve(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        1 => ok("a 1\nout of order\nreally\n"),
        _ => ok("a 1\n"),
    });
    let mut collector = make(&place, "").unwrap();
    collector.describe().unwrap();
    let mut out = RVec::new();
    assert_eq!(collector.collect(0, &mut out).unwrap_err().kind, ErrorKind::MALFORMED);
    assert!(out.is_empty());
    collector.collect(0, &mut out).unwrap();
    assert_eq!((out.len(), collector.describe().unwrap().metrics.len()), (1, 1));
}

#[test]
fn fields_are_of_nvidia() {
    let error = make("host", r#", "preset": "server", "fields": "x.csv""#).unwrap_err();
    assert!(error.message.contains("'fields'"), "{error}");
    let error = make("host", r#", "fields": "/no/such/file""#).unwrap_err();
    assert!(error.message.starts_with("/no/such/file: "), "{error}");
}
