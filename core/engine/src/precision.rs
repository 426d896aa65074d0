//! [`Precision`]: how far what was measured may be from what the server did, from what the run itself has seen. What that
//! means for the run is the verdict's.
//!
//! A time to first token begins when the request has leave to be sent and ends at the stamp of the first content. Between
//! the two lies time of the client's own:
//! - *The send delay*, from leave to the first byte in the kernel's hands, less the time that connecting took. A new
//!   connection may have stood before the client saw it, by as much as it is late to see anything: the 99th percentile of
//!   the receive lag.
//! - *What the stamp of the first content is late.* The kernel stamps what it receives, so that a late read makes no stamp
//!   late; but of a read that takes up several packets it gives the stamp of the last. With no further content in that
//!   read, the stamp is exact. Otherwise either the server sent all of it at once, or the client was away while it came.
//!   The read that ends an absence lags by anything up to the time between two packets, however long the absence was, and
//!   others lag far less. So where this read, or one of a hundred, lagged by over a quarter of the usual time between the
//!   contents of this answer, they are taken to have come one by one, as the later ones did, in no longer an absence than
//!   is likely; and else to be late by no more than reads are. In no case did the first come before the head of the answer,
//!   or before the request was sent.
//! - The system's clock is compared with the run's ever anew, to better than [`CLOCK_NS`].
//!
//! How long absences were has to be told apart, since a mere wake-up lags by a quarter of a short time between contents,
//! and a server or a gateway may well send a group of contents, or all, at once. There is no limit where a worker was on a
//! processor or waited for one for half of the time ([`LOADED`]), nor if the answer went on after a read that was later
//! than wake-ups are ([`WAKE_UP_NS`]). Otherwise it is [`LAGS`] times the longest lag, which also tells of a client that
//! was stopped, as no accounting does: as many absences as cover the first content of an answer cover the last of one, and
//! that read lags by anything up to the whole of the absence. Of an answer that came in one go it is the lag that one read
//! of a thousand exceeds: such answers take few reads, and one hiccup shall not speak of all.
//!
//! An inter-token latency is off by what the stamp of the first content is late, over the time from when it may have come
//! to the last; and by an error of the clock at either end. The stamp of the last is otherwise exact: what ends a stream
//! follows it at once. A whole answer ends with the stamp of its last packet, so its latency is off by the send delay alone.
//!
//! One thing is left out: a request that the socket's buffer does not hold at once is sent in parts, and a client that is
//! away between two of them keeps the server waiting. Of such long requests the time from `sent` to `written` tells.
//!
//! The bound of a run is the 99th percentile over its requests. There is none where the kernel gives no stamps, since
//! nobody knows how late reads were.

use crate::worker::Found;
use hdrhistogram::Histogram;
use inferometer_abi::{
    documents,
    types::{ABSENT_NS, NO_COUNT},
};
use inferometer_model::Row;
use inferometer_net::Lags;

/// Largest error of the comparison between the system's clock and the run's, in nanoseconds.
const CLOCK_NS: u64 = 10_000;
/// Longest error that is told apart, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// A lag beyond the time between two contents over this tells that the client had been away.
const AWAY: u64 = 4;
/// Share of the time, on a processor or waiting for one, from which on long absences are likely whatever the lags are.
const LOADED: f64 = 0.5;
/// What a system takes to wake up a thread, in nanoseconds, at most as a rule.
const WAKE_UP_NS: u64 = 1_000_000;
/// Where long absences are not likely, they last no longer than so many of the longest lags.
const LAGS: u64 = 2;
/// Contents came at once if an absence as long as likely is no more than the time that they would have needed over this.
const AT_ONCE: u64 = 10;
/// Percentiles are known if they are of more than this share of the requests.
const KNOWN: f64 = 0.99;
/// Parts of a whole in which relative errors are counted.
const PARTS: u64 = 1_000_000;

/// What the workers' threads say of themselves.
pub(crate) struct ClientFacts {
    /// Share of the time that the busiest was on a processor.
    busy: f64,
    /// Share of the time that the one which waited most was ready to run and had no processor; absent where the system does
    /// not say.
    waited: Option<f64>,
    /// How far behind the kernel they read.
    lags: Lags,
}

impl ClientFacts {
    /// What `workers` found together.
    pub(crate) fn of(workers: &[Found]) -> Self {
        let mut lags = Lags::default();
        workers.iter().for_each(|worker| lags.merge(&worker.lags));
        Self {
            busy: workers.iter().map(|worker| worker.busy).fold(0.0, f64::max),
            waited: workers.iter().filter_map(|worker| worker.waited).max_by(f64::total_cmp),
            lags,
        }
    }

    /// Whether long absences are likely by the time that the threads were not free to read. What is not known may be.
    fn is_loaded(&self) -> bool {
        self.busy + self.waited.unwrap_or(1.0) > LOADED
    }

    /// A percentile of the receive lag in nanoseconds, if any read had a stamp.
    fn lag_ns(&self, share: f64) -> Option<u64> {
        quantile(&self.lags.histogram, share)
    }
}

/// What the measured requests have shown so far. Its size does not depend on their number.
pub(crate) struct Precision {
    lag_p99_ns: u64,
    lag_p999_ns: u64,
    lag_max_ns: u64,
    is_loaded: bool,
    send_ns: Histogram<u64>,
    ttft_ns: Errors,
    itl_ns: Errors,
    /// In [`PARTS`] of what it would be with the error.
    itl_parts: Errors,
    latency_ns: Errors,
}

impl Precision {
    /// For requests of a client of which `facts` are known.
    pub(crate) fn new(facts: &ClientFacts) -> Self {
        Self {
            lag_p99_ns: facts.lag_ns(0.99).unwrap_or(0),
            lag_p999_ns: facts.lag_ns(0.999).unwrap_or(0),
            lag_max_ns: facts.lag_ns(1.0).unwrap_or(0),
            is_loaded: facts.is_loaded(),
            send_ns: histogram(),
            ttft_ns: Errors::new(),
            itl_ns: Errors::new(),
            itl_parts: Errors::new(),
            latency_ns: Errors::new(),
        }
    }

    /// Adds a request; `gaps_ns` lie between its content events.
    pub(crate) fn push(&mut self, row: &Row, gaps_ns: &[u64]) {
        if !row.is_ok() || row.sent == ABSENT_NS {
            return;
        }
        // What was sent a second time had gone out first on a connection that stood.
        let made_ns = row.dns_ns.saturating_add(row.connect_ns).saturating_add(row.tls_ns);
        let connecting_ns = if row.resent { 0 } else { made_ns };
        let delay_ns = row.sent.saturating_sub(row.permitted).saturating_sub(connecting_ns);
        self.send_ns.saturating_record(delay_ns);
        let begun_ns = delay_ns + self.lag_p99_ns.min(made_ns) + CLOCK_NS;
        self.latency_ns.push((row.last_lag != NO_COUNT).then_some(begun_ns));
        if row.first == ABSENT_NS {
            return;
        }
        let first = (row.first_lag != NO_COUNT).then(|| self.first(row, gaps_ns));
        self.ttft_ns.push(first.map(|first| begun_ns + first.late_ns));
        let Ok(gaps @ 1..) = u64::try_from(gaps_ns.len()) else { return };
        let span_ns = row.last.saturating_sub(row.first);
        self.itl_ns.push(first.map(|first| (first.late_ns + 2 * CLOCK_NS) / gaps));
        self.itl_parts.push(first.map(|first| match span_ns {
            // All of it came in one read, and at once as far as anybody can tell.
            0 if !first.was_away => 0,
            _ => PARTS.saturating_mul(first.late_ns + 2 * CLOCK_NS) / (span_ns + first.late_ns + 2 * CLOCK_NS),
        }));
    }

    /// What is known of the first content of a streamed answer that the kernel stamped.
    fn first(&self, row: &Row, gaps_ns: &[u64]) -> First {
        let together = gaps_ns.iter().take_while(|gap| **gap == 0).count() as u64;
        if together == 0 {
            return First { late_ns: 0, was_away: false };
        }
        let earliest_ns = if row.headers < row.first { row.headers } else { row.sent };
        let longest_ns = row.first.saturating_sub(earliest_ns);
        let later = gaps_ns.len() as u64 - together;
        let spacing_ns = match later {
            0 => longest_ns / (together + 1),
            later => row.last.saturating_sub(row.first) / later,
        };
        let one_by_one_ns = (together * spacing_ns).min(longest_ns);
        let lag_ns = self.lag_p99_ns.max(u64::from(row.first_lag));
        let longest_lag_ns = if later == 0 { self.lag_p999_ns } else { self.lag_max_ns };
        let own_lag_ns = u64::from(row.first_lag);
        let absence_ns = match self.is_loaded || later > 0 && own_lag_ns > WAKE_UP_NS {
            true => u64::MAX,
            false => LAGS * longest_lag_ns.max(own_lag_ns),
        };
        let is_in_doubt = lag_ns > spacing_ns / AWAY;
        let late_ns = if is_in_doubt { one_by_one_ns.min(absence_ns).max(lag_ns) } else { lag_ns };
        let was_away = is_in_doubt && absence_ns > one_by_one_ns / AT_ONCE;
        First { late_ns: late_ns.min(longest_ns), was_away }
    }

    /// What is known of the requests, and of the client that made them.
    pub(crate) fn finish(&self, facts: &ClientFacts) -> documents::Precision {
        let ms = |ns: u64| ns as f64 / 1e6;
        let lag_ms = |share| facts.lag_ns(share).map(ms);
        let Lags { reads, histogram } = &facts.lags;
        documents::Precision {
            ttft_error_ms: self.ttft_ns.p99().map(ms),
            itl_error_ms: self.itl_ns.p99().map(ms),
            itl_error_pct: self.itl_parts.p99().map(|parts| parts.min(PARTS) as f64 * 100.0 / PARTS as f64),
            latency_error_ms: self.latency_ns.p99().map(ms),
            send_delay_p50_ms: quantile(&self.send_ns, 0.5).map(ms),
            send_delay_p99_ms: quantile(&self.send_ns, 0.99).map(ms),
            receive_lag_p50_ms: lag_ms(0.5),
            receive_lag_p99_ms: lag_ms(0.99),
            receive_lag_max_ms: lag_ms(1.0),
            kernel_stamped_share: (*reads > 0).then(|| histogram.len() as f64 / *reads as f64),
            client_busy: Some(facts.busy),
            client_waited: facts.waited,
        }
    }
}

/// What is known of the stamp of an answer's first content.
#[derive(Clone, Copy)]
struct First {
    /// How late it may be, in nanoseconds.
    late_ns: u64,
    /// The client was away when the content came.
    was_away: bool,
}

/// Bounds of the error of one figure, over requests.
struct Errors {
    known: Histogram<u64>,
    unknown: u64,
}

impl Errors {
    fn new() -> Self {
        Self { known: histogram(), unknown: 0 }
    }

    fn push(&mut self, error: Option<u64>) {
        match error {
            Some(error) => self.known.saturating_record(error),
            None => self.unknown += 1,
        }
    }

    /// The 99th percentile, if enough of them are known.
    fn p99(&self) -> Option<u64> {
        let all = self.known.len() + self.unknown;
        quantile(&self.known, 0.99).filter(|_| self.known.len() as f64 >= KNOWN * all as f64)
    }
}

/// Two significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_NS, 2).expect("the bounds are valid")
}

/// The value that a `share` of all does not exceed, rounded up to two digits.
fn quantile(histogram: &Histogram<u64>, share: f64) -> Option<u64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::Outcome;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    /// A client whose reads had these lags, and as many reads without a stamp as `unstamped`.
    fn client(lags_ns: &[u64], unstamped: u64) -> ClientFacts {
        let mut lags = Lags { reads: lags_ns.len() as u64 + unstamped, ..Lags::default() };
        lags_ns.iter().for_each(|lag| lags.histogram.saturating_record(*lag));
        ClientFacts { busy: 0.25, waited: Some(0.125), lags }
    }

    /// An answer of 21 events over 100 ms, 50 ms after its request, which had leave for 0.2 ms before it was sent.
    fn row() -> Row {
        Row {
            outcome: Outcome::OK,
            reused: true,
            permitted: 10 * MS,
            connected: 10 * MS,
            sent: 10 * MS + 200_000,
            headers: 60 * MS,
            first: 60 * MS,
            last: 160 * MS,
            first_lag: 30_000,
            last_lag: 30_000,
            events: 21,
            ..Row::EMPTY
        }
    }

    fn measured(facts: &ClientFacts, row: &Row, gaps_ns: &[u64]) -> documents::Precision {
        let mut precision = Precision::new(facts);
        precision.push(row, gaps_ns);
        precision.finish(facts)
    }

    /// The first `together` of 20 gaps are none, and the others five milliseconds each.
    fn gaps(together: usize) -> Vec<u64> {
        (0..20).map(|n| if n < together { 0 } else { 5 * MS }).collect()
    }

    #[track_caller]
    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.expect("it is known");
        assert!((found - expected).abs() <= 0.01 * expected, "{found} is not {expected}");
    }

    #[test]
    fn a_first_content_that_came_alone_is_exact_however_late_it_was_read() {
        let found = measured(&client(&[80 * MS; 9], 0), &Row { first_lag: 80_000_000, ..row() }, &gaps(0));
        assert_near(found.ttft_error_ms, 0.21);
        assert_near(found.itl_error_ms, 0.001);
        assert_near(found.itl_error_pct, 0.02);
        assert_near(found.latency_error_ms, 0.21);
        assert_near(found.send_delay_p99_ms, 0.2);
        assert_near(found.receive_lag_p99_ms, 80.0);
        assert_eq!((found.kernel_stamped_share, found.client_busy), (Some(1.0), Some(0.25)));
    }

    #[test]
    fn contents_that_a_server_sent_at_once_are_late_by_no_more_than_reads_are() {
        let found = measured(&client(&[50_000; 9], 0), &row(), &gaps(3));
        assert_near(found.ttft_error_ms, 0.26);
        assert_near(found.itl_error_pct, 0.07);
    }

    #[test]
    fn contents_that_came_while_the_client_was_away_came_one_by_one() {
        // Three gaps of 100 ms / 17, told by a read that was two milliseconds late.
        let late = Row { first_lag: 2_000_000, ..row() };
        let found = measured(&client(&[50_000; 9], 0), &late, &gaps(3));
        assert_near(found.ttft_error_ms, 0.21 + 3.0 * 100.0 / 17.0);
        assert_near(found.itl_error_pct, 100.0 * 3.0 / 20.0);
    }

    #[test]
    fn no_content_came_before_the_head_of_its_answer() {
        let late = Row { first_lag: 2_000_000, headers: 58 * MS, ..row() };
        assert_near(measured(&client(&[50_000; 9], 0), &late, &gaps(3)).ttft_error_ms, 2.21);
        let at_once = Row { last: 60 * MS, first_lag: 20_000_000, ..row() };
        let found = measured(&client(&[50_000; 9], 0), &at_once, &[0; 20]);
        assert_near(found.ttft_error_ms, 0.21 + 2.0 * 20.0);
        assert_near(found.itl_error_pct, 100.0);
    }

    #[test]
    fn a_stream_that_came_at_once_to_a_client_that_kept_up_has_no_time_between_tokens() {
        let at_once = Row { last: 60 * MS, ..row() };
        assert_eq!(measured(&client(&[50_000; 9], 0), &at_once, &[0; 20]).itl_error_pct, Some(0.0));
    }

    /// An answer of 501 events in one read, 200 ms after its request and 0.2 ms before it was read.
    fn buffered() -> Row {
        Row { first: 210 * MS, last: 210 * MS, headers: 210 * MS, first_lag: 200_000, events: 501, ..row() }
    }

    #[test]
    fn a_wake_up_that_is_slow_for_a_guessed_spacing_is_no_absence() {
        let facts = client(&[100_000, 240_000], 0);
        let found = measured(&facts, &buffered(), &[0; 500]);
        assert_near(found.ttft_error_ms, 0.21 + 2.0 * 0.24);
        assert_eq!(found.itl_error_pct, Some(0.0));
        // A quarter of 0.3 ms is less than the lag, too, where others follow the first 400.
        let gaps: Vec<u64> = (0..500).map(|n| if n < 400 { 0 } else { 300_000 }).collect();
        let found = measured(&facts, &Row { last: 240 * MS, ..buffered() }, &gaps);
        assert_near(found.ttft_error_ms, 0.21 + 2.0 * 0.24);
    }

    #[test]
    fn a_client_that_was_loaded_or_does_not_know_may_have_been_away() {
        for (busy, waited, bound_ms) in [(0.3, Some(0.1), 0.69), (0.3, Some(0.3), 199.6), (0.1, None, 199.6)] {
            let facts = ClientFacts { busy, waited, ..client(&[240_000; 9], 0) };
            assert_near(measured(&facts, &buffered(), &[0; 500]).ttft_error_ms, bound_ms);
        }
    }

    #[test]
    fn a_stopped_client_is_told_by_lags_and_one_hiccup_speaks_of_no_answer_in_one_go() {
        let stopped = |stops: usize| client(&[&vec![100_000; 2_000][..], &vec![30 * MS; stops]].concat(), 0);
        let in_one_go =
            |stops, first_lag| measured(&stopped(stops), &Row { first_lag, ..buffered() }, &[0; 500]).ttft_error_ms;
        assert_near(in_one_go(1, 200_000), 0.21 + 2.0 * 0.2);
        assert_near(in_one_go(3, 200_000), 0.21 + 2.0 * 30.0);
        assert_near(in_one_go(1, 20_000_000), 0.21 + 2.0 * 20.0);
        // Answers that go on after an absence do not tell how long it was.
        let before = |together: usize| {
            let gaps: Vec<u64> = (0..together + 100).map(|n| if n < together { 0 } else { 300_000 }).collect();
            measured(&stopped(1), &Row { last: 240 * MS, ..buffered() }, &gaps).ttft_error_ms
        };
        assert_near(before(100), 0.21 + 100.0 * 0.3);
        assert_near(before(400), 0.21 + 2.0 * 30.0);
    }

    #[test]
    fn a_new_connection_may_have_been_seen_as_late_as_reads_are() {
        let new = Row { reused: false, connect_ns: 3 * MS, sent: 13 * MS + 100_000, ..row() };
        assert_near(measured(&client(&[2 * MS; 9], 0), &new, &gaps(0)).ttft_error_ms, 2.11);
        assert_near(measured(&client(&[9 * MS; 9], 0), &new, &gaps(0)).ttft_error_ms, 3.11);
    }

    #[test]
    fn a_whole_answer_has_a_latency_and_no_token_times() {
        let whole = Row { first: ABSENT_NS, first_lag: NO_COUNT, ..row() };
        let found = measured(&client(&[50_000; 9], 0), &whole, &[]);
        assert_near(found.latency_error_ms, 0.21);
        assert_eq!((found.ttft_error_ms, found.itl_error_ms, found.itl_error_pct), (None, None, None));
    }

    #[test]
    fn without_stamps_of_the_kernel_no_bound_is_known() {
        let unstamped = Row { first_lag: NO_COUNT, last_lag: NO_COUNT, ..row() };
        let found = measured(&client(&[], 9), &unstamped, &gaps(0));
        let bounds = [found.ttft_error_ms, found.itl_error_ms, found.itl_error_pct, found.latency_error_ms];
        assert_eq!((bounds, found.receive_lag_p99_ms), ([None; 4], None));
        assert_eq!((found.kernel_stamped_share, found.client_waited), (Some(0.0), Some(0.125)));
        assert_near(found.send_delay_p50_ms, 0.2);
    }

    #[test]
    fn a_bound_stands_if_no_more_than_one_of_a_hundred_requests_has_none() {
        let facts = client(&[50_000; 9], 0);
        for (unstamped, is_known) in [(1, true), (2, false)] {
            let mut precision = Precision::new(&facts);
            for n in 0..100 {
                let first_lag = if n < unstamped { NO_COUNT } else { 30_000 };
                precision.push(&Row { first_lag, ..row() }, &gaps(0));
            }
            assert_eq!(precision.finish(&facts).ttft_error_ms.is_some(), is_known, "{unstamped}");
        }
    }

    #[test]
    fn what_failed_or_was_never_sent_has_no_say() {
        let facts = client(&[50_000; 9], 0);
        for row in [Row { outcome: Outcome::ERROR, ..row() }, Row { sent: ABSENT_NS, ..row() }] {
            assert_eq!(measured(&facts, &row, &gaps(0)).send_delay_p99_ms, None);
        }
    }

    #[test]
    fn the_busiest_and_the_longest_waiting_worker_speak_for_all() {
        let worker = |busy, waited, lag| {
            let lags = client(&[lag], 1).lags;
            Found { busy, waited, lags, ..Found::default() }
        };
        let facts =
            ClientFacts::of(&[worker(0.5, None, MS), worker(0.25, Some(0.5), 9 * MS), worker(0.1, Some(0.2), 1)]);
        assert_eq!((facts.busy, facts.waited, facts.lags.reads), (0.5, Some(0.5), 6));
        assert_near(facts.lag_ns(1.0).map(|ns| ns as f64 / 1e6), 9.0);
    }

    proptest! {
        #[test]
        fn no_bound_shrinks_when_a_lag_grows(
            requests in prop::collection::vec(
                (0..400_000_000_u32, 0..60 * MS, 0_usize..=20, 0..3 * MS, any::<bool>(), prop::bool::weighted(0.2)),
                1..60,
            ),
            lags in prop::collection::vec(0..300 * MS, 1..60),
            grown in (0..60_usize, 0..400_000_000_u32),
            all_by in 0..50 * MS,
        ) {
            let bounds = |lags: &[u64], first_lag: &dyn Fn(usize, u32) -> u32| {
                let facts = client(lags, 0);
                let mut precision = Precision::new(&facts);
                for (n, (lag, delay, together, head, reused, at_once)) in requests.iter().enumerate() {
                    let row = Row {
                        first_lag: first_lag(n, *lag),
                        sent: row().permitted + delay / 2,
                        connect_ns: if *reused { 0 } else { MS },
                        headers: row().first - head,
                        reused: *reused,
                        last: if *at_once { row().first } else { row().last },
                        ..row()
                    };
                    precision.push(&row, &gaps(if *at_once { 20 } else { *together }));
                }
                let found = precision.finish(&facts);
                [found.ttft_error_ms, found.itl_error_ms, found.itl_error_pct, found.latency_error_ms].map(Option::unwrap)
            };
            let before = bounds(&lags, &|_, lag| lag);
            let (which, by) = (grown.0 % requests.len(), grown.1);
            let of_one = bounds(&lags, &|n, lag| if n == which { lag + by } else { lag });
            let late: Vec<u64> = lags.iter().map(|lag| lag + all_by).collect();
            let of_all = bounds(&late, &|_, lag| lag);
            for after in [of_one, of_all] {
                prop_assert!(before.iter().zip(after).all(|(before, after)| *before <= after), "{before:?} {after:?}");
            }
        }
    }
}
