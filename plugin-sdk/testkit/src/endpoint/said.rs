//! What an endpoint says of an event or a body, with its spans followed, so that it can be kept and compared.

use super::{Asked, Expected, Next, golden::GoldenEvent};
use crate::law::{Bare, Bytes, excerpt, holds, survives};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{
        self, Answer, Delta, Error, ErrorKind, Event, Field, NO_COUNT, Outgoing, Reply, Span, UsageDetail,
        UsageDetails, delta_flags,
    },
};

const LAW: &str = "a call may fail but not panic, and its spans lie inside the event or the scratch buffer";

/// A delta, its spans replaced by the bytes they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    flags: u32,
    choice: u32,
    text: Bytes,
    reasoning: Bytes,
    tool: Bytes,
    error: Bytes,
    /// Prompt, completion, cached, reasoning.
    counts: [u32; 4],
    details: UsageDetails,
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
    pub(super) body: Bytes,
    pub(super) delay_ns: u64,
    pub(super) state: u64,
}

impl Exchange {
    pub(super) fn of(out: &Outgoing) -> Self {
        Self {
            method: out.method.to_string(),
            path: out.path.to_string(),
            content_type: out.content_type.to_string(),
            headers: out.headers.iter().map(|h| (h.name.to_string(), h.value.to_string())).collect(),
            body: Bytes(out.body.to_vec()),
            delay_ns: out.delay_ns,
            state: out.state(),
        }
    }

    /// The same as goldens have it.
    pub(super) fn expected(&self) -> Next {
        Next {
            method: self.method.clone(),
            path: self.path.clone(),
            content_type: self.content_type.clone(),
            headers: self.headers.iter().cloned().collect(),
            body: String::from_utf8_lossy(&self.body.0).into_owned(),
            delay_ns: self.delay_ns,
            state: self.state,
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

/// Lets the endpoint read one body, the answer to what was `asked`.
pub(super) fn of_body(endpoint: &dyn Endpoint, asked: &Asked, body: &[u8]) -> Result<SaidOfBody, Error> {
    let fields = asked.fields();
    let content_type = fields["content-type"].into();
    let answer = Answer { status: 200, exchange: asked.number, flags: 0, content_type, body: body.into() };
    let headers: Vec<Field<'_>> =
        fields.iter().map(|(name, value)| Field { name: name.as_str().into(), value: (*value).into() }).collect();
    let own = endpoint.info().path;
    let path = if asked.path.is_empty() { &own } else { &asked.path };
    let exchange =
        types::Exchange { state: asked.state, headers: headers.as_slice().into(), ..types::Exchange::new(path) };
    let mut reply = Reply::default();
    let input = || format!("a body {} of {asked:?}", excerpt(body));
    survives(LAW, input, || endpoint.on_answer(&answer, &exchange, &mut reply))?;
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
        Bytes(found.unwrap_or_default().to_vec())
    };
    Said {
        flags: delta.flags & !delta_flags::SCRATCH,
        choice: delta.choice,
        text: bytes(delta.text),
        reasoning: bytes(delta.reasoning),
        tool: bytes(delta.tool),
        error: bytes(delta.error),
        counts: [delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens, delta.reasoning_tokens],
        details: UsageDetails(delta.reserved),
    }
}

impl Said {
    /// Adds what was said to what is known of the whole answer.
    ///
    /// # Errors
    /// When a text cannot be read.
    pub(super) fn add_to(&self, all: &mut Expected) -> Result<(), String> {
        let has = |flag: u32| self.flags & flag != 0;
        let text = |bytes: &Bytes| readable(&bytes.0, has(delta_flags::ESCAPED));
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
        for (place, detail) in [
            (&mut all.cache_write_tokens, UsageDetail::CACHE_WRITE),
            (&mut all.cache_miss_tokens, UsageDetail::CACHE_MISS),
            (&mut all.prompt_audio_tokens, UsageDetail::PROMPT_AUDIO),
            (&mut all.completion_audio_tokens, UsageDetail::COMPLETION_AUDIO),
            (&mut all.accepted_prediction_tokens, UsageDetail::ACCEPTED_PREDICTION),
            (&mut all.rejected_prediction_tokens, UsageDetail::REJECTED_PREDICTION),
            (&mut all.tool_prompt_tokens, UsageDetail::TOOL_PROMPT),
            (&mut all.total_tokens, UsageDetail::TOTAL),
        ] {
            *place = self.details.get(detail).or(*place);
        }
        all.content |= has(delta_flags::CONTENT);
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
