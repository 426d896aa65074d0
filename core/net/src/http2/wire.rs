//! [`Wire`]: a channel as the protocol's implementation reads and writes it, and [`Log`]: what is known of that.
//!
//! One read happens at a time: the next waits until all that the one before brought was seen to, and so it is known of
//! everything when it came. What is written is gathered until there is no more for now, so that a small request goes out
//! at once.

use super::pulse::{Bell, Pulse};
use crate::{
    arrival::{Arrival, Arrivals},
    channel::Channel,
    connection::plain,
    tls,
};
use bytes::{Buf, Bytes};
use inferometer_model::{Clock, Failure};
use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes gathered before they are written.
const MOST_GATHERED: usize = 64 << 10;
/// Memory that is kept for that while there is nothing to write.
const KEPT: usize = 16 << 10;
/// What an answer of HTTP/1 begins with.
const HTTP1: &[u8] = b"HTTP/";

/// What is known of the reads and writes of a connection.
pub(super) struct Log {
    clock: Clock,
    arrivals: Rc<Arrivals>,
    arrival: Cell<Arrival>,
    reads: Cell<u32>,
    /// Something was read since the connection was last moved on.
    has_read: Cell<bool>,
    /// A read was put off.
    is_held: Cell<bool>,
    is_http1: Cell<bool>,
    was_refused: Cell<bool>,
    error: RefCell<Option<String>>,
    tls_failure: RefCell<Option<Failure>>,
    /// Bells of requests that are whole in what was gathered.
    complete: RefCell<Vec<Arc<Bell>>>,
}

impl Log {
    /// Of a connection that was ready at `now`.
    pub(super) fn new(clock: Clock, arrivals: Rc<Arrivals>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            arrivals,
            arrival: Cell::new(Arrival::read_at(clock.now())),
            reads: Cell::new(0),
            has_read: Cell::new(false),
            is_held: Cell::new(false),
            is_http1: Cell::new(false),
            was_refused: Cell::new(false),
            error: RefCell::default(),
            tls_failure: RefCell::default(),
            complete: RefCell::default(),
        })
    }

    /// When what the last read brought came.
    pub(super) fn arrival(&self) -> Arrival {
        self.arrival.get()
    }

    /// Reads that brought anything.
    pub(super) fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// One more read may happen.
    pub(super) fn allow_read(&self) {
        self.has_read.set(false);
        self.is_held.set(false);
    }

    /// Whether there may be more to read, and the last read was not waited for but put off.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.get()
    }

    /// Whether the first that the server said was an answer of HTTP/1.
    pub(super) fn is_http1(&self) -> bool {
        self.is_http1.get()
    }

    /// Whether the server's system refused what was sent.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused.get()
    }

    /// What broke the connection, in the system's words.
    pub(super) fn error(&self) -> Option<String> {
        self.error.borrow().clone()
    }

    /// What broke the connection, if it was TLS.
    pub(super) fn tls_failure(&self) -> Option<Failure> {
        self.tls_failure.borrow().clone()
    }

    /// The request of `bell` ends with what is gathered now.
    pub(super) fn completes(&self, bell: &Arc<Bell>) {
        self.complete.borrow_mut().push(Arc::clone(bell));
    }

    fn broken(&self, error: io::Error) -> io::Error {
        self.was_refused.set(true);
        if let Some(failure) = tls::broken(&error) {
            self.tls_failure.borrow_mut().get_or_insert(failure);
        }
        self.error.borrow_mut().get_or_insert_with(|| plain(&error));
        error
    }
}

/// A request's body on its way out.
pub(super) struct Payload {
    left: Bytes,
    bell: Arc<Bell>,
    log: Rc<Log>,
}

impl Payload {
    /// The body of the request that `bell` belongs to; not an empty one.
    pub(super) fn new(body: &[u8], bell: &Arc<Bell>, log: &Rc<Log>) -> Self {
        Self { left: Bytes::copy_from_slice(body), bell: Arc::clone(bell), log: Rc::clone(log) }
    }
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.left.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.left
    }

    fn advance(&mut self, count: usize) {
        self.left.advance(count);
        if self.left.is_empty() && count > 0 {
            self.log.completes(&self.bell);
        }
    }
}

/// A channel to read and write frames.
pub(super) struct Wire {
    channel: Channel,
    log: Rc<Log>,
    pulse: Arc<Pulse>,
    /// What is to be written, and how much of it was.
    gathered: Vec<u8>,
    written: usize,
}

impl Wire {
    pub(super) fn new(channel: Channel, log: &Rc<Log>, pulse: &Arc<Pulse>) -> Self {
        Self { channel, log: Rc::clone(log), pulse: Arc::clone(pulse), gathered: Vec::new(), written: 0 }
    }

    /// Hands to the kernel what was gathered.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            match self.channel.try_write(&self.gathered[self.written..]) {
                Ok(count) => self.written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.channel.poll_writable(context)).map_err(|e| self.log.broken(e))?;
                }
                Err(e) => return Poll::Ready(Err(self.log.broken(e))),
            }
        }
        ready!(self.channel.poll_flush(context)).map_err(|e| self.log.broken(e))?;
        self.written = 0;
        self.gathered.clear();
        self.gathered.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { channel, log, pulse, .. } = self.get_mut();
        if log.has_read.get() || pulse.is_owed() {
            log.is_held.set(true);
            return Poll::Pending;
        }
        let received = loop {
            match channel.try_read(room.initialize_unfilled()) {
                Ok(received) => break received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(channel.poll_readable(context)).map_err(|e| log.broken(e))?;
                }
                Err(e) => return Poll::Ready(Err(log.broken(e))),
            }
        };
        if received.count == 0 {
            log.was_refused.set(channel.was_refused());
            return Poll::Ready(Ok(()));
        }
        let arrival = log.arrivals.of(received, log.arrival.get().at_ns, || channel.came_in_order());
        log.arrival.set(arrival);
        log.has_read.set(true);
        room.advance(received.count);
        if log.reads.replace(log.reads.get().saturating_add(1)) == 0 {
            log.is_http1.set(room.filled().starts_with(HTTP1));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, output: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.gathered.len() >= MOST_GATHERED {
            ready!(wire.poll_drain(context))?;
        }
        wire.gathered.extend_from_slice(output);
        Poll::Ready(Ok(output.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_drain(context))?;
        let mut complete = wire.log.complete.borrow_mut();
        if !complete.is_empty() {
            let now = wire.log.clock.now();
            complete.drain(..).for_each(|bell| bell.written(now));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_drain(context)
    }
}
