//! [`Response`]: one answer as its bytes come in: the head, then the body, cut into events or gathered. Sans I/O.

use crate::{
    arrival::Arrival,
    client::{Delivery, Receiver, Stamps, Whole},
    framing::Frames,
    http1::{Body, FieldPlace, Fields, parse_head},
};
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::{Failure, FailureKind};

/// Longest response head that is read, in bytes.
const LONGEST_HEAD: usize = 256 << 10;
/// Most of a body that is handed over whole, in bytes; the rest is read and counted.
const LONGEST_BODY: usize = 64 << 20;
/// Memory that is kept from one answer to the next, in bytes, of each of the buffers.
const KEPT: usize = 16 << 10;

/// One answer. It serves one after another, and keeps its buffers.
#[derive(Default)]
pub struct Response {
    state: State,
    /// The beginning of a head that is not whole yet; later the head of an answer whose body is gathered.
    head: Vec<u8>,
    fields: Vec<FieldPlace>,
    /// The body so far, where it is gathered.
    gathered: Vec<u8>,
    /// The body went on after what was gathered.
    is_cut: bool,
    /// Whether the connection may serve again, by what the answer says.
    keep_alive: bool,
    /// Not all of the request was written.
    is_cut_short: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    /// The body, and what cuts it into events, if anything does.
    Body(Body, Option<Frames>),
    Done,
}

impl Response {
    /// Forgets the answer before.
    pub fn begin(&mut self) {
        self.state = State::Head;
        for buffer in [&mut self.head, &mut self.gathered] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
        (self.is_cut, self.is_cut_short) = (false, false);
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
            State::Body(body, _) if body.ends_with_connection() => self.finish(arrival, receiver),
            State::Body(..) => Err(Failure::new(FailureKind::Truncated, "the connection was closed in mid-answer")),
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
        let Some(parsed) = parse_head(bytes, &mut self.fields)? else {
            if bytes.len() > LONGEST_HEAD {
                return Err(Failure::new(FailureKind::Malformed, "the answer's head is longer than 256 KiB"));
            }
            if before == 0 {
                self.head.extend_from_slice(input);
            }
            return Ok(None);
        };
        let used = parsed.length - before;
        if parsed.is_interim() {
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
        parsed.check_encoding(head)?;
        self.keep_alive = parsed.keep_alive;
        let content_type = std::str::from_utf8(&head[parsed.content_type]).unwrap_or_default();
        match (receiver.head(parsed.status, content_type), &parsed.body) {
            (Delivery::Events(framing), _) => self.state = State::Body(parsed.body, Some(Frames::new(framing))),
            // The whole of it has come: nothing need be copied.
            (Delivery::Whole, Body::Length(length)) if *length <= body.len() as u64 => {
                let is_all = *length == body.len() as u64;
                let body = &body[..*length as usize];
                stamps.received_bytes += *length;
                self.keep_alive &= is_all;
                self.state = State::Done;
                let fields = Fields::of(head, &self.fields);
                receiver.whole(Whole { fields, body, is_cut: false }, arrival)?;
            }
            (Delivery::Whole, _) => {
                self.head = head.to_vec();
                self.state = State::Body(parsed.body, None);
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
        let State::Body(body, frames) = &mut self.state else { return Ok(()) };
        stamps.received_bytes += input.len() as u64;
        while !body.is_done() {
            let piece = body.take(input)?;
            let (taken, rest) = input.split_at(piece.framing + piece.data);
            let data = &taken[piece.framing..];
            match frames {
                Some(frames) => frames.feed(data, &mut |name, data| receiver.event(name, data, arrival))?,
                None => {
                    let kept = data.len().min(LONGEST_BODY - self.gathered.len());
                    self.is_cut |= kept < data.len();
                    self.gathered.extend_from_slice(&data[..kept]);
                }
            }
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
        match std::mem::replace(&mut self.state, State::Done) {
            State::Body(_, Some(mut frames)) => frames.finish(&mut |name, data| receiver.event(name, data, arrival)),
            State::Body(_, None) => {
                let fields = Fields::of(&mut self.head, &self.fields);
                receiver.whole(Whole { fields, body: &self.gathered, is_cut: self.is_cut }, arrival)
            }
            State::Head | State::Done => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::documents::Framing;
    use proptest::prelude::*;

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

    /// Answers as servers send them.
    fn wires() -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec("data: [a-z]{1,9}\n\n|: ping\n\n|event: x\ndata: é\n\n", 0..8)
            .prop_map(|all| all.concat());
        let kind = prop::sample::select(vec!["text/event-stream", "application/json"]);
        let early = prop::sample::select(vec!["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]);
        (body, kind, early, 0..3_usize, 1..30_usize).prop_map(|(body, kind, early, coding, chunk)| {
            let head = format!("{early}HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Name: Value\r\n");
            let mut wire = head.into_bytes();
            match coding {
                0 => wire.extend(format!("Content-Length: {}\r\n\r\n{body}", body.len()).bytes()),
                1 => wire.extend(format!("Connection: close\r\n\r\n{body}").bytes()),
                _ => {
                    wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for piece in body.as_bytes().chunks(chunk) {
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
    fn what_comes_after_the_answer_spoils_the_connection_and_nothing_else() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert!(read(wire, &[]).3);
        let (ended, told, _, keeps_alive) = read(&[&wire[..], b"HTTP/1.1 "].concat(), &[]);
        assert_eq!((ended, told.whole, keeps_alive), (Ok(()), Some(b"hi".to_vec()), false));
    }
}
