//! The verdict: may these numbers be believed, and why not. How far they may be off is [`crate::precision`]'s.

use inferometer_abi::documents::{LoadReport, PhaseReport, Precision, Report, Verdict};
use inferometer_metrics::telemetry::client_level;
use inferometer_model::plan::PhasePlan;

/// From where on a figure speaks against a run.
#[derive(Clone, Copy)]
struct Limit {
    /// The numbers are degraded.
    degraded: f64,
    /// They are not to be believed.
    invalid: f64,
    /// What is no more than this is of no account, whatever share it is, in milliseconds.
    least_ms: f64,
}

/// Error of the time to first token, as a share of its median. Servers and settings are compared by a few percent; past
/// half of it, one cannot tell a server from one that is twice as fast. Networks alone vary by a tenth of a millisecond.
const TTFT: Limit = Limit { degraded: 0.05, invalid: 0.5, least_ms: 0.1 };
/// Error of the inter-token latency, as a share of it. It is a mean over an answer, so that it should be better known. No
/// model makes tokens so fast that half of a tenth of a millisecond matters.
const ITL: Limit = Limit { degraded: 0.02, invalid: 0.25, least_ms: 0.05 };
/// Error of the latency of whole answers, as a share of its median: as of the time to first token.
const LATENCY: Limit = TTFT;
/// Receive lag, as a share of the median latency: a closed loop is slower by it, and its rates are lower. Stamps are
/// without it, so that by itself it spoils no latency. A millisecond is what a system takes to wake up a thread.
const LAG: Limit = Limit { degraded: 0.1, invalid: f64::INFINITY, least_ms: 1.0 };
/// Share of the time that a worker had to wait for a processor. Where reads were late by no more than a wake-up takes and no
/// latency is in doubt, the waiting did no harm. A lag of over half the median latency with it makes the load another one
/// than was asked.
const WAIT: Limit = Limit { degraded: 0.2, invalid: 0.6, least_ms: 0.0 };
const WAIT_LAG: f64 = 0.5;
/// The same where nothing tells how late reads were: stamps are then as late as they.
const BLIND_WAIT: Limit = Limit { degraded: 0.2, invalid: 0.5, least_ms: 0.0 };
/// Share of the arrivals that were never sent though nothing but the client kept them: any is a fault, and with more than
/// half of them the load was not the one that was asked.
const UNSENT: Limit = Limit { degraded: 0.0, invalid: 0.5, least_ms: 0.0 };
/// Where fewer requests than this share needed a new connection, these are of the run's beginning and a warm-up spares them.
const FEW_NEW: f64 = 0.05;
/// A send lag beyond this, at the 99th percentile, makes an open-loop run doubtful.
const LATE_MS: f64 = 10.0;
/// The same of bursts, as a share of the median latency: thousands of requests cannot be sent in one instant, and what that
/// takes matters as far as answers are no longer than it.
const BURST: Limit = Limit { degraded: 0.1, invalid: f64::INFINITY, least_ms: LATE_MS };
/// A load below this share of what was asked is another one.
const ACHIEVED: f64 = 0.95;
/// More requests than this share waited for their prompts, and the load is what the making of prompts allowed.
const UNMADE: f64 = 0.01;
/// A worker busier than this may have been the bottleneck itself.
const BUSY: f64 = 0.9;
/// More failures than this share, and what is left may not be typical.
const ERRORS: f64 = 0.01;
/// A wait for the last answers longer than this share of the window weighs on the rates.
const TAIL: f64 = 0.25;
/// Steal beyond this share, in percent: the client's machine is a guest that does not get what it believes to have.
const STEAL_PCT: f64 = 5.0;
/// A telemetry collector's figure for [`WAIT`], in percent, where the system does not tell it of single threads.
const THREAD_WAIT: &str = "process_thread_wait";

/// What a doubt does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Degrades,
    Invalidates,
}
use Weight::{Degrades, Invalidates};

impl Limit {
    /// What `share` does to a run, if anything; `ms` is what it is a share for.
    fn judge(self, share: f64, ms: f64) -> Option<Weight> {
        match share {
            _ if ms <= self.least_ms => None,
            share if share > self.invalid => Some(Invalidates),
            share if share > self.degraded => Some(Degrades),
            _ => None,
        }
    }

    /// The same of a share of anything but a time.
    fn judge_share(self, share: f64) -> Option<Weight> {
        self.judge(share, f64::INFINITY)
    }
}

/// A reason, and what it does to the run.
type Doubt = (Weight, String);

/// Judges a report; `terms` say what was asked of each of its phases. `is_unchecked`: nobody knows who the server was, since
/// its certificate was not to be checked.
pub(crate) fn verdict(report: &Report, terms: &[Terms], is_unchecked: bool) -> Verdict {
    let measured: Vec<_> = report.phases.iter().enumerate().filter(|(_, phase)| phase.kind == "profiling").collect();
    let (main, earlier) = measured.split_last().map_or((None, &[][..]), |(main, earlier)| (Some(*main), earlier));
    let mut doubts = match main.filter(|(_, phase)| phase.outcomes.ok > 0) {
        None => vec![(Invalidates, "no request succeeded".to_owned())],
        Some((index, phase)) => {
            let precision = phase.precision.unwrap_or_default();
            let errors = of_errors(phase, &precision);
            let client = of_client(report, phase, &precision, !errors.is_empty());
            [of_load(phase, terms[index]), errors, client].concat()
        }
    };
    for &(index, phase) in earlier {
        let of_phase = match phase.outcomes.ok {
            0 => vec![(Degrades, "no request succeeded".to_owned())],
            _ => of_load(phase, terms[index]),
        };
        // The result is the last phase's: it may be believed though another one's may not.
        doubts.extend(of_phase.into_iter().map(|(_, reason)| (Degrades, format!("phase '{}': {reason}", phase.name))));
    }
    doubts.extend(report.incomplete_reason.clone().map(|reason| (Degrades, reason)));
    if is_unchecked {
        let reason = "the server's certificate was not checked (--insecure): another server may have answered; --ca-certificate \
                      names who may vouch for it";
        doubts.push((Degrades, reason.to_owned()));
    }
    let state = match doubts.iter().map(|(weight, _)| *weight).max() {
        None => "valid",
        Some(Degrades) => "degraded",
        Some(Invalidates) => "invalid",
    };
    // What decides comes first.
    doubts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    Verdict { state: state.to_owned(), reasons: doubts.into_iter().map(|(_, reason)| reason).collect() }
}

/// What was asked of a phase that explains what became of its arrivals: which slots they may have had to wait for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Those of `--concurrency`.
    requests: bool,
    /// Those of `--prefill-concurrency`.
    prefill: bool,
    /// Requests are broken off because the user wants it.
    cancels: bool,
}

impl Terms {
    /// Those of a phase of `plan`.
    pub(crate) fn of(plan: &PhasePlan) -> Self {
        let (requests, prefill) = (plan.concurrency.is_some(), plan.prefill_concurrency.is_some());
        Self { requests, prefill, cancels: plan.cancellation.is_some() }
    }

    /// The flags that set their number, if there are any.
    fn flags(self) -> Option<&'static str> {
        match (self.requests, self.prefill) {
            (true, true) => Some("--concurrency, --prefill-concurrency"),
            (true, false) => Some("--concurrency"),
            (false, true) => Some("--prefill-concurrency"),
            (false, false) => None,
        }
    }
}

/// Whether the load was the one that was asked, and all of it measured.
fn of_load(phase: &PhaseReport, terms: Terms) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let (outcomes, load) = (&phase.outcomes, &phase.load);
    let unmade = load.waited_for_data.filter(|waited| *waited as f64 > UNMADE * outcomes.total as f64);
    doubts.extend(late(phase, terms, unmade.is_some()));
    if let Some(unmade) = unmade {
        doubts.push((
            Degrades,
            format!(
                "{unmade} of {} waited for their prompts to be made: have fewer or shorter ones made \
                 (--num-dataset-entries, --isl), or ask for a lower rate",
                counted(outcomes.total, "request")
            ),
        ));
    }
    if let Some(weight) = UNSENT.judge_share(outcomes.dropped as f64 / outcomes.total as f64) {
        let weight = if terms.flags().is_some() { Degrades } else { weight };
        let dropped = match weight {
            Invalidates => format!("{} of {} were", outcomes.dropped, counted(outcomes.total, "arrival")),
            Degrades => were(outcomes.dropped, "arrival"),
        };
        let why = terms.flags().map(|flags| format!(": no slot was free in time ({flags})"));
        doubts.push((weight, format!("{dropped} never sent{}", why.unwrap_or_default())));
    }
    if outcomes.error as f64 > ERRORS * outcomes.total as f64 {
        let (failed, total) = (outcomes.error, counted(outcomes.total, "request"));
        doubts.push((Degrades, format!("{failed} of {total} failed; latencies are of the others alone")));
    }
    if outcomes.cancelled > 0 && !terms.cancels {
        let cancelled = were(outcomes.cancelled, "request");
        doubts.push((Degrades, format!("{cancelled} cancelled; latencies are of the others alone")));
    }
    let (window, tail) = (phase.end_ns.saturating_sub(phase.start_ns) as f64, load.tail_s.unwrap_or(0.0) * 1e9);
    if load.sends_by_time && tail > TAIL * window {
        let seconds = tail / 1e9;
        doubts.push((
            Degrades,
            format!("the last answers came {seconds:.1} s after the sending had ended, and rates include that time"),
        ));
    }
    doubts
}

/// Whether requests had times of their own, which do not wait for answers.
fn is_scheduled(load: &LoadReport) -> bool {
    load.asked_rate.is_some() || matches!(load.strategy.as_str(), "burst" | "fixed_schedule")
}

/// Whether requests were sent late, and what kept them: slots, unless prompts did (`unmade`) or the client itself.
fn late(phase: &PhaseReport, terms: Terms, unmade: bool) -> Option<Doubt> {
    let load = &phase.load;
    let lag = load.lag_p99_ms.filter(|lag| is_scheduled(load) && *lag > LATE_MS)?;
    if load.strategy == "burst" {
        // A burst that waits for slots is to be sent as they get free, unless another burst comes meanwhile.
        let is_judged = match terms.flags() {
            Some(_) => load.asked_rate.is_some(),
            None => median_ms(phase, "request_latency").is_none_or(|median| BURST.judge(lag / median, lag).is_some()),
        };
        if !is_judged {
            return None;
        }
    }
    // Bursts have no even rate.
    let rates = load.asked_rate.zip(load.achieved_rate).filter(|_| load.strategy != "burst");
    let rates = rates.filter(|(asked, achieved)| *achieved < ACHIEVED * asked);
    let rates = rates.map(|(asked, achieved)| format!(", {achieved:.1} a second where {asked:.1} were asked"));
    let precision = phase.precision.unwrap_or_default();
    // The delay from leave to send is of the client alone, as is what a busy one does not come round to.
    let is_client = precision.send_delay_p99_ms.is_some_and(|delay| delay > lag / 2.0)
        || precision.client_busy.is_some_and(|busy| busy > BUSY);
    let why = terms.flags().filter(|_| !is_client && !unmade);
    let why = why
        .map(|flags| format!(": they waited for slots ({flags}), as the server did not answer as fast as they came"));
    let (rates, why) = (rates.unwrap_or_default(), why.unwrap_or_default());
    Some((Degrades, format!("requests were sent up to {} behind schedule (p99){rates}{why}", time(lag))))
}

/// `1 request`, `2 requests`.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// `1 request was`, `2 requests were`.
fn were(count: u64, thing: &str) -> String {
    format!("{} {}", counted(count, thing), if count == 1 { "was" } else { "were" })
}

/// How far the latencies may be off.
fn of_errors(phase: &PhaseReport, precision: &Precision) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let of_median = |limit: Limit, tag, error_ms: Option<f64>, name| {
        let (error, median) = (error_ms?, median_ms(phase, tag)?);
        let weight = limit.judge(error / median, error)?;
        let share = error / median * 100.0;
        let hint = if is_of_new_connections(phase, precision, error) {
            ": a warm-up (--warmup-request-count) keeps new connections out"
        } else {
            ""
        };
        Some((weight, format!("{name} may be off by {} (p99), {share:.0} % of its median{hint}", time(error))))
    };
    doubts.extend(of_median(TTFT, "time_to_first_token", precision.ttft_error_ms, "TTFT"));
    if let Some((percent, error)) = precision.itl_error_pct.zip(precision.itl_error_ms)
        && let Some(weight) = ITL.judge(percent / 100.0, error)
    {
        doubts.push((weight, format!("ITL may be off by {} (p99), {percent:.0} % of it", time(error))));
    }
    if precision.ttft_error_ms.is_none() {
        doubts.extend(of_median(LATENCY, "request_latency", precision.latency_error_ms, "latency"));
    }
    doubts
}

/// Whether most of an error is of the connections with which the run began: of when they stood, which no later request has
/// to know.
fn is_of_new_connections(phase: &PhaseReport, precision: &Precision, error_ms: f64) -> bool {
    let reused = phase.metrics.get("http_req_connection_reused").and_then(|metric| metric.stats.avg);
    // Apart from the send delay, new connections are all that the error of a whole answer is made of.
    let of_connections = precision.latency_error_ms.zip(precision.send_delay_p99_ms).map(|(all, delay)| all - delay);
    of_connections.is_some_and(|ms| ms > error_ms / 2.0) && reused.is_some_and(|share| share > 1.0 - FEW_NEW)
}

/// Whether the client kept up. `is_off`: how far latencies may be off is a doubt already.
fn of_client(report: &Report, phase: &PhaseReport, precision: &Precision, is_off: bool) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let busy = precision.client_busy.filter(|busy| *busy > BUSY).map(|busy| busy * 100.0);
    let median = median_ms(phase, "request_latency");
    let lag = precision.receive_lag_p99_ms;
    let lag_share = lag.zip(median).map_or(0.0, |(lag, median)| lag / median);
    let lags = lag.and_then(|lag| Some((LAG.judge(lag_share, lag)?, time(lag))));
    match (&lags, busy) {
        (Some((weight, lag)), None) => doubts.push((
            *weight,
            format!(
                "answers waited {lag} (p99) in this machine until the client read them: it did not keep up, and what it \
                 sends next comes as much later"
            ),
        )),
        (Some((weight, lag)), Some(busy)) => doubts.push((
            *weight,
            format!(
                "answers waited {lag} (p99) in this machine until the client read them: it was the bottleneck, busy \
                 {busy:.0} % of the time; give it --workers or a machine of its own"
            ),
        )),
        (None, Some(busy)) => doubts.push((
            Degrades,
            format!("the client itself was busy {busy:.0} % of the time; give it --workers or a machine of its own"),
        )),
        (None, None) => {}
    }
    let level = |tag| client_level(&report.sources, &phase.telemetry, tag).and_then(|stats| stats.avg);
    let waited = precision.client_waited.or_else(|| level(THREAD_WAIT).map(|percent| percent / 100.0));
    let judge_wait = |waited: f64| match lag {
        None => BLIND_WAIT.judge_share(waited),
        Some(lag) if lag <= LAG.least_ms && !is_off => None,
        Some(_) => WAIT.judge_share(waited).map(|weight| if lag_share > WAIT_LAG { weight } else { Degrades }),
    };
    if let Some(waited) = waited
        && let Some(weight) = judge_wait(waited)
    {
        let share = waited * 100.0;
        doubts.push((
            weight,
            format!(
                "give the client processors that nothing else uses: a thread of it was ready to run and had to wait for a \
                 processor {share:.0} % of the time"
            ),
        ));
    }
    if let Some(steal) = level("host_cpu_steal").filter(|steal| *steal > STEAL_PCT) {
        doubts.push((
            Degrades,
            format!(
                "the client's machine was kept from its processors by the one it is a guest of {steal:.0} % of the time"
            ),
        ));
    }
    doubts
}

/// The median of a latency in milliseconds, if it was measured and is one to take a share of.
fn median_ms(phase: &PhaseReport, tag: &str) -> Option<f64> {
    phase.metrics.get(tag)?.stats.p50.filter(|median| *median > 0.0)
}

/// A time in milliseconds, for people.
fn time(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 1e3 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests;
