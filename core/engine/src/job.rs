//! [`Job`]: what all workers share of a run. Immutable but for a few counters.

use crate::{
    EngineError,
    control::Control,
    data::{self, Listed, Order, Pool},
    exchanges::Way,
    server::Server,
    slots::Slots,
    speaker::Speaker,
};
use inferometer_abi::{
    api::Endpoint,
    random::mix,
    types::{ABSENT_NS, TurnTime},
};
use inferometer_load::{Arrival, Budget, Sampler};
use inferometer_model::{
    Clock, ConfigError,
    config::ConnectionReuse,
    plan::{PhasePlan, Plan},
};
use inferometer_net::{Client, RequestIds};
use inferometer_tokens::seed_for;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// The strategy that follows the data's own times.
pub(crate) const FIXED_SCHEDULE: &str = "fixed_schedule";
/// The strategy whose users take the data's sessions in turn.
pub(crate) const USER_CENTRIC: &str = "user_centric";
/// The strategy that keeps so many sessions in progress.
const CLOSED_LOOP: &str = "concurrency";

/// What all workers share.
pub(crate) struct Job {
    pub(crate) clock: Clock,
    pub(crate) control: Control,
    pub(crate) speaker: Speaker,
    pub(crate) pool: Arc<Pool>,
    pub(crate) reuse: ConnectionReuse,
    pub(crate) server: Server,
    pub(crate) phases: Vec<Phase>,
    /// Most time one request may take.
    pub(crate) timeout: Duration,
    ids: [u64; 2],
}

impl Job {
    pub(crate) fn new(
        plan: &Plan,
        clock: Clock,
        control: Control,
        endpoint: Arc<dyn Endpoint>,
        server: Server,
        pool: Arc<Pool>,
    ) -> Result<Self, EngineError> {
        let sampler = Sampler::new(plan.data.sampling, seed_for(plan.seed, "sampling", 0), pool.sessions());
        let seed = |index| seed_for(plan.seed, "cancellation", index);
        let phases = plan.phases.iter().zip(0..).map(|(phase, index)| Phase::new(phase, sampler, &pool, seed(index)));
        let phases = phases.collect::<Result<_, _>>()?;
        Ok(Self {
            clock,
            control,
            server,
            timeout: plan.server.connection.request_timeout,
            reuse: plan.server.connection.reuse,
            ids: [seed_for(plan.seed, "request-id", 0), seed_for(plan.seed, "request-id", 1)],
            speaker: Speaker::new(&plan.server, endpoint),
            pool,
            phases,
        })
    }

    /// The way that its requests go, by the connections of `client`.
    pub(crate) fn way<'a>(&'a self, client: &'a Client) -> Way<'a> {
        Way { server: &self.server, client, speaker: &self.speaker, clock: self.clock }
    }

    /// The identifiers of a request: version 8 UUIDs made of the seed, so that the same seed sends the same bytes.
    pub(crate) fn ids(&self, phase: u16, session: u64, turn: u32) -> RequestIds {
        let uuid = |salt: u64| {
            let half = |seed: u64| mix(mix(seed ^ session).wrapping_add(u64::from(phase) << 32 | salt));
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&half(self.ids[0]).to_be_bytes());
            bytes[8..].copy_from_slice(&half(self.ids[1]).to_be_bytes());
            bytes[6] = bytes[6] & 0x0f | 0x80;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            bytes
        };
        RequestIds { request: uuid(u64::from(turn) + 1), correlation: uuid(0) }
    }
}

/// One phase, as it runs.
pub(crate) struct Phase {
    pub(crate) plan: PhasePlan,
    pub(crate) budget: Arc<Budget>,
    /// Slots over all workers, where there is a limit.
    pub(crate) slots: Option<Slots>,
    /// Slots for requests without a first token, where there is a limit.
    pub(crate) prefill: Option<Slots>,
    /// Seed of which requests are broken off on purpose.
    pub(crate) cancellation_seed: u64,
    /// When it began.
    start_ns: AtomicU64,
    /// Sessions begun in the phases before it.
    first_session: AtomicU64,
    sampler: Sampler,
    /// How the data's own times are followed, if they are.
    replay: Option<data::Course>,
    /// The order in which it goes through the data set, if that is not the sampler's.
    order: Option<Order>,
    /// Requests that had to wait for their session.
    waited: AtomicU64,
    /// Turns that were not sent, since the reply they build on was not got.
    pub(crate) unsent: AtomicU64,
    /// Answers whose last event came, and whose end did not.
    pub(crate) unended: AtomicU64,
}

impl Phase {
    fn new(plan: &PhasePlan, sampler: Sampler, pool: &Pool, cancellation_seed: u64) -> Result<Self, EngineError> {
        let mut plan = plan.clone();
        let stop = &mut plan.stop;
        let (mut replay, mut order) = (None, None);
        let mut sessions = stop.sessions;
        // With no limit, the data set once.
        let once = stop.requests.is_none() && stop.duration_ns.is_none() && stop.sessions.is_none();
        let follows = plan.strategy == FIXED_SCHEDULE;
        if once || follows {
            let replayed = pool.outlines()?.replayed(&plan.replay);
            let (requests, sessions_within) = replayed.totals();
            if once {
                stop.requests = Some(requests);
                // A schedule that follows the data's times numbers its sessions as the data set does.
                sessions = (!follows).then_some(sessions_within);
            }
            if follows {
                if sessions_within == 0 {
                    return Err(EngineError::Config(ConfigError::new(
                        "no session of the data set lies within --fixed-schedule-start-offset and -end-offset; widen them",
                    )));
                }
                replay = Some(replayed.course);
                order = Some(Order::Listed(Arc::new(Listed::new(replayed.in_order(), pool.sessions()))));
            }
        } else if plan.strategy == USER_CENTRIC {
            order = Some(Order::InTurn(pool.sessions()));
        }
        // The closed loop's strategy opens its slots one after another by itself.
        let ramp_ns = if plan.strategy == CLOSED_LOOP { 0 } else { plan.concurrency_ramp_ns };
        Ok(Self {
            budget: Arc::new(Budget::new(plan.stop.requests, sessions)),
            slots: plan.concurrency.map(|slots| Slots::new(slots, ramp_ns)),
            prefill: plan.prefill_concurrency.map(|slots| Slots::new(slots, plan.prefill_ramp_ns)),
            cancellation_seed,
            start_ns: AtomicU64::new(ABSENT_NS),
            first_session: AtomicU64::new(0),
            sampler,
            replay,
            order,
            waited: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            unended: AtomicU64::new(0),
            plan,
        })
    }

    /// The order in which it goes through the data set.
    pub(crate) fn order(&self) -> Order {
        self.order.clone().unwrap_or(Order::Sampled(self.sampler))
    }

    /// A turn's think time, as the phase has it.
    pub(crate) fn delay(&self, time: TurnTime) -> u64 {
        self.replay.map_or(time.delay_ns, |course| course.scaled(time.delay_ns))
    }

    /// When a turn is to be sent at the earliest, in nanoseconds since the phase began, where the data's times are followed
    /// and it has one.
    pub(crate) fn timestamp(&self, time: TurnTime) -> Option<u64> {
        let course = self.replay.filter(|_| time.timestamp_ns != TurnTime::NONE.timestamp_ns)?;
        Some(course.at(time.timestamp_ns))
    }

    /// Begins it at the time that `start_ns` gives when all is ready. Phases with the sampler's order go through the data
    /// set together: each goes on where `before` ended.
    pub(crate) fn begin(&self, before: Option<&Self>, pool: &Pool, start_ns: impl FnOnce() -> u64) {
        if let Some(before) = before {
            let first = before.first_session.load(SeqCst) + before.budget.sessions();
            self.first_session.store(first, SeqCst);
            pool.read_ahead(self.order());
        }
        self.start_ns.store(start_ns(), SeqCst);
    }

    /// The session that an arrival stands for.
    pub(crate) fn course(&self, arrival: &Arrival, pool: &Pool) -> Course {
        let number = arrival.session;
        if arrival.is_exact {
            let entry = number % pool.sessions();
            let place = match &self.order {
                Some(Order::InTurn(_)) => Some(number),
                Some(order) => order.place(entry),
                None => None,
            };
            return Course { number, entry, place, server: number };
        }
        let place = self.first_session.load(SeqCst).wrapping_add(number);
        Course { number, entry: self.sampler.entry(place), place: Some(place), server: number }
    }

    /// It is over.
    pub(crate) fn end(&self, pool: &Pool) {
        self.waited.fetch_add(pool.take_waited(), SeqCst);
    }

    /// Requests that had to wait for their session.
    pub(crate) fn waited(&self) -> u64 {
        self.waited.load(SeqCst)
    }

    pub(crate) fn start_ns(&self) -> u64 {
        self.start_ns.load(SeqCst)
    }
}

/// Which session a flight belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    /// Its number in the schedule: identifiers go by it.
    pub(crate) number: u64,
    /// What its destination goes by: its number, or that of the session that began it.
    pub(crate) server: u64,
    /// Its number in the data set.
    pub(crate) entry: u64,
    /// Its place in the order that is read ahead, where that is known.
    pub(crate) place: Option<u64>,
}
