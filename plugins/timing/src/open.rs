//! Open loops: schedules that are fixed before the first answer arrives, and how shards divide them.
//!
//! There is one global sequence of arrivals k = 0, 1, 2 …, a function of seed, rate and options alone. Shard i of n sends the
//! arrivals with k mod n = i, each for session k, so the union is the same schedule whatever the number of shards.
//! Times never depend on `now`: a host that falls behind catches up or reports what it dropped, and the schedule stays
//! where it was.

use crate::phase::{Share, not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component,
    api::{Timetable, TimingStrategy},
    schemars::JsonSchema,
    serde::de::DeserializeOwned,
    types::{Load, PhaseSpec, Result, Step},
};

/// What makes a global sequence of arrivals: options that were found in order.
pub(crate) trait Schedule: Sized + Send + 'static {
    type Options: DeserializeOwned + JsonSchema;
    type Arrivals: Arrivals;

    /// # Errors
    /// When the options contradict each other.
    fn new(options: Self::Options) -> Result<Self>;

    /// The sequence for `phase`, the same for all of its shards.
    ///
    /// # Errors
    /// When the phase does not give what the schedule needs.
    fn begin(&self, phase: &PhaseSpec) -> Result<Self::Arrivals>;
}

/// The global sequence of arrivals.
pub(crate) trait Arrivals: Send {
    /// When arrival `k` is intended, in nanoseconds since the phase began; never less for a later arrival, and capped
    /// at `u64::MAX`. None: the sequence ends before it. `k` never decreases from call to call.
    fn time_ns(&mut self, k: u64) -> Option<u64>;
}

/// A strategy that sends at the times of `S`.
pub(crate) struct OpenLoop<S: Schedule> {
    schedule: S,
    part: Option<Part<S::Arrivals>>,
}

/// One shard's part of the schedule.
struct Part<A> {
    arrivals: A,
    /// This shard's next arrival.
    k: u64,
    shards: u64,
    /// Number of arrivals over all shards.
    requests: u64,
    end_ns: u64,
}

impl<S: Schedule> Component for OpenLoop<S> {
    type Options = S::Options;

    fn create(options: S::Options) -> Result<Self> {
        Ok(Self { schedule: S::new(options)?, part: None })
    }
}

impl<S: Schedule> TimingStrategy for OpenLoop<S> {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        let Share { shard, shards } = Share::of(phase)?;
        self.part = Some(Part {
            arrivals: self.schedule.begin(phase)?,
            k: shard,
            shards,
            requests: or_unlimited(phase.requests),
            end_ns: or_unlimited(phase.duration_ns),
        });
        Ok(())
    }

    fn next(&mut self, _now_ns: u64, _: &Load) -> Result<Step> {
        Ok(self.part.as_mut().ok_or_else(not_begun)?.next())
    }
}

impl<A: Arrivals> Part<A> {
    fn next(&mut self) -> Step {
        if self.k >= self.requests {
            return Step::END;
        }
        match self.arrivals.time_ns(self.k) {
            Some(at_ns) if at_ns < self.end_ns => {
                let step = Step::send(at_ns, self.k);
                self.k = self.k.saturating_add(self.shards);
                step
            }
            _ => Step::END,
        }
    }
}

#[cfg(test)]
mod tests;
