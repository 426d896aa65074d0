//! What holds for every open loop, and what a changing rate makes of it.

use super::*;
use crate::{
    constant::Constant,
    rated::{self, Rated},
    renewal::{Exponential, Gamma, Renewal},
};
use inferometer_plugin_sdk::types::ErrorKind;
use inferometer_testkit::timing::{Sent, Sessions, Simulation};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const SESSIONS: Sessions = Sessions { turns: 1 };

type Even = OpenLoop<Rated<Constant>>;
type Random = OpenLoop<Rated<Renewal<Exponential>>>;
type Shaped = OpenLoop<Rated<Renewal<Gamma>>>;

fn even() -> Even {
    Even::create(rated::Options::default()).unwrap()
}

fn random() -> Random {
    Random::create(rated::Options::default()).unwrap()
}

fn rising(ramp_s: f64) -> rated::Options {
    rated::Options { ramp_s, series: None }
}

fn through(series: &[[f64; 2]]) -> rated::Options {
    rated::Options { ramp_s: 0.0, series: Some(series.to_vec()) }
}

fn world(rate: f64, shards: u32) -> Simulation {
    let phase = PhaseSpec { rate, seed: 42, ..PhaseSpec::default() };
    Simulation { shards, phase, host_ends: false, ..Simulation::default() }
}

fn limited(world: Simulation, requests: u64, duration_ns: u64) -> Simulation {
    Simulation { phase: PhaseSpec { requests, duration_ns, ..world.phase }, ..world }
}

fn sent<S: TimingStrategy>(world: Simulation, make: impl Fn() -> S) -> Vec<Sent> {
    world.run(|| Box::new(make())).unwrap().sorted()
}

/// Arrivals before the end of each second.
fn by_second(sent: &[Sent], seconds: u64) -> Vec<usize> {
    (1..=seconds).map(|second| sent.iter().filter(|sent| sent.at_ns < second * SECOND).count()).collect()
}

#[test]
fn unkeepable_rates_are_errors_that_say_what_to_set() {
    for rate in [0.0, -0.0, -3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e300] {
        let phase = PhaseSpec { rate, shards: 1, ..PhaseSpec::default() };
        for ramp_s in [0.0, 5.0] {
            let error = Random::create(rising(ramp_s)).unwrap().start(&phase, &SESSIONS).unwrap_err();
            assert_eq!(error.kind, ErrorKind::CONFIG, "{rate}");
            assert!(error.message.contains("--request-rate"), "{error}");
        }
    }
}

#[test]
fn a_share_that_does_not_exist_is_an_error() {
    for (shard, shards) in [(0, 0), (2, 2)] {
        let phase = PhaseSpec { rate: 1.0, shard, shards, ..PhaseSpec::default() };
        assert!(even().start(&phase, &SESSIONS).is_err());
    }
}

#[test]
fn asking_before_the_phase_began_is_an_error() {
    assert!(even().next(0, &Load::default()).is_err());
}

#[test]
fn slow_answers_and_a_late_host_change_nothing() {
    let of = |service_ns| sent(Simulation { service_ns, ..limited(world(500.0, 2), 1_000, 0) }, random);
    let quick = of(|_| 1);
    assert_eq!(of(|_| 60 * SECOND), quick);

    let phase = PhaseSpec { rate: 500.0, seed: 42, shards: 1, ..PhaseSpec::default() };
    let mut late = random();
    late.start(&phase, &SESSIONS).unwrap();
    for arrival in &quick {
        let step = late.next(3_600 * SECOND, &Load { open: 9_999, ..Load::default() }).unwrap();
        assert_eq!(step, Step::send(arrival.at_ns, arrival.session));
    }
}

#[test]
fn the_rate_is_kept() {
    let world = limited(world(200.0, 3), 0, 100 * SECOND);
    assert_eq!(sent(world, even).len(), 20_000);
    let off = sent(world, random).len() as f64 - 20_000.0;
    assert!(off.abs() < 3.0 * 20_000_f64.sqrt(), "off by {off}");
}

#[test]
fn sends_up_to_but_not_at_the_duration() {
    let sent = sent(limited(world(10.0, 2), 0, SECOND), even);
    assert_eq!(sent.last().unwrap().at_ns, 900_000_000);
}

#[test]
fn sends_exactly_the_requests_asked_for() {
    for shards in [1, 3, 16] {
        let sent = sent(limited(world(10.0, shards), 10, 0), random);
        let sessions: Vec<_> = sent.iter().map(|sent| sent.session).collect();
        assert_eq!(sessions, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn an_ended_schedule_stays_ended() {
    let phase = PhaseSpec { rate: 1.0, shards: 1, requests: 1, ..PhaseSpec::default() };
    let mut strategy = even();
    strategy.start(&phase, &SESSIONS).unwrap();
    let steps: Vec<_> = (0..3).map(|_| strategy.next(0, &Load::default()).unwrap()).collect();
    assert_eq!(steps, [Step::send(0, 0), Step::END, Step::END]);
}

#[test]
fn the_slowest_rate_ends_before_time_does() {
    let sent = sent(world(1e-9, 1), even);
    assert_eq!(sent.len(), 19, "one arrival in 10^18 ns, and 64 bits of nanoseconds");
}

#[test]
fn a_ramp_sends_half_of_what_its_rate_would_and_then_keeps_the_rate() {
    let world = limited(world(100.0, 3), 0, 15 * SECOND);
    let even = sent(world, || Even::create(rising(10.0)).unwrap());
    let counts = by_second(&even, 15);
    for (second, count) in (1_u32..).zip(counts) {
        let second = f64::from(second);
        let asked = if second <= 10.0 { 5.0 * second * second } else { 500.0 + 100.0 * (second - 10.0) };
        assert_eq!(count as f64, asked, "up to second {second}");
    }
    let random = sent(world, || Random::create(rising(10.0)).unwrap());
    assert!(random.len().abs_diff(1_000) < 130, "{} by chance", random.len());
}

#[test]
fn a_series_sends_the_area_below_its_line_and_ends_with_a_last_rate_of_nothing() {
    let series = [[0.0, 0.0], [4.0, 80.0], [6.0, 80.0], [7.0, 0.0], [8.0, 0.0], [10.0, 20.0], [11.0, 0.0]];
    for shards in [1, 4] {
        let even = sent(world(0.0, shards), || Even::create(through(&series)).unwrap());
        assert_eq!(by_second(&even, 12), [10, 40, 90, 160, 240, 320, 360, 360, 365, 380, 390, 390]);
    }
    for (smoothness, most) in [(1.0, 80), (16.0, 20)] {
        let options = format!(r#"{{"smoothness": {smoothness}, "series": {series:?}}}"#);
        let gamma = sent(world(0.0, 2), || Shaped::create(serde_json::from_str(&options).unwrap()).unwrap());
        let counts = by_second(&gamma, 12);
        assert!(counts[11].abs_diff(390) < most, "{} at smoothness {smoothness}", counts[11]);
        assert_eq!(counts[6], counts[7], "none where the rate is 0");
    }
}

#[test]
fn before_its_first_point_a_series_has_that_ones_rate_and_after_its_last_that_ones() {
    let sent =
        sent(limited(world(0.0, 1), 0, 6 * SECOND), || Even::create(through(&[[2.0, 10.0], [4.0, 20.0]])).unwrap());
    assert_eq!(by_second(&sent, 6), [10, 20, 33, 50, 70, 90]);
}

#[test]
fn another_rate_stretches_the_pattern_of_a_seed() {
    let of = |rate| sent(limited(world(rate, 1), 1_000, 0), random);
    for (slow, fast) in of(10.0).iter().zip(of(1_000.0)) {
        assert!(slow.at_ns.abs_diff(fast.at_ns * 100) <= 51, "{slow:?} and {fast:?}");
    }
}

proptest! {
    #[test]
    fn the_union_over_shards_is_the_schedule_of_one(
        seed: u64, rate in 1e-3..1e6, shards in 2_u32..9, requests in 1_u64..400, ramp_s in 0.0..2.0, smoothness in 0.1..9.0,
    ) {
        let options = format!(r#"{{"smoothness": {smoothness}, "ramp_s": {ramp_s}}}"#);
        let makes: [Box<dyn Fn() -> Box<dyn TimingStrategy>>; 4] = [
            Box::new(|| Box::new(even())),
            Box::new(|| Box::new(random())),
            Box::new(|| Box::new(Random::create(rising(ramp_s)).unwrap())),
            Box::new(|| Box::new(Shaped::create(serde_json::from_str(&options).unwrap()).unwrap())),
        ];
        for make in makes {
            let phase = PhaseSpec { seed, rate, requests, ..PhaseSpec::default() };
            let of = |shards| Simulation { phase, ..world(rate, shards) }.run(&make).unwrap().sorted();
            prop_assert_eq!(of(shards), of(1));
        }
    }

    #[test]
    fn the_same_holds_when_a_duration_or_a_series_ends_it(seed: u64, rate in 1.0..1e3, shards in 2_u32..9) {
        for options in [rated::Options::default as fn() -> _, || through(&[[0.0, 300.0], [0.3, 0.0], [0.4, 200.0]])] {
            let phase = PhaseSpec { seed, rate, duration_ns: SECOND / 2, ..PhaseSpec::default() };
            let of = |shards| sent(Simulation { phase, ..world(rate, shards) }, || Random::create(options()).unwrap());
            prop_assert_eq!(of(shards), of(1));
        }
    }
}
