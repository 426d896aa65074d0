//! What an endpoint says of an event or a body, with its spans followed, so that it can be kept and compared.

use super::{Expected, golden::GoldenEvent};
use crate::law::{Bare, excerpt, holds, survives};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Answer, Delta, Error, ErrorKind, Event, NO_COUNT, Outgoing, Reply, Span, delta_flags},
};

const LAW: &str = "a call may fail but not panic, and its spans lie inside the event or the scratch buffer";

/// A delta, its spans replaced by the bytes they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    flags: u32,
    choice: u32,
    text: Vec<u8>,
    reasoning: Vec<u8>,
    tool: Vec<u8>,
    error: Vec<u8>,
    /// Prompt, completion, cached, reasoning.
    counts: [u32; 4],
}

/// What is made of a body.
#[derive(Debug, PartialEq)]
pub(super) struct SaidOfBody {
    pub(super) deltas: Vec<Said>,
    pub(super) next: Vec<Exchange>,
}

/// An [`Outgoing`] that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) delay_ns: u64,
}

impl Exchange {
    pub(super) fn of(out: &Outgoing) -> Self {
        Self {
            method: out.method.to_string(),
            path: out.path.to_string(),
            content_type: out.content_type.to_string(),
            headers: out.headers.iter().map(|h| (h.name.to_string(), h.value.to_string())).collect(),
            body: out.body.to_vec(),
            delay_ns: out.delay_ns,
        }
    }
}

/// An event with its place in the stream.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a [u8],
    pub(super) index: u32,
}

impl<'a> At<'a> {
    pub(super) fn golden(index: usize, event: &'a GoldenEvent) -> Self {
        Self { name: &event.event, data: event.data.as_bytes(), index: index as u32 }
    }

    pub(super) fn event(self) -> Event<'a> {
        Event { index: self.index, ..Event::new(self.data).named(self.name) }
    }
}

/// Lets the endpoint read one event.
pub(super) fn of_event(endpoint: &dyn Endpoint, at: At<'_>) -> Result<Said, ErrorKind> {
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    let input = || format!("an event '{}' with the data {}", at.name, excerpt(at.data));
    survives(LAW, input, || endpoint.on_event(&at.event(), &mut delta, &mut scratch).map_err(Bare))
        .map(|()| said(&delta, at.data, &scratch, &input))
        .map_err(|Bare(kind)| kind)
}

/// Lets the endpoint read one body, the first answer of a request.
pub(super) fn of_body(endpoint: &dyn Endpoint, body: &[u8]) -> Result<SaidOfBody, Error> {
    let content_type = "application/json".into();
    let answer = Answer { status: 200, exchange: 0, flags: 0, content_type, body: body.into() };
    let mut reply = Reply::default();
    let input = || format!("a body {}", excerpt(body));
    survives(LAW, input, || endpoint.on_body(&answer, &mut reply))?;
    holds!("at most one exchange follows an answer", reply.next.len() <= 1, "{} on {}", reply.next.len(), input());
    Ok(SaidOfBody {
        deltas: reply.deltas.iter().map(|delta| said(delta, body, &reply.scratch, &input)).collect(),
        next: reply.next.iter().map(Exchange::of).collect(),
    })
}

fn said(delta: &Delta, data: &[u8], scratch: &[u8], input: &dyn Fn() -> String) -> Said {
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    let bytes = |span: Span| {
        let found = if span.is_empty() { Some(&[][..]) } else { span.of(within) };
        holds!(LAW, found.is_some(), "{span:?} reaches outside {} bytes on {}", within.len(), input());
        found.unwrap_or_default().to_vec()
    };
    holds!("reserved words are zero", delta.reserved == [0; 4], "{:?} on {}", delta.reserved, input());
    Said {
        flags: delta.flags & !delta_flags::SCRATCH,
        choice: delta.choice,
        text: bytes(delta.text),
        reasoning: bytes(delta.reasoning),
        tool: bytes(delta.tool),
        error: bytes(delta.error),
        counts: [delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens, delta.reasoning_tokens],
    }
}

impl Said {
    /// Adds what was said to what is known of the whole answer.
    ///
    /// # Errors
    /// When a text cannot be read.
    pub(super) fn add_to(&self, all: &mut Expected) -> Result<(), String> {
        let has = |flag: u32| self.flags & flag != 0;
        let text = |bytes: &[u8]| readable(bytes, has(delta_flags::ESCAPED));
        all.text += &text(&self.text)?;
        all.reasoning += &text(&self.reasoning)?;
        all.tool += &text(&self.tool)?;
        if has(delta_flags::ERROR) {
            *all.error.get_or_insert_default() += &text(&self.error)?;
        }
        let places =
            [&mut all.prompt_tokens, &mut all.completion_tokens, &mut all.cached_tokens, &mut all.reasoning_tokens];
        for (place, count) in places.into_iter().zip(self.counts) {
            if count != NO_COUNT {
                *place = Some(count);
            }
        }
        all.finished |= has(delta_flags::FINISH);
        all.done |= has(delta_flags::DONE);
        Ok(())
    }
}

fn readable(bytes: &[u8], is_escaped: bool) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("{} is not UTF-8: {e}", excerpt(bytes)))?;
    if !is_escaped {
        return Ok(text.to_owned());
    }
    serde_json::from_str(&format!("\"{text}\"")).map_err(|e| format!("{text} is no JSON-escaped text: {e}"))
}
