//! [`Reading`]: one answer as it comes in: what the endpoint says of each event, stamped and kept.

use crate::{
    refusal::{Refusal, inside, shorten, unreadable},
    segment::{FirstEvent, gaps},
    slots::Slot,
    speaker::Speaker,
};
use inferometer_abi::{
    RVec,
    documents::Framing,
    types::{
        ABSENT_NS, Answer, Delta, ErrorKind, Event, Exchange, Field, NO_COUNT, Outgoing, Reply, Span, UsageDetails,
        answer_flags, delta_flags,
    },
};
use inferometer_model::{Failure, FailureKind, Row};
use inferometer_net::{Arrival, Delivery, Receiver, Whole};
use std::{borrow::Cow, cell::Cell};

/// What names of content types have in them that come as lines of JSON.
const JSON_LINES: [&str; 5] = ["ndjson", "jsonl", "json-lines", "stream+json", "json-stream"];
/// Content types that say nothing of what is in them: servers that set none send these.
const SILENT: [&str; 3] = ["", "text/plain", "application/octet-stream"];
/// Most bytes of one answer that are kept.
const ANSWER_LIMIT: usize = 16 << 20;

/// Buffers of one request in flight, used again for the next.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) gaps: Vec<u32>,
    pub(crate) text: Vec<u8>,
    pub(crate) reasoning: Vec<u8>,
    /// The answer was too long to be kept whole.
    pub(crate) is_cut: bool,
    scratch: RVec<u8>,
}

impl Buffers {
    pub(crate) fn clear(&mut self) {
        self.gaps.clear();
        self.text.clear();
        self.reasoning.clear();
        self.is_cut = false;
    }
}

/// The content of an event or of a body.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) reasoning: &'a [u8],
    /// Text of a tool call.
    pub(crate) tool: &'a [u8],
    /// All three are JSON-escaped.
    pub(crate) escaped: bool,
}

/// Hears an answer while it is read. That of the load, `()`, is deaf, so that reading for it is compiled without a call.
pub(crate) trait Ear {
    /// An event has come, and no content before it.
    fn event(&mut self, _data: &[u8]) {}

    /// A whole answer has come, whatever its status.
    fn whole(&mut self, _whole: &Whole<'_>) {}

    /// There is content in what has come.
    fn content(&mut self, _content: Content<'_>) {}
}

impl Ear for () {}

/// One answer as it comes in.
pub(crate) struct Reading<'a, E> {
    speaker: &'a Speaker,
    pub(crate) row: &'a mut Row,
    buffers: &'a mut Buffers,
    first: &'a mut FirstEvent,
    /// Number of the exchange within the request.
    exchange: u16,
    /// The path that the exchange asked.
    path: Cow<'a, str>,
    /// What the endpoint wants to be told again of the exchange.
    state: u64,
    /// The next exchange, if the endpoint wants one.
    pub(crate) next: Option<Outgoing>,
    content_type: String,
    events: u32,
    streamed: bool,
    /// A terminator or a finish reason was seen.
    pub(crate) ended: bool,
    /// The finish reason of an answer that had no content before it, if it was told.
    reason: Option<String>,
    /// Told when the stream's terminator has come.
    pub(crate) over: &'a Cell<bool>,
    /// The slot that is free for another with the first content.
    prefill: Option<Slot<'a>>,
    ear: E,
}

impl<'a, E: Ear> Reading<'a, E> {
    /// The answer to the first exchange of a request. `over` is set when the answer says that nothing will follow.
    pub(crate) fn new(
        speaker: &'a Speaker,
        outgoing: &'a Outgoing,
        row: &'a mut Row,
        buffers: &'a mut Buffers,
        first: &'a mut FirstEvent,
        over: &'a Cell<bool>,
        ear: E,
    ) -> Self {
        Self {
            speaker,
            row,
            buffers,
            first,
            exchange: 0,
            path: Cow::Borrowed(if outgoing.path.is_empty() { &speaker.path } else { &outgoing.path }),
            state: outgoing.state(),
            next: None,
            content_type: String::new(),
            events: 0,
            streamed: false,
            ended: false,
            reason: None,
            over,
            prefill: None,
            ear,
        }
    }

    /// The same, and `slot` is free for another with the first content.
    pub(crate) fn holding(self, slot: Option<Slot<'a>>) -> Self {
        Self { prefill: slot, ..self }
    }

    /// The next answer will be the one to `outgoing`, as exchange number `exchange`.
    pub(crate) fn go_on(&mut self, exchange: u16, outgoing: &Outgoing) {
        self.exchange = exchange;
        let own = || Cow::Borrowed(self.speaker.path.as_str());
        self.path = if outgoing.path.is_empty() { own() } else { Cow::Owned(outgoing.path.to_string()) };
        self.state = outgoing.state();
    }

    /// What to say of an answer that was read to its end.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        if self.streamed && self.events == 0 {
            return Err(Failure::new(FailureKind::NoContent, "a stream without any event"));
        }
        if self.streamed && self.speaker.info.ends_explicitly && !self.ended {
            return Err(Failure::new(
                FailureKind::Truncated,
                "the stream ended without its terminator and without a finish reason",
            ));
        }
        if self.row.events == 0 {
            return Err(Failure::new(FailureKind::NoContent, self.emptiness()));
        }
        Ok(())
    }

    /// How a complete answer is without content.
    fn emptiness(&self) -> String {
        let events = match (self.streamed, self.events) {
            (false, _) => String::new(),
            (true, 1) => ": 1 event, and no text in it".to_owned(),
            (true, events) => format!(": {events} events, and no text in any"),
        };
        let reason = self.reason.as_ref().map(|reason| format!("; finish reason '{reason}'")).unwrap_or_default();
        let tokens = match self.row.usage_completion {
            NO_COUNT => String::new(),
            0 => "; by the server's own count it has no tokens: the model ended at once".to_owned(),
            count => format!(
                "; the server counts {count} tokens of it: special ones that it does not send, or it keeps reasoning or tool \
                 calls to itself"
            ),
        };
        format!("a complete answer without any content{events}{reason}{tokens}")
    }

    /// Whether a stream has said that it is over, whatever the connection does afterwards.
    pub(crate) fn has_ended(&self) -> bool {
        self.streamed && self.ended
    }

    /// `delta`, of the event or body `data`, says that the answer is over.
    fn ends(&mut self, delta: &Delta, data: &[u8]) {
        self.ended = true;
        if delta.flags & delta_flags::DONE != 0 && self.streamed {
            self.over.set(true);
        }
        if delta.flags & delta_flags::FINISH != 0 && self.row.events == 0 && !delta.has_content() {
            self.reason = finish_reason(data);
        }
    }

    /// Takes in what an event or a body, `data`, holds. `within` is what its spans point into.
    #[inline]
    fn take(&mut self, delta: &Delta, data: &[u8], within: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let speaker = self.speaker;
        let lies = || speaker.blame("it named bytes outside the event");
        let text = |span: Span| span.of(within).ok_or_else(lies);
        if delta.flags & delta_flags::ERROR != 0 {
            let said = String::from_utf8_lossy(text(delta.error)?);
            return Err(inside(&said, data));
        }
        if delta.flags & (delta_flags::DONE | delta_flags::FINISH) != 0 {
            self.ends(delta, data);
        }
        for (count, slot) in [
            (delta.prompt_tokens, &mut self.row.usage_prompt),
            (delta.completion_tokens, &mut self.row.usage_completion),
            (delta.cached_tokens, &mut self.row.usage_cached),
            (delta.reasoning_tokens, &mut self.row.usage_reasoning),
        ] {
            if count != NO_COUNT {
                *slot = count;
            }
        }
        if delta.reserved != [0; 4] {
            self.row.usage_details.update(&UsageDetails(delta.reserved));
        }
        if !delta.has_content() {
            return Ok(());
        }
        let content = Content {
            text: text(delta.text)?,
            reasoning: text(delta.reasoning)?,
            tool: text(delta.tool)?,
            escaped: delta.flags & delta_flags::ESCAPED != 0,
        };
        self.ear.content(content);
        let Buffers { text: kept, reasoning: thought, is_cut, gaps: between, .. } = &mut *self.buffers;
        *is_cut |= kept.len() + thought.len() > ANSWER_LIMIT;
        if !*is_cut {
            push_text(kept, content.text, content.escaped);
            push_text(kept, content.tool, content.escaped);
            push_text(thought, content.reasoning, content.escaped);
        }
        let row = &mut *self.row;
        if row.events == 0 {
            *self.first = FirstEvent { text: kept.len() as u32, reasoning: thought.len() as u32 };
            row.usage_first = delta.completion_tokens;
            self.prefill = None;
        }
        let Arrival { at_ns, lag_ns } = arrival;
        if self.streamed {
            match row.events {
                0 => (row.first, row.first_lag) = (at_ns, lag_ns),
                1 => row.second = at_ns,
                _ => {}
            }
            if row.events > 0 {
                gaps::push(between, at_ns.saturating_sub(row.last));
            }
            if row.first_output == ABSENT_NS && !(delta.text.is_empty() && delta.tool.is_empty()) {
                row.first_output = at_ns;
            }
        }
        (row.last, row.last_lag) = (at_ns, lag_ns);
        row.events += 1;
        Ok(())
    }
}

impl<E: Ear> Receiver for Reading<'_, E> {
    fn head(&mut self, status: u16, content_type: &str) -> Delivery {
        self.row.status = status;
        content_type.clone_into(&mut self.content_type);
        let framing = framing(content_type, self.speaker.streaming.then_some(self.speaker.info.framing));
        let framing = framing.filter(|_| (200..300).contains(&status));
        self.streamed = framing.is_some();
        framing.map_or(Delivery::Whole, Delivery::Events)
    }

    #[inline]
    fn event(&mut self, name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let event = Event { name: name.into(), data: data.into(), index: self.events, flags: 0 };
        self.events += 1;
        let mut delta = Delta::EMPTY;
        let mut scratch = std::mem::take(&mut self.buffers.scratch);
        scratch.clear();
        if self.row.events == 0 {
            self.ear.event(data);
        }
        let speaker = self.speaker;
        let read = speaker.endpoint.on_event(&event, &mut delta, &mut scratch);
        let read = read.map_err(|kind| unread(speaker, kind, data));
        let within = if delta.flags & delta_flags::SCRATCH != 0 { scratch.as_slice() } else { data };
        let taken = read.and_then(|()| self.take(&delta, data, within, arrival));
        self.buffers.scratch = scratch;
        taken
    }

    fn whole(&mut self, whole: Whole<'_>, arrival: Arrival) -> Result<(), Failure> {
        self.ear.whole(&whole);
        let Whole { fields, body, is_cut } = whole;
        let status = self.row.status;
        if !(200..300).contains(&status) {
            let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
            let refusal = Refusal {
                status,
                content_type: &self.content_type,
                location: field("location"),
                retry_after: field("retry-after"),
                body,
                path: &self.path,
            };
            return Err(refusal.failure());
        }
        if is_cut && is_text(&self.content_type) {
            return Err(Failure::new(FailureKind::Malformed, "the answer is a text of more than 64 MiB"));
        }
        let answer = Answer {
            status,
            exchange: self.exchange,
            flags: if is_cut { answer_flags::TRUNCATED } else { 0 },
            content_type: self.content_type.as_str().into(),
            body: body.into(),
        };
        let speaker = self.speaker;
        let headers: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| Field { name: name.into(), value: value.into() }).collect();
        let exchange = Exchange { state: self.state, headers: headers.as_slice().into(), ..Exchange::new(&self.path) };
        let mut reply = Reply::default();
        speaker.endpoint.on_answer(&answer, &exchange, &mut reply).map_err(|error| match error.kind {
            ErrorKind::MALFORMED => unreadable(&self.content_type, body, &error.message),
            ErrorKind::PANICKED if error.message.starts_with("panicked") => {
                speaker.blame(format_args!("on_body {}", shorten(&error.message)))
            }
            _ => speaker.blame(format_args!("on_body: {}", shorten(&error.message))),
        })?;
        if reply.next.len() > 1 {
            let count = reply.next.len();
            return Err(speaker.blame(format_args!("it asked for {count} exchanges at once; one may follow an answer")));
        }
        self.next = reply.next.into_iter().next();
        for delta in &reply.deltas {
            let within = if delta.flags & delta_flags::SCRATCH != 0 { reply.scratch.as_slice() } else { body };
            self.take(delta, body, within, arrival)?;
        }
        Ok(())
    }
}

/// Whether an answer is of use only as a whole; without a type it is taken for that, too.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.is_empty() || kind.starts_with("text/") || kind.ends_with("json") || kind.ends_with("xml")
}

/// Appends text in its JSON-escaped form, which all kept text has.
#[inline]
fn push_text(out: &mut Vec<u8>, text: &[u8], escaped: bool) {
    if escaped {
        out.extend_from_slice(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte @ 0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.extend_from_slice(&[b'\\', byte]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Kept text as it reads; what does not unescape is taken as it stands.
pub(crate) fn unescape(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if !text.contains('\\') {
        return text;
    }
    match serde_json::from_str::<String>(&format!("\"{text}\"")) {
        Ok(plain) => Cow::Owned(plain),
        Err(_) => text,
    }
}

fn unread(speaker: &Speaker, kind: ErrorKind, data: &[u8]) -> Failure {
    let start = shorten(&String::from_utf8_lossy(&data[..data.len().min(200)]));
    match kind {
        ErrorKind::MALFORMED => unreadable("", data, &format!("an event that cannot be read: {}", start.trim())),
        ErrorKind::PANICKED => speaker.blame("on_event panicked, and it takes no more calls"),
        other => speaker.blame(format_args!("on_event failed with code {} on: {start}", other.0)),
    }
}

/// How an answer of this type is cut into events, if it is. `asked`: the endpoint's own framing, if a stream was asked for;
/// it holds where the type says nothing.
fn framing(content_type: &str, asked: Option<Framing>) -> Option<Framing> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "text/event-stream" {
        Some(Framing::Sse)
    } else if JSON_LINES.iter().any(|name| kind.contains(name)) {
        Some(Framing::JsonLines)
    } else {
        asked.filter(|_| SILENT.contains(&kind.as_str()))
    }
}

/// The reason for which an answer ended, by the names that APIs give it.
fn finish_reason(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?;
    let names = ["\"finish_reason\"", "\"stop_reason\"", "\"finishReason\"", "\"done_reason\""];
    names.into_iter().find_map(|name| {
        let value = text[text.find(name)? + name.len()..].trim_start().strip_prefix(':')?.trim_start();
        let value = value.strip_prefix('"')?;
        Some(shorten(&value[..value.find('"')?]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_says_how_a_stream_is_cut_and_where_it_does_not_the_endpoint_does() {
        for (name, asked, expected) in [
            ("text/event-stream", None, Some(Framing::Sse)),
            ("Text/Event-Stream; charset=utf-8", Some(Framing::JsonLines), Some(Framing::Sse)),
            ("application/x-ndjson", Some(Framing::Sse), Some(Framing::JsonLines)),
            ("application/jsonl", None, Some(Framing::JsonLines)),
            ("application/jsonlines", None, Some(Framing::JsonLines)),
            ("application/stream+json", None, Some(Framing::JsonLines)),
            ("", Some(Framing::Sse), Some(Framing::Sse)),
            ("text/plain; charset=utf-8", Some(Framing::JsonLines), Some(Framing::JsonLines)),
            ("", None, None),
            ("text/plain", None, None),
            ("application/json", Some(Framing::Sse), None),
            ("application/problem+json", Some(Framing::Sse), None),
            ("text/html", Some(Framing::Sse), None),
        ] {
            assert_eq!(framing(name, asked), expected, "{name} {asked:?}");
        }
    }

    #[test]
    fn the_reason_of_an_end_is_found_under_the_names_of_all_apis() {
        let chat = br#"{"choices":[{"delta":{},"finish_reason": "length"}]}"#;
        assert_eq!(finish_reason(chat).as_deref(), Some("length"));
        assert_eq!(finish_reason(br#"{"delta":{"stop_reason":"max_tokens"}}"#).as_deref(), Some("max_tokens"));
        assert_eq!(finish_reason(br#"{"finish_reason":null}"#), None);
        assert_eq!(finish_reason(b"\"finish_reason\":\"x"), None);
    }

    #[test]
    fn text_kept_escaped_reads_as_it_was() {
        let original = "a \"quoted\" \\ line\nwith \u{1} and é";
        let mut kept = Vec::new();
        push_text(&mut kept, original.as_bytes(), false);
        push_text(&mut kept, br"\u00e9\ud83d", true);
        push_text(&mut kept, br"\ude00", true);
        assert_eq!(unescape(&kept), format!("{original}é😀"));
    }

    #[test]
    fn what_is_of_use_only_as_a_whole_is_a_text() {
        for text in ["", "application/JSON; charset=utf-8", "application/problem+json", "text/plain", "image/svg+xml"] {
            assert!(is_text(text), "{text}");
        }
        assert!(!["video/mp4", "application/octet-stream", "audio/wav"].into_iter().any(is_text));
    }
}
