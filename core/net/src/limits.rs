//! [`Limits`]: how long each stage of a request may take. That of the whole request is the caller's.

use crate::client::Stamps;
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::{Clock, Failure, FailureKind};
use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long each stage of a request may take; absent: as long as it likes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Making a connection, TLS included.
    pub connect: Option<Duration>,
    /// From the last byte of the request to the first of the answer.
    pub first_byte: Option<Duration>,
    /// From one byte of the answer to the next.
    pub idle: Option<Duration>,
}

impl Limits {
    /// A timer for [`poll_over`](Self::poll_over), set to the earliest time at which anything can be over. It is not
    /// registered before it is waited for, and then once: what comes meanwhile does not touch it.
    pub(crate) fn timer(&self, clock: Clock) -> Sleep {
        let shortest = [self.first_byte, self.idle].into_iter().flatten().min();
        sleep_until(instant(clock, clock.now().saturating_add(shortest.map_or(u64::MAX, nanoseconds))))
    }

    /// Waits until the answer to a request that was written, of which `stamps` tells, has kept silent for too long.
    pub(crate) fn poll_over(
        &self,
        mut timer: Pin<&mut Sleep>,
        clock: Clock,
        stamps: &Stamps,
        context: &mut Context<'_>,
    ) -> Poll<Failure> {
        if self.first_byte.is_none() && self.idle.is_none() {
            return Poll::Pending;
        }
        loop {
            ready!(timer.as_mut().poll(context));
            let now_ns = clock.now();
            let over_ns = self.over_ns(stamps);
            if now_ns >= over_ns {
                return Poll::Ready(self.failure(stamps));
            }
            // The answer may begin at any time, and fall silent then.
            let next_ns = if has_begun(stamps) { u64::MAX } else { after(now_ns, self.idle) };
            timer.as_mut().reset(instant(clock, over_ns.min(next_ns)));
        }
    }

    /// When it is over unless something comes.
    fn over_ns(&self, stamps: &Stamps) -> u64 {
        if has_begun(stamps) {
            after(stamps.last_byte.max(stamps.written), self.idle)
        } else {
            after(stamps.written, self.first_byte)
        }
    }

    fn failure(&self, stamps: &Stamps) -> Failure {
        let message = if has_begun(stamps) {
            let limit = self.idle.unwrap_or_default();
            format!("no byte came for {limit:?} in mid-answer (--idle-timeout-seconds)")
        } else {
            let limit = self.first_byte.unwrap_or_default();
            format!("no byte of the answer came within {limit:?} of the request (--first-byte-timeout-seconds)")
        };
        Failure::new(FailureKind::Timeout, message)
    }
}

fn has_begun(stamps: &Stamps) -> bool {
    stamps.first_byte != ABSENT_NS
}

fn after(since_ns: u64, limit: Option<Duration>) -> u64 {
    limit.map_or(u64::MAX, |limit| since_ns.saturating_add(nanoseconds(limit)))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn instant(clock: Clock, at_ns: u64) -> Instant {
    Instant::from_std(clock.instant(at_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { connect: None, first_byte: Some(Duration::from_secs(9)), idle: Some(Duration::from_secs(2)) };

    #[test]
    fn silence_counts_from_the_last_byte_of_the_request_and_then_from_the_last_of_the_answer() {
        let waiting = Stamps { written: 5, ..Stamps::EMPTY };
        assert_eq!(LIMITS.over_ns(&waiting), 9_000_000_005);
        assert!(LIMITS.failure(&waiting).message.contains("--first-byte-timeout-seconds"));
        let reading = Stamps { written: 5, first_byte: 7, last_byte: 8, ..Stamps::EMPTY };
        assert_eq!(LIMITS.over_ns(&reading), 2_000_000_008);
        assert!(LIMITS.failure(&reading).message.contains("--idle-timeout-seconds"));
    }

    #[test]
    fn an_answer_that_began_before_the_request_was_written_is_waited_for_from_then() {
        let early = Stamps { written: 50, first_byte: 7, last_byte: 8, ..Stamps::EMPTY };
        assert_eq!(LIMITS.over_ns(&early), 2_000_000_050);
        assert_eq!(Limits::default().over_ns(&early), u64::MAX);
    }
}
