//! The load: a number of requests in flight, or a schedule.

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use inferometer_load::timer::Timers;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::task::{JoinSet, LocalSet};

use crate::connection::{Connection, Question};
use crate::records::{Clock, Record, Tally};

/// When requests are sent.
pub(crate) enum Order {
    /// As many as that in flight at any time.
    Closed { concurrency: usize },
    /// At these times after the start, whether or not there were answers.
    Open { intended: Vec<Duration> },
}

/// What all threads share.
pub(crate) struct Load {
    address: SocketAddr,
    question: Question,
    order: Order,
    requests: usize,
    threads: usize,
    /// Requests begun in a closed loop.
    begun: AtomicUsize,
    keeps_records: bool,
    clock: Clock,
    start: Instant,
}

impl Load {
    /// A load that starts when this returns, on as many calls of [`run`] as there are `threads`.
    pub(crate) fn new(
        address: &str,
        question: Question,
        order: Order,
        requests: usize,
        threads: usize,
        keeps_records: bool,
    ) -> Result<Self> {
        let resolved = address.to_socket_addrs().with_context(|| format!("{address} is not host:port"))?.next();
        Ok(Self {
            address: resolved.with_context(|| format!("{address} has no address"))?,
            question,
            order,
            requests,
            threads,
            begun: AtomicUsize::new(0),
            keeps_records,
            clock: Clock::new(),
            start: Instant::now(),
        })
    }

    /// The part of thread `number` in `whole`.
    fn share(&self, whole: usize, number: usize) -> usize {
        whole / self.threads + usize::from(number < whole % self.threads)
    }
}

/// Runs one thread's share of the load.
pub(crate) fn run(load: &Arc<Load>, number: usize) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    if load.keeps_records {
        tally.borrow_mut().records.reserve(load.requests);
    }
    let worker = Worker { load: Arc::clone(load), tally: Rc::clone(&tally) };
    LocalSet::new().block_on(&runtime, async {
        match &load.order {
            Order::Closed { concurrency } => worker.closed(load.share(*concurrency, number)).await,
            Order::Open { intended } => worker.open(intended, number).await,
        }
    })?;
    Ok(tally.take())
}

/// A thread's view of the load.
#[derive(Clone)]
struct Worker {
    load: Arc<Load>,
    tally: Rc<RefCell<Tally>>,
}

impl Worker {
    async fn closed(&self, concurrency: usize) -> Result<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..concurrency {
            tasks.spawn_local(self.clone().repeat());
        }
        finish(tasks).await
    }

    /// One request after the other on one connection, while there are any.
    async fn repeat(self) -> Result<()> {
        let mut permitted = Instant::now();
        let mut connection = Connection::open(self.load.address).await?;
        loop {
            let number = self.load.begun.fetch_add(1, Relaxed);
            if number >= self.load.requests {
                return Ok(());
            }
            let went_well = self.exchange(&mut connection, number, None, permitted).await;
            permitted = Instant::now();
            if !went_well {
                connection = Connection::open(self.load.address).await?;
            }
        }
    }

    /// The schedule's requests that fall to thread `first`, each on an idle connection or a new one.
    async fn open(&self, intended: &[Duration], first: usize) -> Result<()> {
        let (timers, driver) = Timers::new()?;
        let driver = tokio::task::spawn_local(driver);
        let idle = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for (number, &after) in intended.iter().enumerate().skip(first).step_by(self.load.threads) {
            let at = self.load.start + LEAD + after;
            timers.sleep_until(at).await;
            tasks.spawn_local(self.clone().once(number, at, Rc::clone(&idle)));
        }
        let outcome = finish(tasks).await;
        driver.abort();
        outcome
    }

    async fn once(self, number: usize, intended: Instant, idle: Rc<RefCell<Vec<Connection>>>) -> Result<()> {
        let permitted = Instant::now();
        let found = idle.borrow_mut().pop();
        let mut connection = match found {
            Some(connection) => connection,
            None => Connection::open(self.load.address).await?,
        };
        if self.exchange(&mut connection, number, Some(intended), permitted).await {
            idle.borrow_mut().push(connection);
        }
        Ok(())
    }

    /// One exchange, counted. Whether it went well, and the connection can be used again.
    async fn exchange(
        &self,
        connection: &mut Connection,
        number: usize,
        intended: Option<Instant>,
        permitted: Instant,
    ) -> bool {
        let outcome = connection.exchange(&self.load.question, number).await;
        let (events, clock) = (&connection.events, self.load.clock);
        let mut tally = self.tally.borrow_mut();
        tally.requests += 1;
        tally.events += events.count;
        tally.tokens += events.tokens;
        let Ok(times) = outcome else {
            tally.errors += 1;
            return false;
        };
        if self.load.keeps_records {
            tally.records.push(Record {
                number,
                intended_ns: intended.map(|at| clock.ns(at)),
                permitted_ns: clock.ns(permitted),
                sent_ns: clock.ns(times.sent),
                first_ns: events.first.map(|at| clock.ns(at)),
                last_ns: events.last.map(|at| clock.ns(at)),
                ended_ns: clock.ns(times.ended),
                tokens: events.tokens,
            });
        }
        true
    }
}

/// Waits for all tasks, or for the first that fails.
async fn finish(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of the load panicked")??;
    }
    Ok(())
}

/// How long a schedule begins after the threads, for them to be there in time.
const LEAD: Duration = Duration::from_millis(5);

/// `count` times at `rate` per second: evenly spaced, or with exponential gaps drawn from a seed.
pub(crate) fn schedule(rate: f64, count: usize, seed: Option<u64>) -> Vec<Duration> {
    let mut rng = seed.map(Pcg64Mcg::seed_from_u64);
    let mut at = 0.0;
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        match &mut rng {
            // The inverse of the distribution's function; 1 - u is never zero.
            Some(rng) => at -= (1.0 - rng.random::<f64>()).ln() / rate,
            None => at = number as f64 / rate,
        }
        times.push(Duration::from_secs_f64(at));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_schedule_is_evenly_spaced_and_starts_at_once() {
        assert_eq!(schedule(500.0, 4, None), [0, 2, 4, 6].map(Duration::from_millis));
    }

    #[test]
    fn a_poisson_schedule_rises_keeps_the_rate_and_depends_on_the_seed_alone() {
        let times = schedule(200.0, 20_000, Some(1));
        assert!(times.is_sorted());
        let rate = 20_000.0 / times[19_999].as_secs_f64();
        // The rate's standard deviation is 200/√20000 = 1.4.
        assert!((190.0..210.0).contains(&rate), "{rate}");
        assert_eq!(times, schedule(200.0, 20_000, Some(1)));
        assert_ne!(times, schedule(200.0, 20_000, Some(2)));
    }
}
