//! The client by HTTP/2, against servers of the same protocol and of others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "http2/support.rs"]
mod support;

use bytes::Bytes;
use h2::{Reason, server::Builder};
use http::{HeaderMap, Response};
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::{Clock, FailureKind, config::HttpVersion};
use inferometer_net::{Client, Destination, Lane, Limits, Stamps, Usage};
use proptest::prelude::*;
use std::{
    future::poll_fn,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    thread,
    time::Duration,
};
use support::{Asker, Keeper, Server, block_on, body, head, say};
use tokio::{
    sync::{Barrier, Notify},
    task::LocalSet,
};

/// A server that answers with the request's body, in frames of as many bytes as its first line says.
fn echo() -> Server {
    Server::new(Builder::new(), |_, request, mut response| {
        Box::pin(async move {
            let text = String::from_utf8(body(request).await).unwrap();
            let (size, text) = text.split_once('\n').unwrap();
            let mut stream = response.send_response(head("text/event-stream"), false).unwrap();
            for piece in text.as_bytes().chunks(size.parse().unwrap()) {
                stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
                tokio::task::yield_now().await;
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn events_do_not_depend_on_how_the_answer_was_cut_into_frames(
        events in prop::collection::vec("[a-zé]{1,40}", 0..60),
        size in 1_usize..300,
    ) {
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let server = echo();
        let asked = block_on(async { Asker::new(server.address).ask(format!("{size}\n{text}").as_bytes()).await });
        prop_assert_eq!(asked.ended, Ok(()));
        prop_assert_eq!(asked.stamps.received_bytes, text.len() as u64);
        prop_assert_eq!(asked.keeper.events(), events);
    }
}

#[test]
fn a_request_arrives_as_http2_has_it_and_its_answer_is_stamped() {
    let server = Server::new(Builder::new(), |_, request, mut response| {
        Box::pin(async move {
            let fields: HeaderMap = request.headers().clone();
            let seen = format!("{} {} {}", request.method(), request.uri(), fields["x-request-id"].to_str().unwrap());
            assert!(!fields.contains_key("connection") && !fields.contains_key("host"), "{fields:?}");
            assert_eq!(fields["content-length"].to_str().unwrap(), "4");
            assert_eq!(body(request).await, b"body");
            let answer = Response::builder().status(202).header("X-Seen", seen).body(()).unwrap();
            let mut stream = response.send_response(answer, false).unwrap();
            stream.send_data(Bytes::from_static(b"done"), false).unwrap();
            stream.send_trailers([("x-last".parse().unwrap(), "1".parse().unwrap())].into_iter().collect()).unwrap();
        })
    });
    let asker = Asker::new(server.address);
    let (first, second) = block_on(async { (asker.ask(b"body").await, asker.ask(b"body").await) });
    assert_eq!((&first.ended, first.stamps.status, first.keeper.body.as_slice()), (&Ok(()), 202, &b"done"[..]));
    let seen = format!("POST http://{}/v1/x 00000000-0000-0000-0000-000000000000", server.address);
    assert_eq!(first.keeper.fields, [("x-seen".to_owned(), seen)]);
    let Stamps { connected, sent, written, first_byte, headers, last_byte, .. } = first.stamps;
    assert!([connected, sent, written].is_sorted(), "{:?}", first.stamps);
    assert!([sent, first_byte, headers, last_byte].is_sorted(), "{:?}", first.stamps);
    assert!(last_byte != ABSENT_NS && first.stamps.reads > 0 && first.stamps.connect_ns > 0 && !first.stamps.reused);
    assert!(second.ended.is_ok() && second.stamps.reused && second.stamps.connect_ns == 0);
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_event_has_the_time_of_the_read_that_completed_it() {
    let heard = Arc::new(Notify::new());
    let serve_when = Arc::clone(&heard);
    let server = Server::new(Builder::new(), move |_, _, mut response| {
        let heard = Arc::clone(&serve_when);
        Box::pin(async move {
            let mut stream = response.send_response(head("text/event-stream"), false).unwrap();
            for _ in 0..3 {
                stream.send_data(Bytes::from_static(b"data: a\n\ndata: b\n\ndata: "), false).unwrap();
                // Two events are whole, and the next begins once they were seen.
                heard.notified().await;
                stream.send_data(Bytes::from_static(b"c\n\n"), false).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
    });
    let keeper = Keeper { heard: Some(heard), ..Keeper::default() };
    let asked = block_on(async { Asker::new(server.address).ask_by(&mut Lane::shared(), b"", None, keeper).await });
    assert_eq!(asked.keeper.events().concat(), "abcabcabc");
    let at: Vec<u64> = asked.keeper.events.iter().map(|(_, arrival)| arrival.at_ns).collect();
    assert!(at.is_sorted() && at[0] == at[1] && at[1] < at[2] && asked.stamps.sent < at[0], "{at:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn events_have_the_stamps_of_the_kernel() {
    let server = gathering(1, None);
    let asker = Asker::new(server.address);
    // The kernel takes its time to begin with it.
    let is_stamped = block_on(async {
        for _ in 0..10_000 {
            let (_, arrival) = asker.ask(b"").await.keeper.events[0];
            if arrival.lag_ns != inferometer_abi::types::NO_COUNT {
                return true;
            }
        }
        false
    });
    assert!(is_stamped);
}

/// A server that answers when so many requests are there at once, and takes so many on a connection.
fn gathering(count: usize, limit: Option<u32>) -> Server {
    let mut builder = Builder::new();
    if let Some(limit) = limit {
        builder.max_concurrent_streams(limit);
    }
    let barrier = Arc::new(Barrier::new(count));
    Server::new(builder, move |_, _, response| {
        let barrier = Arc::clone(&barrier);
        Box::pin(async move {
            barrier.wait().await;
            say(response, "text/event-stream", "data: hi\n\n");
        })
    })
}

#[test]
fn requests_share_connections_as_far_as_the_user_and_the_server_allow() {
    for (streams, limit, connections) in [(100, None, 1), (5, None, 2), (100, Some(4), 3), (1, None, 10)] {
        let server = gathering(10, limit);
        let all = block_on(Asker::with(server.address, true, streams).ask_at_once(10));
        assert!(all.iter().all(|asked| asked.ended.is_ok() && asked.keeper.events() == ["hi"]));
        assert!(all.iter().all(|asked| !asked.stamps.resent), "none is sent that the server would refuse");
        assert_eq!(server.connections(), connections, "{streams} {limit:?}");
    }
}

#[test]
fn a_request_has_a_connection_of_its_own_where_none_are_reused_and_a_lane_keeps_its_own() {
    let server = gathering(1, None);
    let never = Asker::with(server.address, false, 100);
    block_on(async {
        assert!(!never.ask(b"").await.stamps.reused && !never.ask(b"").await.stamps.reused);
        assert_eq!(server.connections(), 2);
        let (mut one, mut two) = (Lane::own(), Lane::own());
        for reused in [false, true] {
            for lane in [&mut one, &mut two] {
                let asked = never.ask_by(lane, b"", None, Keeper::default()).await;
                assert_eq!((asked.ended, asked.stamps.reused), (Ok(()), reused));
            }
        }
    });
    assert_eq!(server.connections(), 4);
}

#[test]
fn a_large_request_goes_through_small_windows_and_a_large_answer_through_the_clients() {
    const LENGTH: usize = 3 << 20;
    let mut builder = Builder::new();
    builder.initial_window_size(1000).max_frame_size(16_384);
    let server = Server::new(builder, |_, request, mut response| {
        Box::pin(async move {
            let body = body(request).await;
            assert!(body.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
            let mut stream = response.send_response(head("application/octet-stream"), false).unwrap();
            stream.send_data(Bytes::from(body.repeat(10)), true).unwrap();
        })
    });
    let sent: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let asked = block_on(async { Asker::new(server.address).ask(&sent).await });
    assert_eq!(asked.ended, Ok(()));
    assert_eq!((asked.keeper.body.len(), asked.stamps.received_bytes), (10 * LENGTH, 10 * LENGTH as u64));
    assert!(asked.keeper.body.chunks(LENGTH).all(|part| part == sent));
    assert!(asked.stamps.sent < asked.stamps.written && asked.stamps.written != ABSENT_NS);
}

#[test]
fn an_answer_that_is_whole_before_the_request_was_taken_is_heard() {
    let server = Server::new(Builder::new(), |_, _, mut response| {
        Box::pin(async move {
            let refusal = Response::builder().status(413).body(()).unwrap();
            response.send_response(refusal, false).unwrap().send_data(Bytes::from_static(b"big"), true).unwrap();
        })
    });
    let asker = Asker::new(server.address);
    let (refused, next) = block_on(async { (asker.ask(&vec![0; 1 << 20]).await, asker.ask(b"").await) });
    assert_eq!((&refused.ended, refused.stamps.status, refused.keeper.body.as_slice()), (&Ok(()), 413, &b"big"[..]));
    assert!(next.ended.is_ok() && next.stamps.reused);
}

#[test]
fn a_stream_that_is_reset_is_a_failure_that_names_the_code_and_leaves_its_connection() {
    let server = Server::new(Builder::new(), |_, _, mut response| {
        Box::pin(async move {
            let mut stream = response.send_response(head("text/event-stream"), false).unwrap();
            stream.send_data(Bytes::from_static(b"data: a\n\n"), false).unwrap();
            poll_fn(|context| {
                stream.reserve_capacity(1);
                stream.poll_capacity(context)
            })
            .await;
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        })
    });
    let asker = Asker::new(server.address);
    let (first, second) = block_on(async { (asker.ask(b"").await, asker.ask(b"").await) });
    assert_eq!(first.failure().kind, FailureKind::Reset);
    assert!(first.failure().message.contains("INTERNAL_ERROR"), "{:?}", first.ended);
    assert!(!first.stamps.resent && second.stamps.reused);
}

#[test]
fn a_request_that_the_server_refused_unread_is_sent_once_more_on_a_fresh_connection() {
    let refuse_first = |refused: usize| {
        Server::new(Builder::new(), move |connection, _, mut response| {
            Box::pin(async move {
                if connection < refused {
                    response.send_reset(Reason::REFUSED_STREAM);
                } else {
                    say(response, "text/event-stream", "data: hi\n\n");
                }
            })
        })
    };
    let server = refuse_first(1);
    let asked = block_on(async { Asker::new(server.address).ask(b"{}").await });
    assert_eq!((&asked.ended, asked.stamps.resent, asked.keeper.events()), (&Ok(()), true, vec!["hi"]));
    let server = refuse_first(9);
    let asked = block_on(async { Asker::new(server.address).ask(b"{}").await });
    assert!(asked.failure().message.contains("REFUSED_STREAM"), "{:?}", asked.ended);
    assert_eq!((asked.failure().kind, server.connections()), (FailureKind::Reset, 2));
}

/// Frames as they are on the wire.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_request_that_a_closing_server_did_not_take_is_sent_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(&[&SETTINGS[..], &GOAWAY].concat()).unwrap();
        // The connection stays open until the client has had enough of it.
        let server = Server::on(listener, Builder::new(), |_, _, response| {
            Box::pin(async move { say(response, "text/event-stream", "data: hi\n\n") })
        });
        (server, stream)
    });
    let all = block_on(Asker::new(address).ask_at_once(5));
    assert!(all.iter().all(|asked| asked.ended.is_ok() && asked.keeper.events() == ["hi"]));
    // Whoever waited meanwhile was never sent on it.
    assert_eq!(all.iter().filter(|asked| asked.stamps.resent).count(), 1);
    assert_eq!(serving.join().unwrap().0.connections(), 1, "all that were refused share the next");
}

/// A server that says `answer` to whatever it is sent, and closes.
fn blurt(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // Until the client closes: a reset would take the answer away.
            while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
        }
    });
    address
}

#[test]
fn a_server_that_speaks_http1_is_told_from_one_that_breaks_off() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let all = block_on(Asker::new(blurt(answer)).ask_at_once(3));
    for asked in &all {
        assert_eq!(asked.failure().kind, FailureKind::Malformed);
        assert_eq!(asked.failure().message, "the server does not speak HTTP/2; leave --http-version out");
    }
    let asked = block_on(async { Asker::new(blurt(Vec::new())).ask(b"").await });
    assert_eq!(asked.failure().kind, FailureKind::Reset);
    assert!(asked.failure().message.contains("without a word of HTTP/2"), "{:?}", asked.ended);
    let asked = block_on(async { Asker::new(blurt(vec![7; 100])).ask(b"").await });
    assert_eq!(asked.failure().kind, FailureKind::Malformed);
}

#[test]
fn an_answer_whose_connection_ends_is_truncated_and_keeps_what_came() {
    // Status 200, from the static table; then a piece of a body.
    let frames = [&SETTINGS[..], &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88], &[0, 0, 4, 0, 0, 0, 0, 0, 1], b"half"].concat();
    let asked = block_on(async { Asker::new(blurt(frames)).ask(b"").await });
    assert_eq!((asked.failure().kind, asked.stamps.status), (FailureKind::Truncated, 200));
    assert_eq!(asked.stamps.received_bytes, 4);
}

#[test]
fn a_request_that_is_given_up_is_cancelled_at_the_server_and_its_connection_serves_again() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&cancelled);
    let server = Server::new(Builder::new(), move |_, request, mut response| {
        let counter = Arc::clone(&counter);
        Box::pin(async move {
            if body(request).await == b"quick" {
                return say(response, "text/plain", "hi");
            }
            let mut stream = response.send_response(head("text/event-stream"), false).unwrap();
            stream.send_data(Bytes::from_static(b"data: a\n\n"), false).unwrap();
            assert_eq!(poll_fn(|context| stream.poll_reset(context)).await.unwrap(), Reason::CANCEL);
            counter.fetch_add(1, SeqCst);
        })
    });
    let (asker, heard) = (Asker::new(server.address), Arc::new(Notify::new()));
    block_on(async {
        let keeper = Keeper { heard: Some(Arc::clone(&heard)), ..Keeper::default() };
        let mut lane = Lane::shared();
        tokio::select! {
            _ = asker.ask_by(&mut lane, b"slow", None, keeper) => unreachable!("the server does not end it"),
            () = heard.notified() => {}
        }
        // Nothing else goes on on the connection, and the server is told all the same.
        while cancelled.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let next = asker.ask(b"quick").await;
        assert!(next.ended.is_ok() && next.stamps.reused && next.keeper.body == b"hi");
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_request_that_is_broken_off_on_purpose_is_no_failure_of_its_connection() {
    let server = Server::new(Builder::new(), |_, request, response| {
        Box::pin(async move {
            if body(request).await == b"quick" {
                return say(response, "text/plain", "hi");
            }
            std::future::pending::<()>().await;
        })
    });
    let asker = Asker::new(server.address);
    block_on(async {
        let soon = Some(Duration::from_millis(1));
        let broken_off = asker.ask_by(&mut Lane::shared(), b"slow", soon, Keeper::default()).await;
        assert_eq!(broken_off.failure().kind, FailureKind::Cancelled);
        let next = asker.ask(b"quick").await;
        assert!(next.ended.is_ok() && next.stamps.reused && next.keeper.body == b"hi");
    });
}

#[test]
fn a_silent_server_is_given_up_after_the_limits_of_the_user() {
    let server = Server::new(Builder::new(), |_, request, mut response| {
        Box::pin(async move {
            let begins = body(request).await == b"begin";
            let _kept = begins.then(|| response.send_response(head("text/event-stream"), false).unwrap());
            std::future::pending::<()>().await;
        })
    });
    let mut asker = Asker::new(server.address);
    let short = Some(Duration::from_millis(1));
    let usage = Usage { pooled: true, stamped: true, limits: Limits { connect: None, first_byte: short, idle: short } };
    let destination = Destination::direct("h", vec![server.address]);
    asker.client = Client::new(Clock::start(), vec![destination], usage).with_http(HttpVersion::Http2, 10);
    let (silent, begun) = block_on(async { (asker.ask(b"").await, asker.ask(b"begin").await) });
    for asked in [&silent, &begun] {
        assert_eq!(asked.failure().kind, FailureKind::Timeout, "{:?}", asked.ended);
    }
    assert!(silent.failure().message.contains("--first-byte-timeout-seconds"));
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, is_closed) = channel();
    thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (_, response) = connection.accept().await.unwrap().unwrap();
                say(response, "text/plain", "hi");
                connection.graceful_shutdown();
                while connection.accept().await.is_some() {}
                drop(connection);
                closed.send(()).unwrap();
            }
        });
    });
    let asker = Asker::new(address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..2 {
        let asked = LocalSet::new().block_on(&runtime, asker.ask(b""));
        assert_eq!((&asked.ended, asked.stamps.reused), (&Ok(()), false));
        // What the client has to do for it, it does with the next request at the latest.
        let _ = is_closed.recv_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_connection_outlives_the_tasks_of_the_requests_on_it() {
    let server = gathering(1, None);
    let asker = Asker::new(server.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for reused in [false, true] {
        let asked = LocalSet::new().block_on(&runtime, asker.ask(b""));
        assert_eq!((&asked.ended, asked.stamps.reused), (&Ok(()), reused));
    }
}
