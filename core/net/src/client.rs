//! [`Client`]: one exchange after another over pooled connections, each of them stamped.

use crate::{
    arrival::{Arrival, Arrivals, Lags},
    connection::{Connection, plain},
    destination::Destination,
    dial::Dialer,
    http1::Fields,
    http2::{Berths, Http2, Link, Refused},
    limits::Limits,
    request::{Head, RequestIds},
    tls,
};
use inferometer_abi::{documents::Framing, types::ABSENT_NS};
use inferometer_model::{Clock, Failure, FailureKind, config::HttpVersion};
use std::{cell::RefCell, future::poll_fn, io, net::IpAddr, pin::pin, rc::Rc, task::Poll, time::Duration};

/// Most bytes taken from a socket at once.
const READ_SIZE: usize = 64 << 10;
/// How soon a pooled connection has to end, in nanoseconds and in round trips, to pass for one that the server had closed
/// while it was idle, where the system does not say so. Later, the server had the request. Making a connection takes about
/// one, if nothing else held it up: that is bounded.
const STALE_NS: u64 = 50_000_000;
const LONGEST_STALE_NS: u64 = 500_000_000;
const STALE_ROUND_TRIPS: u64 = 4;

/// When what happened, in nanoseconds since the run began; [`ABSENT_NS`] where it did not. What was received has the time
/// of its [`Arrival`].
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    /// A connection was ready.
    pub connected: u64,
    /// The first byte of the request was handed to the kernel; of the first attempt, if there were two.
    pub sent: u64,
    /// The last byte of the request was handed to the kernel.
    pub written: u64,
    /// The first byte of the response came.
    pub first_byte: u64,
    /// The response's head was complete.
    pub headers: u64,
    /// The last byte of the response came.
    pub last_byte: u64,
    /// Time spent on connecting, TLS apart, in nanoseconds.
    pub connect_ns: u64,
    /// Time spent on agreeing upon TLS, in nanoseconds.
    pub tls_ns: u64,
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
        tls_ns: 0,
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
    pub fields: Fields<'a>,
    /// The body, or the first 64 MiB of it.
    pub body: &'a [u8],
    /// Whether the body went on after that.
    pub is_cut: bool,
}

/// One request to be sent.
#[derive(Clone, Copy)]
pub struct Sending<'a> {
    /// Number of its destination.
    pub to: usize,
    /// Its head.
    pub head: &'a Head,
    /// Its identifiers.
    pub ids: RequestIds,
    /// Its body.
    pub body: &'a [u8],
    /// The exchange is broken off on purpose so long after its last byte was handed to the kernel.
    pub break_off: Option<Duration>,
}

/// Where a request's connection comes from and goes to.
pub struct Lane {
    is_own: bool,
    connection: Option<Connection>,
    link: Option<Rc<Link>>,
}

impl Lane {
    /// The connections that all share.
    pub const fn shared() -> Self {
        Self { is_own: false, connection: None, link: None }
    }

    /// A connection that nobody else gets, as long as it stands.
    pub const fn own() -> Self {
        Self { is_own: true, connection: None, link: None }
    }
}

/// Takes a response.
pub trait Receiver {
    /// The head is complete.
    fn head(&mut self, status: u16, content_type: &str) -> Delivery;

    /// An event is complete; `arrival` is that of the bytes that completed it.
    ///
    /// # Errors
    /// Ends the exchange; the connection is closed.
    fn event(&mut self, name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure>;

    /// The whole answer, for [`Delivery::Whole`]; `arrival` is that of the bytes that completed it.
    ///
    /// # Errors
    /// Ends the request.
    fn whole(&mut self, answer: Whole<'_>, arrival: Arrival) -> Result<(), Failure>;
}

/// The connections of one worker.
pub struct Client {
    clock: Clock,
    destinations: Vec<Destination>,
    dialer: Dialer,
    /// Idle connections by destination; the one used last is used next, so that surplus ones age and are closed.
    idle: Vec<RefCell<Vec<Connection>>>,
    usage: Usage,
    arrivals: Rc<Arrivals>,
    /// Connections that speak HTTP/2, if it may be spoken.
    http2: Option<Http2>,
    /// Where requests are put together and answers read into, one at a time: memory that stays in the processor's cache
    /// however many connections there are.
    output: RefCell<Vec<u8>>,
    input: RefCell<Box<[u8]>>,
}

/// How the connections of a [`Client`] are used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// A connection serves one request after another.
    pub pooled: bool,
    /// The kernel is asked to stamp what it receives.
    pub stamped: bool,
    /// How long each stage may take.
    pub limits: Limits,
}

impl Client {
    /// A client without connections.
    pub fn new(clock: Clock, destinations: Vec<Destination>, usage: Usage) -> Self {
        let idle = destinations.iter().map(|_| RefCell::default()).collect();
        Self {
            clock,
            destinations,
            dialer: Dialer::new(&[]),
            idle,
            usage,
            arrivals: Rc::new(Arrivals::new(clock)),
            http2: None,
            output: RefCell::default(),
            input: RefCell::new(vec![0; READ_SIZE].into()),
        }
    }

    /// The same client, with connections that come from each of `sources` in turn, if there are any.
    pub fn with_sources(self, sources: &[IpAddr]) -> Self {
        Self { dialer: Dialer::new(sources), ..self }
    }

    /// The same client, by that version of HTTP; at most `streams` requests share a connection of HTTP/2 at a time.
    pub fn with_http(self, version: HttpVersion, streams: usize) -> Self {
        let secure = self.destinations.iter().map(|destination| destination.tls.is_some());
        let http2 = Http2::new(self.clock, &self.arrivals, self.usage.limits, version, secure, streams);
        Self { http2: Some(http2).filter(|_| version != HttpVersion::Http1), ..self }
    }

    /// How many addresses of the loopback network connections came from, since the ports of one had run out; those of
    /// [`with_sources`](Self::with_sources) apart.
    pub fn loopback_addresses(&self) -> usize {
        self.dialer.loopback_addresses()
    }

    /// How far behind the kernel its reads were since this was last asked.
    pub fn take_lags(&self) -> Lags {
        self.arrivals.take_lags()
    }

    /// Sends one request and reads the answer to its end.
    ///
    /// # Errors
    /// What became of it if there was no complete answer; `stamps` says how far it came. A status is not an error here.
    pub async fn exchange(
        &self,
        sending: Sending<'_>,
        lane: &mut Lane,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let to = sending.to;
        let made = match self.http2.as_ref().filter(|http2| http2.serves(to)) {
            None => None,
            // Apart, so that requests by HTTP/1.1 do not carry the room for it.
            Some(http2) => match Box::pin(self.exchange_by(http2, sending, lane, stamps, receiver)).await? {
                Spoken::Http2 => return Ok(()),
                Spoken::Http1(made) => made,
            },
        };
        let mut connection = match made {
            Some(connection) => *connection,
            None => self.connect(to, lane, stamps).await?,
        };
        let mut ended = self.attempt(&mut connection, sending, stamps, receiver).await;
        if let Err(Failure { kind: FailureKind::Reset | FailureKind::Tls, .. }) = &ended
            && self.was_stale(&connection, stamps)
        {
            // One more attempt, on a connection that cannot have been closed for being idle.
            stamps.resent = true;
            connection = self.open(to, stamps).await?;
            ended = self.attempt(&mut connection, sending, stamps, receiver).await;
        }
        // An answer that was read to its end leaves the connection fit to serve, whatever it said.
        if (self.usage.pooled || lane.is_own) && connection.response.keeps_alive() {
            connection.reused = true;
            connection.response.begin();
            if lane.is_own {
                lane.connection = Some(connection);
            } else {
                self.idle[to].borrow_mut().push(connection);
            }
        }
        ended
    }

    /// Sends one request by HTTP/2, if the server speaks it.
    async fn exchange_by(
        &self,
        http2: &Http2,
        sending: Sending<'_>,
        lane: &mut Lane,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<Spoken, Failure> {
        let made = RefCell::new(None);
        let berths = match lane {
            Lane { is_own: true, link, .. } => Berths::Own(link),
            _ if self.usage.pooled => Berths::Shared,
            _ => Berths::Fresh,
        };
        let open = async |stamps: &mut Stamps| {
            let connection = self.open(sending.to, stamps).await?;
            if http2.accepts(sending.to, connection.protocol())? {
                return Ok(connection.into_channel());
            }
            made.replace(Some(connection));
            Err(Refused::Http1)
        };
        match http2.exchange(sending, berths, open, stamps, receiver).await {
            Ok(()) => Ok(Spoken::Http2),
            Err(Refused::Failed(failure)) => Err(failure),
            Err(Refused::Http1) => Ok(Spoken::Http1(made.take().map(Box::new))),
        }
    }

    /// Writes the request and reads the answer.
    async fn attempt(
        &self,
        connection: &mut Connection,
        Sending { head, ids, body, break_off, .. }: Sending<'_>,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let begun = self.clock.now();
        if stamps.sent == ABSENT_NS {
            stamps.sent = begun;
        }
        let rest = {
            let mut output = self.output.borrow_mut();
            head.write(ids, body, &mut output);
            connection.try_write(&output).map(|written| output[written..].to_vec())
        };
        let sent = match rest {
            Ok(rest) if rest.is_empty() && connection.try_flush().is_ok_and(|all| all) => Ok(()),
            Ok(rest) => self.send_on(connection, &rest, stamps, receiver).await,
            Err(error) => Err(error.into()),
        };
        stamps.written = self.clock.now();
        let broken_by = match sent {
            Ok(()) => None,
            Err(Stop::Broken(error)) => Some(error),
            Err(Stop::Answer(failure)) => return Err(failure),
        };
        let received = match break_off {
            None => self.receive(connection, stamps, receiver).await,
            Some(after) => match tokio::time::timeout(after, self.receive(connection, stamps, receiver)).await {
                Ok(received) => received,
                Err(_) => return Err(Failure::new(FailureKind::Cancelled, "broken off on purpose")),
            },
        };
        match (broken_by, received) {
            // It says why it closed.
            (Some(_), Err(failure)) if failure.kind == FailureKind::Tls => Err(failure),
            // A server may refuse a request before it has read it all, and close.
            (Some(error), Err(_)) if stamps.status == 0 => Err(broken("while the request was written", &error)),
            (_, received) => received,
        }
    }

    /// Writes the rest of a request that the kernel did not take at once, unless the server refuses it or is done before.
    async fn send_on(
        &self,
        connection: &mut Connection,
        mut rest: &[u8],
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Stop> {
        while !(connection.try_flush()? && rest.is_empty()) {
            if connection.writable_or_readable().await? {
                self.read(connection, stamps, receiver)?;
                if connection.response.is_done() || stamps.status >= 300 {
                    // It will not take the rest, which is not written then. A good answer may begin before that.
                    connection.response.closes();
                    return Ok(());
                }
            }
            rest = &rest[connection.try_write(rest)?..];
        }
        Ok(())
    }

    /// Reads the answer to its end.
    async fn receive(
        &self,
        connection: &mut Connection,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        let limits = self.usage.limits;
        let mut timer = pin!(limits.timer(self.clock));
        poll_fn(|context| {
            while !connection.response.is_done() {
                let ready = match connection.poll_readable(context) {
                    Poll::Ready(ready) => ready.map_err(Stop::Broken),
                    Poll::Pending => return limits.poll_over(timer.as_mut(), self.clock, stamps, context).map(Err),
                };
                match ready.and_then(|()| self.read(connection, stamps, receiver)) {
                    Ok(()) => {}
                    Err(Stop::Answer(failure)) => return Poll::Ready(Err(failure)),
                    Err(Stop::Broken(error)) => {
                        let when =
                            if stamps.status == 0 { "before the answer's head was complete" } else { "in mid-answer" };
                        return Poll::Ready(Err(broken(when, &error)));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Takes in what has come, if anything has, its end included.
    #[inline]
    fn read(&self, connection: &mut Connection, stamps: &mut Stamps, receiver: &mut impl Receiver) -> Result<(), Stop> {
        let mut input = self.input.borrow_mut();
        let Some(received) = connection.try_read(&mut input)? else { return Ok(()) };
        let earliest_ns = if stamps.last_byte == ABSENT_NS { stamps.sent } else { stamps.last_byte };
        if received.count == 0 {
            let arrival = Arrival::read_at(earliest_ns);
            return connection.response.end(arrival, receiver).map_err(Stop::Answer);
        }
        let arrival = self.arrivals.of(received, earliest_ns, || connection.came_in_order());
        stamps.last_byte = arrival.at_ns;
        if stamps.first_byte == ABSENT_NS {
            stamps.first_byte = arrival.at_ns;
        }
        if stamps.reads == 0
            && let Some(failure) = tls::unasked(&input[..received.count]).filter(|_| !connection.is_secure())
        {
            return Err(Stop::Answer(failure));
        }
        stamps.reads += 1;
        let taken = connection.response.take(&mut input[..received.count], arrival, stamps, receiver);
        taken.map_err(Stop::Answer)
    }

    /// Whether a failed attempt tells no more than that the server had closed the idle connection before.
    fn was_stale(&self, connection: &Connection, stamps: &Stamps) -> bool {
        let at_once = self.clock.now() - stamps.written < stale_ns(connection.connect_ns);
        connection.reused && stamps.reads == 0 && (at_once || connection.was_refused())
    }

    /// An idle connection that still stands, or a new one.
    async fn connect(&self, to: usize, lane: &mut Lane, stamps: &mut Stamps) -> Result<Connection, Failure> {
        let mut idle = || if lane.is_own { lane.connection.take() } else { self.idle[to].borrow_mut().pop() };
        while let Some(mut connection) = idle() {
            if !connection.is_stale() {
                (stamps.connected, stamps.reused) = (self.clock.now(), true);
                return Ok(connection);
            }
        }
        self.open(to, stamps).await
    }

    async fn open(&self, to: usize, stamps: &mut Stamps) -> Result<Connection, Failure> {
        let Usage { stamped, limits, .. } = self.usage;
        let destination = &self.destinations[to];
        let opened = Connection::open(&self.dialer, destination, stamped, self.clock, limits.connect);
        // Apart, so that requests on a connection that stands do not carry the room for making one.
        let connection = Box::pin(opened).await?;
        stamps.connected = self.clock.now();
        (stamps.connect_ns, stamps.tls_ns) = (connection.connect_ns, connection.tls_ns);
        stamps.reused = false;
        Ok(connection)
    }
}

/// How soon a pooled connection has to end to pass for stale, in nanoseconds; making it took `connect_ns`.
pub(crate) fn stale_ns(connect_ns: u64) -> u64 {
    connect_ns.saturating_mul(STALE_ROUND_TRIPS).clamp(STALE_NS, LONGEST_STALE_NS)
}

/// By which version a request was answered.
enum Spoken {
    Http2,
    /// By none yet: HTTP/1.1 it is, on this connection if one was made.
    Http1(Option<Box<Connection>>),
}

/// Why nothing more is to be had of a connection.
enum Stop {
    /// Reading or writing it failed.
    Broken(io::Error),
    /// The answer came to an end, and no good one.
    Answer(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

fn broken(when: &str, error: &io::Error) -> Failure {
    tls::broken(error).unwrap_or_else(|| Failure::new(FailureKind::Reset, format!("{} {when}", plain(error))))
}
