//! [`Flight`]: one request from its arrival to its end. However it ends, dropped in mid-flight included, exactly one row
//! is kept of it.

use crate::{
    job::{Course, Phase},
    pool::{Ready, body},
    reading::{Buffers, Reading},
    segment::FirstEvent,
    worker::Worker,
};
use inferometer_abi::types::{ABSENT_NS, Flow, NO_COUNT, Outcome};
use inferometer_model::{Failure, FailureKind, Row, plan::PhaseKind};
use inferometer_net::{RequestIds, Stamps};
use std::{borrow::Cow, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

/// Most exchanges one request may take: an endpoint that polls for ever must not.
const MOST_EXCHANGES: u16 = 10_000;

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
    kept: bool,
}

impl Flight {
    /// A request that has arrived. From here on a row is kept of it.
    pub(crate) fn new(worker: &Rc<Worker>, request: u64, session: &Course, turn: u32, intended: u64) -> Self {
        let row = Row {
            index: request,
            session: session.entry as u64,
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
            kept: false,
        }
    }

    /// Sends it, as it may be from `permitted` on, and reads the answer; the row as it was kept.
    async fn fly(mut self, ready: &Ready, to: usize, permitted: u64) -> Row {
        let worker = Rc::clone(&self.worker);
        let job = &*worker.job;
        self.row.requested_output = ready.max_tokens;
        self.row.body_bytes = body(&ready.outgoing).len() as u32;
        self.row.permitted = permitted;
        job.control.counters.sent.fetch_add(1, Relaxed);
        let limit = Duration::from_nanos(job.timeout_ns);
        let ended = match tokio::time::timeout(limit, self.exchanges(&worker, ready, to)).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::new(FailureKind::Timeout, self.timeout_stage(limit))),
        };
        self.keep(ended.err().map(|failure| self.placed(failure)));
        self.row
    }

    /// As many exchanges as the endpoint asks for: one, nearly always.
    async fn exchanges(&mut self, worker: &Worker, ready: &Ready, to: usize) -> Result<(), Failure> {
        let job = &*worker.job;
        let Self { row, buffers, ids, first, stamps, exchange, paused, .. } = self;
        let mut reading = Reading::new(job, &ready.outgoing, worker.streaming, row, buffers, first);
        let mut outgoing = Cow::Borrowed(&ready.outgoing);
        loop {
            let head = job.server.head(to, &outgoing)?;
            let ended = worker.client.exchange(to, &head, *ids, body(&outgoing), stamps, &mut reading).await;
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
        store.keep(row, self.session, &self.buffers, self.first, failure, measured);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.kept {
            let failure = if self.row.permitted == ABSENT_NS {
                Failure::new(FailureKind::Dropped, "the phase ended before it got a slot")
            } else {
                Failure::new(FailureKind::Cancelled, "stopped before the answer was complete")
            };
            self.keep(Some(failure));
        }
        self.worker.spare.borrow_mut().push(std::mem::take(&mut self.buffers));
    }
}

/// Copies an exchange's stamps into the row. Of several exchanges the first tells of the way there and the last that was
/// answered of the way back, so that what lies between counts as waiting.
fn stamp(row: &mut Row, stamps: Stamps, exchange: u16) {
    if exchange == 0 {
        row.connected = stamps.connected;
        row.sent = stamps.sent;
        row.written = stamps.written;
        row.connect_ns = stamps.connect_ns;
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

/// Runs one session from its first flight: its turns one after another, each a request. Returns what the schedule has to
/// hear of the last.
pub(crate) async fn session(worker: &Rc<Worker>, phase: &Phase, course: Course, first: Flight) -> Flow {
    let job = &*worker.job;
    let turns = &job.pool.sessions[course.entry].turns;
    let to = (course.number % job.server.destinations.len() as u64) as usize;
    let mut flight = first;
    let mut turn = 0;
    loop {
        // Held until the request has ended.
        let slot = match &phase.slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let now = job.clock.now();
        let row = if worker.is_closed(now) {
            // Dropping it keeps the row that says so.
            let row = flight.row;
            drop(flight);
            row
        } else {
            flight.fly(&turns[turn], to, now).await
        };
        drop(slot);
        let end = if row.end == ABSENT_NS { now } else { row.end };
        let mut flow = Flow {
            session: course.number,
            turn: turn as u32,
            turns: turns.len() as u32,
            at_ns: end.saturating_sub(phase.start_ns()),
            latency_ns: if row.is_ok() { row.last } else { end }.saturating_sub(row.permitted),
            output_tokens: if row.usage_completion == NO_COUNT { 0 } else { row.usage_completion },
            failed: u32::from(!row.is_ok()),
            ..Flow::default()
        };
        turn += 1;
        let Some(next) = turns.get(turn) else { return flow };
        flow.next_delay_ns = next.time.delay_ns;
        let intended = end.saturating_add(next.time.delay_ns);
        // A turn that would come after the phase's end is none of its arrivals.
        if worker.is_over(intended) || job.control.is_stopped() {
            return flow;
        }
        let Some(request) = phase.budget.request() else { return flow };
        worker.tell(&flow, true);
        flight = Flight::new(worker, request, &course, turn as u32, intended);
        if next.time.delay_ns > 0 {
            worker.timers.sleep_until(job.clock.instant(intended)).await;
        }
    }
}
