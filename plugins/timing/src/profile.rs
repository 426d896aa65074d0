//! How the rate of an open loop goes over time: flat, growing from nothing, or along a line through points.
//!
//! A profile is the rate r(t) and its integral Λ(t), the number of arrivals that are to have come by t. An arrival that the
//! pattern puts at the sum m of unit-mean gaps is intended for the time at which Λ gets past m (Çinlar, "Introduction to
//! Stochastic Processes", 1975: a process of unit rate run through Λ⁻¹ has the rate r). Where nothing is to be sent, Λ is
//! level and no arrival falls within.
//!
//! Not here: how the gaps are spread.

use crate::phase::{checked_rate, checked_span_ns, is_rate, rates, span_ns};
use inferometer_plugin_sdk::types::{Error, Result};

/// What the options say of a rate.
pub(crate) enum Course {
    /// The phase's rate, after growing to it from 0 for so many nanoseconds.
    Rising(u64),
    /// A line through points, whatever the phase's rate.
    Series(Profile),
}

/// The rate as a function of time.
#[derive(Clone)]
pub(crate) struct Profile {
    pieces: Vec<Piece>,
    /// When the last piece ends, and the rate from then on.
    end_ns: u64,
    rate: f64,
    /// Λ up to then, times 10⁹.
    total: Exact,
}

/// A time in which the rate follows a straight line.
///
/// Rising or falling, it is looked at from the end at which the rate is lower: there the inverse of
/// G(d) = low · d + slope · d² / 2 loses no digits. Times are nanoseconds and rates are per second, so areas are numbers of
/// arrivals times 10⁹; that way times are whole numbers, and exact.
#[derive(Clone)]
struct Piece {
    start_ns: u64,
    end_ns: u64,
    low: f64,
    /// Growth of the rate on the way from the lower end to the higher one, per nanosecond; not negative.
    slope: f64,
    is_falling: bool,
    /// Λ at its start and at its end, times 10⁹.
    before: Exact,
    after: Exact,
}

impl Course {
    /// The course that the options `ramp_s` and `series` describe.
    ///
    /// # Errors
    /// When they contradict each other or describe none.
    pub(crate) fn new(ramp_s: f64, series: Option<&[[f64; 2]]>) -> Result<Self> {
        let ramp_ns = checked_span_ns("ramp_s", ramp_s)?;
        match series {
            None => Ok(Self::Rising(ramp_ns)),
            Some(_) if ramp_ns > 0 => Err(Error::config(
                "ramp_s and series are both given, and a series says by itself how the rate rises; leave out one of them",
            )),
            Some(points) => Ok(Self::Series(Profile::through(&checked(points)?))),
        }
    }

    /// The profile for a phase with this rate.
    ///
    /// # Errors
    /// When a rate is needed and there is none that a schedule can keep.
    pub(crate) fn profile(&self, rate: f64) -> Result<Profile> {
        Ok(match self {
            Self::Rising(0) => Profile::through(&[(0, checked_rate(rate)?)]),
            Self::Rising(ramp_ns) => Profile::through(&[(0, 0.0), (*ramp_ns, checked_rate(rate)?)]),
            Self::Series(profile) => profile.clone(),
        })
    }
}

/// The points of a series, times in nanoseconds.
fn checked(points: &[[f64; 2]]) -> Result<Vec<(u64, f64)>> {
    let refused = |reason: String| Err(Error::config(format!("series: {reason}")));
    if points.len() < 2 {
        return refused(format!("{} points make no line; give two or more, each [seconds, rate]", points.len()));
    }
    let mut taken: Vec<(u64, f64)> = Vec::with_capacity(points.len());
    for (number, &[seconds, rate]) in (1..).zip(points) {
        let Some(at_ns) = span_ns(seconds) else {
            return refused(format!("point {number} is at {seconds:?} s; times are seconds from 0 to 1e9"));
        };
        if rate != 0.0 && !is_rate(rate) {
            return refused(format!("point {number} has the rate {rate:?}; a rate is 0, or {} per second", rates()));
        }
        if taken.last().is_some_and(|(last_ns, _)| at_ns <= *last_ns) {
            return refused(format!(
                "point {number}, at {seconds:?} s, is not after the one before it; sort them by time"
            ));
        }
        taken.push((at_ns, rate.abs()));
    }
    if taken.iter().all(|(_, rate)| *rate == 0.0) {
        return refused("all rates are 0, so nothing would be sent; give one above 0".to_owned());
    }
    Ok(taken)
}

impl Profile {
    /// The line through `points`, one at least: the first one's rate before it, the last one's after it.
    fn through(points: &[(u64, f64)]) -> Self {
        let first = points.first().map(|(_, rate)| (0, *rate));
        let mut total = Exact::default();
        let mut pieces = Vec::new();
        for ((start_ns, from), (end_ns, to)) in
            first.into_iter().chain(points.iter().copied()).zip(points.iter().copied())
        {
            if end_ns == start_ns {
                continue;
            }
            let length = (end_ns - start_ns) as f64;
            let before = total;
            total = total.plus_product(from, length / 2.0).plus_product(to, length / 2.0);
            let slope = (to - from).abs() / length;
            pieces.push(Piece {
                start_ns,
                end_ns,
                low: from.min(to),
                slope,
                is_falling: to < from,
                before,
                after: total,
            });
        }
        let (end_ns, rate) = points.last().copied().unwrap_or_default();
        Self { pieces, end_ns, rate, total }
    }

    /// When Λ gets past `sum`, in nanoseconds, capped at `u64::MAX`; none if it never does. Never less for a greater sum.
    pub(crate) fn time_ns(&self, sum: f64) -> Option<u64> {
        let sum = Exact::default().plus_product(sum, 1e9);
        let within = self.pieces.partition_point(|piece| piece.after.until(sum) >= 0.0);
        if let Some(piece) = self.pieces.get(within) {
            // A schedule that ends with a whole number of arrivals has that many: the sum that rounding left just short
            // of the total is the total.
            let is_over = self.rate == 0.0 && sum.high >= self.total.high * (1.0 - 4.0 * f64::EPSILON);
            return (!is_over).then(|| piece.time_ns(sum));
        }
        let after = self.total.until(sum);
        (self.rate > 0.0).then(|| self.end_ns.saturating_add((after / self.rate).round() as u64))
    }
}

impl Piece {
    fn time_ns(&self, sum: Exact) -> u64 {
        if self.is_falling {
            self.end_ns - self.distance_ns(-self.after.until(sum)).min(self.end_ns - self.start_ns)
        } else {
            self.start_ns + self.distance_ns(self.before.until(sum)).min(self.end_ns - self.start_ns)
        }
    }

    /// The first whole nanosecond d at which G(d) is `area` or more.
    ///
    /// The closed form is right to a few parts in 10¹⁶, and yet might say less for a greater area. The steps after it end
    /// at what G itself says, which never falls, because sums and products of what is positive never do.
    fn distance_ns(&self, area: f64) -> u64 {
        if area <= 0.0 {
            return 0;
        }
        let speed = self.low + (self.low * self.low + 2.0 * self.slope * area).sqrt();
        let mut distance = (2.0 * area / speed).round() as u64;
        let reaches = |distance: u64| {
            let d = distance as f64;
            d * (self.low + d * (self.slope / 2.0)) >= area
        };
        while distance > 0 && reaches(distance - 1) {
            distance -= 1;
        }
        while distance < self.end_ns - self.start_ns && !reaches(distance) {
            distance += 1;
        }
        distance
    }
}

/// A number of twice the digits of an `f64`, as the unrounded sum of two. Where a rate begins to rise from 0, an arrival's
/// time goes with the square root of what is left of its sum, so that an error of 10⁻¹⁰ there would be one of 10 µs.
#[derive(Clone, Copy, Default)]
struct Exact {
    high: f64,
    low: f64,
}

impl Exact {
    /// This and a · b. The error of a product comes from a fused multiplication and addition; that of a sum by Knuth's
    /// formula ("The Art of Computer Programming", volume 2, 4.2.2).
    fn plus_product(self, a: f64, b: f64) -> Self {
        let product = a * b;
        let product_error = a.mul_add(b, -product);
        let (sum, sum_error) = two_sum(self.high, product);
        let (high, low) = two_sum(sum, self.low + (sum_error + product_error));
        Self { high, low }
    }

    /// From here to `sum`: negative if that is less.
    fn until(self, sum: Self) -> f64 {
        let (difference, error) = two_sum(sum.high, -self.high);
        difference + (error + (sum.low - self.low))
    }
}

/// The rounded sum of two numbers, and what rounding took from it.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_taken = sum - a;
    (sum, (a - (sum - b_taken)) + (b - b_taken))
}

#[cfg(test)]
mod tests;
