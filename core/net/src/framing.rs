//! Cutting a body into events: server-sent events, and one JSON value a line.
//!
//! Bytes come in pieces of any size, and the events do not depend on where the cuts were. An event that lies whole in one
//! piece is handed on without being copied.

use inferometer_abi::documents::Framing;
use inferometer_model::{Failure, FailureKind};
use memchr::{memchr, memchr2};

/// Longest event that is read, in bytes; a stream without any line end must not fill the memory.
const LONGEST_EVENT: usize = 64 << 20;

/// Takes an event's name (empty if it has none) and its data.
type Emit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Failure> + 'a;

/// One of the framings.
pub(crate) enum Frames {
    /// Server-sent events.
    Sse(Sse),
    /// One JSON value a line.
    JsonLines(JsonLines),
}

impl Frames {
    /// A fresh framer.
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Sse::default()),
            Framing::JsonLines => Self::JsonLines(JsonLines::default()),
        }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// What `emit` returned, or an event that is too long.
    #[inline]
    pub(crate) fn feed(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Failure> {
        match self {
            Self::Sse(sse) => sse.feed(input, emit),
            Self::JsonLines(lines) => lines.feed(input, emit),
        }
    }

    /// The body is over: hands on an event that its end completes.
    ///
    /// # Errors
    /// What `emit` returned.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<(), Failure> {
        match self {
            Self::Sse(sse) => sse.finish(emit),
            Self::JsonLines(lines) => lines.finish(emit),
        }
    }
}

/// Server-sent events, by the HTML standard's section on event streams: lines end with LF, CRLF or CR; a blank line ends
/// an event; `data` lines are joined with LF; comments and unknown fields are passed over. Unlike the standard, an event
/// that the end of the stream cuts off before its blank line is handed on, since servers omit it.
#[derive(Default)]
pub(crate) struct Sse {
    /// The beginning of a line whose end has not come yet.
    tail: Vec<u8>,
    /// Data of the event so far, where it could not be borrowed from the input.
    data: Vec<u8>,
    name: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The stream has begun: a byte order mark is no longer expected.
    begun: bool,
}

impl Sse {
    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// What `emit` returned, or an event that is too long.
    pub(crate) fn feed(&mut self, mut input: &[u8], emit: &mut Emit<'_>) -> Result<(), Failure> {
        if self.after_cr && !input.is_empty() {
            self.after_cr = false;
            input = input.strip_prefix(b"\n").unwrap_or(input);
        }
        // Data borrowed from `input`, for as long as the event consists of one line of it.
        let mut direct: Option<&[u8]> = None;
        while let Some(at) = memchr2(b'\n', b'\r', input) {
            let (head, rest) = (&input[..at], &input[at + 1..]);
            if input[at] == b'\r' {
                match rest.first() {
                    Some(b'\n') => input = &rest[1..],
                    Some(_) => input = rest,
                    None => {
                        self.after_cr = true;
                        input = rest;
                    }
                }
            } else {
                input = rest;
            }
            if self.tail.is_empty() {
                self.line(head, &mut direct, emit)?;
            } else {
                self.tail.extend_from_slice(head);
                let line = std::mem::take(&mut self.tail);
                let mut owned = None;
                self.line(&line, &mut owned, emit)?;
                if let Some(data) = owned {
                    self.data.extend_from_slice(data);
                }
                self.tail = line;
                self.tail.clear();
            }
        }
        if let Some(data) = direct {
            self.data.extend_from_slice(data);
        }
        self.tail.extend_from_slice(input);
        if self.tail.len() + self.data.len() > LONGEST_EVENT {
            return Err(too_long());
        }
        Ok(())
    }

    /// The stream is over.
    ///
    /// # Errors
    /// What `emit` returned.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<(), Failure> {
        self.feed(b"\n\n", emit)
    }

    #[inline]
    fn line<'a>(
        &mut self,
        mut line: &'a [u8],
        direct: &mut Option<&'a [u8]>,
        emit: &mut Emit<'_>,
    ) -> Result<(), Failure> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            if self.has_data {
                self.has_data = false;
                let data = direct.take().unwrap_or(&self.data);
                if !data.is_empty() {
                    emit(&self.name, data)?;
                }
                self.data.clear();
            }
            self.name.clear();
            return Ok(());
        }
        if let Some(value) = line.strip_prefix(b"data:").or((line == b"data").then_some(b"")) {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if self.has_data {
                if let Some(first) = direct.take() {
                    self.data.extend_from_slice(first);
                }
                self.data.push(b'\n');
                self.data.extend_from_slice(value);
            } else {
                self.has_data = true;
                *direct = Some(value);
            }
        } else if let Some(value) = line.strip_prefix(b"event:") {
            self.name.clear();
            self.name.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        Ok(())
    }
}

/// One JSON value a line; blank lines are passed over.
#[derive(Default)]
pub(crate) struct JsonLines {
    tail: Vec<u8>,
}

impl JsonLines {
    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// What `emit` returned, or a line that is too long.
    pub(crate) fn feed(&mut self, mut input: &[u8], emit: &mut Emit<'_>) -> Result<(), Failure> {
        while let Some(at) = memchr(b'\n', input) {
            let (head, rest) = (&input[..at], &input[at + 1..]);
            input = rest;
            if self.tail.is_empty() {
                Self::line(head, emit)?;
            } else {
                self.tail.extend_from_slice(head);
                Self::line(&self.tail, emit)?;
                self.tail.clear();
            }
        }
        self.tail.extend_from_slice(input);
        if self.tail.len() > LONGEST_EVENT {
            return Err(too_long());
        }
        Ok(())
    }

    /// The stream is over: a last line without its end is handed on.
    ///
    /// # Errors
    /// What `emit` returned.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<(), Failure> {
        self.feed(b"\n", emit)
    }

    fn line(line: &[u8], emit: &mut Emit<'_>) -> Result<(), Failure> {
        let line = line.trim_ascii();
        if line.is_empty() { Ok(()) } else { emit(b"", line) }
    }
}

fn too_long() -> Failure {
    Failure::new(FailureKind::Malformed, "an event of more than 64 MiB; the stream has no line ends")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Events = Vec<(String, String)>;

    fn cut(mut frames: Frames, pieces: &[&[u8]]) -> Events {
        let mut events = Events::new();
        let mut emit = |name: &[u8], data: &[u8]| {
            events.push((String::from_utf8_lossy(name).into(), String::from_utf8_lossy(data).into()));
            Ok(())
        };
        for piece in pieces {
            frames.feed(piece, &mut emit).unwrap();
        }
        frames.finish(&mut emit).unwrap();
        events
    }

    fn sse(text: &str) -> Events {
        cut(Frames::new(Framing::Sse), &[text.as_bytes()])
    }

    fn data(events: &Events) -> Vec<&str> {
        events.iter().map(|(_, data)| data.as_str()).collect()
    }

    #[test]
    fn every_line_end_of_the_standard_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("data: a{end}{end}: comment{end}data:b{end}{end}");
            assert_eq!(data(&sse(&text)), ["a", "b"], "{end:?}");
        }
    }

    #[test]
    fn names_belong_to_their_event_only() {
        let events = sse("event: error\ndata: {}\n\ndata: x\n\n");
        assert_eq!(events, [("error".into(), "{}".into()), (String::new(), "x".into())]);
    }

    #[test]
    fn several_data_lines_are_one_event() {
        assert_eq!(data(&sse("data: a\ndata: b\ndata\n\ndata: c\n\n")), ["a\nb\n", "c"]);
    }

    #[test]
    fn an_event_cut_off_before_its_blank_line_is_handed_on() {
        assert_eq!(data(&sse("data: a\n\ndata: b")), ["a", "b"]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_field() {
        assert_eq!(data(&sse("\u{feff}data: a\n\n")), ["a"]);
    }

    #[test]
    fn events_without_data_are_no_events() {
        assert!(sse("event: ping\n\n: nothing\n\nid: 3\n\ndata:\n\n").is_empty());
    }

    #[test]
    fn json_lines_skip_blank_lines_and_take_an_unfinished_last_one() {
        let events = cut(Frames::new(Framing::JsonLines), &[b"{\"a\":1}\r\n\n{\"b\"", b":2}"]);
        assert_eq!(data(&events), ["{\"a\":1}", "{\"b\":2}"]);
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_stream_is_cut(
            lines in prop::collection::vec("(data: ?[a-zé]{0,9}|event: [a-z]{1,5}|: c|data|)", 0..30),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 30),
            cuts in prop::collection::vec(0_usize..400, 0..40),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), *end]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            for framing in [Framing::Sse, Framing::JsonLines] {
                prop_assert_eq!(cut(Frames::new(framing), &pieces), cut(Frames::new(framing), &[bytes]));
            }
        }
    }
}
