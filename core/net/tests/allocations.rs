//! Reading an event is on the measured path: it must not allocate, from the socket to the receiver.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use inferometer_abi::documents::Framing;
use inferometer_model::{Clock, Failure};
use inferometer_net::{
    Arrival, Client, Delivery, Destination, Head, Lane, Limits, Receiver, RequestIds, Sending, Stamps, Usage, Whole,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

/// Time-outs, as they nearly always are: there, and not met.
const LONG: Option<Duration> = Some(Duration::from_secs(600));

#[derive(Default)]
struct Counter {
    events: usize,
}

impl Receiver for Counter {
    fn head(&mut self, _status: u16, _content_type: &str) -> Delivery {
        Delivery::Events(Framing::Sse)
    }

    fn event(&mut self, _name: &[u8], _data: &[u8], _arrival: Arrival) -> Result<(), Failure> {
        self.events += 1;
        Ok(())
    }

    fn whole(&mut self, _answer: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        Ok(())
    }
}

/// Serves one connection: to each request as many events as its body has bytes, each in a write and a chunk of its own.
fn server(listener: &TcpListener, requests: usize) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..requests {
        let mut request = Vec::new();
        let body = loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize = head.split("Content-Length: ").nth(1).unwrap().parse().unwrap();
            if body.len() == length {
                break length;
            }
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for _ in 0..body {
            stream.write_all(b"12\r\ndata: {\"a\": \"b\"}\n\r\n1\r\n\n\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
}

#[test]
fn an_event_costs_no_allocation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || server(&listener, 3));
    let destination = Destination::direct(address.to_string(), vec![address]);
    let head = Head::new("POST", "/", &destination, []).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(
        Clock::start(),
        vec![destination],
        Usage { pooled: true, stamped: true, limits: Limits { connect: LONG, first_byte: LONG, idle: LONG } },
    );
    let allocations = |events: usize| {
        let body = vec![b'x'; events];
        let (mut stamps, mut counter) = (Stamps::EMPTY, Counter::default());
        let sending = Sending { to: 0, head: &head, ids: RequestIds::default(), body: &body, break_off: None };
        let counted = allocation_counter::measure(|| {
            runtime.block_on(client.exchange(sending, &mut Lane::shared(), &mut stamps, &mut counter)).unwrap();
        });
        assert_eq!(counter.events, events);
        counted.count_total
    };
    // The first request makes the connection and the buffers.
    assert_ne!(allocations(3_000), 0, "the counter counts");
    assert_eq!(allocations(3_000), 0);
    assert_eq!(allocations(10), 0);
    serving.join().unwrap();
}
