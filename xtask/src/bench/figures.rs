//! The figures that are taken of a trial, and the bars that they are held to.

use crate::bench::stats;
use crate::bench::trial::{Client, Trial};

/// Where a figure comes from; nothing if the trial does not tell it.
pub(super) type Source = fn(&Trial) -> Option<f64>;

/// One line of a workload's table.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) of: Source,
    pub(super) bar: Bar,
    /// Whom the program is compared with.
    pub(super) rival: Client,
}

/// What is asked of a figure of the program's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bar {
    /// Nothing: it is there to be looked at.
    Free,
    /// At most this.
    AtMost(f64),
    /// At most this far from zero.
    Within(f64),
    /// At most so many times the rival's.
    Times(f64),
    /// At least so many times the rival's.
    AtLeastTimes(f64),
    /// At most so much more than the rival's.
    Plus(f64),
}

impl Bar {
    /// Whether the figure is what is asked; nothing if nothing is.
    pub(super) fn is_kept(self, ours: f64, rival: f64) -> Option<bool> {
        match self {
            Self::Free => None,
            Self::AtMost(most) => Some(ours <= most),
            Self::Within(most) => Some(ours.abs() <= most),
            Self::Times(times) => Some(ours <= times * rival),
            Self::AtLeastTimes(times) => Some(ours >= times * rival),
            Self::Plus(more) => Some(ours <= rival + more),
        }
    }

    /// The bar in words.
    pub(super) fn text(self) -> String {
        match self {
            Self::Free => String::new(),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::Within(most) => format!("± {most}"),
            Self::Times(times) => format!("≤ {times} × bare"),
            Self::AtLeastTimes(times) => format!("≥ {times} × bare"),
            Self::Plus(more) => format!("≤ bare + {more}"),
        }
    }
}

pub(super) fn wall_s(trial: &Trial) -> Option<f64> {
    Some(trial.wall.as_secs_f64())
}

pub(super) fn wall_ms(trial: &Trial) -> Option<f64> {
    Some(trial.wall.as_secs_f64() * 1e3)
}

pub(super) fn load_s(trial: &Trial) -> Option<f64> {
    Some(trial.load_s)
}

pub(super) fn cpu_s(trial: &Trial) -> Option<f64> {
    Some(trial.cpu.as_secs_f64())
}

pub(super) fn cpu_ms(trial: &Trial) -> Option<f64> {
    Some(trial.cpu.as_secs_f64() * 1e3)
}

pub(super) fn cpu_per_request(trial: &Trial) -> Option<f64> {
    Some(trial.cpu.as_secs_f64() * 1e6 / trial.requests as f64)
}

pub(super) fn mock_cpu_per_request(trial: &Trial) -> Option<f64> {
    Some(trial.mock_cpu.as_secs_f64() * 1e6 / trial.requests as f64)
}

/// Of content chunks: those that open and close a stream are not counted, but cost as well.
pub(super) fn cpu_per_million_chunks(trial: &Trial) -> Option<f64> {
    (trial.chunks > 0).then(|| trial.cpu.as_secs_f64() * 1e6 / trial.chunks as f64)
}

pub(super) fn mock_cpu_per_million_chunks(trial: &Trial) -> Option<f64> {
    (trial.chunks > 0).then(|| trial.mock_cpu.as_secs_f64() * 1e6 / trial.chunks as f64)
}

/// How much of one core the server took while the load ran: near 100 % its one thread is what limits the rate.
pub(super) fn mock_busy(trial: &Trial) -> Option<f64> {
    Some(trial.mock_cpu.as_secs_f64() / trial.load_s * 100.0)
}

pub(super) fn requests_per_second(trial: &Trial) -> Option<f64> {
    Some(trial.requests as f64 / trial.load_s)
}

pub(super) fn tokens_per_second(trial: &Trial) -> Option<f64> {
    (trial.chunks > 0).then(|| trial.chunks as f64 / trial.load_s)
}

pub(super) fn peak_mb(trial: &Trial) -> Option<f64> {
    Some(trial.peak_bytes as f64 / 1e6)
}

pub(super) fn peak_bytes_per_request(trial: &Trial) -> Option<f64> {
    Some(trial.peak_bytes as f64 / trial.requests as f64)
}

/// From the moment the server was done with its last answer to the client's exit, in seconds.
pub(super) fn last_answer_to_exit(trial: &Trial) -> Option<f64> {
    let last = trial.joined.iter().map(|(_, truth)| truth.ended_ns).max()?;
    Some((i128::from(trial.exited_ns) - i128::from(last)) as f64 / 1e9)
}

/// How much later than the truth the client says each first token came, in milliseconds.
fn ttft_errors(trial: &Trial) -> Vec<f64> {
    trial.joined.iter().filter_map(|(seen, truth)| Some(seen.ttft_ms? - truth.ttft_ms()?)).collect()
}

pub(super) fn ttft_error_p50(trial: &Trial) -> Option<f64> {
    stats::median(&ttft_errors(trial))
}

pub(super) fn ttft_error_p99(trial: &Trial) -> Option<f64> {
    stats::quantile(&ttft_errors(trial), 0.99)
}

/// The same of the last token.
fn latency_errors(trial: &Trial) -> Vec<f64> {
    trial.joined.iter().filter_map(|(seen, truth)| Some(seen.latency_ms - truth.latency_ms()?)).collect()
}

pub(super) fn latency_error_p50(trial: &Trial) -> Option<f64> {
    stats::median(&latency_errors(trial))
}

pub(super) fn latency_error_p99(trial: &Trial) -> Option<f64> {
    stats::quantile(&latency_errors(trial), 0.99)
}

/// How far the client's quantile of ITL lies from the server's, in percent of the latter.
fn itl_off(trial: &Trial, q: f64) -> Option<f64> {
    let seen: Vec<f64> = trial.joined.iter().filter_map(|(seen, _)| seen.itl_ms).collect();
    let truths: Vec<f64> = trial.joined.iter().filter_map(|(_, truth)| truth.itl_ms()).collect();
    Some((stats::quantile(&seen, q)? / stats::quantile(&truths, q)? - 1.0) * 100.0)
}

pub(super) fn itl_p50_off(trial: &Trial) -> Option<f64> {
    itl_off(trial, 0.5)
}

pub(super) fn itl_p99_off(trial: &Trial) -> Option<f64> {
    itl_off(trial, 0.99)
}

/// The 99th percentile of how far single requests are off in their ITL, either way, in percent.
pub(super) fn itl_error_p99(trial: &Trial) -> Option<f64> {
    let errors = trial.joined.iter().filter_map(|(seen, truth)| Some((seen.itl_ms? / truth.itl_ms()? - 1.0).abs()));
    Some(stats::quantile(&errors.collect::<Vec<_>>(), 0.99)? * 100.0)
}

/// How long after its intended time each request was sent, in milliseconds.
fn lags(trial: &Trial) -> Vec<f64> {
    let lag = |intended_ns: u64, sent_ns: u64| (i128::from(sent_ns) - i128::from(intended_ns)) as f64 / 1e6;
    trial.joined.iter().filter_map(|(seen, _)| Some(lag(seen.intended_ns?, seen.sent_ns))).collect()
}

pub(super) fn lag_p50(trial: &Trial) -> Option<f64> {
    stats::median(&lags(trial))
}

pub(super) fn lag_p99(trial: &Trial) -> Option<f64> {
    stats::quantile(&lags(trial), 0.99)
}

pub(super) fn received_gaps(trial: &Trial) -> Option<f64> {
    let received: Vec<u64> = trial.joined.iter().map(|(_, truth)| truth.received_ns).collect();
    stats::gap_statistic(&received, trial.rate?)
}

pub(super) fn sent_gaps(trial: &Trial) -> Option<f64> {
    let sent: Vec<u64> = trial.joined.iter().map(|(seen, _)| seen.sent_ns).collect();
    stats::gap_statistic(&sent, trial.rate?)
}
