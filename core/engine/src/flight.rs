//! [`Flight`]: one request from its arrival to its end. However it ends, dropped in mid-flight included, exactly one row
//! is kept of it.

use crate::{
    data::body,
    job::Course,
    reading::{Buffers, Reading, unescape},
    segment::FirstEvent,
    slots::Slot,
    store::Kept,
    worker::Worker,
};
use inferometer_abi::types::{ABSENT_NS, Outcome, Outgoing};
use inferometer_model::{Failure, FailureKind, Row, plan::PhaseKind};
use inferometer_net::{Lane, RequestIds, Sending, Stamps};
use std::{
    borrow::Cow,
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::Poll,
    time::Duration,
};

/// Most exchanges one request may take: an endpoint that polls for ever must not.
const MOST_EXCHANGES: u16 = 10_000;
/// How long a server may take to end an answer whose last event has come.
const GRACE: Duration = Duration::from_secs(1);

/// One request from its arrival to its end.
pub(crate) struct Flight {
    worker: Rc<Worker>,
    row: Row,
    /// Number of its session in the schedule.
    session: u64,
    buffers: Buffers,
    ids: RequestIds,
    first: FirstEvent,
    /// Of the exchange under way.
    stamps: Stamps,
    exchange: u16,
    /// The next exchange is held back until its time comes.
    paused: bool,
    /// The body, where it cannot be made again.
    body: Option<Vec<u8>>,
    kept: bool,
}

/// What a flight is to do.
pub(crate) struct Errand<'a> {
    /// The request, and whether it can be made again from the data set.
    pub(crate) outgoing: Cow<'a, Outgoing>,
    /// Most output tokens that it asks for.
    pub(crate) max_tokens: u32,
    /// Number of its destination.
    pub(crate) to: usize,
    /// When it got its slots.
    pub(crate) permitted: u64,
    /// Its slot until the first token, where such are counted.
    pub(crate) prefill: Option<Slot<'a>>,
    /// It is broken off on purpose so long after it was sent.
    pub(crate) break_off: Option<Duration>,
    /// Whether the text of the answer is wanted.
    pub(crate) wants_reply: bool,
}

/// What became of a flight.
pub(crate) struct Landed {
    /// The row as it was kept.
    pub(crate) row: Row,
    /// The answer's text, if it was wanted and is complete; reasoning where there is nothing else.
    pub(crate) reply: Option<String>,
}

impl Flight {
    /// A request that has arrived. From here on a row is kept of it.
    pub(crate) fn new(worker: &Rc<Worker>, request: u64, session: &Course, turn: u32, intended: u64) -> Self {
        let row = Row {
            index: request,
            session: session.entry,
            turn,
            phase: worker.phase_index,
            worker: worker.shard,
            intended,
            ..Row::EMPTY
        };
        let mut buffers = worker.spare.borrow_mut().pop().unwrap_or_default();
        buffers.clear();
        Self {
            worker: Rc::clone(worker),
            row,
            session: session.number,
            buffers,
            ids: worker.job.ids(worker.phase_index, session.number, turn),
            first: FirstEvent::default(),
            stamps: Stamps::EMPTY,
            exchange: 0,
            paused: false,
            body: None,
            kept: false,
        }
    }

    /// Does what it is to do, and reads the answer.
    pub(crate) async fn fly(mut self, errand: Errand<'_>, lane: &mut Lane) -> Landed {
        let worker = Rc::clone(&self.worker);
        let job = &*worker.job;
        self.row.requested_output = errand.max_tokens;
        self.row.body_bytes = body(&errand.outgoing).len() as u32;
        self.row.permitted = errand.permitted;
        job.control.counters.sent.fetch_add(1, Relaxed);
        let limit = job.timeout;
        let Errand { outgoing, to, prefill, break_off, wants_reply, .. } = errand;
        let exchanges = self.exchanges(&worker, &outgoing, to, break_off, prefill, lane);
        let ended = match tokio::time::timeout(limit, exchanges).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::new(FailureKind::Timeout, self.timeout_stage(limit))),
        };
        if let Cow::Owned(outgoing) = outgoing {
            self.body = Some(outgoing.body.into());
        }
        let reply = (wants_reply && ended.is_ok() && !self.buffers.is_cut).then(|| {
            let Buffers { text, reasoning, .. } = &self.buffers;
            unescape(if text.is_empty() { reasoning } else { text }).into_owned()
        });
        self.keep(ended.err().map(|failure| self.placed(failure)));
        Landed { row: self.row, reply }
    }

    /// When the schedule wanted it sent.
    pub(crate) fn intended(&self) -> u64 {
        self.row.intended
    }

    /// It is another turn of its session.
    pub(crate) fn begin_at(&mut self, session: &Course, turn: u32) {
        self.row.turn = turn;
        self.ids = self.worker.job.ids(self.row.phase, session.number, turn);
    }

    /// The schedule wants it later than was known.
    pub(crate) fn postpone(&mut self, to: u64) {
        self.row.intended = self.row.intended.max(to);
    }

    /// It is not sent, for that reason; the row as it was kept.
    pub(crate) fn give_up(mut self, why: &'static str) -> Row {
        self.keep(Some(Failure::new(FailureKind::Dropped, why)));
        self.row
    }

    /// It cannot be sent: that is a failure.
    pub(crate) fn fail(mut self, failure: Failure) -> Row {
        self.row.permitted = self.worker.job.clock.now();
        self.keep(Some(failure));
        self.row
    }

    /// As many exchanges as the endpoint asks for: one, nearly always.
    async fn exchanges(
        &mut self,
        worker: &Worker,
        outgoing: &Outgoing,
        to: usize,
        break_off: Option<Duration>,
        prefill: Option<Slot<'_>>,
        lane: &mut Lane,
    ) -> Result<(), Failure> {
        let job = &*worker.job;
        let Self { row, buffers, ids, first, stamps, exchange, paused, .. } = self;
        let over = Cell::new(false);
        let reading = Reading::new(job, outgoing, worker.streaming, row, buffers, first, &over);
        let mut reading = reading.holding(prefill);
        let mut outgoing = Cow::Borrowed(outgoing);
        loop {
            let head = job.server.head(to, &outgoing)?;
            // However many exchanges it takes, it is broken off at one time.
            let since = |written: u64| Duration::from_nanos(job.clock.now().saturating_sub(written));
            let written = reading.row.written;
            let break_off = break_off.map(|after| match written {
                ABSENT_NS => after,
                written => after.saturating_sub(since(written)),
            });
            let sending = Sending { to, head: &head, ids: *ids, body: body(&outgoing), break_off };
            let exchange_with = worker.client.exchange(sending, lane, stamps, &mut reading);
            let Some(ended) = with_grace(exchange_with, &over).await else {
                worker.phase().unended.fetch_add(1, Relaxed);
                return reading.verdict();
            };
            match ended {
                // All that matters had been said.
                Err(Failure { kind: FailureKind::Truncated | FailureKind::Reset, .. }) if reading.has_ended() => {
                    return reading.verdict();
                }
                ended => ended?,
            }
            let Some(next) = reading.next.take() else { return reading.verdict() };
            if *exchange + 1 == MOST_EXCHANGES {
                return Err(job.blame(format_args!(
                    "it asked for more than {MOST_EXCHANGES} exchanges; if it polls, let it wait longer in between"
                )));
            }
            stamp(reading.row, std::mem::replace(stamps, Stamps::EMPTY), *exchange);
            *exchange += 1;
            reading.go_on(*exchange, &next);
            if next.delay_ns > 0 {
                let until = job.clock.now().saturating_add(next.delay_ns);
                *paused = true;
                worker.timers.sleep_until(job.clock.instant(until)).await;
                *paused = false;
            }
            outgoing = Cow::Owned(next);
        }
    }

    /// How far a request had come when its time was over.
    fn timeout_stage(&self, limit: Duration) -> String {
        let stage = if self.paused {
            "waiting to send"
        } else if self.row.events > 0 {
            "in mid-answer"
        } else if self.stamps.status != 0 {
            "waiting for content"
        } else if self.stamps.connected == ABSENT_NS {
            "connecting"
        } else {
            "waiting for the answer"
        };
        format!("{stage} after {limit:?}")
    }

    /// The failure, and which exchange it came in where that was not the first.
    fn placed(&self, failure: Failure) -> Failure {
        match self.exchange {
            0 => failure,
            before => Failure::new(failure.kind, format!("{} (in exchange {})", failure.message, before + 1)),
        }
    }

    /// Keeps the row. Without a failure it ended well.
    fn keep(&mut self, failure: Option<Failure>) {
        self.kept = true;
        stamp(&mut self.row, self.stamps, self.exchange);
        let (row, worker) = (&mut self.row, &self.worker);
        row.end = worker.job.clock.now();
        row.outcome = match &failure {
            None => Outcome::OK,
            Some(Failure { kind: FailureKind::Cancelled, .. }) => Outcome::CANCELLED,
            Some(Failure { kind: FailureKind::Dropped, .. }) => Outcome::DROPPED,
            Some(_) => Outcome::ERROR,
        };
        let counters = &worker.job.control.counters;
        counters.events.fetch_add(u64::from(row.events), Relaxed);
        if row.is_ok() { &counters.ok } else { &counters.failed }.fetch_add(1, Relaxed);
        let measured = worker.phase().plan.kind == PhaseKind::Profiling;
        let mut store = worker.store.borrow_mut();
        let (session, first, sent) = (self.session, self.first, self.body.as_deref());
        store.keep(Kept { row, session, buffers: &self.buffers, first, failure, sent, measured });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.kept {
            let failure = if self.row.permitted == ABSENT_NS {
                Failure::new(FailureKind::Dropped, "the phase ended before it could be sent")
            } else {
                Failure::new(FailureKind::Cancelled, "stopped before the answer was complete")
            };
            self.keep(Some(failure));
        }
        self.worker.spare.borrow_mut().push(std::mem::take(&mut self.buffers));
    }
}

/// What becomes of `exchange`; nothing if it does not end within the grace period after `over` was set.
async fn with_grace<T>(exchange: impl Future<Output = T>, over: &Cell<bool>) -> Option<T> {
    let mut exchange = pin!(exchange);
    let mut grace = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(ended) = exchange.as_mut().poll(context) {
            return Poll::Ready(Some(ended));
        }
        if !over.get() {
            return Poll::Pending;
        }
        if grace.is_none() {
            grace.set(Some(tokio::time::sleep(GRACE)));
        }
        match grace.as_mut().as_pin_mut() {
            Some(grace) => grace.poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Copies an exchange's stamps into the row. Of several exchanges the first tells of the way there and the last that was
/// answered of the way back, so that what lies between counts as waiting.
fn stamp(row: &mut Row, stamps: Stamps, exchange: u16) {
    if exchange == 0 {
        row.connected = stamps.connected;
        row.sent = stamps.sent;
        row.written = stamps.written;
        row.connect_ns = stamps.connect_ns;
        row.tls_ns = stamps.tls_ns;
        row.reused = stamps.reused;
    }
    if stamps.last_byte != ABSENT_NS {
        row.first_byte = stamps.first_byte;
        row.headers = stamps.headers;
        row.last_byte = stamps.last_byte;
    }
    if stamps.status != 0 {
        row.status = stamps.status;
    }
    row.resent |= stamps.resent;
    row.reads += stamps.reads;
    row.received_bytes += stamps.received_bytes;
}
