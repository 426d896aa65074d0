//! Curves over time: how many requests were in flight, how many tokens a second they made, how many tokens they held.
//!
//! A request is in *prefill* from its start to its first content, then in *decode* until its last. In prefill it works on
//! its input at a constant rate (queueing is part of that time, so the rate is a lower bound of the server's). The tokens
//! after its first event are spread evenly over the gaps between content events, so a stall shows as one; where the gaps
//! do not add up to its decode, over the whole of that. Only successes take part.
//!
//! `effective_*` curves are over the whole window, zero while idle; `active_*` over the time in which at least one request
//! was in the phase they are about.
//!
//! Requests become changes of the curves at moments ([`life`]). Those of a small phase are followed one after another
//! ([`swept`]); those of a large one are added up between equidistant moments, at which the curves are then looked at
//! ([`sampled`]). Rates and tokens are whole multiples of 2⁻²⁴, so what a request adds it takes away exactly: an idle
//! server is at zero, not near it, and the order of the requests does not matter.

mod held;
mod life;
mod sampled;
mod swept;
#[cfg(test)]
mod tests;

pub(crate) use sampled::Sampled;
pub(crate) use swept::swept;

use held::Held;
use inferometer_abi::documents::{MetricInfo, MetricResult, Stats};
use life::{Known, Sums, plain};

/// What the requests in flight are doing.
///
/// Sums wrap: what a request adds it takes away, and at any moment they hold far more than there can be.
#[derive(Clone, Copy, Default)]
struct State {
    in_flight: i64,
    prefilling: i64,
    decoding: i64,
    prefill_rate: i64,
    decode_rate: i64,
    tokens: i64,
}

/// A curve: its two metrics and where they come from.
struct Curve {
    effective: (&'static str, &'static str),
    active: Option<(&'static str, &'static str)>,
    unit: &'static str,
    larger_is_better: bool,
    measured: fn(&Known) -> bool,
    busy: fn(&State) -> i64,
    value: fn(&State) -> f64,
    /// Over all requests: nanoseconds of being in the phase the curve is about, and of the value. Nothing where the
    /// latter does not add up over requests.
    sums: fn(&Sums) -> Option<(f64, f64)>,
}

const CURVES: &[Curve] = &[
    Curve {
        effective: ("effective_concurrency", "Effective Concurrency"),
        active: None,
        unit: "requests",
        larger_is_better: false,
        measured: |known| known.requests,
        busy: |state| state.in_flight,
        value: |state| state.in_flight as f64,
        sums: |sums| Some((sums.in_flight(), sums.in_flight())),
    },
    Curve {
        effective: ("effective_prefill_concurrency", "Effective Prefill Concurrency"),
        active: None,
        unit: "requests",
        larger_is_better: false,
        measured: |known| known.phases,
        busy: |state| state.prefilling,
        value: |state| state.prefilling as f64,
        sums: |sums| Some((sums.prefilling(), sums.prefilling())),
    },
    Curve {
        effective: ("effective_decode_concurrency", "Effective Decode Concurrency"),
        active: None,
        unit: "requests",
        larger_is_better: false,
        measured: |known| known.phases,
        busy: |state| state.decoding,
        value: |state| state.decoding as f64,
        sums: |sums| Some((sums.decoding(), sums.decoding())),
    },
    Curve {
        effective: ("effective_prefill_throughput", "Effective Prefill Throughput"),
        active: Some(("active_prefill_throughput", "Active Prefill Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.input,
        busy: |state| state.prefilling,
        value: |state| plain(state.prefill_rate),
        sums: |sums| Some((sums.prefilling(), sums.prefilled())),
    },
    Curve {
        effective: ("effective_decode_throughput", "Effective Decode Throughput"),
        active: Some(("active_decode_throughput", "Active Decode Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.decode,
        busy: |state| state.decoding,
        value: |state| plain(state.decode_rate),
        sums: |sums| Some((sums.decoding(), sums.decoded())),
    },
    Curve {
        effective: ("effective_total_throughput", "Effective Total Throughput"),
        active: Some(("active_total_throughput", "Active Total Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.input && known.decode,
        busy: |state| state.in_flight,
        value: |state| plain(state.prefill_rate.wrapping_add(state.decode_rate)),
        sums: |sums| Some((sums.in_flight(), sums.prefilled() + sums.decoded())),
    },
    Curve {
        effective: ("effective_prefill_throughput_per_user", "Effective Prefill Throughput Per User"),
        active: Some(("active_prefill_throughput_per_user", "Active Prefill Throughput Per User")),
        unit: "tokens/sec/user",
        larger_is_better: true,
        measured: |known| known.input,
        busy: |state| state.prefilling,
        value: |state| plain(state.prefill_rate) / state.prefilling as f64,
        sums: |_| None,
    },
    Curve {
        effective: ("effective_decode_throughput_per_user", "Effective Decode Throughput Per User"),
        active: Some(("active_decode_throughput_per_user", "Active Decode Throughput Per User")),
        unit: "tokens/sec/user",
        larger_is_better: true,
        measured: |known| known.decode,
        busy: |state| state.decoding,
        value: |state| plain(state.decode_rate) / state.decoding as f64,
        sums: |_| None,
    },
    Curve {
        effective: ("tokens_in_flight", "Tokens In Flight"),
        active: None,
        unit: "tokens",
        larger_is_better: false,
        measured: |known| known.input && known.output,
        busy: |state| state.in_flight,
        value: |state| plain(state.tokens),
        sums: |sums| Some((sums.in_flight(), sums.held())),
    },
];

/// The metrics of all curves that are known, each from the states of the window in order, with how long each of them was
/// held. `refine` may put what is known better into the statistics of a curve over the whole window and over its busy
/// time.
fn metrics<I: Iterator<Item = (State, u64)>>(
    known: &Known,
    states: impl Fn() -> I,
    refine: impl Fn(&Curve, &mut Option<Stats>, &mut Option<Stats>),
) -> Vec<MetricResult> {
    let (mut metrics, mut held) = (Vec::new(), Held::default());
    for curve in CURVES.iter().filter(|curve| (curve.measured)(known)) {
        held.clear();
        states().for_each(|(state, ns)| {
            if (curve.busy)(&state) > 0 {
                held.push((curve.value)(&state), ns);
            } else {
                held.idle(ns);
            }
        });
        let (mut effective, mut active) = held.stats();
        refine(curve, &mut effective, &mut active);
        let mut add = |(tag, header): (&str, &str), stats: Option<Stats>| {
            let (unit, larger_is_better) = (curve.unit.to_owned(), curve.larger_is_better);
            let info = MetricInfo { tag: tag.to_owned(), header: header.to_owned(), unit, larger_is_better };
            metrics.extend(stats.map(|stats| MetricResult { info, stats }));
        };
        add(curve.effective, effective);
        if let Some(tag) = curve.active {
            add(tag, active);
        }
    }
    metrics
}
