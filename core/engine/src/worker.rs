//! [`Worker`]: one OS thread of the load, with its own runtime, connections, schedule and store.

use crate::{
    data::Conversation,
    flight::Flight,
    job::{Job, Phase},
    reading::Buffers,
    session::{Start, session},
    slots::Slots,
    store::Store,
    telemetry::Telemetry,
};
use inferometer_abi::{
    api::TimingStrategy,
    types::{Error, ErrorKind, Flow},
};
use inferometer_load::{Action, Arrival, LEEWAY_NS, Pump, timer::Timers};
use inferometer_net::{Client, Lags};
use rustix::time::{ClockId, clock_gettime};
use std::{
    cell::{Cell, RefCell},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tokio::{runtime::Runtime, sync::Notify, task::LocalSet};

/// Steps of the schedule taken in a row before answers are looked at.
const STEPS_BETWEEN_READS: u32 = 32;
/// A wait that is shorter than this gets nowhere, in nanoseconds; and so many in a row with nothing under way never will.
pub(crate) const NO_WAIT_NS: u64 = 10_000;
pub(crate) const NO_WAITS_IN_A_ROW: u32 = 1_000_000;
/// A wait of more than this is one without end, in nanoseconds: some thirty years.
pub(crate) const FOR_EVER_NS: u64 = 1_000_000_000_000_000_000;
/// Most sessions that one worker has open, where there are not more slots. Further arrivals wait in the schedule and not
/// in memory; they are as late as they would be.
const MOST_LIVE: u64 = 1 << 17;
/// How long arrivals that were not sent are counted after a phase, in nanoseconds; and how long once the run is stopped.
const COUNTING_NS: u64 = 5_000_000_000;
const COUNTING_STOPPED_NS: u64 = 500_000_000;

/// What a worker brings home.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) store: Store,
    /// The strategy's error, if it failed.
    pub(crate) strategy_error: Option<Error>,
    /// Share of the last phase's time that this thread was on a processor.
    pub(crate) busy: f64,
    /// Share of the last phase's time that this thread was ready to run and had no processor; absent where the system does
    /// not say.
    pub(crate) waited: Option<f64>,
    /// How far behind the kernel it read during the last phase.
    pub(crate) lags: Lags,
    /// Addresses of the loopback network that it connected from.
    pub(crate) loopback_addresses: usize,
}

/// One worker during one phase.
pub(crate) struct Worker {
    pub(crate) job: Arc<Job>,
    pub(crate) client: Rc<Client>,
    pub(crate) timers: Timers,
    pub(crate) store: Rc<RefCell<Store>>,
    /// Buffers of requests that have ended.
    pub(crate) spare: Rc<RefCell<Vec<Buffers>>>,
    pub(crate) shard: u16,
    pub(crate) phase_index: u16,
    pump: RefCell<Pump>,
    error: RefCell<Option<Error>>,
    /// Sessions under way.
    live: Cell<u32>,
    /// What the driver waits for, in nanoseconds since the phase began.
    waits_until: Cell<u64>,
    /// Something happened that the driver has to look at.
    wake: Notify,
}

/// How a worker is set to work.
pub(crate) struct Assignment {
    pub(crate) job: Arc<Job>,
    pub(crate) shard: u16,
    /// Started strategies, one per phase.
    pub(crate) strategies: Vec<Box<dyn TimingStrategy>>,
    pub(crate) store: Store,
    pub(crate) gate: Arc<Gate>,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// Where workers meet: before the first phase, which begins only if all of them could be set up, and between phases.
pub(crate) struct Gate {
    barrier: Barrier,
    closed: AtomicBool,
}

impl Gate {
    pub(crate) fn new(workers: usize) -> Self {
        Self { barrier: Barrier::new(workers), closed: AtomicBool::new(false) }
    }
}

/// Runs all phases of one worker.
pub(crate) fn run(assignment: Assignment) -> io::Result<Found> {
    let Assignment { job, shard, strategies, store, gate, telemetry } = assignment;
    let tools = tools();
    gate.closed.fetch_or(tools.is_err(), SeqCst);
    gate.barrier.wait();
    let (runtime, timers, driver) = tools?;
    if gate.closed.load(SeqCst) {
        return Ok(Found::default());
    }
    let mut driver = std::pin::pin!(driver);
    let client = Rc::new(job.server.client(job.clock));
    let (store, spare) = (Rc::new(RefCell::new(store)), Rc::default());
    let mut found = Found::default();
    for (index, strategy) in strategies.into_iter().enumerate() {
        let phase = &job.phases[index];
        if gate.barrier.wait().is_leader() {
            if index > 0 && !job.control.is_stopped() {
                // Counters are to be told apart by phase, and nothing is measured yet.
                telemetry.read_between();
            }
            job.control.counters.begin_phase(index as u32 + 1);
            phase.begin(index.checked_sub(1).map(|before| &job.phases[before]), &job.pool, || job.clock.now());
        }
        gate.barrier.wait();
        let (wall, cpu, waited) = (job.clock.now(), thread_cpu_ns(), thread_wait_ns());
        let worker = Rc::new(Worker {
            job: Arc::clone(&job),
            client: Rc::clone(&client),
            timers: timers.clone(),
            store: Rc::clone(&store),
            spare: Rc::clone(&spare),
            shard,
            phase_index: index as u16,
            pump: RefCell::new(Pump::new(strategy, Arc::clone(&phase.budget), phase.plan.stop.duration_ns)),
            error: RefCell::default(),
            live: Cell::new(0),
            waits_until: Cell::new(u64::MAX),
            wake: Notify::new(),
        });
        let local = LocalSet::new();
        grow(&local, &worker);
        let phase_under_way = async {
            tokio::select! {
                biased;
                () = &mut driver => {}
                () = drive(&worker, phase) => {}
            }
        };
        // A worker that broke down must still meet the others at the gate.
        if catch_unwind(AssertUnwindSafe(|| local.block_on(&runtime, phase_under_way))).is_err() {
            worker.broke_down();
        }
        // What is still in flight is dropped here, and each such request keeps a row that says so.
        drop(local);
        phase.end(&job.pool);
        store.borrow_mut().missed.push(worker.missed());
        found.strategy_error = worker.error.take().or(found.strategy_error.take());
        found.lags = client.take_lags();
        let wall = ((job.clock.now() - wall) as f64).max(1.0);
        found.busy = (thread_cpu_ns() - cpu) as f64 / wall;
        found.waited = thread_wait_ns().zip(waited).map(|(after, before)| (after - before) as f64 / wall);
    }
    found.loopback_addresses = client.loopback_addresses();
    found.store = store.take();
    Ok(found)
}

/// What a worker cannot do without: a runtime, its timers, and what drives these.
fn tools() -> io::Result<(Runtime, Timers, impl Future<Output = ()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (timers, driver) = {
        let _inside = runtime.enter();
        Timers::new()?
    };
    Ok((runtime, timers, driver))
}

/// Sets slots growing that are to grow.
fn grow(local: &LocalSet, worker: &Rc<Worker>) {
    for of in [(|phase| phase.slots.as_ref()) as fn(&Phase) -> Option<&Slots>, |phase| phase.prefill.as_ref()] {
        if of(worker.phase()).is_some_and(Slots::is_ramped) {
            let worker = Rc::clone(worker);
            local.spawn_local(async move {
                let phase = worker.phase();
                if let Some(slots) = of(phase) {
                    slots.grow(worker.job.clock, &worker.timers, phase.start_ns()).await;
                }
            });
        }
    }
}

/// Launches sessions when their time comes, until the phase ends; then waits for answers.
async fn drive(worker: &Rc<Worker>, phase: &Phase) {
    let clock = &worker.job.clock;
    let mut stop = worker.job.control.stopped();
    let (mut steps, mut no_waits) = (0_u32, 0_u32);
    while !*stop.borrow() {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(STEPS_BETWEEN_READS) {
            // Neither a burst nor waits that are over at once may keep the answers waiting.
            tokio::task::yield_now().await;
        }
        let until = match worker.next_if_room() {
            Action::Launch(arrival) => {
                no_waits = 0;
                worker.launch(arrival);
                continue;
            }
            Action::Until(at) if worker.live.get() == 0 => {
                let wait = at.saturating_sub(clock.now().saturating_sub(phase.start_ns()));
                no_waits = if wait < NO_WAIT_NS { no_waits + 1 } else { 0 };
                if wait > FOR_EVER_NS || no_waits == NO_WAITS_IN_A_ROW {
                    worker.gets_nowhere(wait > FOR_EVER_NS);
                    break;
                }
                at
            }
            Action::Until(at) => at,
            Action::Park => u64::MAX,
            Action::End => break,
        };
        worker.waits_until.set(until);
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = worker.wake.notified() => {}
            () = worker.timers.sleep_until(clock.instant(phase.start_ns().saturating_add(until))), if until != u64::MAX => {}
        }
    }
    let stop_at = phase.plan.stop;
    // What is launched within the leeway is sent before it is cancelled.
    let grace_ns = stop_at.grace_ns.max(LEEWAY_NS);
    let deadline = stop_at
        .duration_ns
        .map_or(u64::MAX, |duration| phase.start_ns().saturating_add(duration).saturating_add(grace_ns));
    while worker.live.get() > 0 && !*stop.borrow() {
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = worker.wake.notified() => {}
            () = worker.timers.sleep_until(clock.instant(deadline)), if deadline != u64::MAX => return,
        }
    }
}

impl Worker {
    /// What the schedule wants now.
    fn next(&self) -> Action {
        let now = self.job.clock.now().saturating_sub(self.phase().start_ns());
        self.pump.borrow_mut().poll(now).unwrap_or_else(|error| {
            self.schedule_failed("next", &error);
            Action::End
        })
    }

    /// What the schedule wants now; with too many sessions open, to be asked when one has ended, or the phase.
    fn next_if_room(&self) -> Action {
        if self.is_full() && !self.is_closed(self.job.clock.now()) {
            let last = |duration_ns: u64| Action::Until(duration_ns.saturating_add(LEEWAY_NS));
            self.phase().plan.stop.duration_ns.map_or(Action::Park, last)
        } else {
            self.next()
        }
    }

    fn is_full(&self) -> bool {
        u64::from(self.live.get()) >= MOST_LIVE.max(self.phase().plan.concurrency.unwrap_or(0))
    }

    /// Keeps the strategy's error, with the call it came in; of several the first, which is the cause.
    fn schedule_failed(&self, call: &str, error: &Error) {
        let text = format!("{call} of '{}': {}", self.phase().plan.strategy, error.message);
        self.error.borrow_mut().get_or_insert_with(|| Error::new(error.kind, text));
    }

    /// The strategy waits, and will for all time to come.
    fn gets_nowhere(&self, for_ever: bool) {
        let why = if for_ever {
            "it waits for ever, and nothing is under way"
        } else {
            "it waits again and again for no time at all, and nothing is under way"
        };
        self.schedule_failed("next", &Error::new(ErrorKind::OTHER, why));
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.job.phases[usize::from(self.phase_index)]
    }

    /// Whether the phase's time is over at `at_ns`: what is due then is none of its arrivals.
    pub(crate) fn is_over(&self, at_ns: u64) -> bool {
        let phase = self.phase();
        phase.plan.stop.duration_ns.is_some_and(|duration| at_ns >= phase.start_ns().saturating_add(duration))
    }

    /// Whether nothing is to be sent any more at `at_ns`: what waits for a slot is dropped.
    pub(crate) fn is_closed(&self, at_ns: u64) -> bool {
        self.is_over(at_ns.saturating_sub(LEEWAY_NS))
    }

    /// Arrivals of the phase that were due and that this worker did not come round to.
    fn missed(&self) -> u64 {
        let began = self.job.clock.now();
        if !self.is_over(began) {
            // What a phase that was stopped early would still have sent was never due.
            return 0;
        }
        let go_on = || {
            let patience_ns = if self.job.control.is_stopped() { COUNTING_STOPPED_NS } else { COUNTING_NS };
            self.job.clock.now() - began < patience_ns
        };
        let (missed, counted) = self.pump.borrow_mut().missed(go_on);
        if let Err(error) = counted {
            self.schedule_failed("next", &error);
        }
        missed
    }

    /// How a session begins that has arrived.
    fn arrive(self: &Rc<Self>, arrival: &Arrival) -> Start {
        let phase = self.phase();
        let course = phase.course(arrival, &self.job.pool);
        let intended = phase.start_ns().saturating_add(arrival.intended_ns);
        let &Arrival { request, turn, gap_ns, .. } = arrival;
        let flight = Flight::new(self, request, &course, turn, intended);
        Start { course, flight, turn, gap_ns, inherited: Conversation::default(), is_branch: false }
    }

    /// Begins a session.
    fn launch(self: &Rc<Self>, arrival: Arrival) {
        let mut start = self.arrive(&arrival);
        let live = self.guard();
        tokio::task::spawn_local(async move {
            let worker = &live.0;
            loop {
                let flow = session(worker, worker.phase(), start).await;
                match worker.ended(&flow) {
                    Some(next) => start = worker.arrive(&next),
                    None => return,
                }
            }
        });
    }

    /// The phase waits for what is under way as long as it holds one of these.
    pub(crate) fn guard(self: &Rc<Self>) -> Live {
        Live::new(self)
    }

    /// A session begins, or ceases, to think without holding a slot. Another may begin meanwhile.
    pub(crate) fn thinks(self: &Rc<Self>, begins: bool) {
        self.pump.borrow_mut().thinks(begins);
        if begins
            && !self.job.control.is_stopped()
            && let Action::Launch(another) = self.look()
        {
            self.launch(another);
            // Whatever follows, the driver launches.
            self.wake.notify_one();
        }
    }

    /// Something of ours panicked: the run stops with what there is.
    fn broke_down(&self) {
        let text = "a worker panicked: this is a defect of inferometer, please report it";
        self.error.replace(Some(Error::new(ErrorKind::PANICKED, text)));
        self.job.control.stop();
    }

    /// Tells the schedule that a request ended.
    pub(crate) fn tell(&self, flow: &Flow, follows: bool) {
        if let Err(error) = self.pump.borrow_mut().ended(flow, follows) {
            self.schedule_failed("on_flow", &error);
        }
    }

    /// A session ended: tells the schedule, and takes over the session that it launches in return, if any. That saves a
    /// closed loop two wake-ups a request.
    fn ended(self: &Rc<Self>, flow: &Flow) -> Option<Arrival> {
        self.tell(flow, false);
        if self.job.control.is_stopped() {
            return None;
        }
        let Action::Launch(own) = self.look() else { return None };
        if !self.is_full()
            && let Action::Launch(another) = self.look()
        {
            self.launch(another);
            // Whatever follows is a burst, which the driver paces.
            self.wake.notify_one();
        }
        Some(own)
    }

    /// What the schedule wants now; the driver is woken if it waits for something else.
    fn look(&self) -> Action {
        let action = self.next();
        if matches!(action, Action::End) || matches!(action, Action::Until(at) if at != self.waits_until.get()) {
            self.wake.notify_one();
        }
        action
    }
}

/// A session under way, for as long as it lives.
pub(crate) struct Live(Rc<Worker>);

impl Live {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.live.set(worker.live.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let worker = &self.0;
        let was_full = worker.is_full();
        worker.live.set(worker.live.get() - 1);
        if std::thread::panicking() {
            worker.broke_down();
        }
        if was_full || worker.live.get() == 0 {
            worker.wake.notify_one();
        }
    }
}

/// Processor time of this thread, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Time that this thread was ready to run and waited for a processor, in nanoseconds; as Linux counts it.
fn thread_wait_ns() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counts.split_ascii_whitespace().nth(1)?.parse().ok()
}
