//! Ways to a server other than straight by TCP, and how long each stage of a request may take.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{OK, failure, read_request, requests, serve};
use inferometer_model::{FailureKind, plan::TlsPlan, secret::Secret};
use inferometer_net::{Destination, Limits, Proxy, Route, Tls};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    thread::{self, JoinHandle},
    time::Duration,
};

/// A server that does `what` with its first connection.
fn server<T: Send + 'static>(what: impl FnOnce(TcpStream) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), thread::spawn(move || what(listener.accept().unwrap().0)))
}

fn by_proxy(proxy: SocketAddr, tunnel: Option<&str>) -> Destination {
    let route = Route::Proxy(Proxy {
        name: format!("http://{proxy}"),
        addresses: vec![proxy],
        authorization: Some(Secret::new("Basic YTpi")),
        tunnel: tunnel.map(str::to_owned),
    });
    Destination { authority: "server.example:8000".to_owned(), route, tls: None }
}

#[test]
fn a_socket_file_leads_to_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || serve(listener.accept().unwrap().0, &[OK]));
    let destination =
        |path| Destination { route: Route::Unix(path), ..Destination::direct("server.example", Vec::new()) };
    let results = requests(destination(path.clone()), Limits::default(), 2, b"body");
    assert!(results.iter().all(|(ended, _, keeper)| ended.is_ok() && keeper.body == b"hi"));
    assert!(results[1].1.reused);
    assert!(serving.join().unwrap()[0].starts_with("POST /v1 HTTP/1.1\r\nHost: server.example\r\n"));
    let missing = failure(requests(destination(path.with_extension("no")), Limits::default(), 1, b""));
    assert_eq!(missing.kind, FailureKind::Connect);
    assert!(missing.message.contains("--unix-socket"), "{missing}");
}

#[test]
fn a_proxy_is_sent_the_whole_url_of_what_it_may_read() {
    let (proxy, serving) = server(|stream| serve(stream, &[OK]));
    let results = requests(by_proxy(proxy, None), Limits::default(), 2, b"body");
    assert!(results.iter().all(|(ended, ..)| ended.is_ok()) && results[1].1.reused);
    let heads = serving.join().unwrap();
    let begins = "POST http://server.example:8000/v1 HTTP/1.1\r\nHost: server.example:8000\r\n\
                  Proxy-Authorization: Basic YTpi\r\n";
    assert!(heads.len() == 2 && heads.iter().all(|head| head.starts_with(begins)), "{heads:?}");
}

#[test]
fn a_tunnel_through_a_proxy_is_part_of_connecting_and_carries_what_follows_untouched() {
    let (proxy, serving) = server(|mut stream| {
        let (asked, _) = read_request(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
        (asked, serve(stream, &[OK]))
    });
    let results = requests(by_proxy(proxy, Some("server.example:8000")), Limits::default(), 2, b"body");
    assert!(results.iter().all(|(ended, _, keeper)| ended.is_ok() && keeper.body == b"hi"), "{:?}", results[0].0);
    assert!(results[1].1.reused);
    let (asked, heads) = serving.join().unwrap();
    assert!(asked.starts_with("CONNECT server.example:8000 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic YTpi"));
    assert!(heads.iter().all(|head| head.starts_with("POST /v1 ") && !head.contains("Proxy-")), "{heads:?}");
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_status() {
    for (answer, word) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407, it does not take the user"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        ("SSH-2.0\r\n\r\n", "not HTTP/1.1"),
        ("", "closed the connection"),
    ] {
        let (proxy, _serving) = server(move |mut stream| {
            read_request(&mut stream).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let failure = failure(requests(by_proxy(proxy, Some("h:443")), Limits::default(), 1, b""));
        assert_eq!(failure.kind, FailureKind::Connect);
        let said = [&format!("http://{proxy}"), "h:443", word].iter().all(|word| failure.message.contains(*word));
        assert!(said, "{failure}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_as_such() {
    // A port that was somebody's and is nobody's now.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = failure(requests(by_proxy(proxy, Some("h:443")), Limits::default(), 1, b""));
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(failure.message.starts_with(&format!("the proxy http://{proxy}: {proxy}")), "{failure}");
}

const SHORT: Option<Duration> = Some(Duration::from_millis(30));
const LONG: Option<Duration> = Some(Duration::from_secs(600));

/// A time-out of the stage that `limits` leave short, with a server that says `says` after it has read a request, and then
/// nothing.
fn silent(destination: impl FnOnce(SocketAddr) -> Destination, limits: Limits, says: &'static str) -> String {
    let (address, serving) = server(move |mut stream| {
        if !says.is_empty() {
            read_request(&mut stream).unwrap();
            stream.write_all(says.as_bytes()).unwrap();
        }
        // Until the client gives it up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let failure = failure(requests(destination(address), limits, 1, b"body"));
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    serving.join().unwrap();
    failure.message.into_owned()
}

fn plain(address: SocketAddr) -> Destination {
    Destination::direct(address.to_string(), vec![address])
}

#[test]
fn an_answer_that_does_not_begin_is_given_up_by_the_limit_for_that() {
    let limits = Limits { connect: LONG, first_byte: SHORT, idle: LONG };
    assert!(silent(plain, limits, "").contains("--first-byte-timeout-seconds"));
    // An interim answer is none.
    let said = silent(plain, limits, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert!(said.contains("30ms") && said.contains("--first-byte-timeout-seconds"), "{said}");
}

#[test]
fn an_answer_that_falls_silent_is_given_up_by_the_limit_for_that() {
    let limits = Limits { connect: LONG, first_byte: LONG, idle: SHORT };
    let said = silent(plain, limits, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    assert!(said.contains("mid-answer") && said.contains("--idle-timeout-seconds"), "{said}");
}

#[test]
fn connecting_is_given_up_with_the_stage_that_it_was_in() {
    let limits = Limits { connect: SHORT, first_byte: LONG, idle: LONG };
    let secure = |address| {
        let tls = Tls::new(&TlsPlan { insecure: true, ..TlsPlan::default() }, &[]).unwrap();
        Destination { tls: Some(tls.name("localhost").unwrap()), ..plain(address) }
    };
    let said = silent(secure, limits, "");
    assert!(said.contains("TLS") && said.contains("--connect-timeout-seconds"), "{said}");
    let said = silent(|address| by_proxy(address, Some("h:443")), limits, "");
    assert!(said.contains("the proxy http://127.0.0.1") && said.contains("--connect-timeout-seconds"), "{said}");
}
