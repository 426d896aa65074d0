//! [`Link`]: one connection of HTTP/2, which the requests on it move on between them.

use super::{
    pulse::{Bell, Pulse},
    wire::{Log, Payload, Wire},
};
use crate::{arrival::Arrivals, channel::Channel};
use h2::{
    Reason,
    client::{Builder, Connection, ResponseFuture, SendRequest},
};
use inferometer_model::{Clock, Failure, FailureKind};
use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::sync::Notify;

/// How much a server may send unasked, in bytes: on a connection, and of one answer. What is received is taken at once, so
/// that this is never what an answer waits for.
const CONNECTION_WINDOW: u32 = 64 << 20;
const STREAM_WINDOW: u32 = 16 << 20;
/// Longest head of an answer, in bytes, by the protocol's own count.
const LONGEST_HEAD: u32 = 256 << 10;
/// Most bytes of a request's body that are copied out of it at once.
const MOST_BUFFERED: usize = 256 << 10;
/// Streams that were broken off on purpose, of which more may come for a while: no server is to blame for that.
const MOST_BROKEN_OFF: usize = 100_000;
/// How often in a row a connection is moved on before others get their turn.
const MOVES_IN_A_ROW: u32 = 32;

/// A connection.
pub(crate) struct Link {
    /// Nothing: it is over.
    connection: RefCell<Option<Connection<Wire, Payload>>>,
    requests: SendRequest<Payload>,
    pub(super) log: Rc<Log>,
    pub(super) pulse: Arc<Pulse>,
    waker: Waker,
    /// Requests on it.
    streams: Cell<usize>,
    /// Most that the user lets share it.
    most: usize,
    /// What the server said that it ends for.
    farewell: RefCell<Option<String>>,
    /// Who waits for room on a connection is told by this.
    room: Rc<Notify>,
    is_settled: Cell<bool>,
    /// It is given up, and carries no further request.
    is_retired: Cell<bool>,
    /// How long connecting took: about one round trip.
    pub(super) connect_ns: u64,
}

impl Link {
    /// Begins to speak HTTP/2 on `channel`, for at most so many requests at a time.
    pub(super) async fn begin(
        channel: Channel,
        clock: Clock,
        arrivals: &Rc<Arrivals>,
        most: usize,
        room: &Rc<Notify>,
        connect_ns: u64,
    ) -> Result<Self, Failure> {
        let (log, pulse) = (Log::new(clock, Rc::clone(arrivals)), Arc::new(Pulse::default()));
        let wire = Wire::new(channel, &log, &pulse);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_window_size(STREAM_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            .max_send_buffer_size(MOST_BUFFERED)
            // A stream of tokens is a stream of small frames.
            .data_frame_budget(usize::MAX)
            .max_concurrent_reset_streams(MOST_BROKEN_OFF)
            .max_local_error_reset_streams(None)
            // How many more the server takes, it has to say first.
            .initial_max_send_streams(1);
        let begun = builder.handshake(wire).await;
        let (requests, connection) =
            begun.map_err(|e| log.tls_failure().unwrap_or_else(|| Failure::new(FailureKind::Reset, e.to_string())))?;
        let waker = Waker::from(Arc::clone(&pulse));
        Ok(Self {
            connection: RefCell::new(Some(connection)),
            requests,
            log,
            pulse,
            waker,
            streams: Cell::new(0),
            most,
            farewell: RefCell::default(),
            room: Rc::clone(room),
            is_settled: Cell::new(false),
            is_retired: Cell::new(false),
            connect_ns,
        })
    }

    /// Whether the server has said how many requests it takes at a time.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.get()
    }

    /// How many requests the server takes at a time, if it has said so.
    pub(super) fn allowed(&self) -> Option<usize> {
        self.is_settled().then(|| self.requests.current_max_send_streams())
    }

    /// It carries no further request.
    pub(super) fn retire(&self) {
        self.is_retired.set(true);
    }

    /// Whether another request may be sent on it now.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.most.min(self.requests.current_max_send_streams())
    }

    /// Whether requests may still be sent on it, now or later; of one that was idle, after a look at what has come.
    pub(super) fn stands(&self) -> bool {
        if self.is_retired.get() {
            return false;
        }
        if self.streams.get() == 0 {
            for _ in 0..MOVES_IN_A_ROW {
                self.move_on();
                if !self.is_due() {
                    break;
                }
            }
        }
        let mut context = Context::from_waker(Waker::noop());
        self.connection.borrow().is_some()
            && !matches!(self.requests.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Sends a request's head, and hands over its body to be sent as the server takes it.
    pub(super) fn send(
        &self,
        head: http::Request<()>,
        body: &[u8],
        bell: &Arc<Bell>,
    ) -> Result<ResponseFuture, h2::Error> {
        let mut requests = self.requests.clone();
        let (response, mut stream) = requests.send_request(head, body.is_empty())?;
        if body.is_empty() {
            self.log.completes(bell);
        } else {
            stream.send_data(Payload::new(body, bell, &self.log), true)?;
        }
        Ok(response)
    }

    /// Writes what there is to be written, and reads once.
    pub(super) fn move_on(&self) {
        let mut place = self.connection.borrow_mut();
        let Some(connection) = &mut *place else { return };
        self.log.allow_read();
        let mut context = Context::from_waker(&self.waker);
        if let Poll::Ready(ended) = Pin::new(connection).poll(&mut context) {
            *self.farewell.borrow_mut() =
                ended.err().filter(|e| e.is_go_away() && e.is_remote()).map(|e| e.to_string());
            // Tells all requests that are on it.
            *place = None;
        }
        let is_over = place.is_none();
        drop(place);
        let is_news = !self.is_settled.get() && self.log.reads() > 0;
        self.is_settled.set(self.is_settled.get() || is_news);
        if is_over || is_news {
            self.room.notify_waiters();
        }
    }

    /// Whether a read was put off that may happen now.
    pub(super) fn is_due(&self) -> bool {
        self.log.is_held() && !self.pulse.is_owed()
    }

    /// What `see` comes to, for the request of `bell`. It is asked whenever something has happened to the request; the
    /// connection is moved on meanwhile, for all that are on it.
    pub(super) async fn until<T>(&self, bell: &Arc<Bell>, mut see: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let waker = Waker::from(Arc::clone(bell));
        let mut felt = pin!(self.pulse.felt());
        let mut is_new = true;
        poll_fn(move |task| {
            bell.wakes(task.waker());
            let mut context = Context::from_waker(&waker);
            let mut moves = 0;
            loop {
                if std::mem::take(&mut is_new) || bell.has_rung() {
                    if let Poll::Ready(seen) = bell.answer(|| see(&mut context)) {
                        return Poll::Ready(seen);
                    }
                    continue;
                }
                if felt.as_mut().poll(task).is_ready() {
                    felt.set(self.pulse.felt());
                } else if !self.is_due() {
                    bell.sleeps();
                    return Poll::Pending;
                }
                self.move_on();
                moves += 1;
                if moves == MOVES_IN_A_ROW {
                    task.waker().wake_by_ref();
                    bell.sleeps();
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Says why a request on it failed with `error`; `status` is that of its answer, 0 if there was none.
    pub(super) fn failure(&self, error: &h2::Error, status: u16) -> Failure {
        let when = if status == 0 { "before the answer's head was complete" } else { "in mid-answer" };
        let reset = |message: String| Failure::new(FailureKind::Reset, message);
        if let Some(failure) = self.log.tls_failure() {
            return failure;
        }
        let reason = error.reason().filter(|_| !error.is_io());
        match reason {
            _ if self.log.is_http1() => {
                Failure::new(FailureKind::Malformed, "the server does not speak HTTP/2; leave --http-version out")
            }
            Some(reason) if error.is_go_away() && error.is_remote() => {
                reset(format!("the server closed the connection {when} (GOAWAY, {})", named(reason)))
            }
            Some(reason) if error.is_remote() => {
                reset(format!("the server reset the stream {when} (RST_STREAM, {})", named(reason)))
            }
            Some(reason) => {
                Failure::new(FailureKind::Malformed, format!("what the server sent is no HTTP/2: {}", named(reason)))
            }
            None => match (self.log.error(), &*self.farewell.borrow()) {
                (Some(error), _) => reset(format!("{error} {when}")),
                (None, Some(farewell)) => reset(format!("the server closed the connection {when}: {farewell}")),
                (None, None) if self.log.reads() == 0 => reset(
                    "the connection was closed without a word of HTTP/2; if the server does not speak it, leave \
                     --http-version out"
                        .to_owned(),
                ),
                (None, None) if status == 0 => reset(format!("closed {when}")),
                (None, None) => Failure::new(FailureKind::Truncated, format!("the connection was closed {when}")),
            },
        }
    }
}

fn named(reason: Reason) -> String {
    format!("{reason:?}: {}", reason.description())
}

/// Room for one request on a connection.
pub(super) struct Berth {
    link: Rc<Link>,
}

impl Berth {
    /// Takes up room on `link`.
    pub(super) fn on(link: &Rc<Link>) -> Self {
        link.streams.set(link.streams.get() + 1);
        Self { link: Rc::clone(link) }
    }

    pub(super) fn link(&self) -> &Rc<Link> {
        &self.link
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.link.streams.set(self.link.streams.get() - 1);
        self.link.room.notify_one();
    }
}
