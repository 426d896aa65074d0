//! Timers that are true to tens of microseconds, for one single-threaded runtime.
//!
//! tokio rounds its own timers up to the next millisecond, which an open-loop schedule at 1,000/s cannot live with.
//! Here all sleeps of a thread share one kernel timer (a Linux timerfd), which always stands at the earliest deadline.
//!
//! Not here: schedules (what to wait for), and virtual time. Elsewhere than on Linux the same interface runs on
//! `tokio::time`, with its precision of about a millisecond, and needs a runtime with time enabled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

mod alarm;

use alarm::Alarm;

/// The timers of one thread. Clones are handles to the same queue and cost one reference count.
#[derive(Clone)]
pub struct Timers {
    queue: Rc<Queue>,
}

/// Everything that the handles, the sleeps and the driver of one thread share.
struct Queue {
    alarm: Alarm,
    sleepers: RefCell<Sleepers>,
}

/// The sleeps that have not ended, by deadline.
///
/// A tree rather than a heap, so that a sleep that is dropped early (a request timeout nearly always is) leaves at once
/// and in order, instead of lingering as a tombstone until its deadline.
struct Sleepers {
    wakers: BTreeMap<Key, Waker>,
    /// Tells sleeps with one deadline apart, and wakes them in the order in which they began.
    next_id: u64,
    /// Where the alarm stands; `None` when it has rung and was not set again.
    armed: Option<Instant>,
}

type Key = (Instant, u64);

impl Timers {
    /// Creates the timers of this thread, and the driver that must run beside whatever uses them.
    ///
    /// The driver never ends while the runtime lives; give it to `spawn_local`. Without it no sleep ends, except
    /// those whose deadline has passed when they are first polled.
    ///
    /// # Errors
    /// When the kernel has no timer or no descriptor left to give.
    ///
    /// # Panics
    /// Outside a tokio runtime that has I/O enabled.
    pub fn new() -> io::Result<(Self, impl Future<Output = ()> + 'static)> {
        let queue = Rc::new(Queue {
            alarm: Alarm::new()?,
            sleepers: RefCell::new(Sleepers { wakers: BTreeMap::new(), next_id: 0, armed: None }),
        });
        let driven = Rc::clone(&queue);
        let driver = async move {
            while driven.alarm.ring().await.is_ok() {
                driven.wake_due();
            }
        };
        Ok((Self { queue }, driver))
    }

    /// Completes at `at`, never before it; at once when `at` has passed. Dropping the future cancels the sleep.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { queue: Rc::clone(&self.queue), at, key: None }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sleeping = self.queue.sleepers.borrow().wakers.len();
        f.debug_struct("Timers").field("sleeping", &sleeping).finish_non_exhaustive()
    }
}

/// The future of [`Timers::sleep_until`].
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    queue: Rc<Queue>,
    at: Instant,
    /// Its place among the sleepers, once it has been polled.
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            self.leave();
            return Poll::Ready(());
        }
        match self.key {
            Some(key) => self.queue.renew(key, cx.waker()),
            None => self.key = Some(self.queue.enter(self.at, cx.waker())),
        }
        Poll::Pending
    }
}

impl Sleep {
    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.queue.remove(key);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("at", &self.at).finish_non_exhaustive()
    }
}

// A waker runs foreign code when it is woken or dropped, and that code may drop or start a sleep: none of these
// methods lets go of a waker while it holds the sleepers borrowed.
impl Queue {
    fn enter(&self, at: Instant, waker: &Waker) -> Key {
        let waker = waker.clone();
        let mut sleepers = self.sleepers.borrow_mut();
        let key = (at, sleepers.next_id);
        sleepers.next_id += 1;
        sleepers.wakers.insert(key, waker);
        // Only an earlier deadline moves the alarm. One that was set for a sleep that has since been dropped rings
        // for nobody, once.
        if sleepers.armed.is_none_or(|armed| at < armed) {
            sleepers.armed = Some(at);
            self.alarm.set(at);
        }
        key
    }

    fn renew(&self, key: Key, waker: &Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        let Some(kept) = sleepers.wakers.get_mut(&key) else {
            return;
        };
        if !kept.will_wake(waker) {
            let stale = std::mem::replace(kept, waker.clone());
            drop(sleepers);
            drop(stale);
        }
    }

    fn remove(&self, key: Key) {
        let waker = self.sleepers.borrow_mut().wakers.remove(&key);
        drop(waker);
    }

    /// Wakes what is due, earliest first, and sets the alarm to the next deadline.
    fn wake_due(&self) {
        let now = Instant::now();
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            let next = sleepers.wakers.first_key_value().map(|(key, _)| key.0);
            match next {
                Some(at) if at <= now => {
                    let due = sleepers.wakers.pop_first();
                    drop(sleepers);
                    if let Some((_, waker)) = due {
                        waker.wake();
                    }
                }
                _ => {
                    sleepers.armed = next;
                    if let Some(at) = next {
                        self.alarm.set(at);
                    }
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs a test beside the driver, on one thread.
    fn with_timers<T>(test: impl AsyncFnOnce(Timers) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (timers, driver) = Timers::new().unwrap();
            spawn_local(driver);
            test(timers).await
        })
    }

    fn sleeping(timers: &Timers) -> usize {
        timers.queue.sleepers.borrow().wakers.len()
    }

    #[test]
    fn a_sleep_never_ends_before_its_deadline() {
        with_timers(async |timers| {
            for micros in [1, 40, 700, 1_300, 3_001] {
                let at = Instant::now() + Duration::from_micros(micros);
                timers.sleep_until(at).await;
                assert!(Instant::now() >= at, "{micros} µs");
            }
        });
    }

    #[test]
    fn sleeps_end_in_the_order_of_their_deadlines_and_then_of_their_start() {
        with_timers(async |timers| {
            let ended = Rc::new(RefCell::new(Vec::new()));
            let start = Instant::now();
            // Longest first, so that each one moves the alarm forward.
            let tasks: Vec<_> = [(6, 'e'), (4, 'c'), (4, 'd'), (2, 'a'), (3, 'b')]
                .map(|(ms, name)| {
                    let (timers, ended) = (timers.clone(), Rc::clone(&ended));
                    spawn_local(async move {
                        timers.sleep_until(start + ms * 10 * MS).await;
                        ended.borrow_mut().push(name);
                    })
                })
                .into();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*ended.borrow(), ['a', 'b', 'c', 'd', 'e']);
        });
    }

    #[test]
    fn a_deadline_that_has_passed_completes_at_once() {
        // No driver runs here: only a sleep that needs no waking can end.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let (timers, _driver) = Timers::new().unwrap();
        let mut sleep = timers.sleep_until(Instant::now());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut sleep).poll(&mut cx), Poll::Ready(()));
        assert_eq!(sleeping(&timers), 0);
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind_and_disturbs_no_other() {
        with_timers(async |timers| {
            let start = Instant::now();
            let far = timers.sleep_until(start + 3600 * 1000 * MS);
            let near = timers.sleep_until(start + 20 * MS);
            let mut cx = Context::from_waker(Waker::noop());
            for mut sleep in [far, near] {
                assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
            }
            assert_eq!(sleeping(&timers), 0, "both were dropped at the end of the loop");
            let at = start + 30 * MS;
            timers.sleep_until(at).await;
            assert!(Instant::now() >= at);
            assert_eq!(sleeping(&timers), 0);
        });
    }

    #[test]
    fn the_loser_of_a_race_is_cancelled() {
        with_timers(async |timers| {
            let start = Instant::now();
            tokio::select! {
                () = timers.sleep_until(start + 2 * MS) => {}
                () = timers.sleep_until(start + 3600 * 1000 * MS) => panic!("an hour went by"),
            }
            assert_eq!(sleeping(&timers), 0);
        });
    }

    #[test]
    fn a_sleep_wakes_the_task_that_polled_it_last() {
        with_timers(async |timers| {
            let mut sleep = Box::pin(timers.sleep_until(Instant::now() + 20 * MS));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(sleep.as_mut().poll(&mut cx).is_pending());
            spawn_local(sleep).await.unwrap();
        });
    }

    #[test]
    fn a_waker_that_drops_other_sleeps_when_woken_does_no_harm() {
        thread_local! {
            static OTHERS: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) };
        }
        struct DropOthers;
        impl std::task::Wake for DropOthers {
            fn wake(self: std::sync::Arc<Self>) {
                OTHERS.with_borrow_mut(Vec::clear);
            }
        }
        with_timers(async |timers| {
            let at = Instant::now() + 20 * MS;
            let waker = Waker::from(std::sync::Arc::new(DropOthers));
            let mut sleep = timers.sleep_until(at);
            assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker)).is_pending());
            for _ in 0..3 {
                let mut other = timers.sleep_until(at);
                assert!(Pin::new(&mut other).poll(&mut Context::from_waker(Waker::noop())).is_pending());
                OTHERS.with_borrow_mut(|others| others.push(other));
            }
            // One more sleep may find its deadline past already and not wait for the driver; several will not.
            for _ in 0..100 {
                timers.sleep_until(Instant::now().max(at) + MS).await;
                if sleeping(&timers) == 0 {
                    break;
                }
            }
            assert!(OTHERS.with_borrow(Vec::is_empty));
            assert_eq!(sleeping(&timers), 0);
        });
    }

    #[test]
    fn thousands_of_sleeps_all_end() {
        with_timers(async |timers| {
            let start = Instant::now();
            let tasks: Vec<_> = (0..5_000_u32)
                .map(|i| {
                    let timers = timers.clone();
                    // Spread over 10 ms, in no order.
                    let at = start + Duration::from_micros(u64::from(i.wrapping_mul(2_654_435_761) % 10_000));
                    spawn_local(async move {
                        timers.sleep_until(at).await;
                        assert!(Instant::now() >= at);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(sleeping(&timers), 0);
        });
    }
}
