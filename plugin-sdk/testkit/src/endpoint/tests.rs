//! Endpoints that break one law each.

use super::*;
use inferometer_plugin_sdk::{
    documents::EndpointInfo,
    types::{Answer, Event, Outgoing, Reply, Request, Result, Span, delta_flags},
};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Its events are their text; bodies are the same. With a fault.
struct Fake {
    fault: &'static str,
    calls: AtomicU32,
}

impl Endpoint for Fake {
    fn info(&self) -> EndpointInfo {
        let path = if self.fault == "has no path" { "" } else { "/echo" };
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
        out.deltas.push(Delta { text: Span { off: 0, len: answer.body.len() as u32 }, ..Delta::EMPTY });
        Ok(())
    }
}

fn goldens() -> [Golden; 2] {
    let expect = Expected { text: "Hi you".into(), ..Expected::default() };
    [
        Golden::stream("words", Expected { done: true, ..expect.clone() }).usual("Hi").usual(" you").event("END"),
        Golden::body("words", "Hi you", expect),
    ]
}

fn with(fault: &'static str) {
    check(|| Box::new(Fake { fault, calls: AtomicU32::new(0) }), &goldens());
}

#[test]
fn an_endpoint_without_a_fault_is_lawful() {
    with("");
}

#[test]
#[should_panic(expected = "paths begin with a slash")]
fn a_path_that_is_none_is_found() {
    with("has no path");
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
#[should_panic(expected = "allocates nothing")]
fn an_allocation_is_found() {
    with("allocates");
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
        {"name": "words", "body": "Hi you", "expect": {"text": "Hi you"}}
    ]"#;
    assert_eq!(Golden::list(json).unwrap(), goldens());
    assert!(Golden::list(r#"[{"name": "", "expect": {"txt": ""}}]"#).unwrap_err().to_string().contains("txt"));
}
