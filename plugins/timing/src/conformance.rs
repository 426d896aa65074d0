//! Every strategy keeps the laws of its kind, whatever its options.

use crate::{
    burst::Burst,
    closed::Concurrency,
    constant::Constant,
    fixed::FixedSchedule,
    open::OpenLoop,
    rated::Rated,
    renewal::{Exponential, Gamma, Renewal},
    users::UserCentric,
};
use inferometer_plugin_sdk::{Component, api::TimingStrategy, serde::Deserialize, types::PhaseSpec};
use inferometer_testkit::timing::{self, Shape};

/// Holds a strategy to the laws with options given as JSON.
fn keeps_the_laws<C: Component + TimingStrategy>(options: &str, shape: Shape) {
    let make = || -> Box<dyn TimingStrategy> {
        let mut json = serde_json::Deserializer::from_str(options);
        Box::new(C::create(C::Options::deserialize(&mut json).unwrap()).unwrap())
    };
    timing::check(make, shape);
    timing::ends_by_itself(&make, shape);
}

/// A shape for what runs at a rate, but not at the phase's alone.
const AT_A_RATE: Shape = Shape::Other(PhaseSpec {
    seed: 42,
    rate: 200.0,
    requests: 0,
    duration_ns: 0,
    shard: 0,
    shards: 0,
    concurrency: 0,
    slots: 0,
    reserved: [0; 6],
});

#[test]
fn a_closed_loop_is_lawful() {
    keeps_the_laws::<Concurrency>("{}", Shape::Closed);
    let phase = PhaseSpec { concurrency: 64, ..PhaseSpec::default() };
    keeps_the_laws::<Concurrency>(r#"{"ramp_s": 1.9}"#, Shape::Other(phase));
}

#[test]
fn open_loops_are_lawful() {
    keeps_the_laws::<OpenLoop<Rated<Constant>>>("{}", Shape::Open);
    keeps_the_laws::<OpenLoop<Rated<Renewal<Exponential>>>>("{}", Shape::Open);
    for smoothness in ["1", "4"] {
        keeps_the_laws::<OpenLoop<Rated<Renewal<Gamma>>>>(&format!(r#"{{"smoothness": {smoothness}}}"#), Shape::Open);
    }
}

#[test]
fn open_loops_whose_rate_changes_are_lawful() {
    for options in [r#"{"ramp_s": 1.5}"#, r#"{"series": [[0.2, 300], [0.6, 0], [0.9, 0], [1.4, 500]]}"#] {
        keeps_the_laws::<OpenLoop<Rated<Constant>>>(options, AT_A_RATE);
        keeps_the_laws::<OpenLoop<Rated<Renewal<Exponential>>>>(options, AT_A_RATE);
        keeps_the_laws::<OpenLoop<Rated<Renewal<Gamma>>>>(options, AT_A_RATE);
    }
}

#[test]
fn bursts_are_lawful() {
    keeps_the_laws::<OpenLoop<Burst>>(r#"{"size": 10, "interval_s": 0.1}"#, Shape::Other(PhaseSpec::default()));
    keeps_the_laws::<OpenLoop<Burst>>("{}", Shape::Other(PhaseSpec::default()));
}

#[test]
fn a_fixed_schedule_is_lawful() {
    keeps_the_laws::<FixedSchedule>("{}", Shape::Other(PhaseSpec::default()));
}

#[test]
fn users_are_lawful() {
    for users in [1, 5, 64] {
        keeps_the_laws::<UserCentric>(&format!(r#"{{"users": {users}}}"#), AT_A_RATE);
    }
    keeps_the_laws::<UserCentric>("{}", AT_A_RATE);
}
