//! The client against servers that follow a script: what is sent twice, what is not, and what each answer comes to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use inferometer_abi::{documents::Framing, types::ABSENT_NS};
use inferometer_model::{Clock, Failure, FailureKind};
use inferometer_net::{
    Arrival, Client, Delivery, Destination, Head, Lane, Limits, Receiver, RequestIds, Sending, Stamps, Usage, Whole,
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver as Inbox, channel},
    thread,
};

/// What a server does with one connection, step by step; then it closes it.
#[derive(Clone, Copy)]
enum Step {
    /// Reads one request to its end.
    Read,
    /// Reads so many bytes.
    ReadSome(usize),
    Say(&'static str),
    /// Says so many bytes.
    Fill(usize),
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server that serves one connection after another by `scripts`; the bodies it has read come out of the inbox.
fn server(scripts: Vec<Vec<Step>>) -> (SocketAddr, Inbox<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, inbox) = channel();
    thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            for step in script {
                match step {
                    Step::Read => seen.send(read_request(&mut stream)).unwrap(),
                    Step::ReadSome(count) => stream.read_exact(&mut vec![0; count]).unwrap(),
                    Step::Say(text) => stream.write_all(text.as_bytes()).unwrap(),
                    Step::Fill(count) => stream.write_all(&vec![b'x'; count]).unwrap(),
                }
            }
        }
    });
    (address, inbox)
}

/// Reads a request; the length of its body.
fn read_request(stream: &mut TcpStream) -> usize {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    length
}

#[derive(Default)]
struct Keeper {
    status: u16,
    body: Vec<u8>,
    events: Vec<Vec<u8>>,
    fields: Vec<(String, String)>,
    is_cut: bool,
}

impl Receiver for Keeper {
    fn head(&mut self, status: u16, content_type: &str) -> Delivery {
        self.status = status;
        if content_type == "text/event-stream" { Delivery::Events(Framing::Sse) } else { Delivery::Whole }
    }

    fn event(&mut self, _name: &[u8], data: &[u8], _arrival: Arrival) -> Result<(), Failure> {
        self.events.push(data.to_vec());
        Ok(())
    }

    fn whole(&mut self, answer: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        (self.body, self.is_cut) = (answer.body.to_vec(), answer.is_cut);
        self.fields = answer.fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if self.status == 429 { Err(Failure::new(FailureKind::HttpStatus, "refused")) } else { Ok(()) }
    }
}

/// Sends so many requests one after another over one client.
fn requests(address: SocketAddr, count: usize, body: &[u8]) -> Vec<(Result<(), Failure>, Stamps, Keeper)> {
    requests_within(Limits::default(), address, count, body)
}

/// The same, with limits.
fn requests_within(
    limits: Limits,
    address: SocketAddr,
    count: usize,
    body: &[u8],
) -> Vec<(Result<(), Failure>, Stamps, Keeper)> {
    let destination = Destination::direct(address.to_string(), vec![address]);
    let head = Head::new("POST", "/", &destination, []).unwrap();
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

fn kind(result: &Result<(), Failure>) -> FailureKind {
    result.as_ref().unwrap_err().kind
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let (address, seen) = server(vec![vec![Step::Read, Step::Say(OK), Step::Read, Step::Say(OK)]]);
    let results = requests(address, 2, b"body");
    assert!(results.iter().all(|(ended, _, keeper)| ended.is_ok() && keeper.body == b"hi"));
    assert_eq!(
        results.iter().map(|(_, stamps, _)| (stamps.reused, stamps.resent)).collect::<Vec<_>>(),
        [(false, false), (true, false)]
    );
    assert_eq!(seen.iter().take(2).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn a_pooled_connection_that_was_closed_without_a_word_is_no_failure() {
    let (address, seen) = server(vec![vec![Step::Read, Step::Say(OK)], vec![Step::Read, Step::Say(OK)]]);
    let results = requests(address, 2, b"body");
    assert!(results.iter().all(|(ended, ..)| ended.is_ok()));
    assert!(!results[1].1.reused, "the answer came on a fresh connection");
    assert_eq!(seen.iter().count(), 2);
}

#[test]
fn a_server_that_takes_requests_and_closes_is_a_failure_after_one_more_attempt_at_most() {
    let drops = || vec![Step::Read];
    let (address, seen) = server(vec![vec![Step::Read, Step::Say(OK), Step::Read], drops(), drops(), drops()]);
    let results = requests(address, 2, b"body");
    assert_eq!(kind(&results[1].0), FailureKind::Reset);
    // One attempt more only if the close came at once, which a busy machine may prevent.
    assert_eq!(seen.try_iter().count(), if results[1].1.resent { 3 } else { 2 });
}

#[test]
fn a_fresh_connection_that_is_closed_is_a_failure_at_once() {
    let (address, seen) = server(vec![vec![Step::Read], vec![Step::Read]]);
    let results = requests(address, 1, b"body");
    assert_eq!(kind(&results[0].0), FailureKind::Reset);
    assert!(!results[0].1.resent);
    assert_eq!(seen.try_iter().count(), 1);
}

#[test]
fn an_answer_that_comes_before_the_request_was_taken_is_heard() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    // The rest is read as well, or closing would throw the answer away.
    let script = vec![Step::ReadSome(1000), Step::Say(refusal), Step::ReadSome(1)];
    let (address, _seen) = server(vec![script]);
    let (ended, stamps, keeper) = requests(address, 1, &vec![b'x'; 64 << 20]).remove(0);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!((stamps.status, keeper.body.as_slice()), (413, b"big".as_slice()));
}

#[test]
fn an_answer_that_begins_before_the_request_was_taken_stops_nothing() {
    const LENGTH: usize = 64 << 20;
    for early in ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"] {
        let rest = if early.contains("103") { OK } else { "hi" };
        // The server answers no sooner than it has nearly all of the request.
        let script = vec![Step::ReadSome(1000), Step::Say(early), Step::ReadSome(LENGTH - 1000), Step::Say(rest)];
        let (address, _seen) = server(vec![script]);
        let (ended, stamps, keeper) = requests(address, 1, &vec![b'x'; LENGTH]).remove(0);
        assert!(ended.is_ok(), "{early} {ended:?}");
        assert_eq!((stamps.status, keeper.body.as_slice()), (200, b"hi".as_slice()));
    }
}

#[test]
fn an_answer_that_is_none_ends_the_request_at_once() {
    let script = vec![Step::ReadSome(1000), Step::Say("what is this?\r\n\r\n"), Step::ReadSome(1 << 30)];
    let (address, _seen) = server(vec![script]);
    let (ended, ..) = requests(address, 1, &vec![b'x'; 64 << 20]).remove(0);
    assert_eq!(kind(&ended), FailureKind::Malformed);
}

#[test]
fn an_answer_cut_short_is_truncated_and_keeps_its_stamps() {
    let (address, _seen) =
        server(vec![vec![Step::Read, Step::Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")]]);
    let (ended, stamps, _) = requests(address, 1, b"").remove(0);
    assert_eq!(kind(&ended), FailureKind::Truncated);
    assert_eq!(stamps.status, 200);
    assert!(stamps.sent <= stamps.written && stamps.sent <= stamps.first_byte && stamps.headers != ABSENT_NS);
}

#[test]
fn an_interim_answer_is_not_the_first_byte_of_the_answer() {
    let script =
        vec![Step::Read, Step::Say("HTTP/1.1 103 Early Hints\r\n\r\n"), Step::Say(OK), Step::Read, Step::Say(OK)];
    let (address, _seen) = server(vec![script]);
    let results = requests(address, 2, b"");
    assert!(results.iter().all(|(ended, stamps, _)| ended.is_ok() && stamps.status == 200));
    assert_eq!(results[0].1.first_byte, results[0].1.headers);
}

#[test]
fn a_stream_that_ends_with_its_connection_is_read_to_its_end() {
    let stream = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n: ping\n\ndata: b\n\n";
    let (address, _seen) = server(vec![vec![Step::Read, Step::Say(stream)], vec![Step::Read, Step::Say(OK)]]);
    let results = requests(address, 2, b"");
    assert_eq!(results[0].2.events, [b"a", b"b"]);
    assert!(!results[1].1.reused);
}

#[test]
fn a_whole_answer_comes_with_its_header_fields_and_not_with_those_of_an_interim_one() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let accepted = "HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nhi";
    let (address, _seen) = server(vec![vec![Step::Read, Step::Say(early), Step::Say(accepted)]]);
    let (ended, _, keeper) = requests(address, 1, b"").remove(0);
    assert!(ended.is_ok() && !keeper.is_cut);
    let expected = [("retry-after", "3"), ("content-length", "2")];
    assert_eq!(keeper.fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn an_answer_longer_than_is_kept_is_read_to_its_end_and_its_connection_serves_again() {
    const KEPT: usize = 64 << 20;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 67108869\r\n\r\n";
    let (address, _seen) =
        server(vec![vec![Step::Read, Step::Say(head), Step::Fill(KEPT + 5), Step::Read, Step::Say(OK)]]);
    let results = requests(address, 2, b"");
    let (ended, stamps, keeper) = &results[0];
    assert!(ended.is_ok() && keeper.is_cut, "{ended:?}");
    assert_eq!((keeper.body.len(), stamps.received_bytes), (KEPT, KEPT as u64 + 5));
    assert!(results[1].1.reused && !results[1].2.is_cut && results[1].2.body == b"hi");
}

#[test]
fn a_refusal_that_was_read_to_its_end_leaves_its_connection_to_the_next_request() {
    const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy";
    let (address, seen) = server(vec![vec![Step::Read, Step::Say(BUSY), Step::Read, Step::Say(OK), Step::Read]]);
    let results = requests(address, 2, b"{}");
    assert_eq!(results[0].0.as_ref().unwrap_err().kind, FailureKind::HttpStatus);
    assert!(results[1].0.is_ok() && results[1].1.reused && !results[1].1.resent);
    assert_eq!(seen.iter().take(2).count(), 2);
}

#[test]
fn a_request_whose_time_is_over_is_not_sent_again() {
    // The second request is read and never answered, on a connection that stands until the client lets go of it.
    let (address, seen) = server(vec![vec![Step::Read, Step::Say(OK), Step::Read, Step::ReadSome(1)]]);
    let limits = Limits { first_byte: Some(std::time::Duration::from_millis(20)), ..Limits::default() };
    let results = requests_within(limits, address, 2, b"{}");
    let failure = results[1].0.as_ref().unwrap_err();
    assert_eq!((failure.kind, results[1].1.resent), (FailureKind::Timeout, false), "{failure:?}");
    assert_eq!(seen.iter().take(2).count(), 2);
}
