//! What the measured path costs of its own, without the kernel: putting a request together, cutting an answer into events,
//! and taking a stamp. The counter is events, or bytes of requests.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use divan::{Bencher, black_box, counter::ItemsCount};
use hdrhistogram::Histogram;
use inferometer_abi::{documents::Framing, types::NO_COUNT};
use inferometer_model::{Clock, Failure};
use inferometer_net::{Arrival, Delivery, Destination, Head, Receiver, RequestIds, Response, Stamps, Whole};

fn main() {
    divan::main();
}

/// An event of 221 bytes, as chat servers send them.
const EVENT: &str = r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1790000000,"model":"mock","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}"#;
const EVENTS: usize = 256;
const ARRIVAL: Arrival = Arrival { at_ns: 1, lag_ns: NO_COUNT };

/// Looks at what it is given and keeps nothing.
struct Sink;

impl Receiver for Sink {
    fn head(&mut self, _status: u16, content_type: &str) -> Delivery {
        if content_type.contains("event-stream") { Delivery::Events(Framing::Sse) } else { Delivery::Whole }
    }

    fn event(&mut self, name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        black_box((name, data, arrival));
        Ok(())
    }

    fn whole(&mut self, answer: Whole<'_>, arrival: Arrival) -> Result<(), Failure> {
        black_box((answer, arrival));
        Ok(())
    }
}

/// The reads that bring an answer: its head, and its events in chunks of their own, so many a read.
fn stream(events_a_read: usize) -> Vec<Vec<u8>> {
    let chunk = format!("{:x}\r\n{EVENT}\n\n\r\n", EVENT.len() + 2);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reads = (0..EVENTS / events_a_read).map(|_| chunk.repeat(events_a_read).into_bytes());
    std::iter::once(head.as_bytes().to_vec()).chain(reads).chain([b"0\r\n\r\n".to_vec()]).collect()
}

fn take(response: &mut Response, reads: &mut [Vec<u8>]) {
    let mut stamps = Stamps::EMPTY;
    response.begin();
    for read in reads {
        response.take(read, ARRIVAL, &mut stamps, &mut Sink).unwrap();
    }
    assert!(response.is_done());
}

/// Events cut out of chunked server-sent events, by how many come in a read.
#[divan::bench(args = [1, 16, 256])]
fn split_events(bencher: Bencher<'_, '_>, events_a_read: usize) {
    let (mut response, mut reads) = (Response::default(), stream(events_a_read));
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| take(&mut response, &mut reads));
}

/// A whole answer of 650 bytes, in one read.
#[divan::bench]
fn read_whole_answer(bencher: Bencher<'_, '_>) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: a\r\nDate: b\r\nContent-Length: 650\r\n\r\n";
    let mut reads = [[head.as_bytes(), &[b'x'; 650]].concat()];
    let mut response = Response::default();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| take(&mut response, &mut reads));
}

/// A request put together, by the length of its body.
#[divan::bench(args = [600, 32_768])]
fn encode_request(bencher: Bencher<'_, '_>, length: usize) {
    let destination = Destination::direct("127.0.0.1:8000", Vec::new());
    let headers =
        [("User-Agent", "inferometer"), ("Accept", "text/event-stream"), ("Content-Type", "application/json")];
    let head = Head::new("POST", "/v1/chat/completions", &destination, headers).unwrap();
    let (body, mut out) = (vec![b'x'; length], Vec::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        head.write(RequestIds::default(), &body, &mut out);
        black_box(&out);
    });
}

/// A look at the run's clock.
#[divan::bench]
fn stamp(bencher: Bencher<'_, '_>) {
    let clock = Clock::start();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| black_box(clock.now()));
}

/// A lag put into its histogram.
#[divan::bench]
fn record_lag(bencher: Bencher<'_, '_>) {
    let mut lags = inferometer_net::Lags::default();
    let mut lag_ns = 0_u64;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        lag_ns = lag_ns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lags.histogram.saturating_record(lag_ns >> 44);
    });
    black_box::<&Histogram<u64>>(&lags.histogram);
}
