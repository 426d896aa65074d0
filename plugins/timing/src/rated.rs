//! Schedules at a rate: a pattern of gaps of unit mean, stretched by a profile of the rate.
//!
//! Arrival k is intended for Λ⁻¹ of where the pattern puts it. So every pattern goes with every profile, and another rate
//! stretches the pattern that a seed gives without changing it.

use crate::{
    open::{Arrivals, Schedule},
    profile::{Course, Profile},
};
use inferometer_plugin_sdk::{
    schemars::{self, JsonSchema},
    serde::{self, Deserialize, de::DeserializeOwned},
    types::{PhaseSpec, Result},
};

/// Where arrivals lie when there is one per unit of time on average.
pub(crate) trait Pattern: Sized + Send + 'static {
    type Options: DeserializeOwned + JsonSchema;
    /// What the pattern keeps of its options.
    type Kept: Send;

    /// Splits the options into the pattern's own and those of the rate.
    ///
    /// # Errors
    /// When there is no such pattern.
    fn take(options: Self::Options) -> Result<(Self::Kept, Options)>;

    /// The pattern, from `seed` where there is chance in it.
    fn new(kept: &Self::Kept, seed: u64) -> Self;

    /// Where arrival `k` lies: the sum of the gaps before it. Never less for a later one. `k` never decreases from call to
    /// call.
    fn sum(&mut self, k: u64) -> f64;
}

/// What a user may set of a rate.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "self::serde", default)]
#[schemars(crate = "self::schemars")]
pub(crate) struct Options {
    /// Time in which the rate grows from 0 to what was asked for, in a straight line; in seconds.
    pub(crate) ramp_s: f64,
    /// Points that the rate goes through in straight lines, each [seconds, requests per second], instead of one rate.
    pub(crate) series: Option<Vec<[f64; 2]>>,
}

/// Arrivals in the pattern `P` at a rate.
pub(crate) struct Rated<P: Pattern> {
    kept: P::Kept,
    course: Course,
}

/// A pattern and the profile that stretches it.
pub(crate) struct Stretched<P> {
    pattern: P,
    profile: Profile,
}

impl<P: Pattern> Schedule for Rated<P> {
    type Options = P::Options;
    type Arrivals = Stretched<P>;

    fn new(options: P::Options) -> Result<Self> {
        let (kept, Options { ramp_s, series }) = P::take(options)?;
        Ok(Self { kept, course: Course::new(ramp_s, series.as_deref())? })
    }

    fn begin(&self, phase: &PhaseSpec) -> Result<Stretched<P>> {
        Ok(Stretched { profile: self.course.profile(phase.rate)?, pattern: P::new(&self.kept, phase.seed) })
    }
}

impl<P: Pattern> Arrivals for Stretched<P> {
    fn time_ns(&mut self, k: u64) -> Option<u64> {
        self.profile.time_ns(self.pattern.sum(k))
    }
}
