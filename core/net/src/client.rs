//! [`Client`]: one exchange after another over pooled connections, each of them stamped.

use crate::{
    connection::{Connection, Sent, plain},
    framing::Frames,
    http1::{Fields, ResponseHead, parse_head},
    request::{Destination, Head, RequestIds},
};
use inferometer_abi::{documents::Framing, types::ABSENT_NS};
use inferometer_model::{Clock, Failure, FailureKind};
use std::{cell::RefCell, io};

/// Longest response head that is read, in bytes.
const LONGEST_HEAD: usize = 256 << 10;
/// Most of a body that is handed over whole, in bytes; the rest is read and counted.
const LONGEST_BODY: usize = 64 << 20;
/// How soon a pooled connection has to end, in nanoseconds and in round trips, to pass for one that the server had closed
/// while it was idle, where the system does not say so. Later, the server had the request.
const STALE_NS: u64 = 50_000_000;
const STALE_ROUND_TRIPS: u64 = 4;

/// When what happened, in nanoseconds since the run began; [`ABSENT_NS`] where it did not.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    /// A connection was ready.
    pub connected: u64,
    /// The first byte of the request was handed to the kernel; of the first attempt, if there were two.
    pub sent: u64,
    /// The last byte of the request was handed to the kernel.
    pub written: u64,
    /// The first byte of the response was read.
    pub first_byte: u64,
    /// The response's head was complete.
    pub headers: u64,
    /// The last byte of the response was read.
    pub last_byte: u64,
    /// Time spent on connecting, in nanoseconds.
    pub connect_ns: u64,
    /// Reads that brought bytes of the response, its head included.
    pub reads: u32,
    /// Bytes of the response's body, as framed on the wire.
    pub received_bytes: u64,
    /// Whether the connection had served before.
    pub reused: bool,
    /// Whether it was sent a second time, since the server had closed the pooled connection.
    pub resent: bool,
    /// HTTP status; 0: none was received.
    pub status: u16,
}

impl Stamps {
    /// Nothing has happened yet.
    pub const EMPTY: Self = Self {
        connected: ABSENT_NS,
        sent: ABSENT_NS,
        written: ABSENT_NS,
        first_byte: ABSENT_NS,
        headers: ABSENT_NS,
        last_byte: ABSENT_NS,
        connect_ns: 0,
        reads: 0,
        received_bytes: 0,
        reused: false,
        resent: false,
        status: 0,
    };
}

/// How a response's body is to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Event by event, as it comes.
    Events(Framing),
    /// Whole, at its end.
    Whole,
}

/// An answer that was read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The header fields.
    pub fields: &'a Fields,
    /// The body, or the first 64 MiB of it.
    pub body: &'a [u8],
    /// Whether the body went on after that.
    pub is_cut: bool,
}

/// Takes a response.
pub trait Receiver {
    /// The head is complete.
    fn head(&mut self, status: u16, content_type: &str) -> Delivery;

    /// An event is complete; `at_ns` is the time of the read that completed it.
    ///
    /// # Errors
    /// Ends the exchange; the connection is closed.
    fn event(&mut self, name: &[u8], data: &[u8], at_ns: u64) -> Result<(), Failure>;

    /// The whole answer, for [`Delivery::Whole`]; `at_ns` is the time of the read that completed it.
    ///
    /// # Errors
    /// Ends the request.
    fn whole(&mut self, answer: Whole<'_>, at_ns: u64) -> Result<(), Failure>;
}

/// The connections of one worker.
pub struct Client {
    clock: Clock,
    destinations: Vec<Destination>,
    /// Idle connections by destination; the one used last is used next, so that surplus ones age and are closed.
    idle: Vec<RefCell<Vec<Connection>>>,
    pooled: bool,
}

impl Client {
    /// A client without connections. `pooled`: a connection serves one request after another.
    pub fn new(clock: Clock, destinations: Vec<Destination>, pooled: bool) -> Self {
        let idle = destinations.iter().map(|_| RefCell::default()).collect();
        Self { clock, destinations, idle, pooled }
    }

    /// Sends one request to destination number `to` and reads the answer to its end.
    ///
    /// # Errors
    /// What became of it if there was no complete answer; `stamps` says how far it came. A status is not an error here.
    pub async fn exchange(
        &self,
        to: usize,
        head: &Head,
        ids: RequestIds,
        body: &[u8],
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let mut connection = self.connect(to, stamps).await?;
        let response = match self.attempt(&mut connection, head, ids, body, stamps).await {
            Err(_) if self.was_stale(&connection, stamps) => {
                // One more attempt, on a connection that cannot have been closed for being idle.
                stamps.resent = true;
                connection = self.open(to, stamps).await?;
                self.attempt(&mut connection, head, ids, body, stamps).await?
            }
            attempted => attempted?,
        };
        let keep_alive = response.keep_alive;
        self.read_body(&mut connection, response, stamps, receiver).await?;
        if keep_alive && self.pooled && connection.unused().is_empty() {
            connection.reused = true;
            self.idle[to].borrow_mut().push(connection);
        }
        Ok(())
    }

    /// Writes the request and reads the head of the answer.
    async fn attempt(
        &self,
        connection: &mut Connection,
        head: &Head,
        ids: RequestIds,
        body: &[u8],
        stamps: &mut Stamps,
    ) -> Result<ResponseHead, Failure> {
        head.write(ids, body, &mut connection.output);
        let begun = self.clock.now();
        if stamps.sent == ABSENT_NS {
            stamps.sent = begun;
        }
        let sent = connection.send().await;
        stamps.written = self.clock.now();
        if let Ok(Sent::AnsweredEarly) = sent {
            self.stamp_read(stamps);
        }
        let mut response = match (&sent, self.read_head(connection, stamps).await) {
            // A server may refuse a request before it has read it all, and close.
            (Err(error), Err(_)) => return Err(broken("while the request was written", error)),
            (_, read) => read?,
        };
        stamps.status = response.status;
        response.keep_alive &= matches!(sent, Ok(Sent::Whole));
        response.check_encoding()?;
        Ok(response)
    }

    /// Whether a failed attempt tells no more than that the server had closed the idle connection before.
    fn was_stale(&self, connection: &Connection, stamps: &Stamps) -> bool {
        let limit = STALE_NS.max(connection.connect_ns.saturating_mul(STALE_ROUND_TRIPS));
        let at_once = self.clock.now() - stamps.written < limit;
        connection.reused && stamps.first_byte == ABSENT_NS && (at_once || connection.was_refused())
    }

    /// An idle connection that still stands, or a new one.
    async fn connect(&self, to: usize, stamps: &mut Stamps) -> Result<Connection, Failure> {
        let idle = || self.idle[to].borrow_mut().pop();
        while let Some(connection) = idle() {
            if !connection.is_stale() {
                (stamps.connected, stamps.reused) = (self.clock.now(), true);
                return Ok(connection);
            }
        }
        self.open(to, stamps).await
    }

    async fn open(&self, to: usize, stamps: &mut Stamps) -> Result<Connection, Failure> {
        let begun = self.clock.now();
        let mut connection = Connection::open(&self.destinations[to].addresses).await?;
        stamps.connected = self.clock.now();
        connection.connect_ns = stamps.connected - begun;
        (stamps.connect_ns, stamps.reused) = (connection.connect_ns, false);
        Ok(connection)
    }

    /// The response's head, which is left among what is unused.
    async fn read_head(&self, connection: &mut Connection, stamps: &mut Stamps) -> Result<ResponseHead, Failure> {
        loop {
            if let Some(head) = parse_head(connection.unused())? {
                if head.is_interim() {
                    connection.consume(head.length);
                    // The answer itself has not begun.
                    stamps.first_byte = if connection.unused().is_empty() { ABSENT_NS } else { stamps.last_byte };
                    continue;
                }
                stamps.headers = stamps.last_byte;
                return Ok(head);
            }
            if connection.unused().len() > LONGEST_HEAD {
                return Err(Failure::new(FailureKind::Malformed, "the answer's head is longer than 256 KiB"));
            }
            match self.fill(connection, stamps).await {
                Ok(1..) => {}
                Ok(0) => return Err(Failure::new(FailureKind::Reset, "closed before the answer's head was complete")),
                Err(e) => return Err(broken("before the answer's head was complete", &e)),
            }
        }
    }

    async fn read_body(
        &self,
        connection: &mut Connection,
        mut head: ResponseHead,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let (mut whole, mut is_cut) = (Vec::new(), false);
        let (mut frames, fields) = match receiver.head(head.status, &head.content_type) {
            Delivery::Events(framing) => (Some(Frames::new(framing)), Fields::default()),
            Delivery::Whole => (None, Fields::of(connection.unused()[..head.length].to_vec())),
        };
        connection.consume(head.length);
        let mut at_ns = stamps.last_byte;
        stamps.received_bytes += connection.unused().len() as u64;
        let body = &mut head.body;
        loop {
            while !body.is_done() {
                let input = connection.unused();
                let piece = body.take(input)?;
                let data = &input[piece.framing..piece.framing + piece.data];
                match &mut frames {
                    Some(frames) => frames.feed(data, &mut |name, data| receiver.event(name, data, at_ns))?,
                    None => {
                        let kept = data.len().min(LONGEST_BODY - whole.len());
                        is_cut |= kept < data.len();
                        whole.extend_from_slice(&data[..kept]);
                    }
                }
                let used = piece.framing + piece.data;
                connection.consume(used);
                if used == 0 {
                    break;
                }
            }
            if body.is_done() {
                break;
            }
            match self.fill(connection, stamps).await {
                Ok(0) if body.ends_with_connection() => break,
                Ok(0) => return Err(Failure::new(FailureKind::Truncated, "the connection was closed in mid-answer")),
                Ok(count) => {
                    at_ns = stamps.last_byte;
                    stamps.received_bytes += count as u64;
                }
                Err(e) => return Err(broken("in mid-answer", &e)),
            }
        }
        match &mut frames {
            Some(frames) => frames.finish(&mut |name, data| receiver.event(name, data, at_ns)),
            None => receiver.whole(Whole { fields: &fields, body: &whole, is_cut }, at_ns),
        }
    }

    /// Reads more, and stamps it.
    async fn fill(&self, connection: &mut Connection, stamps: &mut Stamps) -> io::Result<usize> {
        let count = connection.fill().await?;
        if count > 0 {
            self.stamp_read(stamps);
        }
        Ok(count)
    }

    fn stamp_read(&self, stamps: &mut Stamps) {
        stamps.last_byte = self.clock.now();
        if stamps.first_byte == ABSENT_NS {
            stamps.first_byte = stamps.last_byte;
        }
        stamps.reads += 1;
    }
}

fn broken(when: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Reset, format!("{} {when}", plain(error)))
}
