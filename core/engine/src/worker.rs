//! [`Worker`]: one OS thread of the load, with its own runtime, connections, schedule and store.

use crate::{
    flight,
    job::{Job, Phase},
    reading::Buffers,
    store::Store,
};
use inferometer_abi::{
    api::TimingStrategy,
    types::{Error, Flow},
};
use inferometer_load::{Action, Arrival, Pump, timer::Timers};
use inferometer_net::Client;
use rustix::time::{ClockId, clock_gettime};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::{Arc, Barrier, atomic::Ordering::SeqCst},
};
use tokio::{sync::Notify, task::LocalSet};

/// What a worker brings home.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) store: Store,
    /// The strategy's error, if it failed.
    pub(crate) strategy_error: Option<Error>,
    /// Share of the time this thread was on a processor, over all phases.
    pub(crate) busy: f64,
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
    pub(crate) streaming: bool,
    pump: RefCell<Pump>,
    error: RefCell<Option<Error>>,
    /// Sessions under way.
    live: Cell<u32>,
    /// Something happened that the driver has to look at.
    wake: Notify,
}

/// Runs all phases of one worker; `strategies` are started, one per phase.
pub(crate) fn run(
    job: &Arc<Job>,
    shard: u16,
    strategies: Vec<Box<dyn TimingStrategy>>,
    streaming: bool,
    pooled: bool,
    barrier: &Barrier,
) -> io::Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = Rc::new(Client::new(job.clock, job.server.destinations.clone(), pooled));
    let (store, spare) = (Rc::new(RefCell::new(Store::default())), Rc::default());
    let mut found = Found::default();
    let (mut busy_ns, mut wall_ns) = (0, 0);
    for (index, strategy) in strategies.into_iter().enumerate() {
        let phase = &job.phases[index];
        if barrier.wait().is_leader() {
            job.control.counters.begin_phase(index as u32 + 1);
            phase.start_ns.store(job.clock.now(), SeqCst);
        }
        barrier.wait();
        // A worker without a runtime still keeps the others company at the barriers.
        let Ok(runtime) = &runtime else { continue };
        let (wall, cpu) = (job.clock.now(), thread_cpu_ns());
        let local = LocalSet::new();
        let error = local.block_on(runtime, async {
            let (timers, driver) = Timers::new()?;
            tokio::task::spawn_local(driver);
            let worker = Rc::new(Worker {
                job: Arc::clone(job),
                client: Rc::clone(&client),
                timers,
                store: Rc::clone(&store),
                spare: Rc::clone(&spare),
                shard,
                phase_index: index as u16,
                streaming,
                pump: RefCell::new(Pump::new(strategy, Arc::clone(&phase.budget), phase.plan.stop.duration_ns)),
                error: RefCell::default(),
                live: Cell::new(0),
                wake: Notify::new(),
            });
            drive(&worker, phase).await;
            io::Result::Ok(worker.error.take())
        });
        // What is still in flight is dropped here, and each such request keeps a row that says so.
        drop(local);
        found.strategy_error = error?.or(found.strategy_error.take());
        busy_ns += thread_cpu_ns() - cpu;
        wall_ns += job.clock.now() - wall;
    }
    runtime?;
    found.busy = busy_ns as f64 / (wall_ns as f64).max(1.0);
    found.store = store.take();
    Ok(found)
}

/// Launches sessions when their time comes, until the phase ends; then waits for answers.
async fn drive(worker: &Rc<Worker>, phase: &Phase) {
    let clock = &worker.job.clock;
    let mut stop = worker.job.control.stopped();
    while !*stop.borrow() {
        let until = match worker.next() {
            Action::Launch(arrival) => {
                worker.launch(arrival);
                continue;
            }
            Action::Until(at) => at,
            Action::Park => u64::MAX,
            Action::End => break,
        };
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = worker.wake.notified() => {}
            () = worker.timers.sleep_until(clock.instant(phase.start_ns().saturating_add(until))), if until != u64::MAX => {}
        }
    }
    let stop_at = phase.plan.stop;
    let deadline = stop_at
        .duration_ns
        .map_or(u64::MAX, |duration| phase.start_ns().saturating_add(duration).saturating_add(stop_at.grace_ns));
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
            self.error.replace(Some(error));
            Action::End
        })
    }

    fn phase(&self) -> &Phase {
        &self.job.phases[usize::from(self.phase_index)]
    }

    /// Whether nothing further is to be sent: what waits for a slot is dropped.
    pub(crate) fn is_over(&self) -> bool {
        let phase = self.phase();
        let past = |duration| self.job.clock.now() >= phase.start_ns().saturating_add(duration);
        phase.plan.stop.duration_ns.is_some_and(past)
    }

    /// Begins a session.
    fn launch(self: &Rc<Self>, arrival: Arrival) {
        let worker = Rc::clone(self);
        self.live.set(self.live.get() + 1);
        tokio::task::spawn_local(async move {
            let mut arrival = arrival;
            loop {
                let (row, turns) = flight::session(&worker, worker.phase(), arrival).await;
                let flow = Flow {
                    session: arrival.session,
                    turn: row.turn,
                    turns,
                    at_ns: row.end.saturating_sub(worker.phase().start_ns()),
                    latency_ns: row.end.saturating_sub(row.permitted),
                    output_tokens: if row.events == 0 { 0 } else { row.usage_completion },
                    failed: u32::from(!row.is_ok()),
                    ..Flow::default()
                };
                match worker.ended(&flow) {
                    Some(next) => arrival = next,
                    None => return,
                }
            }
        });
    }

    /// A session ended: tells the schedule, and takes over the session that it launches in return, if any. That saves a
    /// closed loop two wake-ups a request.
    fn ended(self: &Rc<Self>, flow: &Flow) -> Option<Arrival> {
        if let Err(error) = self.pump.borrow_mut().ended(flow) {
            self.error.replace(Some(error));
        }
        let mut own = None;
        loop {
            match self.next() {
                Action::Launch(arrival) if own.is_none() && !self.job.control.is_stopped() => own = Some(arrival),
                Action::Launch(arrival) => self.launch(arrival),
                Action::Park => break,
                Action::Until(_) | Action::End => {
                    self.wake.notify_one();
                    break;
                }
            }
        }
        if own.is_none() {
            self.live.set(self.live.get() - 1);
            if self.live.get() == 0 {
                self.wake.notify_one();
            }
        }
        own
    }
}

/// Processor time of this thread, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
