//! [`Arrivals`]: the kernel's receive time stamps in the run's time, and how far behind them the client read.

use crate::socket::Received;
use hdrhistogram::Histogram;
use inferometer_abi::types::NO_COUNT;
use inferometer_model::Clock;
use std::{
    cell::{Cell, RefCell},
    time::{SystemTime, UNIX_EPOCH},
};

/// The system's clock is compared with the run's once in so many nanoseconds: it may be slewed by 500 µs in a second, which
/// is 0.5 µs in this time.
const COMPARE_NS: u64 = 1_000_000;
/// A read that is later than this is asked whether packets overtook each other, which makes their stamps too early: so
/// much a stamp may be wrong unasked, in nanoseconds. It is far below a retransmission, and reads are seldom as late.
const UNASKED_NS: u64 = 200_000;
/// Longest lag that is told apart, in nanoseconds: a minute.
const LONGEST_LAG: u64 = 60_000_000_000;

/// When something came, and how long it waited to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the system had it, in nanoseconds since the run began; when it was read, where the system does not say.
    pub at_ns: u64,
    /// From then to the read, in nanoseconds; [`NO_COUNT`] where the system does not say.
    pub lag_ns: u32,
}

impl Arrival {
    /// What was read at `at_ns`, of which nothing more is known.
    pub(crate) fn read_at(at_ns: u64) -> Self {
        Self { at_ns, lag_ns: NO_COUNT }
    }
}

/// How far behind the kernel the client read, over all reads.
#[derive(Clone, Debug)]
pub struct Lags {
    /// Reads that brought anything.
    pub reads: u64,
    /// From the kernel's stamp to the read, in nanoseconds, of the reads that had one: two significant digits.
    pub histogram: Histogram<u64>,
}

impl Default for Lags {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_LAG, 2).expect("the bounds are valid");
        Self { reads: 0, histogram }
    }
}

impl Lags {
    /// Adds what another client saw.
    pub fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }
}

/// Turns the stamps of one client's reads into the run's time.
pub(crate) struct Arrivals {
    clock: Clock,
    /// What to take from the system's time to get the run's, and when they were compared.
    offset_ns: Cell<u64>,
    compared_ns: Cell<u64>,
    lags: RefCell<Lags>,
}

impl Arrivals {
    pub(crate) fn new(clock: Clock) -> Self {
        let arrivals = Self { clock, offset_ns: Cell::new(0), compared_ns: Cell::new(0), lags: RefCell::default() };
        arrivals.compare(clock.now());
        arrivals
    }

    /// When something came that was read just now, and not before `earliest_ns`; `came_in_order` says whether the packets
    /// did.
    pub(crate) fn of(&self, received: Received, earliest_ns: u64, came_in_order: impl FnOnce() -> bool) -> Arrival {
        let now_ns = self.clock.now();
        let mut lags = self.lags.borrow_mut();
        lags.reads += 1;
        let Some(kernel_ns) = received.kernel_ns else { return Arrival::read_at(now_ns) };
        if now_ns - self.compared_ns.get() > COMPARE_NS {
            self.compare(now_ns);
        }
        // A system's clock that was set meanwhile gives times that cannot be; they are moved to the nearest that can.
        let at_ns = kernel_ns.saturating_sub(self.offset_ns.get()).clamp(earliest_ns.min(now_ns), now_ns);
        let lag_ns = now_ns - at_ns;
        if lag_ns > UNASKED_NS && !came_in_order() {
            return Arrival::read_at(now_ns);
        }
        lags.histogram.saturating_record(lag_ns);
        Arrival { at_ns, lag_ns: u32::try_from(lag_ns).unwrap_or(NO_COUNT - 1) }
    }

    /// What was seen since this was last asked.
    pub(crate) fn take_lags(&self) -> Lags {
        self.lags.take()
    }

    fn compare(&self, now_ns: u64) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.offset_ns.set((since.as_nanos() as u64).saturating_sub(self.clock.now()));
        self.compared_ns.set(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(kernel_ns: Option<u64>) -> Received {
        Received { count: 1, kernel_ns }
    }

    #[test]
    fn a_stamp_of_the_kernel_is_the_arrival_and_what_came_after_it_is_lag() {
        let arrivals = Arrivals::new(Clock::start());
        let kernel_ns = arrivals.offset_ns.get() + 5;
        let arrival = arrivals.of(received(Some(kernel_ns)), 0, || true);
        // The offset may have been compared anew, within a microsecond or two.
        assert!(arrival.at_ns.abs_diff(5) < 50_000, "{arrival:?}");
        assert_eq!(arrivals.take_lags().histogram.len(), 1);
    }

    #[test]
    fn a_packet_that_overtook_another_came_when_it_could_be_read() {
        let arrivals = Arrivals::new(Clock::start());
        let long_ago = arrivals.offset_ns.get() - 1_000_000_000;
        while arrivals.clock.now() < 2 * UNASKED_NS {
            std::hint::spin_loop();
        }
        let early = arrivals.of(received(Some(long_ago)), 0, || true);
        assert_eq!(early.at_ns, 0);
        let late = arrivals.of(received(Some(long_ago)), 0, || false);
        assert!(late.at_ns > 0 && late.lag_ns == NO_COUNT, "{late:?}");
        assert_eq!(arrivals.take_lags().histogram.len(), 1, "it is no lag of the client");
    }

    #[test]
    fn without_a_stamp_the_read_is_the_arrival() {
        let arrivals = Arrivals::new(Clock::start());
        let arrival = arrivals.of(received(None), 0, || true);
        assert_eq!(arrival.lag_ns, NO_COUNT);
        let lags = arrivals.take_lags();
        assert_eq!((lags.reads, lags.histogram.len()), (1, 0));
    }

    #[test]
    fn a_clock_that_was_set_gives_no_time_before_the_request_or_after_the_read() {
        let arrivals = Arrivals::new(Clock::start());
        let day_ns = 86_400_000_000_000;
        let earliest = arrivals.clock.now();
        let early = arrivals.of(received(Some(arrivals.offset_ns.get() - day_ns)), earliest, || true);
        assert_eq!(early.at_ns, earliest);
        let late = arrivals.of(received(Some(arrivals.offset_ns.get() + day_ns)), earliest, || true);
        assert_eq!(late.lag_ns, 0);
    }
}
