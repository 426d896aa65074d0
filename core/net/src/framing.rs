//! Cutting a body into events: server-sent events, and one JSON value a line.
//!
//! Bytes come in pieces of any size, and the events do not depend on where the cuts were. An event that lies whole in one
//! piece is handed on without being copied.

use inferometer_abi::documents::Framing;
use inferometer_model::{Failure, FailureKind};
use memchr::{memchr, memchr2};

/// Longest event that is read, in bytes; a stream without any line end must not fill the memory.
const LONGEST_EVENT: usize = 64 << 20;
/// Most that is kept of what is no event stream though it is called one.
const LONGEST_STRAY: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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
/// that the end of the stream cuts off before its blank line is handed on, since servers omit it; and where there was no event
/// at all but what looks like JSON or a page, as proxies send errors under this name, that is handed on as one.
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
    /// There was an event.
    has_emitted: bool,
    /// Lines of no known field before the first event, the first of which looks like JSON or a page.
    stray: Vec<u8>,
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
        self.feed(b"\n\n", emit)?;
        if self.has_emitted || self.stray.is_empty() { Ok(()) } else { emit(b"", &self.stray) }
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
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            if self.has_data {
                self.has_data = false;
                let data = direct.take().unwrap_or(&self.data);
                if !data.is_empty() {
                    self.has_emitted = true;
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
        } else if !self.has_emitted {
            self.stray(line);
        }
        Ok(())
    }

    #[cold]
    fn stray(&mut self, line: &[u8]) {
        let begins = matches!(line.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'));
        if (begins || !self.stray.is_empty()) && self.stray.len() + line.len() < LONGEST_STRAY {
            self.stray.extend_from_slice(line);
            self.stray.push(b'\n');
        }
    }
}

/// One JSON value a line; blank lines are passed over.
#[derive(Default)]
pub(crate) struct JsonLines {
    /// The beginning of a line whose end has not come yet.
    tail: Vec<u8>,
    /// The stream has begun: a byte order mark is no longer expected.
    begun: bool,
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
                self.line(head, emit)?;
            } else {
                self.tail.extend_from_slice(head);
                let line = std::mem::take(&mut self.tail);
                self.line(&line, emit)?;
                self.tail = line;
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

    #[inline]
    fn line(&mut self, mut line: &[u8], emit: &mut Emit<'_>) -> Result<(), Failure> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
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
        let lines = cut(Frames::new(Framing::JsonLines), &[b"\xEF", b"\xBB\xBF{}\n[]\n"]);
        assert_eq!(data(&lines), ["{}", "[]"]);
    }

    #[test]
    fn what_is_no_event_stream_though_it_is_called_one_is_handed_on_as_it_is() {
        assert_eq!(data(&sse("{\n \"error\": \"x\"\n}")), ["{\n \"error\": \"x\"\n}\n"]);
        assert_eq!(data(&sse(": ping\n\n<html>\n")), ["<html>\n"]);
        assert_eq!(data(&sse("{\"a\":1}\n\ndata: b\n\n")), ["b"]);
        assert!(sse("id: 1\nretry: 5\nwords\n").is_empty());
    }

    #[test]
    fn a_stream_without_line_ends_does_not_fill_the_memory() {
        for framing in [Framing::Sse, Framing::JsonLines] {
            let mut frames = Frames::new(framing);
            let piece = vec![b'x'; 8 << 20];
            let ended = (0..9).try_for_each(|_| frames.feed(&piece, &mut |_, _| Ok(())));
            assert_eq!(ended.unwrap_err().kind, FailureKind::Malformed);
        }
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

    /// Lines of streams, well-formed and not, and what may end them.
    fn stream() -> impl Strategy<Value = String> {
        let line = "(data: ?[a-zé漢😀]{0,9}|event: [a-z]{1,5}|: c|data|id: 7|\u{feff}data: b|\\{\"n\": ?\"é\"\\}|<p>|)";
        let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r", "\n\r"]);
        let lines = prop::collection::vec((line, end), 0..30);
        (lines, any::<bool>()).prop_map(|(lines, ends)| {
            let mut text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), *end]).collect();
            if !ends {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            text
        })
    }

    /// The same stream by the book: all of it at hand, line by line.
    fn by_the_book(text: &str) -> Events {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut name, mut data) = (Events::new(), String::new(), Vec::new());
        for line in text.split('\n').chain(["", ""]) {
            if line.is_empty() {
                let joined = std::mem::take(&mut data).join("\n");
                let name = std::mem::take(&mut name);
                events.extend((!joined.is_empty()).then_some((name, joined)));
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value),
                "event" => value.clone_into(&mut name),
                _ => {}
            }
        }
        events
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_stream_is_cut(
            text in stream(),
            cuts in prop::collection::vec(0_usize..400, 0..40),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            for framing in [Framing::Sse, Framing::JsonLines] {
                prop_assert_eq!(cut(Frames::new(framing), &pieces), cut(Frames::new(framing), &[bytes]));
            }
        }

        #[test]
        fn events_are_those_of_the_standard(text in stream()) {
            let mut expected = by_the_book(&text);
            let found = sse(&text);
            if expected.is_empty() && !found.is_empty() {
                // No event stream at all.
                let is_stray = found.len() == 1 && found[0].1.starts_with(['{', '<']);
                prop_assert!(is_stray);
                expected.clone_from(&found);
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn random_bytes_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            for framing in [Framing::Sse, Framing::JsonLines] {
                let whole = cut(Frames::new(framing), &[&pieces.concat()]);
                prop_assert_eq!(cut(Frames::new(framing), &pieces), whole);
            }
        }
    }
}
