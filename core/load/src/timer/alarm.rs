//! One alarm clock: set to a moment, it rings once. The timers keep it at their earliest deadline.
//!
//! Not here: who sleeps until when, and whom a ring wakes.

#[cfg(not(target_os = "linux"))]
pub(super) use coarse::Alarm;
#[cfg(target_os = "linux")]
pub(super) use precise::Alarm;

/// The alarm on Linux: a timerfd, which the kernel fires from a high-resolution timer.
#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use rustix::time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    const NANOS_PER_SEC: i64 = 1_000_000_000;

    pub(in crate::timer) struct Alarm {
        timer: AsyncFd<OwnedFd>,
        /// One moment on both clocks: `Instant` does not show what it holds, and the kernel wants a number.
        moment: Instant,
        moment_raw: Timespec,
    }

    impl Alarm {
        pub(in crate::timer) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(
                deprecated,
                reason = "its unsafe successor is for types that may swap their descriptor; an OwnedFd cannot"
            )]
            let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
            // The raw clock is read second, so the instant between the two readings makes alarms late, never early.
            let moment = Instant::now();
            let moment_raw = clock_gettime(ClockId::Monotonic);
            Ok(Self { timer, moment, moment_raw })
        }

        pub(in crate::timer) fn set(&self, at: Instant) {
            let ahead = at.saturating_duration_since(self.moment);
            let nanos = self.moment_raw.tv_nsec + i64::from(ahead.subsec_nanos());
            let secs = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
            let value = Timespec {
                tv_sec: self.moment_raw.tv_sec.saturating_add(secs).saturating_add(nanos / NANOS_PER_SEC),
                tv_nsec: nanos % NANOS_PER_SEC,
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)
                .expect("setting a timer that is open to a valid time cannot fail");
        }

        /// Completes when the alarm has rung since the last call. An error means that the runtime is going away.
        pub(in crate::timer) async fn ring(&self) -> io::Result<()> {
            // The count of expirations is not read: setting the timer again clears it, and the runtime polls by edge,
            // so an old count is not announced twice.
            self.timer.readable().await?.clear_ready();
            Ok(())
        }
    }
}

/// The alarm elsewhere: tokio's timer, which is late by up to a millisecond or two.
#[cfg(any(test, not(target_os = "linux")))]
mod coarse {
    use std::cell::Cell;
    use std::io;
    use std::time::Instant;

    use tokio::sync::Notify;

    pub(in crate::timer) struct Alarm {
        at: Cell<Option<Instant>>,
        moved: Notify,
    }

    impl Alarm {
        #[allow(clippy::unnecessary_wraps, reason = "the shape of the precise alarm")]
        pub(in crate::timer) fn new() -> io::Result<Self> {
            Ok(Self { at: Cell::new(None), moved: Notify::new() })
        }

        pub(in crate::timer) fn set(&self, at: Instant) {
            self.at.set(Some(at));
            self.moved.notify_one();
        }

        pub(in crate::timer) async fn ring(&self) -> io::Result<()> {
            loop {
                match self.at.get() {
                    None => self.moved.notified().await,
                    Some(at) => tokio::select! {
                        () = self.moved.notified() => {}
                        () = tokio::time::sleep_until(at.into()) => {
                            self.at.set(None);
                            return Ok(());
                        }
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::coarse;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_coarse_alarm_rings_at_the_deadline_it_was_moved_to() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let alarm = coarse::Alarm::new().unwrap();
            let start = Instant::now();
            alarm.set(start + 3600 * 1000 * MS);
            let at = start + 2 * MS;
            let mover = async {
                tokio::task::yield_now().await;
                alarm.set(at);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                rung = alarm.ring() => rung.unwrap(),
                () = mover => {}
            }
            assert!(Instant::now() >= at);
        });
    }
}
