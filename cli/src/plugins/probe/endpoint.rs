//! Laws of every endpoint.

use super::{Fault, Law, Maker, Verdict, broken, excerpt, survives};
use inferometer_abi::{
    RVec,
    api::Endpoint,
    random::SplitMix64,
    types::{
        Answer, Delta, Error, ErrorKind, Event, Message, Outgoing, Part, Reply, Request, Span, delta_flags,
        request_flags,
    },
};

pub(super) const LAWS: [Law<dyn Endpoint>; 3] = [
    ("describes itself alike whenever it is made", describes_itself_alike),
    ("encodes a request alike at every call, or refuses it", encodes_alike),
    ("reads any answer without a panic and without looking outside it", reads_anything),
];

/// Answers as servers of several kinds give them, to be cut short and damaged.
const ANSWERS: [&str; 7] = [
    r#"{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":" \"hi\"\n"},"finish_reason":null}]}"#,
    r#"{"choices":[{"text":" word","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"héllo"}}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":false,"eval_count":7}"#,
    r#"{"error":{"message":"too long","code":400}}"#,
    r#"{"data":[{"embedding":[0.5,-1e3],"index":0}],"id":"7","status":"queued"}"#,
    "[DONE]",
];

fn describes_itself_alike(make: Maker<'_, dyn Endpoint>) -> Verdict {
    let (one, other) = (make()?.info(), make()?.info());
    if one != other {
        return Err(broken(format_args!("first {one:?}, then {other:?}")));
    }
    Ok(format!(
        "{}{}",
        if one.path.is_empty() { "no path" } else { &one.path },
        if one.streams { ", streams" } else { "" }
    ))
}

/// What an exchange consists of.
type Exchange = (String, String, String, Vec<(String, String)>, Vec<u8>);

fn encodes_alike(make: Maker<'_, dyn Endpoint>) -> Verdict {
    let (one, other) = (make()?, make()?);
    let mut refused = None;
    for text in ["Say \"hello\"\n to 漢字."].iter().chain(&super::HOSTILE) {
        for flags in [0, request_flags::STREAM] {
            let (first, again) = (encode(&*one, text, flags)?, encode(&*other, text, flags)?);
            if first != again || first != encode(&*one, text, flags)? {
                return Err(broken(format_args!("the prompt {text:?} first became {first:?}, then {again:?}")));
            }
            match first {
                Ok(exchange) => can_be_sent(text, &exchange)?,
                Err(error) => refused = Some(error),
            }
        }
    }
    match refused {
        Some(error) => Ok(format!("it refused a plain prompt: {error}")),
        None => Ok(String::new()),
    }
}

fn encode(endpoint: &dyn Endpoint, text: &str, flags: u32) -> Result<Result<Exchange, Error>, Fault> {
    let parts = [Part::text(text)];
    let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
    let request = Request { max_tokens: 16, flags, ..Request::new("a-model", &messages) };
    let mut out = Outgoing::default();
    let encoded = survives(endpoint.encode(&request, &mut out), || format!("the prompt {text:?}"))?;
    Ok(encoded.map(|()| {
        let headers = out.headers.iter().map(|header| (header.name.to_string(), header.value.to_string()));
        (
            out.method.to_string(),
            out.path.to_string(),
            out.content_type.to_string(),
            headers.collect(),
            out.body.to_vec(),
        )
    }))
}

fn can_be_sent(text: &str, (method, path, content_type, headers, body): &Exchange) -> Result<(), Fault> {
    let is_field = |text: &str| !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let is_path = path.is_empty() || path.starts_with('/') && !path.bytes().any(|byte| byte <= b' ' || byte == 0x7F);
    let is_head = method.bytes().all(|byte| byte.is_ascii_uppercase())
        && is_field(content_type)
        && headers.iter().all(|(name, value)| !name.is_empty() && is_field(name) && is_field(value));
    if !is_path || !is_head {
        return Err(broken(format_args!("the prompt {text:?} became a head that cannot be sent: {method} {path}")));
    }
    let is_json = content_type.is_empty() || content_type.starts_with("application/json");
    // A GET has no body.
    if is_json && !body.is_empty() && serde_json::from_slice::<serde_json::Value>(body).is_err() {
        return Err(broken(format_args!("the prompt {text:?} became a body that is no JSON: {}", excerpt(body))));
    }
    Ok(())
}

fn reads_anything(make: Maker<'_, dyn Endpoint>) -> Verdict {
    let endpoint = make()?;
    let mut random = SplitMix64::new(0x1AB5);
    let mut tried = 0;
    let mut read = |data: &[u8]| {
        tried += 1;
        read_twice(&*endpoint, data)
    };
    for answer in ANSWERS.map(str::as_bytes) {
        (0..=answer.len()).try_for_each(|len| read(&answer[..len]))?;
        for _ in 0..100 {
            let mut damaged = answer.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = b"\"\\{}[],:0-eu\0\xff\n "[random.below(16) as usize];
            }
            read(&damaged)?;
        }
    }
    for len in (0..200).chain([4_096]) {
        read(&(0..len).map(|_| random.next_u64() as u8).collect::<Vec<_>>())?;
    }
    for text in super::HOSTILE.into_iter().chain(["null", "[]", "1e999", "\"\\ud800\"", "{\"choices\":[null]}"]) {
        read(text.as_bytes())?;
    }
    read("[".repeat(20_000).as_bytes())?;
    read("{\"a\":".repeat(20_000).as_bytes())?;
    Ok(format!("{tried} answers"))
}

/// Reads the same bytes twice, as an event and as a body: the second time has to be as the first.
fn read_twice(endpoint: &dyn Endpoint, data: &[u8]) -> Result<(), Fault> {
    let (first, again) = (event(endpoint, data)?, event(endpoint, data)?);
    if first != again {
        return Err(broken(format_args!("the event {} held {first:?}, and then {again:?}", excerpt(data))));
    }
    body(endpoint, data)
}

fn event(endpoint: &dyn Endpoint, data: &[u8]) -> Result<Result<(Delta, Vec<u8>), ErrorKind>, Fault> {
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    match endpoint.on_event(&Event::new(data), &mut delta, &mut scratch) {
        Err(ErrorKind::PANICKED) => Err(broken(format_args!("it panicked on the event {}", excerpt(data)))),
        Err(kind) => Ok(Err(kind)),
        Ok(()) => {
            stays_inside(&delta, data, &scratch)?;
            Ok(Ok((delta, scratch.to_vec())))
        }
    }
}

fn body(endpoint: &dyn Endpoint, data: &[u8]) -> Result<(), Fault> {
    let content_type = "application/json".into();
    let answer = Answer { status: 200, exchange: 0, flags: 0, content_type, body: data.into() };
    let mut reply = Reply::default();
    if survives(endpoint.on_body(&answer, &mut reply), || format!("the body {}", excerpt(data)))?.is_ok() {
        reply.deltas.iter().try_for_each(|delta| stays_inside(delta, data, &reply.scratch))?;
    }
    Ok(())
}

fn stays_inside(delta: &Delta, data: &[u8], scratch: &[u8]) -> Result<(), Fault> {
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    let is_outside = |span: &&Span| !span.is_empty() && span.of(within).is_none();
    match [delta.text, delta.reasoning, delta.tool, delta.error].iter().find(is_outside) {
        Some(span) => {
            Err(broken(format_args!("{span:?} reaches outside {} bytes, on {}", within.len(), excerpt(data))))
        }
        None => Ok(()),
    }
}
