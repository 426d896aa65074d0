//! A timing strategy: bursts of requests at one instant, and pauses between them, at the average rate asked for.
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_timing.so \
//!     --arrival-pattern example-timing --request-rate 20 --plugin-option example-timing.size=50 …
//! ```
//!
//! A strategy says when requests are to be sent; sending them is the host's. It has no clock and no timer of its own, so
//! the same code runs live and, in tests, on a clock that is only counted.

use inferometer_plugin_sdk::{
    Component,
    api::{Timetable, TimingStrategy},
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Error, ErrorKind, Load, PhaseSpec, Result, Step},
};

/// The strategy; each worker thread has one of its own, for its share of the phase.
pub struct Example {
    options: Options,
    share: Option<Share>,
}

/// What a user may set; `inferometer plugins show example-timing` prints it. Other names are refused before the run.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// Requests in a burst.
    pub size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { size: 10 }
    }
}

/// One worker's part of the schedule.
struct Share {
    /// Number of the next arrival, counted over all workers.
    next: u64,
    workers: u64,
    /// No arrival has this number or a higher one.
    requests: u64,
    /// No arrival is at this time or later.
    end_ns: u64,
    rate: f64,
}

impl Component for Example {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        if options.size == 0 {
            return Err(Error::config("size 0: a burst without requests; set it to 1 or more"));
        }
        Ok(Self { options, share: None })
    }
}

impl TimingStrategy for Example {
    fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        // A range also refuses what is no number. At slower or faster rates, 64 bits of nanoseconds would not do.
        if !(1e-9..=1e9).contains(&phase.rate) {
            let reason = format!("request rate {:?}: bursts come at a rate", phase.rate);
            return Err(Error::config(format!("{reason}; set --request-rate to requests per second")));
        }
        if phase.shard >= phase.shards {
            return Err(Error::new(ErrorKind::OTHER, format!("no share {} of {}", phase.shard, phase.shards)));
        }
        // In a phase, 0 stands for "no such limit".
        let limit = |limit| if limit == 0 { u64::MAX } else { limit };
        self.share = Some(Share {
            next: phase.shard.into(),
            workers: phase.shards.into(),
            requests: limit(phase.requests),
            end_ns: limit(phase.duration_ns),
            rate: phase.rate,
        });
        Ok(())
    }

    /// Never looks at the time: when the host falls behind, the schedule stays where it was, so that what was sent too
    /// late can be seen in the results.
    fn next(&mut self, _now_ns: u64, _: &Load) -> Result<Step> {
        let size = self.options.size;
        let Some(share) = &mut self.share else {
            return Err(Error::new(ErrorKind::OTHER, "asked for arrivals before the phase began"));
        };
        let arrival = share.next;
        // Reckoned from the arrival's number instead of added up, so that no rounding error grows.
        let at_ns = ((arrival - arrival % size) as f64 * 1e9 / share.rate).round() as u64;
        if arrival >= share.requests || at_ns >= share.end_ns {
            return Ok(Step::END);
        }
        // Worker i of n takes the arrivals i, i + n, i + 2n …: all of them together are the same schedule for any n.
        share.next = arrival.saturating_add(share.workers);
        Ok(Step::send(at_ns, arrival))
    }
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::timing! {
    name: "example-timing",
    summary: "Example: bursts of requests at one instant, with pauses between them.",
    component: Example
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::{StepKind, TurnTime};

    /// A data set without times of its own.
    struct Untimed;

    impl Timetable for Untimed {
        fn sessions(&self) -> u64 {
            0
        }
        fn turns(&self, _: u64) -> u32 {
            1
        }
        fn time(&self, _: u64, _: u32) -> TurnTime {
            TurnTime::NONE
        }
    }

    #[test]
    fn requests_come_in_bursts_at_the_rate_asked_for() {
        let mut example = Example::create(Options { size: 3 }).unwrap();
        let phase = PhaseSpec { rate: 2.0, requests: 7, shards: 1, ..PhaseSpec::default() };
        example.start(&phase, &Untimed).unwrap();
        let steps = std::iter::from_fn(|| Some(example.next(0, &Load::default()).unwrap()));
        let sent = steps.take_while(|step| step.kind == StepKind::SEND);
        let seconds: Vec<f64> = sent.map(|step| step.at_ns as f64 / 1e9).collect();
        assert_eq!(seconds, [0.0, 0.0, 0.0, 1.5, 1.5, 1.5, 3.0]);
    }

    #[test]
    fn what_makes_no_schedule_is_refused() {
        assert!(Example::create(Options { size: 0 }).is_err());
        let mut example = Example::create(Options::default()).unwrap();
        let phase = PhaseSpec { shards: 1, ..PhaseSpec::default() };
        assert!(example.start(&phase, &Untimed).unwrap_err().message.contains("--request-rate"));
    }
}
