//! Gaps by chance, independent of each other: exponential ones, which make a Poisson process, and gamma-distributed ones,
//! which make smoother or burstier traffic of the same rate. The first arrival comes after one gap.
//!
//! The same seed gives the same schedule on every machine. It rests on wrapping integer arithmetic, on the operations
//! that IEEE 754 defines to the last bit (`+ − × ÷ √`, rounding), and on the logarithm and the power of the `libm` crate,
//! which are built from those alone; the standard library's own go to the system's and may differ in the last bit.

use crate::rated::{self, Pattern};
use inferometer_plugin_sdk::{
    random::SplitMix64,
    schemars::{self, JsonSchema},
    serde::{self, Deserialize},
    types::{Error, Result},
};
use std::ops::RangeInclusive;

/// Shapes that make a schedule: below, nearly all arrivals fall together; above, they differ from equal distances by less
/// than a thousandth of a gap.
const SHAPES: RangeInclusive<f64> = 1e-3..=1e6;

/// Draws gaps of mean 1.
pub(crate) trait Gaps: Copy + Send + 'static {
    type Options: serde::de::DeserializeOwned + JsonSchema;

    /// As for [`Pattern::take`].
    fn take(options: Self::Options) -> Result<(Self, rated::Options)>;

    fn draw(self, random: &mut SplitMix64) -> f64;
}

/// Arrivals at gaps that are drawn one after another.
pub(crate) struct Renewal<G> {
    gaps: G,
    random: SplitMix64,
    /// Gaps drawn.
    drawn: u64,
    /// Their sum, in units of the mean gap. An `f64` holds it to a millionth of a gap for the first 10⁹ arrivals.
    elapsed: f64,
}

impl<G: Gaps> Pattern for Renewal<G> {
    type Options = G::Options;
    type Kept = G;

    fn take(options: G::Options) -> Result<(G, rated::Options)> {
        G::take(options)
    }

    fn new(gaps: &G, seed: u64) -> Self {
        Self { gaps: *gaps, random: SplitMix64::new(seed), drawn: 0, elapsed: 0.0 }
    }

    /// Every shard draws all gaps and skips those of others: a draw takes some ten nanoseconds, and nothing is shared.
    fn sum(&mut self, k: u64) -> f64 {
        while self.drawn <= k {
            self.elapsed += self.gaps.draw(&mut self.random);
            self.drawn += 1;
        }
        self.elapsed
    }
}

/// Gaps without memory.
#[derive(Clone, Copy)]
pub(crate) struct Exponential;

impl Gaps for Exponential {
    type Options = rated::Options;

    fn take(options: rated::Options) -> Result<(Self, rated::Options)> {
        Ok((Self, options))
    }

    /// By inversion: −ln of a number evenly spread over (0, 1].
    fn draw(self, random: &mut SplitMix64) -> f64 {
        -libm::log(positive(random))
    }
}

/// Gaps of a gamma distribution of shape s and scale 1/s: their mean is 1 and their variance 1/s.
#[derive(Clone, Copy)]
pub(crate) struct Gamma {
    shape: f64,
}

/// What a user may set of a gamma pattern.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "self::serde", default)]
#[schemars(crate = "self::schemars")]
pub(crate) struct GammaOptions {
    /// Shape of the distribution of gaps: 1 is Poisson traffic, more is smoother, less is burstier.
    smoothness: f64,
    /// Time in which the rate grows from 0 to what was asked for, in a straight line; in seconds.
    ramp_s: f64,
    /// Points that the rate goes through in straight lines, each [seconds, requests per second], instead of one rate.
    series: Option<Vec<[f64; 2]>>,
}

impl Default for GammaOptions {
    fn default() -> Self {
        Self { smoothness: 1.0, ramp_s: 0.0, series: None }
    }
}

impl Gaps for Gamma {
    type Options = GammaOptions;

    fn take(options: GammaOptions) -> Result<(Self, rated::Options)> {
        let GammaOptions { smoothness: shape, ramp_s, series } = options;
        if !SHAPES.contains(&shape) {
            let (least, most) = (SHAPES.start(), SHAPES.end());
            return Err(Error::config(format!(
                "smoothness {shape:?}: gaps cannot be spread that way; set it to a number from {least} to {most:e}"
            )));
        }
        Ok((Self { shape }, rated::Options { ramp_s, series }))
    }

    /// By Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical Software
    /// 26, 2000. Shapes below 1 are drawn as the next greater ones and multiplied by a power of an even number, as they
    /// say in section 6.
    fn draw(self, random: &mut SplitMix64) -> f64 {
        let (shape, boost) = if self.shape < 1.0 {
            (self.shape + 1.0, libm::pow(positive(random), 1.0 / self.shape))
        } else {
            (self.shape, 1.0)
        };
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = random.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if libm::log(positive(random)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v * boost / self.shape;
            }
        }
    }
}

/// A number evenly spread over (0, 1].
fn positive(random: &mut SplitMix64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    random.unit() + STEP
}

#[cfg(test)]
mod tests;
