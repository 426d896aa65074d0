//! [`Listener`]: the answer to one request outside the load, as it comes in. It asks the endpoint what each event holds,
//! as the load does, but hands on what was said at once and keeps what tells a wrong server from a wrong request. Nothing
//! here is measured to the microsecond.

use super::{Line, Piece, voice::Voice};
use crate::refusal::{Refusal, inside, shorten, unreadable};
use inferometer_abi::{
    RVec,
    documents::Framing,
    types::{
        Answer, Delta, ErrorKind, Event, Exchange, Field, NO_COUNT, Outgoing, Reply, Span, answer_flags, delta_flags,
    },
};
use inferometer_model::{Failure, FailureKind, Row};
use inferometer_net::{Arrival, Delivery, Receiver, Whole};

/// Most bytes of an answer that are kept to be quoted or looked into.
const KEPT: usize = 64 << 10;
/// What names of content types have in them that come as lines of JSON.
const JSON_LINES: [&str; 5] = ["ndjson", "jsonl", "json-lines", "stream+json", "json-stream"];
/// Content types that say nothing of what is in them.
const SILENT: [&str; 3] = ["", "text/plain", "application/octet-stream"];
/// Longest beginning of an answer that is quoted, in characters.
const LONGEST: usize = 300;

/// An answer as it came, whatever it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// HTTP status; 0: none was received.
    pub(crate) status: u16,
    /// Its beginning.
    pub(crate) body: Vec<u8>,
    /// Where the server says that the answer is to be found.
    pub(crate) location: Option<String>,
}

impl Page {
    fn of(status: u16, whole: &Whole<'_>) -> Self {
        let location = whole.fields.iter().find(|(name, _)| *name == "location").map(|(_, value)| value.to_owned());
        Self { status, body: whole.body[..whole.body.len().min(KEPT)].to_vec(), location }
    }

    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The server's own words: the message in a JSON body, else its beginning.
    pub(crate) fn words(&self) -> String {
        match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(json) if json.is_object() => quoted(inside("", &self.body).message.as_bytes()),
            _ => quoted(&self.body),
        }
    }
}

/// Takes the answer to a request without an endpoint's help.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) page: Page,
}

impl Receiver for Reader {
    fn head(&mut self, status: u16, _content_type: &str) -> Delivery {
        self.page.status = status;
        Delivery::Whole
    }

    fn event(&mut self, _name: &[u8], _data: &[u8], _arrival: Arrival) -> Result<(), Failure> {
        Ok(())
    }

    fn whole(&mut self, whole: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        self.page = Page::of(self.page.status, &whole);
        Ok(())
    }
}

/// What has come of an answer so far.
#[derive(Default)]
pub(crate) struct Heard {
    pub(super) text: Voice,
    pub(super) reasoning: Voice,
    /// How much of the two the first content event brought, in bytes.
    pub(super) first: (usize, usize),
    /// Content that is no text came.
    pub(super) other: bool,
    /// A terminator or a finish reason was seen.
    pub(crate) ended: bool,
    /// The answer as it came, where it was not read as content: a refusal, or the beginning of what cannot be read.
    pub(crate) page: Page,
}

/// The answer to one request.
pub(super) struct Listener<'a> {
    line: &'a Line<'a>,
    pub(super) row: &'a mut Row,
    pub(super) heard: &'a mut Heard,
    hear: &'a mut dyn FnMut(Piece<'_>),
    /// Number of the exchange within the request.
    exchange: u16,
    path: String,
    state: u64,
    /// The next exchange, if the endpoint wants one.
    pub(super) next: Option<Outgoing>,
    content_type: String,
    events: u32,
    streamed: bool,
    scratch: RVec<u8>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(
        line: &'a Line<'a>,
        outgoing: &Outgoing,
        row: &'a mut Row,
        heard: &'a mut Heard,
        hear: &'a mut dyn FnMut(Piece<'_>),
    ) -> Self {
        let mut listener = Self {
            line,
            row,
            heard,
            hear,
            exchange: 0,
            path: String::new(),
            state: 0,
            next: None,
            content_type: String::new(),
            events: 0,
            streamed: false,
            scratch: RVec::new(),
        };
        listener.expect(outgoing);
        listener
    }

    /// The next answer will be the one to `outgoing`, one exchange later.
    pub(super) fn go_on(&mut self, outgoing: &Outgoing) {
        self.exchange = self.exchange.saturating_add(1);
        self.expect(outgoing);
    }

    fn expect(&mut self, outgoing: &Outgoing) {
        let own = &self.line.server.path;
        self.path = if outgoing.path.is_empty() { own.clone() } else { outgoing.path.to_string() };
        self.state = outgoing.state();
    }

    /// Whether a stream has said that it is over, whatever the connection does afterwards.
    pub(super) fn has_ended(&self) -> bool {
        self.streamed && self.heard.ended
    }

    /// What to say of an answer that was read to its end.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.streamed && self.line.info.ends_explicitly && !self.heard.ended && self.events > 0 {
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

    fn blame(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(FailureKind::Plugin, format!("endpoint '{}': {what}", self.line.plan.endpoint))
    }

    /// Takes in what an event or a body, `data`, holds. `within` is what its spans point into.
    fn take(&mut self, delta: &Delta, data: &[u8], within: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let lies = || self.blame("it named bytes outside the event");
        let of = |span: Span| span.of(within).ok_or_else(lies);
        let (text, tool, reasoning, error) = (of(delta.text)?, of(delta.tool)?, of(delta.reasoning)?, of(delta.error)?);
        if delta.flags & delta_flags::ERROR != 0 {
            return Err(inside(&String::from_utf8_lossy(error), data));
        }
        let (row, heard) = (&mut *self.row, &mut *self.heard);
        heard.ended |= delta.flags & (delta_flags::DONE | delta_flags::FINISH) != 0;
        for (count, slot) in [
            (delta.prompt_tokens, &mut row.usage_prompt),
            (delta.completion_tokens, &mut row.usage_completion),
            (delta.cached_tokens, &mut row.usage_cached),
            (delta.reasoning_tokens, &mut row.usage_reasoning),
        ] {
            if count != NO_COUNT {
                *slot = count;
            }
        }
        if !delta.has_content() {
            return Ok(());
        }
        let escaped = delta.flags & delta_flags::ESCAPED != 0;
        heard.other |= text.is_empty() && tool.is_empty() && reasoning.is_empty();
        let mut say = |piece: Piece<'_>| {
            if !piece.is_empty() {
                (self.hear)(piece);
            }
        };
        say(Piece::Reasoning(heard.reasoning.push(reasoning, escaped)));
        say(Piece::Text(heard.text.push(text, escaped)));
        say(Piece::Tool(heard.text.push(tool, escaped)));
        if row.events == 0 {
            heard.first = (heard.text.said().len(), heard.reasoning.said().len());
            row.usage_first = delta.completion_tokens;
        }
        if self.streamed {
            match row.events {
                0 => row.first = arrival.at_ns,
                1 => row.second = arrival.at_ns,
                _ => {}
            }
        }
        row.last = arrival.at_ns;
        row.events += 1;
        Ok(())
    }
}

impl Receiver for Listener<'_> {
    fn head(&mut self, status: u16, content_type: &str) -> Delivery {
        self.row.status = status;
        self.heard.page.status = status;
        content_type.clone_into(&mut self.content_type);
        let asked = self.line.plan.streaming.then_some(self.line.info.framing);
        let framing = framing(content_type, asked).filter(|_| self.heard.page.is_good());
        self.streamed = framing.is_some();
        framing.map_or(Delivery::Whole, Delivery::Events)
    }

    fn event(&mut self, name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let event = Event { name: name.into(), data: data.into(), index: self.events, flags: 0 };
        self.events += 1;
        let mut delta = Delta::EMPTY;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let read = self.line.endpoint.on_event(&event, &mut delta, &mut scratch);
        if self.row.events == 0 {
            self.heard.page.body = data[..data.len().min(KEPT)].to_vec();
        }
        let taken = match read {
            Ok(()) => {
                let within = if delta.flags & delta_flags::SCRATCH != 0 { scratch.as_slice() } else { data };
                self.take(&delta, data, within, arrival)
            }
            Err(ErrorKind::MALFORMED) => {
                let words = format!("an event that cannot be read: {}", quoted(data));
                Err(Failure::new(FailureKind::Malformed, words))
            }
            Err(other) => Err(self.blame(format_args!("on_event failed with code {}", other.0))),
        };
        self.scratch = scratch;
        taken
    }

    fn whole(&mut self, whole: Whole<'_>, arrival: Arrival) -> Result<(), Failure> {
        let Whole { fields, body, is_cut } = whole;
        let status = self.row.status;
        self.heard.page = Page::of(status, &whole);
        let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        if !self.heard.page.is_good() {
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
        let answer = Answer {
            status,
            exchange: self.exchange,
            flags: if is_cut { answer_flags::TRUNCATED } else { 0 },
            content_type: self.content_type.as_str().into(),
            body: body.into(),
        };
        let headers: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| Field { name: name.into(), value: value.into() }).collect();
        let exchange = Exchange { state: self.state, headers: headers.as_slice().into(), ..Exchange::new(&self.path) };
        let mut reply = Reply::default();
        self.line.endpoint.on_answer(&answer, &exchange, &mut reply).map_err(|error| match error.kind {
            ErrorKind::MALFORMED => unreadable(&self.content_type, body, &error.message),
            _ => self.blame(shorten(&error.message)),
        })?;
        if reply.next.len() > 1 {
            let count = reply.next.len();
            return Err(self.blame(format_args!("it asked for {count} exchanges at once; one may follow an answer")));
        }
        self.next = reply.next.into_iter().next();
        for delta in &reply.deltas {
            let within = if delta.flags & delta_flags::SCRATCH != 0 { reply.scratch.as_slice() } else { body };
            self.take(delta, body, within, arrival)?;
        }
        Ok(())
    }
}

/// How an answer of this type is cut into events, if it is. `asked`: the endpoint's own framing, if a stream was asked for;
/// it holds where the type says nothing.
fn framing(content_type: &str, asked: Option<Framing>) -> Option<Framing> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "text/event-stream" {
        return Some(Framing::Sse);
    }
    let is_lines = JSON_LINES.iter().any(|name| kind.contains(name));
    if is_lines { Some(Framing::JsonLines) } else { asked.filter(|_| SILENT.contains(&kind.as_str())) }
}

/// The beginning of what a server said, on one line and fit for a terminal.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let is_binary = |text: &str| text.chars().any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        _ if line.is_empty() => "nothing".to_owned(),
        // The cut may have gone through a character.
        _ if is_binary(line.trim_end_matches('\u{fffd}')) => format!("{} bytes that are no text", bytes.len()),
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &[u8]) -> String {
        Page { status: 400, body: body.to_vec(), location: None }.words()
    }

    #[test]
    fn a_refusal_yields_the_servers_words_on_one_line() {
        assert_eq!(words(br#"{"error":{"message":"no such\nmodel"}}"#), "no such model");
        assert_eq!(words(br#"{"detail":[{"msg":"field required"}]}"#), "field required");
        assert_eq!(words(b"<h1>Bad\r\n Gateway</h1>"), "<h1>Bad Gateway</h1>");
        assert_eq!(words(b""), "nothing");
        assert_eq!(words(b"\x1b[2Jx"), "5 bytes that are no text");
    }
}
