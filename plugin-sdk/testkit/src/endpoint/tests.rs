//! Endpoints that break one law each.

use super::*;
use inferometer_plugin_sdk::{
    documents::EndpointInfo,
    types::{self, Answer, Event, Outgoing, Reply, Request, Result, Span, delta_flags},
};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Its events are their text; bodies are the same. With a fault.
struct Fake {
    fault: &'static str,
    calls: AtomicU32,
}

impl Endpoint for Fake {
    fn info(&self) -> EndpointInfo {
        let path = if self.fault == "has a path without a slash" { "echo" } else { "/echo" };
        EndpointInfo { path: path.into(), streams: true, ..EndpointInfo::default() }
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        if !request.raw_body.is_empty() {
            out.body.extend_from_slice(&request.raw_body);
            return Ok(());
        }
        let call = if self.fault == "counts" { self.calls.fetch_add(1, Relaxed) } else { 0 };
        let end = if self.fault == "writes no JSON" { "" } else { "]" };
        out.body.extend_from_slice(format!("[{call}, {}{end}", request.max_tokens).as_bytes());
        Ok(())
    }

    fn on_event(&self, event: &Event<'_>, out: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
        assert!(self.fault != "panics" || event.data.is_ascii());
        if event.data.as_slice() == b"END" {
            out.flags = delta_flags::DONE;
            return Ok(());
        }
        let len = event.data.len() as u32;
        let more = match self.fault {
            "reaches outside" => 1,
            "remembers" => self.calls.fetch_add(1, Relaxed).min(len),
            "allocates" => std::hint::black_box(event.data.to_vec()).len() as u32 - len,
            _ => 0,
        };
        out.text = if self.fault == "remembers" {
            Span { off: more, len: len - more }
        } else {
            Span { off: 0, len: len + more }
        };
        Ok(())
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        if self.fault == "refuses bodies" {
            return Err(Error::malformed("no"));
        }
        let len = match self.fault {
            "remembers bodies" => self.calls.fetch_add(1, Relaxed).min(answer.body.len() as u32),
            _ => answer.body.len() as u32,
        };
        out.deltas.push(Delta { text: Span { off: 0, len }, ..Delta::EMPTY });
        Ok(())
    }

    /// A plain text is the name of what follows; what was asked for goes into its path.
    fn on_answer(&self, answer: &Answer<'_>, exchange: &types::Exchange<'_>, out: &mut Reply) -> Result<()> {
        if answer.content_type.as_str() != "text/plain" {
            return self.on_body(answer, out);
        }
        let wait: u64 = match exchange.header("Retry-After").map_or(Ok(0), str::parse) {
            Ok(seconds) => seconds,
            Err(_) if self.fault == "panics on headers" => panic!("no seconds"),
            Err(_) => 0,
        };
        let name = String::from_utf8_lossy(&answer.body);
        let path = match self.fault {
            "goes nowhere" => name.into_owned(),
            _ => format!("{}/{}", exchange.path, name.escape_debug()),
        };
        let next = Outgoing { method: "GET".into(), path: path.into(), delay_ns: wait, ..Outgoing::default() };
        out.next.push(next.with_state(exchange.state.wrapping_add(1)));
        Ok(())
    }
}

fn goldens() -> [Golden; 3] {
    let next = Next { delay_ns: 9, state: 5, ..Next::get("/jobs/7") };
    let follows = Expected { next: Some(next), ..Expected::default() };
    let expect = Expected { text: "Hi you".into(), ..Expected::default() };
    [
        Golden::stream("words", Expected { done: true, ..expect.clone() }).usual("Hi").usual(" you").event("END"),
        Golden::body("words", "Hi you", expect),
        Golden::body("a job", "7", follows)
            .asked("/jobs", 4)
            .header("Content-Type", "text/plain")
            .header("Retry-After", "9"),
    ]
}

fn with(fault: &'static str) {
    check(|| Box::new(Fake { fault, calls: AtomicU32::new(0) }), &goldens());
}

/// Like [`with`], for the law that has to be asked for.
fn counted(fault: &'static str, count: fn(&mut dyn FnMut()) -> u64) {
    let endpoint = Fake { fault, calls: AtomicU32::new(0) };
    reads_usual_events_without_allocating(&endpoint, &goldens(), count);
}

fn measured(read: &mut dyn FnMut()) -> u64 {
    allocation_counter::measure(read).count_total
}

#[test]
fn an_endpoint_without_a_fault_is_lawful() {
    with("");
}

#[test]
#[should_panic(expected = "paths begin with a slash")]
fn a_path_that_is_none_is_found() {
    with("has a path without a slash");
}

#[test]
#[should_panic(expected = "encoded alike at every call")]
fn a_body_that_differs_from_call_to_call_is_found() {
    with("counts");
}

#[test]
#[should_panic(expected = "is no JSON")]
fn json_that_is_none_is_found() {
    with("writes no JSON");
}

#[test]
#[should_panic(expected = "spans lie inside")]
fn a_span_that_reaches_outside_is_found() {
    with("reaches outside");
}

#[test]
#[should_panic(expected = "holds what its golden says")]
fn an_endpoint_that_remembers_is_found() {
    with("remembers");
}

#[test]
#[should_panic(expected = "does not depend on what was read before")]
fn memory_is_found_by_its_own_law() {
    reads_each_event_by_itself(&Fake { fault: "remembers", calls: AtomicU32::new(0) }, &goldens());
}

#[test]
#[should_panic(expected = "does not depend on what was read before")]
fn memory_of_bodies_is_found() {
    reads_each_answer_by_itself(&Fake { fault: "remembers bodies", calls: AtomicU32::new(0) }, &goldens());
}

#[test]
#[should_panic(expected = "holds what its golden says")]
fn an_exchange_that_should_not_follow_is_found() {
    let golden = Golden::body("a job", "7", Expected::default()).header("content-type", "text/plain");
    finds_what_answers_hold(&Fake { fault: "", calls: AtomicU32::new(0) }, &[golden]);
}

#[test]
#[should_panic(expected = "what follows: the path '7'")]
fn an_exchange_that_cannot_be_sent_is_found() {
    with("goes nowhere");
}

#[test]
#[should_panic(expected = "may fail but not panic")]
fn a_panic_on_a_header_is_found() {
    with("panics on headers");
}

#[test]
#[should_panic(expected = "its body is refused")]
fn a_golden_body_that_is_refused_is_found() {
    with("refuses bodies");
}

#[test]
#[should_panic(expected = "may fail but not panic")]
fn a_panic_is_found() {
    with("panics");
}

#[test]
fn reading_without_allocating_is_lawful() {
    counted("", measured);
}

#[test]
#[should_panic(expected = "allocates nothing")]
fn an_allocation_is_found() {
    counted("allocates", measured);
}

#[test]
#[should_panic(expected = "allocations are counted")]
fn a_count_that_does_not_count_is_found() {
    counted("", |read| {
        read();
        0
    });
}

#[test]
#[should_panic(expected = "there is a golden for each way")]
fn missing_goldens_are_asked_for() {
    check(|| Box::new(Fake { fault: "", calls: AtomicU32::new(0) }), &goldens()[1..]);
}

#[test]
fn goldens_can_be_read_from_json() {
    let json = r#"[
        {"name": "words", "events": [{"data": "Hi", "usual": true}, {"data": " you", "usual": true}, {"data": "END"}],
         "expect": {"text": "Hi you", "done": true}},
        {"name": "words", "body": "Hi you", "expect": {"text": "Hi you"}},
        {"name": "a job", "body": "7",
         "asked": {"number": 1, "path": "/jobs", "state": 4,
                   "headers": {"Content-Type": "text/plain", "Retry-After": "9"}},
         "expect": {"next": {"method": "GET", "path": "/jobs/7", "delay_ns": 9, "state": 5}}}
    ]"#;
    assert_eq!(Golden::list(json).unwrap(), goldens());
    assert!(Golden::list(r#"[{"name": "", "expect": {"txt": ""}}]"#).unwrap_err().to_string().contains("txt"));
}
