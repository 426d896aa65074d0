//! Curves over time: how many requests were in flight, how many tokens a second they made, how many tokens they held.
//! Built by sweeping over the moments at which something changed.
//!
//! Time is in whole nanoseconds since the window began, rates and tokens are whole multiples of 2⁻²⁴, so what a request
//! adds it takes away exactly: an idle server is at zero, not near it, and the order of the requests does not matter.
//!
//! A request is in *prefill* from its start to its first content, then in *decode* until its last. In prefill it works on
//! its input at a constant rate (queueing is part of that time, so the rate is a lower bound of the server's). The tokens
//! after its first event are spread evenly over the gaps between content events, so a stall shows as one; where the gaps
//! are not known one by one, they are spread over the whole of decode. Only successes take part.
//!
//! `effective_*` curves are over the whole window, zero while idle; `active_*` over the time in which at least one request
//! was in the phase they are about.

use crate::{
    Options, Window,
    context::Context,
    gaps::{Gaps, Place},
    stats::Held,
};
use inferometer_abi::documents::{MetricInfo, MetricResult, Stats};
use inferometer_model::Row;

/// Bits after the point of rates and token counts.
const POINT: u32 = 24;

/// Adds up to what the requests in flight are doing.
#[derive(Clone, Copy, Default)]
struct State {
    in_flight: i64,
    prefilling: i64,
    decoding: i64,
    prefill_rate: i128,
    decode_rate: i128,
    tokens: i128,
}

/// A change, at a moment.
#[derive(Clone, Copy, Default)]
struct Edge {
    at: u64,
    prefill_rate: i64,
    decode_rate: i64,
    tokens: i64,
    in_flight: i8,
    prefilling: i8,
    decoding: i8,
}

/// What is known of at least one request: a curve exists only where its parts were measured.
#[derive(Clone, Copy, Default)]
struct Known {
    requests: bool,
    phases: bool,
    input: bool,
    output: bool,
    decode: bool,
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
    },
    Curve {
        effective: ("effective_prefill_concurrency", "Effective Prefill Concurrency"),
        active: None,
        unit: "requests",
        larger_is_better: false,
        measured: |known| known.phases,
        busy: |state| state.prefilling,
        value: |state| state.prefilling as f64,
    },
    Curve {
        effective: ("effective_decode_concurrency", "Effective Decode Concurrency"),
        active: None,
        unit: "requests",
        larger_is_better: false,
        measured: |known| known.phases,
        busy: |state| state.decoding,
        value: |state| state.decoding as f64,
    },
    Curve {
        effective: ("effective_prefill_throughput", "Effective Prefill Throughput"),
        active: Some(("active_prefill_throughput", "Active Prefill Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.input,
        busy: |state| state.prefilling,
        value: |state| plain(state.prefill_rate),
    },
    Curve {
        effective: ("effective_decode_throughput", "Effective Decode Throughput"),
        active: Some(("active_decode_throughput", "Active Decode Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.decode,
        busy: |state| state.decoding,
        value: |state| plain(state.decode_rate),
    },
    Curve {
        effective: ("effective_total_throughput", "Effective Total Throughput"),
        active: Some(("active_total_throughput", "Active Total Throughput")),
        unit: "tokens/sec",
        larger_is_better: true,
        measured: |known| known.input && known.decode,
        busy: |state| state.in_flight,
        value: |state| plain(state.prefill_rate + state.decode_rate),
    },
    Curve {
        effective: ("effective_prefill_throughput_per_user", "Effective Prefill Throughput Per User"),
        active: Some(("active_prefill_throughput_per_user", "Active Prefill Throughput Per User")),
        unit: "tokens/sec/user",
        larger_is_better: true,
        measured: |known| known.input,
        busy: |state| state.prefilling,
        value: |state| plain(state.prefill_rate) / state.prefilling as f64,
    },
    Curve {
        effective: ("effective_decode_throughput_per_user", "Effective Decode Throughput Per User"),
        active: Some(("active_decode_throughput_per_user", "Active Decode Throughput Per User")),
        unit: "tokens/sec/user",
        larger_is_better: true,
        measured: |known| known.decode,
        busy: |state| state.decoding,
        value: |state| plain(state.decode_rate) / state.decoding as f64,
    },
    Curve {
        effective: ("tokens_in_flight", "Tokens In Flight"),
        active: None,
        unit: "tokens",
        larger_is_better: false,
        measured: |known| known.input && known.output,
        busy: |state| state.in_flight,
        value: |state| plain(state.tokens),
    },
];

fn plain(fixed: i128) -> f64 {
    fixed as f64 / f64::from(1_u32 << POINT)
}

fn fixed(tokens: u32) -> i64 {
    i64::from(tokens) << POINT
}

/// Tokens per second, of `tokens` in `parts` equal parts of which one took `ns`; 0 if that was no time.
fn rate(tokens: u32, parts: u64, ns: u64) -> i64 {
    let whole = (u128::from(tokens) << POINT) * 1_000_000_000;
    let rate = whole.checked_div(u128::from(parts) * u128::from(ns)).unwrap_or(0);
    i64::try_from(rate).unwrap_or(i64::MAX)
}

/// The sweep-line metrics of a phase.
pub(crate) fn metrics<'a>(
    options: &Options,
    window: Window,
    gaps: &Gaps,
    successes: impl Iterator<Item = (&'a Row, Place)>,
) -> Vec<MetricResult> {
    let mut edges = Edges { all: Vec::new(), known: Known::default(), origin: window.start_ns };
    for (row, place) in successes {
        edges.add(options, row, gaps.at(place));
    }
    edges.all.sort_unstable_by_key(|edge| edge.at);
    let (mut metrics, mut busy) = (Vec::new(), Held::default());
    for curve in CURVES.iter().filter(|curve| (curve.measured)(&edges.known)) {
        let idle_ns = follow(&edges.all, window.duration_ns(), curve, &mut busy);
        let mut add = |(tag, header): (&str, &str), stats: Option<Stats>| {
            let unit = curve.unit.to_owned();
            let larger_is_better = curve.larger_is_better;
            let info = MetricInfo { tag: tag.to_owned(), header: header.to_owned(), unit, larger_is_better };
            metrics.extend(stats.map(|stats| MetricResult { info, stats }));
        };
        add(curve.effective, busy.stats(idle_ns));
        if let Some(active) = curve.active {
            add(active, busy.stats(0));
        }
    }
    metrics
}

/// Puts the values of a curve while it is busy into `busy`, in order, and says for how many nanoseconds of the window it
/// is not.
fn follow(edges: &[Edge], duration_ns: u64, curve: &Curve, busy: &mut Held) -> u64 {
    busy.clear();
    let (mut state, mut since, mut idle_ns) = (State::default(), 0, 0);
    let mut hold = |state: &State, ns: u64| {
        if ns > 0 && (curve.busy)(state) > 0 {
            busy.push((curve.value)(state), ns);
        } else {
            idle_ns += ns;
        }
    };
    for edge in edges {
        hold(&state, edge.at - since);
        since = edge.at;
        state.apply(edge);
    }
    hold(&state, duration_ns.saturating_sub(since));
    busy.sort();
    idle_ns
}

impl State {
    fn apply(&mut self, edge: &Edge) {
        self.in_flight += i64::from(edge.in_flight);
        self.prefilling += i64::from(edge.prefilling);
        self.decoding += i64::from(edge.decoding);
        self.prefill_rate += i128::from(edge.prefill_rate);
        self.decode_rate += i128::from(edge.decode_rate);
        self.tokens += i128::from(edge.tokens);
    }
}

/// The changes that requests bring about.
struct Edges {
    all: Vec<Edge>,
    known: Known,
    origin: u64,
}

impl Edges {
    /// Adds those of one request: at its start, its first content, each further content, and its end.
    fn add(&mut self, options: &Options, row: &Row, gaps: Option<&[u64]>) {
        let context = Context::service(options, row);
        let Some(latency) = context.latency() else { return };
        let start = row.permitted.saturating_sub(self.origin);
        let end = start.saturating_add(latency);
        self.known.requests = true;
        let timed = options.streaming && options.produces_tokens;
        let Some(first) = context.first().filter(|_| timed).map(|wait| start + wait.min(latency)) else {
            self.all.push(Edge { at: start, in_flight: 1, ..Edge::default() });
            self.all.push(Edge { at: end, in_flight: -1, ..Edge::default() });
            return;
        };
        let input = context.input_tokens().filter(|_| options.tokenizes_input);
        let (output, after_first) = (context.output_tokens(), context.tokens_after_first());
        self.known.phases = true;
        self.known.input |= input.is_some();
        self.known.output |= output.is_some();
        self.known.decode |= after_first.is_some();

        let prefill_rate = rate(input.unwrap_or(0), 1, first - start);
        let after_first = after_first.unwrap_or(0);
        let input = fixed(input.unwrap_or(0));
        let at_first = fixed(output.unwrap_or(0).saturating_sub(after_first));
        let later = self.decode(first, end, after_first, gaps);
        self.all.extend([
            Edge { at: start, in_flight: 1, prefilling: 1, prefill_rate, tokens: input, ..Edge::default() },
            Edge {
                at: first,
                prefilling: -1,
                decoding: 1,
                prefill_rate: -prefill_rate,
                tokens: at_first,
                ..Edge::default()
            },
            Edge { at: end, in_flight: -1, decoding: -1, tokens: -(input + at_first + later), ..Edge::default() },
        ]);
    }

    /// Adds the tokens that came after the first event, at a rate and as they arrived, and says what has to be taken
    /// away at the end.
    fn decode(&mut self, first: u64, end: u64, tokens: u32, gaps: Option<&[u64]>) -> i64 {
        if tokens == 0 || first == end {
            return 0;
        }
        let whole = |gaps: &&[u64]| gaps.iter().try_fold(0, |sum: u64, &gap| sum.checked_add(gap)) == Some(end - first);
        let Some(gaps) = gaps.filter(whole) else {
            // Half of them is what a steady stream holds on average.
            let (decode_rate, half) = (rate(tokens, 1, end - first), fixed(tokens) / 2);
            self.all.push(Edge { at: first, decode_rate, tokens: half, ..Edge::default() });
            self.all.push(Edge { at: end, decode_rate: -decode_rate, ..Edge::default() });
            return half;
        };
        let parts = gaps.iter().filter(|&&gap| gap > 0).count();
        let share = fixed(tokens) / parts as i64;
        let (mut at, mut before, mut arrived) = (first, 0, 0);
        for &gap in gaps.iter().filter(|&&gap| gap > 0) {
            let now = rate(tokens, parts as u64, gap);
            self.all.push(Edge { at, decode_rate: now - before, tokens: arrived, ..Edge::default() });
            (at, before, arrived) = (at + gap, now, share);
        }
        self.all.push(Edge { at, decode_rate: -before, tokens: arrived, ..Edge::default() });
        share * parts as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use inferometer_abi::types::NO_COUNT;
    use std::collections::BTreeMap;

    fn swept(rows: &[(Row, Vec<u64>)], keep_gaps: bool) -> BTreeMap<String, MetricResult> {
        let mut pool = Gaps::new(if keep_gaps { 1_000 } else { 0 });
        let placed: Vec<_> = rows.iter().map(|(row, gaps)| (row, pool.push(gaps))).collect();
        let window = rows.iter().fold(None, |window, (row, _)| Window::join(window, Window::of(row))).unwrap();
        let metrics = metrics(&streaming(), window, &pool, placed.into_iter());
        metrics.into_iter().map(|metric| (metric.info.tag.clone(), metric)).collect()
    }

    fn avg(metrics: &BTreeMap<String, MetricResult>, tag: &str) -> f64 {
        metrics[tag].stats.avg.unwrap()
    }

    /// Intended and permitted at 0, first content at 10 ms, then three more at 20, 40 and 50 ms, end at 100 ms.
    /// 30 tokens in, 4 out.
    fn one() -> (Row, Vec<u64>) {
        let row = Row {
            permitted: 0,
            first: 10 * MS,
            last: 50 * MS,
            last_byte: 100 * MS,
            end: 100 * MS,
            events: 4,
            usage_prompt: 30,
            usage_completion: 4,
            intended: 0,
            ..answered()
        };
        (row, vec![10 * MS, 20 * MS, 10 * MS])
    }

    #[test]
    fn one_request_makes_the_curves_drawn_by_hand() {
        let m = swept(&[one()], true);
        // Busy for 50 of 100 ms, 10 of them in prefill at 30 tokens per 10 ms.
        assert_eq!(avg(&m, "effective_concurrency"), 0.5);
        assert_eq!(avg(&m, "effective_prefill_concurrency"), 0.1);
        assert_eq!(avg(&m, "effective_decode_concurrency"), 0.4);
        assert_eq!(avg(&m, "effective_prefill_throughput"), 300.0);
        assert_eq!(avg(&m, "active_prefill_throughput"), 3000.0);
        // Three tokens over gaps of 10, 20 and 10 ms: 100, 50 and 100 tokens a second.
        let active = m["active_decode_throughput"].stats;
        assert_eq!((active.min, active.avg, active.max), (Some(50.0), Some(75.0), Some(100.0)));
        assert_eq!((active.p50, active.p90), (Some(50.0), Some(100.0)));
        assert_eq!(avg(&m, "effective_decode_throughput"), 30.0);
        assert_eq!(avg(&m, "effective_total_throughput"), 330.0);
        // 30 tokens until 10 ms, then 31 until 20, 32 until 40, 33 until 50.
        assert_eq!(avg(&m, "tokens_in_flight"), (30.0 + 31.0 + 2.0 * 32.0 + 33.0) / 10.0);
    }

    #[test]
    fn throughput_per_user_is_divided_among_those_in_the_phase() {
        let m = swept(&[one(), one()], true);
        assert_eq!(avg(&m, "active_decode_throughput"), 150.0);
        assert_eq!(avg(&m, "active_decode_throughput_per_user"), 75.0);
        assert_eq!(m["effective_concurrency"].stats.max, Some(2.0));
    }

    #[test]
    fn without_single_gaps_tokens_are_spread_over_decode() {
        let (with, without) = (swept(&[one()], true), swept(&[one()], false));
        assert_eq!(without["active_decode_throughput"].stats.max, Some(75.0));
        assert_eq!(avg(&with, "effective_decode_throughput"), avg(&without, "effective_decode_throughput"));
    }

    #[test]
    fn what_was_not_measured_has_no_curve() {
        let silent = Row { usage_prompt: NO_COUNT, usage_completion: NO_COUNT, ..one().0 };
        let m = swept(&[(silent, one().1)], true);
        let tags: Vec<_> = m.keys().map(String::as_str).collect();
        assert_eq!(tags, ["effective_concurrency", "effective_decode_concurrency", "effective_prefill_concurrency"]);
    }

    proptest::proptest! {
        #[test]
        fn the_integral_of_concurrency_is_the_sum_of_latencies(rows in rows(1..40)) {
            let m = swept(&rows, true);
            let window = rows.iter().fold(None, |window, (row, _)| Window::join(window, Window::of(row))).unwrap();
            let sum = |f: &dyn Fn(&Row) -> u64| rows.iter().map(|(row, _)| f(row)).sum::<u64>() as f64;
            let area = |tag: &str| avg(&m, tag) * window.duration_ns() as f64;
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.max(1.0);
            proptest::prop_assert!(near(area("effective_concurrency"), sum(&|row| row.last - row.permitted)));
            proptest::prop_assert!(near(area("effective_prefill_concurrency"), sum(&|row| row.first - row.permitted)));
            proptest::prop_assert!(near(area("effective_decode_concurrency"), sum(&|row| row.last - row.first)));
        }

        #[test]
        fn the_integral_of_decode_throughput_is_the_tokens_after_the_first_events(rows in rows(1..40)) {
            let m = swept(&rows, true);
            let window = rows.iter().fold(None, |window, (row, _)| Window::join(window, Window::of(row))).unwrap();
            let tokens = |row: &Row| Context::service(&streaming(), row).tokens_after_first();
            let expected: u32 = rows.iter().filter_map(|(row, _)| tokens(row)).sum();
            if let Some(metric) = m.get("effective_decode_throughput") {
                let found = metric.stats.avg.unwrap() * window.seconds();
                proptest::prop_assert!((found - f64::from(expected)).abs() < 1e-4, "{} {}", found, expected);
            } else {
                proptest::prop_assert_eq!(expected, 0);
            }
        }
    }
}
