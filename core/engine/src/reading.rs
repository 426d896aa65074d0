//! [`Reading`]: one answer as it comes in: what the endpoint says of each event, stamped and kept.

use crate::{
    job::Job,
    segment::{FirstEvent, gaps},
    slots::Slot,
};
use inferometer_abi::{
    RVec,
    types::{
        ABSENT_NS, Answer, Delta, ErrorKind, Event, Exchange, Field, NO_COUNT, Outgoing, Reply, Span, UsageDetails,
        answer_flags, delta_flags,
    },
};
use inferometer_model::{Failure, FailureKind, Row};
use inferometer_net::{Arrival, Delivery, Receiver, Whole};
use std::borrow::Cow;

/// What names of content types have in them that come as streams; lines of JSON go by many names.
const STREAMS: [&str; 5] = ["text/event-stream", "ndjson", "jsonl", "stream+json", "json-stream"];
/// Most bytes of one answer that are kept.
const ANSWER_LIMIT: usize = 16 << 20;
/// Longest message kept of a failure, in characters.
const LONGEST_MESSAGE: usize = 500;

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

/// One answer as it comes in.
pub(crate) struct Reading<'a> {
    job: &'a Job,
    /// Whether a stream was asked for.
    streaming: bool,
    pub(crate) row: &'a mut Row,
    buffers: &'a mut Buffers,
    first: &'a mut FirstEvent,
    /// Number of the exchange within the request.
    pub(crate) exchange: u16,
    /// The path that the exchange asked; empty: the endpoint's own.
    path: Cow<'a, str>,
    /// What the endpoint wants to be told again of the exchange.
    state: u64,
    /// The next exchange, if the endpoint wants one.
    pub(crate) next: Option<Outgoing>,
    status: u16,
    content_type: String,
    events: u32,
    streamed: bool,
    /// A terminator or a finish reason was seen.
    ended: bool,
    /// The slot that is free for another with the first content.
    prefill: Option<Slot<'a>>,
}

impl<'a> Reading<'a> {
    /// The answer to the first exchange of a request.
    pub(crate) fn new(
        job: &'a Job,
        outgoing: &'a Outgoing,
        streaming: bool,
        row: &'a mut Row,
        buffers: &'a mut Buffers,
        first: &'a mut FirstEvent,
        prefill: Option<Slot<'a>>,
    ) -> Self {
        Self {
            job,
            streaming,
            row,
            buffers,
            first,
            exchange: 0,
            path: Cow::Borrowed(&outgoing.path),
            state: outgoing.state(),
            next: None,
            status: 0,
            content_type: String::new(),
            events: 0,
            streamed: false,
            ended: false,
            prefill,
        }
    }

    /// The next answer will be the one to `outgoing`, as exchange number `exchange`.
    pub(crate) fn go_on(&mut self, exchange: u16, outgoing: &Outgoing) {
        self.exchange = exchange;
        self.path = Cow::Owned(outgoing.path.to_string());
        self.state = outgoing.state();
    }

    /// What to say of an answer that was read to its end.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        if self.streamed && self.events == 0 {
            return Err(Failure::new(FailureKind::NoContent, "a stream without any event"));
        }
        if self.streamed && self.job.info.ends_explicitly && !self.ended {
            return Err(Failure::new(
                FailureKind::Truncated,
                "the stream ended without its terminator and without a finish reason",
            ));
        }
        if self.row.events == 0 {
            return Err(Failure::new(FailureKind::NoContent, "a complete answer without any content"));
        }
        Ok(())
    }

    /// Whether a stream has said that it is over, whatever the connection does afterwards.
    pub(crate) fn has_ended(&self) -> bool {
        self.streamed && self.ended
    }

    /// Takes in what an event or a body holds. `within` is what its spans point into.
    #[inline]
    fn take(&mut self, delta: &Delta, within: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let job = self.job;
        let lies = || job.blame("it named bytes outside the event");
        let text = |span: Span| span.of(within).ok_or_else(lies);
        if delta.flags & delta_flags::ERROR != 0 {
            let message = String::from_utf8_lossy(text(delta.error)?).into_owned();
            let message = if message.is_empty() { "an error inside the answer".to_owned() } else { shorten(&message) };
            return Err(Failure::new(FailureKind::StreamError, message));
        }
        self.ended |= delta.flags & (delta_flags::DONE | delta_flags::FINISH) != 0;
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
        let escaped = delta.flags & delta_flags::ESCAPED != 0;
        let Buffers { text: kept, reasoning: thought, is_cut, gaps: between, .. } = &mut *self.buffers;
        *is_cut |= kept.len() + thought.len() > ANSWER_LIMIT;
        if !*is_cut {
            push_text(kept, text(delta.text)?, escaped);
            push_text(kept, text(delta.tool)?, escaped);
            push_text(thought, text(delta.reasoning)?, escaped);
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
                gaps::push(between, at_ns - row.last);
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

impl Receiver for Reading<'_> {
    fn head(&mut self, status: u16, content_type: &str) -> Delivery {
        self.status = status;
        content_type.clone_into(&mut self.content_type);
        self.streamed = is_stream(content_type, self.streaming) && (200..300).contains(&status);
        if self.streamed { Delivery::Events(self.job.info.framing) } else { Delivery::Whole }
    }

    #[inline]
    fn event(&mut self, name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let event = Event { name: name.into(), data: data.into(), index: self.events, flags: 0 };
        self.events += 1;
        let mut delta = Delta::EMPTY;
        let mut scratch = std::mem::take(&mut self.buffers.scratch);
        scratch.clear();
        let job = self.job;
        let read = job.endpoint.on_event(&event, &mut delta, &mut scratch).map_err(|kind| unreadable(job, kind, data));
        let within = if delta.flags & delta_flags::SCRATCH != 0 { scratch.as_slice() } else { data };
        let taken = read.and_then(|()| self.take(&delta, within, arrival));
        self.buffers.scratch = scratch;
        taken
    }

    fn whole(&mut self, Whole { fields, body, is_cut }: Whole<'_>, arrival: Arrival) -> Result<(), Failure> {
        if !(200..300).contains(&self.status) {
            let redirect = if (300..400).contains(&self.status) { " (redirects are not followed)" } else { "" };
            let message = format!("{} {}{redirect}", self.status, server_message(body));
            return Err(Failure::new(FailureKind::HttpStatus, message));
        }
        if is_cut && is_text(&self.content_type) {
            return Err(Failure::new(FailureKind::Malformed, "the answer is a text of more than 64 MiB"));
        }
        let answer = Answer {
            status: self.status,
            exchange: self.exchange,
            flags: if is_cut { answer_flags::TRUNCATED } else { 0 },
            content_type: self.content_type.as_str().into(),
            body: body.into(),
        };
        let job = self.job;
        let headers: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| Field { name: name.into(), value: value.into() }).collect();
        let path = if self.path.is_empty() { &job.server.path } else { &*self.path };
        let exchange = Exchange { state: self.state, headers: headers.as_slice().into(), ..Exchange::new(path) };
        let mut reply = Reply::default();
        job.endpoint.on_answer(&answer, &exchange, &mut reply).map_err(|error| match error.kind {
            ErrorKind::MALFORMED => Failure::new(FailureKind::Malformed, shorten(&error.message)),
            ErrorKind::PANICKED if error.message.starts_with("panicked") => {
                job.blame(format_args!("on_body {}", shorten(&error.message)))
            }
            _ => job.blame(format_args!("on_body: {}", shorten(&error.message))),
        })?;
        if reply.next.len() > 1 {
            let count = reply.next.len();
            return Err(job.blame(format_args!("it asked for {count} exchanges at once; one may follow an answer")));
        }
        self.next = reply.next.into_iter().next();
        for delta in &reply.deltas {
            let within = if delta.flags & delta_flags::SCRATCH != 0 { reply.scratch.as_slice() } else { body };
            self.take(delta, within, arrival)?;
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

fn unreadable(job: &Job, kind: ErrorKind, data: &[u8]) -> Failure {
    let start = shorten(&String::from_utf8_lossy(&data[..data.len().min(200)]));
    match kind {
        ErrorKind::MALFORMED => Failure::new(FailureKind::Malformed, format!("an event that cannot be read: {start}")),
        ErrorKind::PANICKED => job.blame("on_event panicked, and it takes no more calls"),
        other => job.blame(format_args!("on_event failed with code {} on: {start}", other.0)),
    }
}

/// The server's own words in an error body: the usual fields of a JSON body, else its beginning.
fn server_message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = json.as_ref().and_then(|json| {
        ["/error/message", "/message", "/detail", "/error", "/detail/0/msg"]
            .iter()
            .find_map(|pointer| json.pointer(pointer)?.as_str())
    });
    let text = field.map_or_else(|| String::from_utf8_lossy(&body[..body.len().min(2000)]), Cow::Borrowed);
    let is_binary = |text: &str| text.chars().any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    match text.trim() {
        "" => "without a message".to_owned(),
        text if is_binary(text) => format!("with {} bytes that are no text", body.len()),
        text => shorten(text),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Whether an answer of this type is to be cut into events; one without a type is what was asked for.
fn is_stream(content_type: &str, asked: bool) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    STREAMS.iter().any(|name| kind.contains(name)) || (asked && kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_are_streams_under_all_their_names_and_json_is_not() {
        for name in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/x-ndjson",
            "application/jsonl",
            "application/jsonlines",
            "application/stream+json",
        ] {
            assert!(is_stream(name, false), "{name}");
        }
        for name in ["application/json", "application/problem+json", "text/html", ""] {
            assert!(!is_stream(name, false), "{name}");
        }
        assert!(is_stream("", true));
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

    #[test]
    fn an_error_body_yields_the_servers_words() {
        assert_eq!(server_message(br#"{"error":{"message":"no such model"}}"#), "no such model");
        assert_eq!(server_message(br#"{"detail":[{"msg":"field required"}]}"#), "field required");
        assert_eq!(server_message(b"<h1>Bad Gateway</h1>"), "<h1>Bad Gateway</h1>");
        assert_eq!(server_message(b""), "without a message");
        assert_eq!(server_message(b"\x1f\x8b\x08"), "with 3 bytes that are no text");
    }
}
