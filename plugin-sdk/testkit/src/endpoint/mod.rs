//! The laws of endpoints.
//!
//! Not here: that a stream may be cut into reads anywhere, which the host's framer promises.

mod golden;
mod requests;
mod said;

pub use golden::{Expected, Golden, GoldenEvent};

use crate::{
    law::{below, excerpt, holds, random},
    wire,
};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Delta, Error, ErrorKind},
};
use said::{At, Exchange, Said, of_body, of_event};
use std::fmt::Debug;

/// Holds an endpoint to all laws, as it is and behind the wire; `make` makes it anew. See the functions of this module.
///
/// # Panics
/// When a law is broken, or when there are too few goldens to tell.
pub fn check(make: impl Fn() -> Box<dyn Endpoint>, goldens: &[Golden]) {
    let native = make();
    let wired = wire::endpoint(make());
    holds!(
        "a host accepts its description",
        wired.is_ok(),
        "{}",
        wired.err().map_or_else(String::new, |e| e.to_string())
    );
    let Ok(wired) = wired else { return };
    are_enough(&*native, goldens);
    for endpoint in [&*native, &*wired] {
        describes_itself_alike(endpoint);
        encodes_alike(endpoint);
        finds_what_answers_hold(endpoint, goldens);
        reads_each_event_by_itself(endpoint, goldens);
        survives_any_answer(endpoint, goldens);
    }
    reads_usual_events_without_allocating(&*native, goldens);
    agree(&*native, &*wired, goldens);
}

fn are_enough(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = "there is a golden for each way of answering";
    let has = |which: fn(&Golden) -> bool| goldens.iter().any(which);
    holds!(law, has(|g| g.body.is_some()), "no golden has a body; see `Golden::body`");
    let is_streamed = has(|g| !g.events.is_empty());
    holds!(law, is_streamed || !endpoint.info().streams, "it streams and no golden has events; see `Golden::stream`");
}

/// Its description is the same at every call, and its paths begin with a slash.
///
/// # Panics
/// When the law is broken.
pub fn describes_itself_alike(endpoint: &dyn Endpoint) {
    let law = "an endpoint's description is the same at every call, and its paths begin with a slash";
    let info = endpoint.info();
    for _ in 0..3 {
        let again = endpoint.info();
        holds!(law, again == info, "first {info:?}, then {again:?}");
    }
    for path in [Some(&info.path), info.streaming_path.as_ref()].into_iter().flatten() {
        holds!(law, path.starts_with('/'), "the path '{path}'");
    }
}

/// The same request gives the same bytes at every call; what is called JSON is JSON; whole bodies are sent as they are; a
/// plain question can be put; paths and headers can stand in a request's head. Requests it refuses are refused alike.
///
/// # Panics
/// When the law is broken.
pub fn encodes_alike(endpoint: &dyn Endpoint) {
    let law = "a request is encoded alike at every call, into what can be sent";
    let first = requests::encode_all(endpoint);
    for (case, encoded) in &first {
        match encoded {
            Err(error) => holds!(law, !case.is_plain, "{}: a plain question is refused: {error}", case.name),
            Ok(exchange) => can_be_sent(law, case, exchange),
        }
    }
    let mut again = requests::encode_all_backwards(endpoint);
    again.reverse();
    for ((case, first), (_, again)) in first.iter().zip(&again) {
        holds!(law, first == again, "{}: first {first:?}, then {again:?}", case.name);
    }
}

fn can_be_sent(law: &str, case: &requests::Case, exchange: &Exchange) {
    let name = case.name;
    let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let is_value = |text: &str| !text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
    let Exchange { method, path, content_type, headers, body, .. } = exchange;
    holds!(law, is_token(method), "{name}: the method '{method}'");
    let is_path = path.is_empty() || path.starts_with('/') && !path.bytes().any(|b| b <= b' ' || b == 0x7f);
    holds!(law, is_path, "{name}: the path '{path}'");
    holds!(law, is_value(content_type), "{name}: the content type {content_type:?}");
    for (field, value) in headers {
        holds!(law, !field.is_empty() && is_token(field) && is_value(value), "{name}: the header {field:?}: {value:?}");
    }
    if let Some(raw) = case.raw_body {
        holds!(law, body == raw, "{name}: {} became {}", excerpt(raw), excerpt(body));
    } else if content_type.is_empty() || content_type.starts_with("application/json") {
        let json = serde_json::from_slice::<serde_json::Value>(body);
        holds!(law, json.is_ok(), "{name}: {} is no JSON: {json:?}", excerpt(body));
    }
}

/// Each golden holds what its author says.
///
/// # Panics
/// When the law is broken.
pub fn finds_what_answers_hold(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = "an answer holds what its golden says";
    for Golden { name, events, body, expect } in goldens {
        let check = |all: Vec<Said>, way: &str| {
            let mut found = Expected::default();
            for said in &all {
                let added = said.add_to(&mut found);
                holds!(law, added.is_ok(), "golden '{name}' {way}: {}", added.err().unwrap_or_default());
            }
            holds!(law, found == *expect, "golden '{name}' {way}\n  expected {expect:?}\n  found    {found:?}");
        };
        if !events.is_empty() {
            check(all_read(law, endpoint, name, events), "streamed");
        }
        if let Some(body) = body {
            let read = of_body(endpoint, body.as_bytes());
            holds!(law, read.is_ok(), "golden '{name}': its body is refused: {read:?}");
            check(read.map(|read| read.deltas).unwrap_or_default(), "whole");
        }
    }
}

fn all_read(law: &str, endpoint: &dyn Endpoint, golden: &str, events: &[GoldenEvent]) -> Vec<Said> {
    let read = |(i, event): (usize, &GoldenEvent)| {
        let said = of_event(endpoint, At::golden(i, event));
        holds!(
            law,
            said.is_ok(),
            "golden '{golden}': event {i} {} is refused: {said:?}",
            excerpt(event.data.as_bytes())
        );
        said.ok()
    };
    events.iter().enumerate().filter_map(read).collect()
}

/// What an event holds does not depend on what was read before it: one object serves all streams of all workers at once.
///
/// # Panics
/// When the law is broken.
pub fn reads_each_event_by_itself(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = "what an event holds does not depend on what was read before it";
    let events: Vec<At<'_>> =
        goldens.iter().flat_map(|g| g.events.iter().enumerate().map(|(i, e)| At::golden(i, e))).collect();
    let in_order: Vec<_> = events.iter().map(|at| of_event(endpoint, *at)).collect();
    let mut random = random();
    for round in 0..4 * events.len() {
        let i = if round < events.len() { events.len() - 1 - round } else { below(&mut random, events.len()) };
        if round % 3 == 0 {
            // What is cut short must leave nothing behind either.
            let data = events[i].data;
            let _ = of_event(endpoint, At { data: &data[..data.len() / 2], ..events[i] });
            let _ = of_body(endpoint, data);
        }
        let again = of_event(endpoint, events[i]);
        holds!(law, again == in_order[i], "{}: first {:?}, then {again:?}", excerpt(events[i].data), in_order[i]);
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for (at, first) in events.iter().zip(&in_order) {
                    let again = of_event(endpoint, *at);
                    holds!(law, again == *first, "{}, on another thread: {again:?}", excerpt(at.data));
                }
            });
        }
    });
}

/// Events and bodies that are cut short, damaged or made up are read or refused, without a panic and without a span that
/// reaches outside.
///
/// # Panics
/// When the law is broken.
pub fn survives_any_answer(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    const NAMES: [&str; 3] = ["", "error", "ping"];
    let mut random = random();
    let mut number = 0;
    let mut survives = |data: &[u8]| {
        // What is found is of no interest: the bounds of its spans are checked on the way.
        let _ = of_event(endpoint, At { name: NAMES[number % NAMES.len()], data, index: number as u32 });
        let _ = of_body(endpoint, data);
        number += 1;
    };
    let events = goldens.iter().flat_map(|golden| golden.events.iter().map(|event| event.data.as_bytes()));
    let bodies = goldens.iter().filter_map(|golden| golden.body.as_deref().map(str::as_bytes));
    for data in events.chain(bodies) {
        (0..data.len()).step_by(1 + data.len() / 300).for_each(|len| survives(&data[..len]));
        for _ in 0..100 {
            let mut damaged = data.to_vec();
            for _ in 0..1 + below(&mut random, 3) {
                damage(&mut damaged, &mut random);
            }
            survives(&damaged);
        }
    }
    for len in (0..300).chain([4_096]) {
        survives(&(0..len).map(|_| random.next_u64() as u8).collect::<Vec<_>>());
    }
    for text in
        ["null", "[]", "{}", "\"\\ud800\"", "1e999", "{\"choices\":[null]}", "\u{feff}{}", "data: {}", " [DONE] "]
    {
        survives(text.as_bytes());
    }
    survives("[".repeat(20_000).as_bytes());
    survives("{\"a\":".repeat(20_000).as_bytes());
}

fn damage(data: &mut Vec<u8>, random: &mut inferometer_plugin_sdk::random::SplitMix64) {
    const LOADED: &[u8] = b"\"\\{}[],:0-eE.u\0\xff\n ";
    let at = below(random, data.len());
    match below(random, 4) {
        0 if !data.is_empty() => data[at] = LOADED[below(random, LOADED.len())],
        1 if !data.is_empty() => data[at] ^= 1 << below(random, 8),
        2 if !data.is_empty() => {
            let end = data.len().min(at + 1 + below(random, 20));
            data.drain(at..end);
        }
        _ => data.insert(at, LOADED[below(random, LOADED.len())]),
    }
}

/// Reading an event that is marked as usual allocates nothing: it happens on the measured path.
///
/// An endpoint from a library is not seen into: it has an allocator of its own.
///
/// # Panics
/// When the law is broken.
pub fn reads_usual_events_without_allocating(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = "reading a usual event allocates nothing";
    for golden in goldens {
        for (i, event) in golden.events.iter().enumerate().filter(|(_, event)| event.usual) {
            let event = At::golden(i, event).event();
            let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
            // What is made once, at the first call, is not counted.
            let _ = endpoint.on_event(&event, &mut delta, &mut scratch);
            (delta, scratch) = (Delta::EMPTY, RVec::new());
            let mut read = Ok(());
            let counted = allocation_counter::measure(|| read = endpoint.on_event(&event, &mut delta, &mut scratch));
            holds!(
                law,
                read.is_ok() && counted.count_total == 0,
                "golden '{}', event {i}: {} allocations on {}",
                golden.name,
                counted.count_total,
                excerpt(&event.data)
            );
        }
    }
}

/// Two objects of one endpoint, one of them behind the wire, say the same of everything.
///
/// # Panics
/// When the law is broken.
pub fn agree(one: &dyn Endpoint, other: &dyn Endpoint, goldens: &[Golden]) {
    fn same<T: PartialEq + Debug>(what: &str, one: &T, other: &T) {
        holds!("an endpoint says the same here and behind the wire", one == other, "{what}\n  {one:?}\n  {other:?}");
    }
    same("its description", &one.info(), &other.info());
    for ((case, one), (_, other)) in requests::encode_all(one).iter().zip(&requests::encode_all(other)) {
        same(case.name, one, other);
    }
    for golden in goldens {
        for (i, event) in golden.events.iter().enumerate() {
            let at = At::golden(i, event);
            for len in [at.data.len(), at.data.len() / 2, 1] {
                let at = At { data: &at.data[..len.min(at.data.len())], ..at };
                let said = |endpoint| -> Result<Said, ErrorKind> { of_event(endpoint, at) };
                same(&excerpt(at.data), &said(one), &said(other));
            }
        }
        for body in golden.body.iter().flat_map(|body| [body.as_bytes(), &body.as_bytes()[..body.len() / 2]]) {
            let said = |endpoint| -> Result<_, Error> { of_body(endpoint, body) };
            same(&excerpt(body), &said(one), &said(other));
        }
    }
}

#[cfg(test)]
mod tests;
