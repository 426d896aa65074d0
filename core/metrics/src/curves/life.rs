//! [`Life`]: what one request does to the curves, and when.

use crate::{Options, Window, context::Context};
use inferometer_model::Row;

/// Bits after the point of rates and token counts.
const POINT: u32 = 24;

/// A change, at a moment.
#[derive(Clone, Copy, Default)]
pub(super) struct Edge {
    /// Nanoseconds since the run began.
    pub(super) at: u64,
    pub(super) prefill_rate: i64,
    pub(super) decode_rate: i64,
    pub(super) tokens: i64,
    pub(super) in_flight: i8,
    pub(super) prefilling: i8,
    pub(super) decoding: i8,
}

/// What is known of at least one request: a curve exists only where its parts were measured.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) requests: bool,
    pub(super) phases: bool,
    pub(super) input: bool,
    pub(super) output: bool,
    pub(super) decode: bool,
}

impl Known {
    pub(super) fn merge(&mut self, other: Self) {
        self.requests |= other.requests;
        self.phases |= other.phases;
        self.input |= other.input;
        self.output |= other.output;
        self.decode |= other.decode;
    }
}

/// The areas below the curves that add up over requests. All are exact; they wrap like the states.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    in_flight: u128,
    prefilling: u128,
    decoding: u128,
    prefilled: u64,
    decoded: u64,
    held: u128,
}

impl Sums {
    pub(super) fn merge(&mut self, other: Self) {
        self.in_flight = self.in_flight.wrapping_add(other.in_flight);
        self.prefilling = self.prefilling.wrapping_add(other.prefilling);
        self.decoding = self.decoding.wrapping_add(other.decoding);
        self.prefilled = self.prefilled.wrapping_add(other.prefilled);
        self.decoded = self.decoded.wrapping_add(other.decoded);
        self.held = self.held.wrapping_add(other.held);
    }

    /// Nanoseconds of requests in flight.
    pub(super) fn in_flight(&self) -> f64 {
        self.in_flight as f64
    }

    /// Nanoseconds of requests in prefill.
    pub(super) fn prefilling(&self) -> f64 {
        self.prefilling as f64
    }

    /// Nanoseconds of requests in decode.
    pub(super) fn decoding(&self) -> f64 {
        self.decoding as f64
    }

    /// Tokens a second times nanoseconds of all prefill.
    pub(super) fn prefilled(&self) -> f64 {
        self.prefilled as f64 * 1e9
    }

    /// Tokens a second times nanoseconds of all decode.
    pub(super) fn decoded(&self) -> f64 {
        self.decoded as f64 * 1e9
    }

    /// Tokens in flight times nanoseconds.
    pub(super) fn held(&self) -> f64 {
        self.held as f64 / f64::from(1_u32 << POINT)
    }
}

/// A number that was kept as a multiple of 2⁻²⁴.
pub(super) fn plain(fixed: i64) -> f64 {
    fixed as f64 / f64::from(1_u32 << POINT)
}

fn fixed(tokens: u32) -> i64 {
    i64::from(tokens) << POINT
}

/// Tokens per second, of `tokens` in `parts` equal parts of which one took `ns`; 0 if that was no time.
fn rate(tokens: u32, parts: usize, ns: u64) -> i64 {
    if ns == 0 {
        return 0;
    }
    // The nearest number is near enough: what is added is taken away again, to the bit.
    (f64::from(tokens) * (f64::from(1_u32 << POINT) * 1e9) / (parts as f64 * ns as f64)) as i64
}

/// The stretch of time in which a request takes part, and its tokens.
pub(super) struct Life {
    start: u64,
    end: u64,
    phases: Option<Phases>,
}

/// A request that is known to have been in prefill and decode.
struct Phases {
    first: u64,
    input: Option<u32>,
    output: Option<u32>,
    after_first: Option<u32>,
}

impl Life {
    /// That of a success; none if it has no length.
    pub(super) fn of(options: &Options, row: &Row) -> Option<Self> {
        let context = Context::service(options, row);
        let latency = context.latency()?;
        let (start, end) = (row.permitted, row.permitted.saturating_add(latency));
        let timed = options.streaming && options.produces_tokens;
        let phases = context.first().filter(|_| timed).map(|wait| Phases {
            first: start + wait.min(latency),
            input: context.input_tokens().filter(|_| options.tokenizes_input),
            output: context.output_tokens(),
            after_first: context.tokens_after_first(),
        });
        Some(Self { start, end, phases })
    }

    /// When it takes part.
    pub(super) fn span(&self) -> Window {
        Window { start_ns: self.start, end_ns: self.end }
    }

    /// What is known of it.
    pub(super) fn known(&self) -> Known {
        let phases = self.phases.as_ref();
        Known {
            requests: true,
            phases: phases.is_some(),
            input: phases.is_some_and(|phases| phases.input.is_some()),
            output: phases.is_some_and(|phases| phases.output.is_some()),
            decode: phases.is_some_and(|phases| phases.after_first.is_some()),
        }
    }

    /// Emits its changes: at its start, its first content, each further content, and its end. Moments whose quotients by
    /// 2^`shift` are equal need not be told apart, and contents that are not are one. Says what it adds to the areas.
    pub(super) fn edges(&self, gaps: &[u64], shift: u32, emit: &mut impl FnMut(Edge)) -> Sums {
        let (start, end) = (self.start, self.end);
        let in_flight = u128::from(end - start);
        let Some(Phases { first, input, output, after_first }) = self.phases else {
            emit(Edge { at: start, in_flight: 1, ..Edge::default() });
            emit(Edge { at: end, in_flight: -1, ..Edge::default() });
            return Sums { in_flight, ..Sums::default() };
        };
        let (prompt, later) = (input.unwrap_or(0), after_first.unwrap_or(0));
        let prefill_rate = rate(prompt, 1, first - start);
        let (input, at_first) = (fixed(prompt), fixed(output.unwrap_or(0).saturating_sub(later)));
        emit(Edge { at: start, in_flight: 1, prefilling: 1, prefill_rate, tokens: input, ..Edge::default() });
        let arrived = Edge { at: first, prefilling: -1, decoding: 1, tokens: at_first, ..Edge::default() };
        emit(Edge { prefill_rate: -prefill_rate, ..arrived });
        let decode = Decode { first, end, tokens: later };
        let (decoded, held) = decode.edges(gaps, shift, emit);
        emit(Edge { at: end, in_flight: -1, decoding: -1, tokens: -(input + at_first + decoded), ..Edge::default() });
        let area = |tokens: i64, ns: u64| (tokens as u128).wrapping_mul(u128::from(ns));
        Sums {
            in_flight,
            prefilling: u128::from(first - start),
            decoding: u128::from(end - first),
            prefilled: if first > start { u64::from(prompt) } else { 0 },
            decoded: if end > first { u64::from(later) } else { 0 },
            held: area(input, end - start).wrapping_add(area(at_first, end - first)).wrapping_add(held),
        }
    }
}

/// From the first content to the last, and the tokens that came after the first event.
struct Decode {
    first: u64,
    end: u64,
    tokens: u32,
}

impl Decode {
    /// Emits the tokens, at a rate and as they arrive, and says how many of them have to be taken away at the end, and
    /// for how many nanoseconds they were held in all.
    fn edges(&self, gaps: &[u64], shift: u32, emit: &mut impl FnMut(Edge)) -> (i64, u128) {
        let &Self { first, end, tokens } = self;
        if tokens == 0 || first == end {
            return (0, 0);
        }
        let (mut sum, mut parts) = (Some(0_u64), 0);
        for &gap in gaps {
            sum = sum.and_then(|sum| sum.checked_add(gap));
            parts += usize::from(gap > 0);
        }
        if sum != Some(end - first) {
            // Half of them is what a steady stream holds on average.
            let (decode_rate, half) = (rate(tokens, 1, end - first), fixed(tokens) / 2);
            emit(Edge { at: first, decode_rate, tokens: half, ..Edge::default() });
            emit(Edge { at: end, decode_rate: -decode_rate, ..Edge::default() });
            return (half, (half as u128).wrapping_mul(u128::from(end - first)));
        }
        let share = fixed(tokens) / parts as i64;
        let (mut at, mut before, mut arrived, mut left) = (first, 0, 0, 0_u128);
        for &gap in gaps.iter().filter(|&&gap| gap > 0) {
            let next = at + gap;
            left += u128::from(end - next);
            if at >> shift == next >> shift {
                arrived += share;
            } else {
                let now = rate(tokens, parts, gap);
                emit(Edge { at, decode_rate: now - before, tokens: arrived, ..Edge::default() });
                (before, arrived) = (now, share);
            }
            at = next;
        }
        emit(Edge { at, decode_rate: -before, tokens: arrived, ..Edge::default() });
        (share * parts as i64, (share as u128).wrapping_mul(left))
    }
}
