//! The bytes of bodies: events as a stream's kind and the server's habits write them, and what HTTP wraps round them.
//!
//! What the events say is the dialects' business, when they are written the exchange's. The usual chat stream does not
//! come this way: it is copied (see `sse`).

use std::fmt::Display;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fill::fill;
use crate::habits::{Habit, Habits};
use crate::http::{JSON, LINES, SSE, TEXT, append};

/// How a stream parts its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Server-sent events.
    #[default]
    Events,
    /// Server-sent events without a blank behind `data:`.
    TightEvents,
    /// JSON lines.
    Lines,
    /// One JSON array, element by element.
    Array,
}

/// Writes one stream.
pub(crate) struct Framing {
    kind: Kind,
    habits: Habits,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Events written so far.
    count: u64,
    /// The next event's JSON breaks off.
    broken: bool,
    scratch: Vec<u8>,
}

impl Framing {
    pub(crate) fn new(kind: Kind, habits: Habits) -> Self {
        let gzip = habits.has(Habit::Gzip).then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Self { kind, habits, gzip, count: 0, broken: false, scratch: Vec::new() }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self.kind {
            _ if self.habits.has(Habit::PlainContentType) => TEXT,
            Kind::Events | Kind::TightEvents => SSE,
            Kind::Lines => LINES,
            Kind::Array => JSON,
        }
    }

    /// Gives a way to write events to `out`.
    pub(crate) fn events<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Events<'a> {
        Events { framing: self, out }
    }

    pub(crate) fn break_next(&mut self) {
        self.broken = true;
    }

    /// Appends what ends the stream itself, where its kind has something.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if self.kind == Kind::Array {
            let end: &[u8] = if self.count == 0 { b"[]\n" } else { b"\n]\n" };
            self.scratch.extend_from_slice(end);
            self.wrap(out);
        }
    }

    /// Appends what ends the HTTP body.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(gzip) = self.gzip.take() {
            chunk(&gzip.finish().expect("a vector takes any bytes"), self.habits, out);
        }
        last_chunk(self.habits, out);
    }

    fn event(&mut self, name: Option<&str>, data: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        let end = line_end(self.habits);
        let scratch = &mut self.scratch;
        if let Kind::Events | Kind::TightEvents = self.kind {
            if self.habits.has(Habit::Comments) {
                append(scratch, format_args!(": keepalive{end}{end}"));
            }
            let space = if self.kind == Kind::TightEvents || self.habits.has(Habit::NoSpace) { "" } else { " " };
            if self.habits.has(Habit::EventIds) {
                append(scratch, format_args!("id:{space}{}{end}retry:{space}3000{end}", self.count));
            }
            if let Some(name) = name {
                append(scratch, format_args!("event:{space}{name}{end}"));
            }
            append(scratch, format_args!("data:{space}"));
        } else if self.kind == Kind::Array {
            scratch.extend_from_slice(if self.count == 0 { b"[" } else { b",\n" });
        }
        let start = scratch.len();
        data(scratch);
        if std::mem::take(&mut self.broken) {
            // Half of an object is never one, and what is sent has no characters of several bytes.
            scratch.truncate(start + (scratch.len() - start) / 2);
        }
        match self.kind {
            Kind::Events | Kind::TightEvents => append(scratch, format_args!("{end}{end}")),
            Kind::Lines => scratch.extend_from_slice(end.as_bytes()),
            Kind::Array => {}
        }
        self.count += 1;
        self.wrap(out);
    }

    /// Wraps what has been gathered for HTTP.
    fn wrap(&mut self, out: &mut Vec<u8>) {
        if let Some(gzip) = &mut self.gzip {
            gzip.write_all(&self.scratch).and_then(|()| gzip.flush()).expect("a vector takes any bytes");
            self.scratch.clear();
            std::mem::swap(gzip.get_mut(), &mut self.scratch);
        }
        chunk(&self.scratch, self.habits, out);
        self.scratch.clear();
    }
}

/// Where a dialect puts its events.
pub(crate) struct Events<'a> {
    framing: &'a mut Framing,
    out: &'a mut Vec<u8>,
}

impl Events<'_> {
    /// The number of the next event, counted from 0.
    pub(crate) fn number(&self) -> u64 {
        self.framing.count
    }

    /// An event with this data; see [`fill`].
    pub(crate) fn data(&mut self, sample: &str, values: &[&dyn Display]) {
        self.framing.event(None, |out| fill(out, sample, values), self.out);
    }

    /// The same with a name.
    pub(crate) fn named(&mut self, name: &str, sample: &str, values: &[&dyn Display]) {
        self.framing.event(Some(name), |out| fill(out, sample, values), self.out);
    }

    /// The event that ends a stream.
    pub(crate) fn done(&mut self) {
        if let Kind::Events | Kind::TightEvents = self.framing.kind {
            self.data("[DONE]", &[]);
        }
    }

    /// An event whose data is `body`, JSON without line breaks.
    pub(crate) fn body(&mut self, name: Option<&str>, body: &[u8]) {
        self.framing.event(name, |out| out.extend_from_slice(body), self.out);
    }
}

fn line_end(habits: Habits) -> &'static str {
    if habits.has(Habit::Crlf) {
        "\r\n"
    } else if habits.has(Habit::Cr) {
        "\r"
    } else {
        "\n"
    }
}

/// A whole body as the habits want it on the wire.
pub(crate) fn whole(mut body: Vec<u8>, habits: Habits) -> Vec<u8> {
    if habits.has(Habit::Gzip) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&body).expect("a vector takes any bytes");
        body = gzip.finish().expect("a vector takes any bytes");
    }
    if habits.always_chunked() && !habits.until_close() {
        let mut out = Vec::with_capacity(body.len() + 64);
        chunk(&body, habits, &mut out);
        last_chunk(habits, &mut out);
        body = out;
    }
    body
}

fn chunk(bytes: &[u8], habits: Habits, out: &mut Vec<u8>) {
    if habits.until_close() {
        return out.extend_from_slice(bytes);
    }
    // An empty chunk would end the body.
    if bytes.is_empty() {
        return;
    }
    let extension = if habits.has(Habit::ChunkExtensions) { ";mock=\"a;b\"" } else { "" };
    append(out, format_args!("{:x}{extension}\r\n", bytes.len()));
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn last_chunk(habits: Habits, out: &mut Vec<u8>) {
    if habits.until_close() {
        return;
    }
    let trailer = if habits.has(Habit::Trailers) { "x-mock-trailer: 1\r\n" } else { "" };
    append(out, format_args!("0\r\n{trailer}\r\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, habits: &[Habit]) -> String {
        let habits = habits.iter().copied().chain([Habit::CloseDelimited]).collect();
        let mut framing = Framing::new(kind, habits);
        let mut out = Vec::new();
        framing.events(&mut out).named("tick", r#"{"n":@}"#, &[&1]);
        framing.events(&mut out).data(r#"{"n":@}"#, &[&2]);
        framing.close(&mut out);
        framing.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_lines_and_arrays_are_parted_as_their_readers_expect() {
        let two = "{\"n\":1}\n{\"n\":2}\n";
        assert_eq!(written(Kind::Events, &[]), "event: tick\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\n");
        assert_eq!(written(Kind::TightEvents, &[]), "event:tick\ndata:{\"n\":1}\n\ndata:{\"n\":2}\n\n");
        assert_eq!(written(Kind::Lines, &[]), two);
        assert_eq!(written(Kind::Array, &[]), "[{\"n\":1},\n{\"n\":2}\n]\n");
    }

    #[test]
    fn line_ends_comments_and_ids_are_what_the_habits_say() {
        assert_eq!(
            written(Kind::Events, &[Habit::Cr, Habit::NoSpace]),
            "event:tick\rdata:{\"n\":1}\r\rdata:{\"n\":2}\r\r"
        );
        let crlf = written(Kind::Events, &[Habit::Crlf, Habit::Comments, Habit::EventIds]);
        assert!(crlf.starts_with(": keepalive\r\n\r\nid: 0\r\nretry: 3000\r\nevent: tick\r\ndata: "), "{crlf}");
    }

    #[test]
    fn a_broken_event_is_no_json_and_the_next_is_whole_again() {
        let mut framing = Framing::new(Kind::Lines, [Habit::CloseDelimited].into_iter().collect());
        let mut out = Vec::new();
        framing.break_next();
        framing.events(&mut out).data(r#"{"n":@}"#, &[&1]);
        framing.events(&mut out).data(r#"{"n":@}"#, &[&2]);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"n\n{\"n\":2}\n");
    }
}
