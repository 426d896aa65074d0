//! [`Way`]: as many exchanges as one request takes, from the first to the answer's end. What may be on the way there, slots,
//! schedules and a limit to the time of the whole, is the caller's.

use crate::{
    data::body,
    reading::{Ear, Reading},
    server::Server,
    speaker::Speaker,
};
use inferometer_abi::types::{ABSENT_NS, Outgoing};
use inferometer_model::{Clock, Failure, FailureKind, Row};
use inferometer_net::{Client, Lane, RequestIds, Sending, Stamps};
use std::{
    borrow::Cow,
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// Most exchanges one request may take: an endpoint that polls for ever must not.
const MOST_EXCHANGES: u16 = 10_000;
/// How long a server may take to end an answer whose last event has come.
const GRACE: Duration = Duration::from_secs(1);

/// The way to the servers.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) server: &'a Server,
    pub(crate) client: &'a Client,
    pub(crate) speaker: &'a Speaker,
    pub(crate) clock: Clock,
}

/// What is sent there.
pub(crate) struct Trip<'a> {
    /// The first exchange.
    pub(crate) outgoing: &'a Outgoing,
    /// Number of its destination.
    pub(crate) to: usize,
    pub(crate) ids: RequestIds,
    /// It is broken off on purpose so long after it was sent.
    pub(crate) break_off: Option<Duration>,
}

/// How far a request has come. Whoever may drop it on its way keeps this.
pub(crate) struct Progress {
    /// Of the exchange under way.
    pub(crate) stamps: Stamps,
    /// Number of that exchange.
    pub(crate) exchange: u16,
    /// The next exchange is held back until its time comes.
    pub(crate) paused: bool,
}

impl Progress {
    /// It has not left.
    pub(crate) const NONE: Self = Self { stamps: Stamps::EMPTY, exchange: 0, paused: false };

    /// Copies the stamps into the row. Of several exchanges the first tells of the way there and the last that was answered
    /// of the way back, so that what lies between counts as waiting.
    pub(crate) fn stamp(&self, row: &mut Row) {
        let stamps = &self.stamps;
        if self.exchange == 0 {
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
}

impl Way<'_> {
    /// Makes as many exchanges as the endpoint asks for, one nearly always; `pause` waits until a time of the clock. Tells
    /// whether the server ended the last answer, which it may leave open after all that matters; what that answer is worth,
    /// `reading` says.
    ///
    /// # Errors
    /// How the request failed.
    pub(crate) async fn go<E: Ear>(
        &self,
        trip: Trip<'_>,
        lane: &mut Lane,
        progress: &mut Progress,
        reading: &mut Reading<'_, E>,
        pause: impl AsyncFn(u64),
    ) -> Result<bool, Failure> {
        let Trip { outgoing, to, ids, .. } = trip;
        let over = reading.over;
        let mut outgoing = Cow::Borrowed(outgoing);
        loop {
            let head = self.server.head(to, &outgoing)?;
            // However many exchanges it takes, it is broken off at one time.
            let since = |written: u64| Duration::from_nanos(self.clock.now().saturating_sub(written));
            let written = reading.row.written;
            let break_off = trip.break_off.map(|after| match written {
                ABSENT_NS => after,
                written => after.saturating_sub(since(written)),
            });
            let sending = Sending { to, head: &head, ids, body: body(&outgoing), break_off };
            let exchange = self.client.exchange(sending, lane, &mut progress.stamps, reading);
            match with_grace(exchange, over).await {
                None => return Ok(false),
                // All that matters had been said.
                Some(Err(Failure {
                    kind: FailureKind::Truncated | FailureKind::Reset | FailureKind::Timeout | FailureKind::Tls,
                    ..
                })) if reading.has_ended() => return Ok(true),
                Some(ended) => ended?,
            }
            let Some(next) = reading.next.take() else { return Ok(true) };
            if progress.exchange + 1 == MOST_EXCHANGES {
                return Err(self.speaker.blame(format_args!(
                    "it asked for more than {MOST_EXCHANGES} exchanges; if it polls, let it wait longer in between"
                )));
            }
            progress.stamp(reading.row);
            progress.stamps = Stamps::EMPTY;
            progress.exchange += 1;
            reading.go_on(progress.exchange, &next);
            if next.delay_ns > 0 {
                let until = self.clock.now().saturating_add(next.delay_ns);
                let written = reading.row.written;
                let broken_off = trip
                    .break_off
                    .filter(|_| written != ABSENT_NS)
                    .map(|after| written.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)));
                progress.paused = true;
                pause(broken_off.map_or(until, |at| at.min(until))).await;
                progress.paused = false;
                if broken_off.is_some_and(|at| at <= until) {
                    return Err(Failure::new(FailureKind::Cancelled, "broken off on purpose"));
                }
            }
            outgoing = Cow::Owned(next);
        }
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
