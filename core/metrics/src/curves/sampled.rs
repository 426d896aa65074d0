//! [`Sampled`]: the curves of any number of requests in bounded memory.

use super::{
    Curve, State,
    life::{Edge, Known, Life, Sums},
    metrics,
};
use crate::{Options, Window};
use inferometer_abi::documents::{MetricResult, Stats};
use inferometer_model::Row;

/// As many ticks as there are at most; the time of the successes has at least seven sixteenths of them.
const TICKS: u64 = 1 << 18;

/// The first tick is a multiple of so many, so that a success which began a little earlier finds it there.
const STRIDE: u64 = TICKS / 8;

/// The changes within one tick, added up. Wrap like the states.
#[derive(Clone, Copy, Default)]
struct Tick {
    prefill_rate: i64,
    decode_rate: i64,
    tokens: i64,
    in_flight: i32,
    prefilling: i32,
    decoding: i32,
}

/// The curves at the ends of ticks: stretches of 2^`shift` nanoseconds, as many as the time of all successes has.
///
/// The values at these moments are exact, and so are the averages of everything that adds up over requests: they come from
/// areas ([`Sums`]). Percentiles, extremes and deviations are those of the values at the ends of ticks, and so are the
/// averages per user. How long a phase was busy, by which the averages of `active_*` divide, is seen there as well, and
/// then corrected by how far the average number of requests seen in it is from the exact one.
///
/// Ticks double in length as time goes on. How long they are and where the first one is depends on nothing but the time
/// of the successes, so the curves of shards merge into those of the whole.
pub(crate) struct Sampled {
    ticks: Vec<Tick>,
    /// Number of the first, counted from the beginning of the run.
    base: u64,
    shift: u32,
    /// From the first start to the last end.
    span: Option<Window>,
    known: Known,
    sums: Sums,
}

impl Sampled {
    /// Those of successes and the gaps between their content events.
    pub(crate) fn of<'a>(options: &Options, successes: impl Iterator<Item = (&'a Row, &'a [u64])> + Clone) -> Self {
        let (known, sums) = (Known::default(), Sums::default());
        let mut curves = Self { ticks: Vec::new(), base: 0, shift: 0, span: None, known, sums };
        // The length of a tick is then right from the beginning.
        let spans = successes.clone().filter_map(|(row, _)| Some(Life::of(options, row)?.span()));
        if let Some(span) = spans.fold(None, |all, span| Window::join(all, Some(span))) {
            curves.cover(span);
        }
        successes.for_each(|(row, gaps)| curves.add(options, row, gaps));
        curves
    }

    /// Adds a success and the gaps between its content events.
    pub(crate) fn add(&mut self, options: &Options, row: &Row, gaps: &[u64]) {
        let Some(life) = Life::of(options, row) else { return };
        self.cover(life.span());
        self.known.merge(life.known());
        let (shift, base, ticks) = (self.shift, self.base, &mut self.ticks);
        let sums = life.edges(gaps, shift, &mut |edge| {
            let index = ((edge.at >> shift) - base) as usize;
            if index >= ticks.len() {
                ticks.resize(index + 1, Tick::default());
            }
            ticks[index].add(&edge.into());
        });
        self.sums.merge(sums);
    }

    /// Adds the curves of other requests of the same run.
    pub(crate) fn merge(&mut self, mut other: Self) {
        let Some(span) = other.span else { return };
        self.cover(span);
        // The time of both is now known here, and there.
        other.cover(self.span.unwrap_or(span));
        if self.ticks.len() < other.ticks.len() {
            std::mem::swap(&mut self.ticks, &mut other.ticks);
        }
        self.ticks.iter_mut().zip(&other.ticks).for_each(|(tick, more)| tick.add(more));
        self.known.merge(other.known);
        self.sums.merge(other.sums);
    }

    /// Their metrics in a window, which holds all of them.
    pub(crate) fn metrics(mut self, window: Window) -> Vec<MetricResult> {
        // From changes to what they add up to.
        let mut state = Tick::default();
        for tick in &mut self.ticks {
            state.add(tick);
            *tick = state;
        }
        let refine = |curve: &Curve, effective: &mut Option<Stats>, active: &mut Option<Stats>| {
            let Some((requests, area)) = (curve.sums)(&self.sums) else { return };
            let average = |stats: &mut Option<Stats>, ns: f64| {
                if let Some(stats) = stats.as_mut().filter(|_| ns > 0.0) {
                    let avg = area / ns;
                    // What lies between the moments that were seen may be less or more than all that was.
                    let (min, max) = (stats.min.map(|min| min.min(avg)), stats.max.map(|max| max.max(avg)));
                    *stats = Stats { avg: Some(avg), min, max, ..*stats };
                }
            };
            average(effective, window.duration_ns() as f64);
            if curve.active.is_some() {
                average(active, self.busy_ns(window, curve, requests));
            }
        };
        metrics(&self.known, || self.states(window), refine)
    }

    /// For how many nanoseconds of the window at least one request was in the phase that a curve is about, of whose
    /// requests the sum of these times is `exact`.
    ///
    /// The estimator is that of regression on a known mean: what was seen, and as much more as the number of requests that
    /// was seen is too small, times the slope of the one over the other. Where there is never more than one request it
    /// is exact, and where there is always one.
    fn busy_ns(&self, window: Window, curve: &Curve, exact: f64) -> f64 {
        let (mut total, mut busy, mut seen, mut squares) = (0.0, 0.0, 0.0, 0.0);
        self.states(window).for_each(|(state, ns)| {
            let (requests, ns) = ((curve.busy)(&state) as f64, ns as f64);
            total += ns;
            busy += if requests > 0.0 { ns } else { 0.0 };
            seen += requests * ns;
            squares += requests * requests * ns;
        });
        let variance = squares - seen * seen / total;
        let slope = if variance > 0.0 { (seen - busy * seen / total) / variance } else { 0.0 };
        (busy + slope * (exact - seen)).clamp(0.0, total.min(exact))
    }

    /// The state at the end of each tick, as that of the part of the window that the tick is; once the ticks hold states.
    fn states(&self, window: Window) -> impl Iterator<Item = (State, u64)> {
        let (shift, Window { start_ns, end_ns }) = (self.shift, window);
        let before = (self.base << shift).saturating_sub(start_ns);
        let ticks = self.ticks.iter().zip(self.base..).map(move |(tick, number)| {
            let from = number << shift;
            let to = from.saturating_add(1 << shift).min(end_ns);
            (State::from(tick), to.saturating_sub(from.max(start_ns)))
        });
        // All are idle after the last change, which is in the last tick.
        let after = end_ns.saturating_sub(self.base.saturating_add(self.ticks.len() as u64).saturating_mul(1 << shift));
        std::iter::once((State::default(), before)).chain(ticks).chain([(State::default(), after)])
    }

    /// Makes room for a stretch of time.
    fn cover(&mut self, more: Window) {
        let span = Window::join(self.span, Some(more));
        if span == self.span {
            return;
        }
        let Some(Window { start_ns, end_ns }) = span else { return };
        let first = |shift: u32| (start_ns >> shift) / STRIDE * STRIDE;
        let fits = |shift: &u32| (end_ns >> shift) - first(*shift) < TICKS;
        let shift = (self.shift..64).find(fits).expect("a tick may be as long as all of time");
        if self.span.is_none() {
            self.base = first(shift);
        } else {
            (self.shift..shift).for_each(|_| self.double());
            let earlier = self.base - first(shift);
            self.ticks.splice(0..0, std::iter::repeat_n(Tick::default(), earlier as usize));
            self.base = first(shift);
        }
        (self.shift, self.span) = (shift, span);
    }

    /// Makes every tick twice as long.
    fn double(&mut self) {
        // The first is then half of a longer one, if its number is odd.
        let odd = (self.base % 2) as usize;
        let len = (self.ticks.len() + odd).div_ceil(2);
        for index in 0..len {
            let mut both = Tick::default();
            let pair = (2 * index).saturating_sub(odd)..(2 * index + 2 - odd).min(self.ticks.len());
            self.ticks[pair].iter().for_each(|tick| both.add(tick));
            self.ticks[index] = both;
        }
        self.ticks.truncate(len);
        self.base /= 2;
    }
}

impl Tick {
    fn add(&mut self, other: &Self) {
        self.prefill_rate = self.prefill_rate.wrapping_add(other.prefill_rate);
        self.decode_rate = self.decode_rate.wrapping_add(other.decode_rate);
        self.tokens = self.tokens.wrapping_add(other.tokens);
        self.in_flight = self.in_flight.wrapping_add(other.in_flight);
        self.prefilling = self.prefilling.wrapping_add(other.prefilling);
        self.decoding = self.decoding.wrapping_add(other.decoding);
    }
}

impl From<Edge> for Tick {
    fn from(edge: Edge) -> Self {
        Self {
            prefill_rate: edge.prefill_rate,
            decode_rate: edge.decode_rate,
            tokens: edge.tokens,
            in_flight: edge.in_flight.into(),
            prefilling: edge.prefilling.into(),
            decoding: edge.decoding.into(),
        }
    }
}

impl From<&Tick> for State {
    fn from(tick: &Tick) -> Self {
        Self {
            in_flight: tick.in_flight.into(),
            prefilling: tick.prefilling.into(),
            decoding: tick.decoding.into(),
            prefill_rate: tick.prefill_rate,
            decode_rate: tick.decode_rate,
            tokens: tick.tokens,
        }
    }
}
