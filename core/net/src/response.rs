//! [`Response`]: one answer as the bytes of an HTTP/1.1 connection come in: the head, then the body as far as it reaches.
//! Sans I/O. What the body holds is [`Content`]'s.

use crate::{
    arrival::Arrival,
    client::{Receiver, Stamps, Whole},
    content::Content,
    http1::{Body, FieldPlace, Fields, parse_head},
};
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::{Failure, FailureKind};

/// Most heads that only announce an answer.
const MOST_INTERIMS: u32 = 100;
/// Longest response head that is read, in bytes.
const LONGEST_HEAD: usize = 256 << 10;
/// Memory of the head that is kept from one answer to the next, in bytes.
const KEPT: usize = 16 << 10;

/// One answer. It serves one after another, and keeps its buffers.
#[derive(Default)]
pub struct Response {
    state: State,
    /// The beginning of a head that is not whole yet; later the head of an answer whose body is handed over whole.
    head: Vec<u8>,
    fields: Vec<FieldPlace>,
    content: Content,
    /// Whether the connection may serve again, by what the answer says.
    keep_alive: bool,
    /// Not all of the request was written.
    is_cut_short: bool,
    /// Heads before the answer's own.
    interims: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Body(Body),
    Done,
}

impl Response {
    /// Forgets the answer before.
    pub fn begin(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.head.shrink_to(KEPT);
        self.is_cut_short = false;
        self.interims = 0;
    }

    /// Whether it was read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The connection is not to serve again, whatever the answer says.
    pub(crate) fn closes(&mut self) {
        self.is_cut_short = true;
    }

    /// Whether the connection of an answer that was read to its end may serve again.
    pub fn keeps_alive(&self) -> bool {
        self.is_done() && self.keep_alive && !self.is_cut_short
    }

    /// Takes the next bytes of the connection. What is left over belongs to no answer; the connection is of no more use.
    ///
    /// # Errors
    /// What `receiver` returned, or what is wrong with the answer.
    pub fn take(
        &mut self,
        input: &mut [u8],
        arrival: Arrival,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let mut used = 0;
        while matches!(self.state, State::Head) {
            let Some(length) = self.take_head(&mut input[used..], arrival, stamps, receiver)? else { return Ok(()) };
            used += length;
        }
        self.take_body(&input[used..], arrival, stamps, receiver)
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// What `receiver` returned, or that the answer is not whole.
    pub fn end(&mut self, arrival: Arrival, receiver: &mut impl Receiver) -> Result<(), Failure> {
        match &self.state {
            State::Head => Err(Failure::new(FailureKind::Reset, "closed before the answer's head was complete")),
            State::Body(body) if body.ends_with_connection() => self.finish(arrival, receiver),
            State::Body(_) => Err(Failure::new(FailureKind::Truncated, "the connection was closed in mid-answer")),
            State::Done => Ok(()),
        }
    }

    /// Takes the head, or what there is of it. Returns how much of `input` belongs to it if it is whole now.
    fn take_head(
        &mut self,
        input: &mut [u8],
        arrival: Arrival,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<Option<usize>, Failure> {
        let before = self.head.len();
        if before > 0 {
            self.head.extend_from_slice(input);
        }
        let bytes = if before > 0 { &mut self.head[..] } else { &mut *input };
        let parsed = parse_head(bytes, &mut self.fields)?;
        if parsed.as_ref().map_or(bytes.len(), |head| head.length) > LONGEST_HEAD {
            return Err(Failure::new(FailureKind::Malformed, "the answer's head is longer than 256 KiB"));
        }
        let Some(parsed) = parsed else {
            if before == 0 {
                self.head.extend_from_slice(input);
            }
            return Ok(None);
        };
        let used = parsed.length - before;
        if parsed.is_interim() {
            self.interims += 1;
            if self.interims > MOST_INTERIMS {
                return Err(Failure::new(FailureKind::Malformed, "more than 100 heads that only announce an answer"));
            }
            self.head.clear();
            // It is not the beginning of the answer.
            stamps.first_byte = if used < input.len() { arrival.at_ns } else { ABSENT_NS };
            return Ok(Some(used));
        }
        (stamps.headers, stamps.status) = (arrival.at_ns, parsed.status);
        let (head, body) = if before > 0 {
            (&mut self.head[..parsed.length], &input[used..])
        } else {
            let (head, body) = input.split_at_mut(used);
            (head, &*body)
        };
        self.keep_alive = parsed.keep_alive;
        let text = |place| std::str::from_utf8(&head[place]).unwrap_or_default();
        self.content.begin(parsed.status, text(parsed.content_type), text(parsed.encoding), receiver)?;
        match &parsed.body {
            // The whole of it has come: nothing need be copied.
            Body::Length(length) if self.content.is_plain() && *length <= body.len() as u64 => {
                let is_all = *length == body.len() as u64;
                let body = &body[..*length as usize];
                stamps.received_bytes += *length;
                self.keep_alive &= is_all;
                self.state = State::Done;
                let fields = Fields::of(head, &self.fields);
                receiver.whole(Whole { fields, body, is_cut: false }, arrival)?;
            }
            _ => {
                self.state = State::Body(parsed.body);
                if before == 0 && self.content.is_whole() {
                    self.head.extend_from_slice(&input[..used]);
                }
            }
        }
        Ok(Some(used))
    }

    fn take_body(
        &mut self,
        mut input: &[u8],
        arrival: Arrival,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let State::Body(body) = &mut self.state else { return Ok(()) };
        stamps.received_bytes += input.len() as u64;
        while !body.is_done() {
            let piece = body.take(input)?;
            let (taken, rest) = input.split_at(piece.framing + piece.data);
            self.content.feed(&taken[piece.framing..], arrival, receiver)?;
            input = rest;
            if taken.is_empty() {
                return Ok(());
            }
        }
        self.keep_alive &= input.is_empty();
        self.finish(arrival, receiver)
    }

    /// The body is over.
    fn finish(&mut self, arrival: Arrival, receiver: &mut impl Receiver) -> Result<(), Failure> {
        self.state = State::Done;
        let fields = if self.content.is_whole() { Fields::of(&mut self.head, &self.fields) } else { Fields::default() };
        self.content.finish(fields, arrival, receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Delivery;
    use flate2::{Compression, write::GzEncoder};
    use inferometer_abi::documents::Framing;
    use proptest::prelude::*;
    use std::io::Write;

    /// What a receiver was told.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Told {
        status: u16,
        content_type: String,
        events: Vec<Vec<u8>>,
        fields: Vec<(String, String)>,
        whole: Option<Vec<u8>>,
    }

    impl Receiver for Told {
        fn head(&mut self, status: u16, content_type: &str) -> Delivery {
            (self.status, self.content_type) = (status, content_type.to_owned());
            if content_type.contains("event-stream") { Delivery::Events(Framing::Sse) } else { Delivery::Whole }
        }

        fn event(&mut self, _name: &[u8], data: &[u8], _arrival: Arrival) -> Result<(), Failure> {
            self.events.push(data.to_vec());
            Ok(())
        }

        fn whole(&mut self, answer: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
            self.fields = answer.fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert!(self.whole.replace(answer.body.to_vec()).is_none(), "one answer, once");
            Ok(())
        }
    }

    /// Reads `wire` in pieces that end at `cuts`; what was told, the stamps, and whether the connection may serve again.
    fn read(wire: &[u8], cuts: &[usize]) -> (Result<(), Failure>, Told, u64, bool) {
        let (mut response, mut told, mut stamps) = (Response::default(), Told::default(), Stamps::EMPTY);
        let mut cuts: Vec<usize> = cuts.iter().map(|at| (*at).min(wire.len())).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        response.begin();
        let mut ended = Ok(());
        for (at, pair) in cuts.windows(2).enumerate() {
            let mut piece = wire[pair[0]..pair[1]].to_vec();
            if ended.is_ok() && !response.is_done() && !piece.is_empty() {
                ended = response.take(&mut piece, Arrival::read_at(at as u64), &mut stamps, &mut told);
            }
        }
        if ended.is_ok() {
            ended = response.end(Arrival::read_at(99), &mut told);
        }
        (ended, told, stamps.received_bytes, response.keeps_alive())
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    /// Answers as servers send them.
    fn wires() -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec("data: [a-z]{1,9}\n\n|: ping\n\n|event: x\ndata: é\n\n", 0..8)
            .prop_map(|all| all.concat());
        let kind = prop::sample::select(vec!["text/event-stream", "application/json"]);
        let early = prop::sample::select(vec!["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]);
        (body, kind, early, 0..6_usize, 1..30_usize).prop_map(|(body, kind, early, coding, chunk)| {
            let head = format!("{early}HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Name: Value\r\n");
            let mut wire = head.into_bytes();
            let body = if coding < 3 {
                body.into_bytes()
            } else {
                wire.extend_from_slice(b"Content-Encoding: gzip\r\n");
                gzip(body.as_bytes())
            };
            match coding % 3 {
                0 => wire.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes().chain(body)),
                1 => wire.extend(b"Connection: close\r\n\r\n".iter().copied().chain(body)),
                _ => {
                    wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for piece in body.chunks(chunk) {
                        wire.extend(format!("{:x}\r\n", piece.len()).bytes());
                        wire.extend_from_slice(piece);
                        wire.extend_from_slice(b"\r\n");
                    }
                    wire.extend_from_slice(b"0\r\n\r\n");
                }
            }
            wire
        })
    }

    proptest! {
        #[test]
        fn an_answer_does_not_depend_on_where_its_bytes_were_cut(
            wire in wires(),
            cuts in prop::collection::vec(0_usize..900, 0..40),
        ) {
            let whole = read(&wire, &[]);
            prop_assert_eq!(&whole.0, &Ok(()));
            prop_assert_eq!(read(&wire, &cuts), whole);
        }

        #[test]
        fn an_answer_that_breaks_off_or_is_no_answer_never_panics(
            wire in wires(),
            end in 0_usize..900,
            at in 0_usize..900,
            byte in any::<u8>(),
            cuts in prop::collection::vec(0_usize..900, 0..10),
        ) {
            let mut wire = wire[..end.min(wire.len())].to_vec();
            if let Some(place) = wire.get_mut(at) {
                *place = byte;
            }
            let _ = read(&wire, &cuts);
        }
    }

    #[test]
    fn a_coded_answer_is_handed_over_as_it_was_and_counted_as_it_came() {
        let coded = |name: &str, status: u16, body: &[u8]| {
            let head =
                format!("HTTP/1.1 {status} x\r\nContent-Encoding: {name}\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let body = gzip(b"an answer");
        let (ended, told, received, keeps_alive) = read(&coded("gzip", 200, &body), &[7, 90]);
        assert_eq!((ended, told.whole.as_deref()), (Ok(()), Some(&b"an answer"[..])));
        assert_eq!((received, keeps_alive), (body.len() as u64, true));
        let (ended, told, ..) = read(&coded("br", 200, &body), &[]);
        assert!(ended.unwrap_err().message.contains("'br' coding"));
        assert_eq!((told.status, told.whole), (200, None));
        // What a server says in refusing is told as far as it can be read.
        assert_eq!(read(&coded("br", 503, b"x"), &[]).1.whole.as_deref(), Some(&b"x"[..]));
        let (ended, told, ..) = read(&coded("gzip", 503, &body[..body.len() - 8]), &[]);
        assert_eq!((ended, told.whole.as_deref()), (Ok(()), Some(&b"an answer"[..])));
        assert_eq!(read(&coded("gzip", 200, &body[..12]), &[]).0.unwrap_err().kind, FailureKind::Truncated);
    }

    #[test]
    fn what_comes_after_the_answer_spoils_the_connection_and_nothing_else() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert!(read(wire, &[]).3);
        let (ended, told, _, keeps_alive) = read(&[&wire[..], b"HTTP/1.1 "].concat(), &[]);
        assert_eq!((ended, told.whole, keeps_alive), (Ok(()), Some(b"hi".to_vec()), false));
    }
}
