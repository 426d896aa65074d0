//! [`Flight`]: one request from its arrival to its end. However it ends, dropped in mid-flight included, exactly one row
//! is kept of it.

use crate::{
    job::{Job, Phase},
    pool::{Ready, body},
    reading::{Buffers, Reading},
    store::{Detail, Place, Store, TEXT_LIMIT},
    worker::Worker,
};
use inferometer_abi::types::{ABSENT_NS, Outcome};
use inferometer_load::Arrival;
use inferometer_model::{Failure, FailureKind, Row};
use inferometer_net::{RequestIds, Stamps};
use std::{borrow::Cow, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

/// Most exchanges one request may take: an endpoint that polls for ever must not.
const MOST_EXCHANGES: u16 = 10_000;

/// One request from its arrival to its end.
pub(crate) struct Flight {
    worker: Rc<Worker>,
    row: Row,
    buffers: Buffers,
    ids: RequestIds,
    first_bytes: u32,
    kept: bool,
}

impl Flight {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        request: u64,
        session: u64,
        turn: u32,
        ids: RequestIds,
        intended: u64,
    ) -> Self {
        let row = Row {
            index: request,
            session,
            turn,
            phase: worker.phase_index,
            worker: worker.shard,
            intended,
            ..Row::EMPTY
        };
        let mut buffers = worker.spare.borrow_mut().pop().unwrap_or_default();
        buffers.clear();
        Self { worker: Rc::clone(worker), row, buffers, ids, first_bytes: 0, kept: false }
    }

    /// Sends it and reads the answer; the row as it was kept.
    pub(crate) async fn fly(mut self, ready: &Ready, to: usize) -> Row {
        let worker = Rc::clone(&self.worker);
        let job = &*worker.job;
        self.row.requested_output = ready.max_tokens;
        self.row.body_bytes = body(&ready.outgoing).len() as u32;
        self.row.permitted = job.clock.now();
        job.control.counters.sent.fetch_add(1, Relaxed);
        let limit = Duration::from_nanos(job.timeout_ns);
        let ended = match tokio::time::timeout(limit, self.exchanges(job, &worker, ready, to)).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::new(FailureKind::Timeout, self.timeout_stage(limit))),
        };
        self.keep(ended.err());
        self.row
    }

    /// As many exchanges as the endpoint asks for: one, nearly always.
    async fn exchanges(&mut self, job: &Job, worker: &Worker, ready: &Ready, to: usize) -> Result<(), Failure> {
        let (streaming, ids) = (worker.streaming, self.ids);
        let mut reading = Reading::new(&*job.endpoint, &job.info, streaming, &mut self.row, &mut self.buffers);
        let mut outgoing = Cow::Borrowed(&ready.outgoing);
        loop {
            let head = job.server.head(to, &outgoing);
            let mut stamps = Stamps::EMPTY;
            let ended = worker.client.exchange(to, &head, ids, body(&outgoing), &mut stamps, &mut reading).await;
            stamp(reading.row, &stamps, reading.exchange);
            self.first_bytes = reading.first_bytes;
            ended?;
            let Some(next) = reading.next.take() else { return reading.verdict() };
            if reading.exchange == MOST_EXCHANGES {
                return Err(Failure::new(FailureKind::Plugin, "the endpoint asked for more than 10,000 exchanges"));
            }
            reading.exchange += 1;
            if next.delay_ns > 0 {
                tokio::time::sleep(Duration::from_nanos(next.delay_ns)).await;
            }
            outgoing = Cow::Owned(next);
        }
    }

    /// How far a request had come when its time was over.
    fn timeout_stage(&self, limit: Duration) -> String {
        let row = &self.row;
        let stage = if row.first != ABSENT_NS {
            "in mid-answer"
        } else if row.status != 0 {
            "waiting for content"
        } else {
            "waiting for the answer"
        };
        format!("{stage} after {limit:?}")
    }

    /// Keeps the row. Without a failure it ended well.
    fn keep(&mut self, failure: Option<Failure>) {
        self.kept = true;
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
        let mut store = worker.store.borrow_mut();
        let number = store.rows.len() as u32;
        store.rows.push(*row);
        let detail = self.detail(&mut store);
        store.details.push(detail);
        if let Some(failure) = failure {
            store.failures.push((number, failure));
        }
    }

    fn detail(&self, store: &mut Store) -> Detail {
        let Buffers { gaps, text, reasoning, .. } = &self.buffers;
        let mut detail = Detail {
            ids: self.ids,
            gaps: store.gaps.push(gaps),
            text: Place::default(),
            reasoning: Place::default(),
            first_bytes: self.first_bytes,
        };
        let size = text.len() + reasoning.len();
        if store.text_bytes + size <= TEXT_LIMIT {
            store.text_bytes += size;
            (detail.text, detail.reasoning) = (store.text.push(text), store.text.push(reasoning));
        } else {
            store.texts_let_go += 1;
        }
        detail
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

/// Copies the exchange's stamps into the row; of several exchanges the first tells of the way there.
fn stamp(row: &mut Row, stamps: &Stamps, exchange: u16) {
    if exchange == 0 {
        row.connected = stamps.connected;
        row.sent = stamps.sent;
        row.written = stamps.written;
        row.first_byte = stamps.first_byte;
        row.headers = stamps.headers;
        row.connect_ns = stamps.connect_ns;
        row.reused = stamps.reused;
    }
    row.last_byte = stamps.last_byte;
    row.status = stamps.status;
    row.reads += stamps.reads;
    row.received_bytes += stamps.received_bytes;
}

/// Runs one session: its turns one after another, each a request. The last row, and how many turns there were.
pub(crate) async fn session(worker: &Rc<Worker>, phase: &Phase, arrival: Arrival) -> (Row, u32) {
    let job = &*worker.job;
    let entry = phase.entry(arrival.session);
    let session = &job.pool.sessions[entry];
    let to = (arrival.session % job.server.destinations.len() as u64) as usize;
    let mut request = arrival.request;
    let mut intended = phase.start_ns().saturating_add(arrival.intended_ns);
    let mut turn = 0;
    loop {
        let ids = job.ids(worker.phase_index, arrival.session, turn);
        let flight = Flight::new(worker, request, entry as u64, turn, ids, intended);
        // Held until the request has ended.
        let slot = match &phase.slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let ready = &session.turns[turn as usize];
        let row = if worker.is_over() { flight.decline() } else { flight.fly(ready, to).await };
        drop(slot);
        let turns = session.turns.len() as u32;
        turn += 1;
        if turn == turns || worker.is_over() {
            return (row, turns);
        }
        let Some(next) = phase.budget.request() else { return (row, turns) };
        let delay = session.turns[turn as usize].time.delay_ns;
        (request, intended) = (next, row.end + delay);
        if delay > 0 {
            worker.timers.sleep_until(job.clock.instant(intended)).await;
        }
    }
}

impl Flight {
    /// Ends it without sending it: the phase no longer sends.
    fn decline(mut self) -> Row {
        self.keep(Some(Failure::new(FailureKind::Dropped, "the phase ended before it got a slot")));
        self.row
    }
}
