//! Bursts: many requests at one instant, once or again and again.

use crate::{
    open::{Arrivals, Schedule},
    phase::checked_span_ns,
};
use inferometer_plugin_sdk::{
    schemars::{self, JsonSchema},
    serde::{self, Deserialize},
    types::{Error, PhaseSpec, Result},
};

/// What a user may set of bursts.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "self::serde", default)]
#[schemars(crate = "self::schemars")]
pub(crate) struct Options {
    /// Requests in a burst; all of the phase's if not given.
    size: Option<u64>,
    /// Seconds from one burst to the next; a single burst if not given.
    interval_s: Option<f64>,
}

/// Bursts of a size at an interval.
pub(crate) struct Burst {
    size: Option<u64>,
    interval_ns: Option<u64>,
}

/// The arrivals of all bursts.
pub(crate) struct Bursts {
    size: u64,
    interval_ns: Option<u64>,
}

impl Schedule for Burst {
    type Options = Options;
    type Arrivals = Bursts;

    fn new(Options { size, interval_s }: Options) -> Result<Self> {
        if size == Some(0) {
            return Err(Error::config("size 0: a burst without requests; set it to 1 or more"));
        }
        let interval_ns = interval_s.map(|seconds| checked_span_ns("interval_s", seconds)).transpose()?;
        if interval_ns == Some(0) {
            return Err(Error::config(
                "interval_s 0: bursts without a pause would never end; set it to more seconds, or leave it out for one burst",
            ));
        }
        Ok(Self { size, interval_ns })
    }

    fn begin(&self, phase: &PhaseSpec) -> Result<Bursts> {
        let size = self.size.or((phase.requests > 0).then_some(phase.requests)).ok_or_else(|| {
            Error::config("size is not given, and neither is a number of requests; set size, or --request-count")
        })?;
        Ok(Bursts { size, interval_ns: self.interval_ns })
    }
}

impl Arrivals for Bursts {
    fn time_ns(&mut self, k: u64) -> Option<u64> {
        match (k / self.size, self.interval_ns) {
            (0, _) => Some(0),
            (burst, Some(interval_ns)) => Some(burst.saturating_mul(interval_ns)),
            (_, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::OpenLoop;
    use inferometer_plugin_sdk::{Component, types::ErrorKind};
    use inferometer_testkit::timing::{Sent, Simulation};

    const SECOND: u64 = 1_000_000_000;

    fn sent(options: (Option<u64>, Option<f64>), shards: u32, phase: PhaseSpec) -> Vec<Sent> {
        let make = || OpenLoop::<Burst>::create(Options { size: options.0, interval_s: options.1 }).unwrap();
        let world = Simulation { shards, phase, host_ends: false, ..Simulation::default() };
        world.run(|| Box::new(make())).unwrap().sorted()
    }

    fn requests(requests: u64) -> PhaseSpec {
        PhaseSpec { requests, ..PhaseSpec::default() }
    }

    #[test]
    fn all_requests_of_the_phase_go_at_one_instant() {
        for shards in [1, 3, 16] {
            let sent = sent((None, None), shards, requests(100));
            assert_eq!(sent, (0..100).map(|session| Sent { session, at_ns: 0 }).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_burst_of_a_size_is_the_only_one_without_an_interval() {
        assert_eq!(sent((Some(7), None), 2, PhaseSpec::default()).len(), 7);
        assert_eq!(sent((Some(7), None), 2, requests(100)).len(), 7);
    }

    #[test]
    fn bursts_come_at_an_interval_until_the_requests_run_out() {
        for shards in [1, 4] {
            let sent = sent((Some(10), Some(0.5)), shards, requests(25));
            let times: Vec<u64> = sent.iter().map(|sent| sent.at_ns).collect();
            let expected = [vec![0; 10], vec![SECOND / 2; 10], vec![SECOND; 5]].concat();
            assert_eq!(times, expected);
        }
    }

    #[test]
    fn bursts_come_at_an_interval_until_the_time_is_over() {
        let sent = sent((Some(10), Some(0.5)), 3, PhaseSpec { duration_ns: SECOND, ..PhaseSpec::default() });
        assert_eq!((sent.len(), sent.last().unwrap().at_ns), (20, SECOND / 2));
    }

    #[test]
    fn what_makes_no_burst_is_refused_with_the_way_out() {
        let refused = |size, interval_s| Burst::new(Options { size, interval_s }).err().unwrap().message;
        assert!(refused(Some(0), None).contains("1 or more"));
        assert!(refused(None, Some(0.0)).contains("leave it out"));
        for interval_s in [-1.0, f64::NAN, f64::INFINITY, 1e10] {
            assert!(refused(None, Some(interval_s)).starts_with("interval_s "));
        }
        let endless = Burst::new(Options::default()).unwrap().begin(&PhaseSpec::default()).err().unwrap();
        assert_eq!(endless.kind, ErrorKind::CONFIG);
        assert!(endless.message.contains("--request-count"), "{endless}");
    }
}
