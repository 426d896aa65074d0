//! The laws of endpoints.
//!
//! Not here: that a stream may be cut into reads anywhere, which the host's framer promises.

mod exchange;
mod golden;
mod requests;
mod said;

pub use exchange::{Asked, Next};
pub use golden::{Expected, Golden, GoldenEvent};

use crate::{
    law::{Law, Make, below, broken, excerpt, holds, on_two_threads, random},
    wire,
};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Delta, Error, ErrorKind},
};
use requests::{MATERIALS, WHOLE_BODY};
use said::{At, Exchange, Said, SaidOfBody, of_body, of_event};
use std::fmt::Debug;

const DESCRIBES: &str = "an endpoint always describes itself alike, and its paths begin with a slash";
const ENCODES: &str = "a request is encoded alike at every call, into what can be sent";
const FINDS: &str = "an answer holds what its golden says";
const FORGETS: &str = "what an answer holds does not depend on what was read before it";
const SURVIVES: &str = "any answer is read or refused, without a panic and without looking outside it";

/// Answers as servers of several kinds give them. What an endpoint makes of them is its own affair.
const ANSWERS: [&str; 7] = [
    r#"{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":" \"hi\"\n"},"finish_reason":null}]}"#,
    r#"{"choices":[{"text":" word","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"héllo"}}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":false,"eval_count":7}"#,
    r#"{"error":{"message":"too long","code":400}}"#,
    r#"{"data":[{"embedding":[0.5,-1e3],"index":0}],"id":"7","status":"queued"}"#,
    "[DONE]",
];

/// Holds an endpoint to all laws, as it is and behind the wire; `make` makes it anew. See [`laws`], and
/// [`reads_usual_events_without_allocating`] for one that has to be asked for.
///
/// # Panics
/// When a law is broken, or when there are too few goldens to tell.
pub fn check(make: impl Fn() -> Box<dyn Endpoint>, goldens: &[Golden]) {
    let wired = || {
        let refused = |error| broken("a host accepts its description", format_args!("{error}"));
        wire::endpoint(make()).unwrap_or_else(refused)
    };
    are_enough(&*make(), goldens);
    for make in [&make as Make<'_, _>, &wired] {
        laws(make, goldens).into_iter().for_each(Law::enforce);
    }
    agree(&*make(), &*wired(), goldens);
}

/// The laws of endpoints. Without goldens, those that any endpoint can be held to.
pub fn laws<'a>(make: Make<'a, dyn Endpoint>, goldens: &'a [Golden]) -> Vec<Law<'a>> {
    let mut laws =
        vec![Law::new(DESCRIBES, move || describes_itself_alike(make)), Law::new(ENCODES, move || encodes_alike(make))];
    if !goldens.is_empty() {
        laws.push(Law::new(FINDS, move || finds_what_answers_hold(&*make(), goldens)));
    }
    laws.push(Law::new(FORGETS, move || reads_each_answer_by_itself(&*make(), goldens)));
    laws.push(Law::new(SURVIVES, move || survives_any_answer(&*make(), goldens)));
    laws
}

fn are_enough(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = "there is a golden for each way of answering";
    let has = |which: fn(&Golden) -> bool| goldens.iter().any(which);
    holds!(law, has(|g| g.body.is_some()), "no golden has a body; see `Golden::body`");
    let is_streamed = has(|g| !g.events.is_empty());
    holds!(law, is_streamed || !endpoint.info().streams, "it streams and no golden has events; see `Golden::stream`");
}

/// Its description is the same at every call and whenever it is made, and its paths begin with a slash. It may have none: then
/// users give one.
fn describes_itself_alike(make: Make<'_, dyn Endpoint>) {
    let law = DESCRIBES;
    let endpoint = make();
    let info = endpoint.info();
    for again in [endpoint.info(), endpoint.info(), make().info()] {
        holds!(law, again == info, "first {info:?}, then {again:?}");
    }
    for path in [Some(&info.path), info.streaming_path.as_ref()].into_iter().flatten() {
        holds!(law, path.is_empty() || path.starts_with('/'), "the path '{path}'");
    }
}

/// The same request gives the same bytes at every call; what is called JSON is JSON; whole bodies are sent as they are; a
/// plain question can be put; paths and headers can stand in a request's head. Requests it refuses are refused alike.
fn encodes_alike(make: Make<'_, dyn Endpoint>) {
    let law = ENCODES;
    let endpoint = make();
    let first = requests::encode_all(&*endpoint);
    for (case, encoded) in &first {
        match encoded {
            Err(_) => {}
            Ok(exchange) => can_be_sent(law, case, exchange),
        }
    }
    can_be_asked(law, &*endpoint, &first);
    for endpoint in [&*endpoint, &*make()] {
        let again = requests::encode_all_backwards(endpoint);
        for ((case, first), (_, again)) in first.iter().zip(again.iter().rev()) {
            holds!(law, first == again, "{}: first {first:?}, then {again:?}", case.name);
        }
    }
}

/// All plain questions of some material can be put. Whole bodies are enough for an endpoint that has no path of its own: it
/// is one for servers of any kind.
fn can_be_asked(law: &str, endpoint: &dyn Endpoint, encoded: &[requests::Encoded]) {
    let has_path = !endpoint.info().path.is_empty();
    let refusal = |material: usize| {
        let mut questions = encoded.iter().filter(|(case, _)| case.material == Some(material));
        questions.find_map(|(case, encoded)| Some((case.name, encoded.as_ref().err()?)))
    };
    let refused = || {
        let named = MATERIALS.iter().enumerate().filter(|(_, name)| !has_path || **name != WHOLE_BODY);
        named.map(|(material, name)| (name, refusal(material)))
    };
    let is_asked = refused().any(|(_, refusal)| refusal.is_none());
    let all: Vec<String> = refused()
        .filter_map(|(material, refusal)| {
            let (name, error) = refusal?;
            Some(format!("\n  {name} of {material}: {error}"))
        })
        .collect();
    holds!(law, is_asked, "plain questions are refused:{}", all.concat());
}

fn can_be_sent(law: &str, case: &requests::Case, exchange: &Exchange) {
    let name = case.name;
    let Exchange { method, content_type, body, .. } = exchange;
    has_a_head(law, name, exchange);
    if let Some(raw) = case.raw_body {
        holds!(law, body.0 == raw, "{name}: {} became {body:?}", excerpt(raw));
    } else if !(method == "GET" && body.0.is_empty())
        && (content_type.is_empty() || content_type.starts_with("application/json"))
    {
        let json = serde_json::from_slice::<serde_json::Value>(&body.0);
        holds!(law, json.is_ok(), "{name}: {body:?} is no JSON: {json:?}");
    }
}

/// What stands in a request's head can stand there.
fn has_a_head(law: &str, name: &str, exchange: &Exchange) {
    let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let is_value = |text: &str| !text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
    let Exchange { method, path, content_type, headers, .. } = exchange;
    holds!(law, is_token(method), "{name}: the method '{method}'");
    let begins = path.is_empty() || path.starts_with('/') || path.contains("://");
    let is_path = begins && !path.bytes().any(|b| b <= b' ' || b == 0x7f);
    holds!(law, is_path, "{name}: the path '{path}'");
    holds!(law, is_value(content_type), "{name}: the content type {content_type:?}");
    for (field, value) in headers {
        holds!(law, !field.is_empty() && is_token(field) && is_value(value), "{name}: the header {field:?}: {value:?}");
    }
}

/// Each golden holds what its author says.
fn finds_what_answers_hold(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = FINDS;
    for Golden { name, events, body, asked, expect } in goldens {
        let check = |all: Vec<Said>, next: Option<Exchange>, way: &str| {
            next.iter().for_each(|next| has_a_head(law, &format!("golden '{name}', what follows"), next));
            let mut found = Expected { next: next.as_ref().map(Exchange::expected), ..Expected::default() };
            for said in &all {
                let added = said.add_to(&mut found);
                holds!(law, added.is_ok(), "golden '{name}' {way}: {}", added.err().unwrap_or_default());
            }
            holds!(law, found == *expect, "golden '{name}' {way}\n  expected {expect:?}\n  found    {found:?}");
        };
        if !events.is_empty() {
            check(all_read(law, endpoint, name, events), None, "streamed");
        }
        if let Some(body) = body {
            let read = of_body(endpoint, asked, body.as_bytes());
            let Ok(SaidOfBody { deltas, mut next }) = read else {
                broken(law, format_args!("golden '{name}': its body is refused: {read:?}"))
            };
            check(deltas, next.pop(), "whole");
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

/// What an event or a body holds does not depend on what was read before it: one object serves all requests of all workers
/// at once.
fn reads_each_answer_by_itself(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    reads_each_event_by_itself(endpoint, goldens);
    let bodies = goldens.iter().filter_map(|golden| Some((golden.asked.clone(), golden.body.as_deref()?)));
    let odd = odd_exchanges(goldens).into_iter().zip(ANSWERS.into_iter().cycle());
    let bodies: Vec<(Asked, &str)> = bodies.chain(odd).collect();
    let read = |(asked, body): &(Asked, &str)| of_body(endpoint, asked, body.as_bytes());
    let in_order: Vec<_> = bodies.iter().map(read).collect();
    on_two_threads(|| {
        for (body, first) in bodies.iter().zip(&in_order).rev() {
            let again = read(body);
            holds!(FORGETS, again == *first, "{body:?}: first {first:?}, then {again:?}");
        }
    });
}

fn reads_each_event_by_itself(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    let law = FORGETS;
    let answers = ANSWERS.map(|answer| At { name: "", data: answer.as_bytes(), index: 0 });
    let events = goldens.iter().flat_map(|g| g.events.iter().enumerate().map(|(i, e)| At::golden(i, e)));
    let events: Vec<At<'_>> = events.chain(answers).collect();
    let in_order: Vec<_> = events.iter().map(|at| of_event(endpoint, *at)).collect();
    let mut random = random();
    for round in 0..4 * events.len() {
        let i = if round < events.len() { events.len() - 1 - round } else { below(&mut random, events.len()) };
        if round % 3 == 0 {
            // What is cut short must leave nothing behind either.
            let data = events[i].data;
            let _ = of_event(endpoint, At { data: &data[..data.len() / 2], ..events[i] });
            let _ = of_body(endpoint, &Asked::default(), data);
        }
        let again = of_event(endpoint, events[i]);
        holds!(law, again == in_order[i], "{}: first {:?}, then {again:?}", excerpt(events[i].data), in_order[i]);
    }
    on_two_threads(|| {
        for (at, first) in events.iter().zip(&in_order) {
            let again = of_event(endpoint, *at);
            holds!(law, again == *first, "{}, on another thread: {again:?}", excerpt(at.data));
        }
    });
}

/// Exchanges of goldens with a body, and others.
fn odd_exchanges(goldens: &[Golden]) -> Vec<Asked> {
    Asked::odd(goldens.iter().filter(|golden| golden.body.is_some()).map(|golden| golden.asked.clone()))
}

/// Events and bodies that are cut short, damaged or made up are read or refused, without a panic and without a span that
/// reaches outside.
fn survives_any_answer(endpoint: &dyn Endpoint, goldens: &[Golden]) {
    const NAMES: [&str; 3] = ["", "error", "ping"];
    let mut random = random();
    let asked = odd_exchanges(goldens);
    let mut number = 0;
    let mut survives = |data: &[u8]| {
        // What is found is of no interest: the bounds of its spans are checked on the way.
        let _ = of_event(endpoint, At { name: NAMES[number % NAMES.len()], data, index: number as u32 });
        let _ = of_body(endpoint, &asked[number % asked.len()], data);
        number += 1;
    };
    let events = goldens.iter().flat_map(|golden| golden.events.iter().map(|event| event.data.as_bytes()));
    let bodies = goldens.iter().filter_map(|golden| golden.body.as_deref().map(str::as_bytes));
    for data in events.chain(bodies).chain(ANSWERS.map(str::as_bytes)) {
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
/// `count` runs what it is given and says how often that allocated. To count takes an allocator of the test's own, and which
/// one a program has is not for a library to decide; so this law is not among [`laws`]. With the crate `allocation-counter` as
/// a dev-dependency it is `|read| allocation_counter::measure(read).count_total`.
///
/// An endpoint from a library is not seen into: it has an allocator of its own.
///
/// # Panics
/// When the law is broken, when no golden has a usual event, or when `count` does not count.
pub fn reads_usual_events_without_allocating(
    endpoint: &dyn Endpoint,
    goldens: &[Golden],
    count: impl Fn(&mut dyn FnMut()) -> u64,
) {
    let law = "reading a usual event allocates nothing";
    let one = count(&mut || drop(std::hint::black_box(Box::new(0_u8))));
    holds!("allocations are counted", one == 1, "{one} of one");
    let is_usual = |golden: &Golden| golden.events.iter().any(|event| event.usual);
    holds!("there is a usual event", goldens.iter().any(is_usual), "mark one; see `Golden::usual`");
    for golden in goldens {
        for (i, event) in golden.events.iter().enumerate().filter(|(_, event)| event.usual) {
            let event = At::golden(i, event).event();
            let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
            // What is made once, at the first call, is not counted.
            let _ = endpoint.on_event(&event, &mut delta, &mut scratch);
            (delta, scratch) = (Delta::EMPTY, RVec::new());
            let mut read = Ok(());
            let counted = count(&mut || read = endpoint.on_event(&event, &mut delta, &mut scratch));
            holds!(
                law,
                read.is_ok() && counted == 0,
                "golden '{}', event {i}: {counted} allocations on {}",
                golden.name,
                excerpt(&event.data)
            );
        }
    }
}

/// Two objects of one endpoint, one of them behind the wire, say the same of everything.
fn agree(one: &dyn Endpoint, other: &dyn Endpoint, goldens: &[Golden]) {
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
            let said = |endpoint| -> Result<_, Error> { of_body(endpoint, &golden.asked, body) };
            same(&excerpt(body), &said(one), &said(other));
        }
    }
}

#[cfg(test)]
mod tests;
