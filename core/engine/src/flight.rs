//! [`Flight`]: one request from its arrival to its end. However it ends, dropped in mid-flight included, exactly one row
//! is kept of it.

use crate::{
    data::body,
    exchanges::{Progress, Trip},
    job::Course,
    reading::{Buffers, Reading, unescape},
    segment::FirstEvent,
    slots::Slot,
    store::Kept,
    worker::Worker,
};
use inferometer_abi::types::{ABSENT_NS, NO_COUNT, Outcome, Outgoing};
use inferometer_model::{Failure, FailureKind, Row, plan::PhaseKind};
use inferometer_net::{Lane, RequestIds};
use std::{borrow::Cow, cell::Cell, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

/// One request from its arrival to its end.
pub(crate) struct Flight {
    worker: Rc<Worker>,
    row: Row,
    /// Number of its session in the schedule.
    session: u64,
    buffers: Buffers,
    ids: RequestIds,
    first: FirstEvent,
    progress: Progress,
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
            progress: Progress::NONE,
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
        self.keep(ended.err().map(|failure| job.server.hide(self.placed(failure))));
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
        let Self { row, buffers, ids, first, progress, .. } = self;
        let over = Cell::new(false);
        let reading = Reading::new(&job.speaker, outgoing, row, buffers, first, &over, ());
        let mut reading = reading.holding(prefill);
        let trip = Trip { outgoing, to, ids: *ids, break_off };
        let pause = async |until| worker.timers.sleep_until(job.clock.instant(until)).await;
        if !job.way(&worker.client).go(trip, lane, progress, &mut reading, pause).await? {
            worker.phase().unended.fetch_add(1, Relaxed);
        }
        reading.verdict()
    }

    /// How far a request had come when its time was over.
    fn timeout_stage(&self, limit: Duration) -> String {
        let stage = if self.progress.paused {
            "waiting to send"
        } else if self.row.events > 0 {
            "in mid-answer"
        } else if self.progress.stamps.status != 0 {
            "waiting for content"
        } else if self.progress.stamps.connected == ABSENT_NS {
            "connecting"
        } else {
            "waiting for the answer"
        };
        format!("{stage} after {limit:?} (--request-timeout-seconds)")
    }

    /// The failure, and which exchange it came in where that was not the first.
    fn placed(&self, failure: Failure) -> Failure {
        match self.progress.exchange {
            0 => failure,
            before => Failure::new(failure.kind, format!("{} (in exchange {})", failure.message, before + 1)),
        }
    }

    /// Keeps the row. Without a failure it ended well.
    fn keep(&mut self, failure: Option<Failure>) {
        self.kept = true;
        self.progress.stamp(&mut self.row);
        let (row, worker) = (&mut self.row, &self.worker);
        // A server that counts nothing says so by zeros.
        if row.usage_prompt == 0 {
            row.usage_prompt = NO_COUNT;
        }
        if row.usage_completion == 0 && row.events > 0 {
            row.usage_completion = NO_COUNT;
        }
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
