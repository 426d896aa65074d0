//! What the tests of ways to a server share: one that answers over any stream, and a client that asks it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use inferometer_abi::documents::Framing;
use inferometer_model::{Clock, Failure};
use inferometer_net::{
    Arrival, Client, Delivery, Destination, Head, Lane, Limits, Receiver, RequestIds, Sending, Stamps, Usage, Whole,
};
use std::io::{Read, Write};

/// The answer to most requests.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Reads a request: its head, and its body's length; nothing at the end of the stream.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<(String, usize)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("Content-Length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some((head, length))
}

/// Answers every request on `stream` with `answer`, piece by piece; the heads, when the client has closed it.
pub(crate) fn serve(mut stream: impl Read + Write, answer: &[&str]) -> Vec<String> {
    let mut heads = Vec::new();
    while let Some((head, _)) = read_request(&mut stream) {
        heads.push(head);
        for piece in answer {
            stream.write_all(piece.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
    }
    heads
}

/// What came of a request.
#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) body: Vec<u8>,
    pub(crate) events: Vec<(Vec<u8>, Arrival)>,
}

impl Receiver for Keeper {
    fn head(&mut self, _status: u16, content_type: &str) -> Delivery {
        if content_type == "text/event-stream" { Delivery::Events(Framing::Sse) } else { Delivery::Whole }
    }

    fn event(&mut self, _name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        self.events.push((data.to_vec(), arrival));
        Ok(())
    }

    fn whole(&mut self, answer: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        self.body = answer.body.to_vec();
        Ok(())
    }
}

/// Sends so many requests one after another over one client.
pub(crate) fn requests(
    destination: Destination,
    limits: Limits,
    count: usize,
    body: &[u8],
) -> Vec<(Result<(), Failure>, Stamps, Keeper)> {
    let head = Head::new("POST", "/v1", &destination, []).unwrap();
    let client = Client::new(Clock::start(), vec![destination], Usage { pooled: true, stamped: true, limits });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut results = Vec::new();
        for _ in 0..count {
            let (mut stamps, mut keeper) = (Stamps::EMPTY, Keeper::default());
            let sending = Sending { to: 0, head: &head, ids: RequestIds::default(), body, break_off: None };
            let ended = client.exchange(sending, &mut Lane::shared(), &mut stamps, &mut keeper).await;
            results.push((ended, stamps, keeper));
        }
        results
    })
}

/// How a request failed.
pub(crate) fn failure(results: Vec<(Result<(), Failure>, Stamps, Keeper)>) -> Failure {
    results.into_iter().next().unwrap().0.unwrap_err()
}
