//! The laws of timing strategies, on a virtual clock.

mod simulation;

pub use simulation::{Outcome, Requested, Sent, Sessions, Simulation};

use crate::{
    law::{Law, Make, broken, holds, survives},
    wire,
};
use inferometer_plugin_sdk::{
    api::TimingStrategy,
    types::{Error, ErrorKind, Load, PhaseSpec, StepKind},
};

const SECOND: u64 = 1_000_000_000;
const REPEATS: &str = "one seed gives one schedule";
const ENDS: &str = "a phase ends at its limits";
const SLOTS: &str = "a closed loop keeps its slots filled and opens no other";
const RATE: &str = "an open loop keeps its rate, whatever the server does";
const SHARDS: &str = "the schedule is the same for any number of shards";
const REFUSES: &str = "what a strategy cannot do it refuses without a panic";

/// What a strategy promises beyond what all do.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// It keeps the slots it was given filled and never opens one more.
    Closed,
    /// It sends at [`PhaseSpec::rate`], whatever becomes of the requests.
    Open,
    /// Nothing; this phase is one that it can run. With other limits it may be one that it refuses: with
    /// [`ErrorKind::CONFIG`] and words that say what it needs, as a strategy does that lacks an option or times of the data.
    Other(PhaseSpec),
}

impl Shape {
    /// A phase for it.
    fn phase(self) -> PhaseSpec {
        match self {
            Self::Closed => PhaseSpec { seed: 42, concurrency: 16, ..PhaseSpec::default() },
            Self::Open => PhaseSpec { seed: 42, rate: 200.0, ..PhaseSpec::default() },
            Self::Other(phase) => phase,
        }
    }
}

/// Service times that differ from request to request.
fn uneven(n: u64) -> u64 {
    1_000_000 + n * n % 17 * 300_000
}

/// Holds a strategy to all laws of its shape, as it is and behind the wire. See [`laws`] and [`laws_of`].
///
/// # Panics
/// When a law is broken.
pub fn check(make: impl Fn() -> Box<dyn TimingStrategy>, shape: Shape) {
    let wired = || wire::timing(make());
    for make in [&make as Make<'_, _>, &wired] {
        laws_of(make, shape).into_iter().chain(laws(make)).for_each(Law::enforce);
    }
    let world = Simulation { shards: 3, service_ns: uneven, ..limited(shape.phase(), 2_000) };
    let law = "a strategy does the same here and behind the wire";
    match (tried(&world, &make, shape), tried(&world, &wired, shape)) {
        (Some(here), Some(there)) => holds!(law, here == there, "{:?}", difference(&here, &there)),
        (here, there) => holds!(law, here == there, "one takes {world:?}, and the other refuses it"),
    }
}

/// The laws that any strategy can be held to.
pub fn laws<'a>(make: Make<'a, dyn TimingStrategy>) -> Vec<Law<'a>> {
    vec![Law::new(REFUSES, move || refuses_what_it_cannot_do(make))]
}

/// The laws of a strategy of a known shape.
pub fn laws_of<'a>(make: Make<'a, dyn TimingStrategy>, shape: Shape) -> Vec<Law<'a>> {
    let phase = shape.phase();
    let mut laws = vec![
        Law::new(REPEATS, move || repeats_itself(make, shape)),
        Law::new(ENDS, move || ends_at_the_limits(make, shape)),
    ];
    match shape {
        Shape::Closed => laws.push(Law::new(SLOTS, move || keeps_its_slots(make))),
        Shape::Open => {
            laws.push(Law::new(RATE, move || keeps_its_rate(make)));
            laws.push(Law::new(SHARDS, move || is_divided_among_shards(make, phase)));
        }
        Shape::Other(_) => {}
    }
    laws
}

fn run(world: &Simulation, make: Make<'_, dyn TimingStrategy>) -> Outcome {
    world.run(make).unwrap_or_else(|error| refused(world, &error))
}

/// Runs a phase that a strategy of no known shape may refuse; none if it does.
fn tried(world: &Simulation, make: Make<'_, dyn TimingStrategy>, shape: Shape) -> Option<Outcome> {
    let may_refuse = matches!(shape, Shape::Other(_));
    let is_in_words = |error: &Error| error.kind == ErrorKind::CONFIG && !error.message.trim().is_empty();
    match world.run(make) {
        Ok(outcome) => Some(outcome),
        Err(error) if may_refuse && is_in_words(&error) => None,
        Err(error) => refused(world, &error),
    }
}

fn refused(world: &Simulation, error: &Error) -> ! {
    broken("a phase of the usual kind is taken", format_args!("{world:?}: {error}"))
}

fn limited(phase: PhaseSpec, requests: u64) -> Simulation {
    Simulation { phase: PhaseSpec { requests, ..phase }, ..Simulation::default() }
}

fn timed(phase: PhaseSpec, duration_ns: u64) -> Simulation {
    Simulation { phase: PhaseSpec { requests: 0, duration_ns, ..phase }, ..Simulation::default() }
}

/// The first place where two runs differ.
fn difference(one: &Outcome, other: &Outcome) -> Option<(usize, Option<Sent>, Option<Sent>)> {
    let at = |i: usize| (i, one.sent.get(i).copied(), other.sent.get(i).copied());
    (0..one.sent.len().max(other.sent.len())).map(at).find(|(_, one, other)| one != other)
}

/// The same seed gives the same schedule.
fn repeats_itself(make: Make<'_, dyn TimingStrategy>, shape: Shape) {
    for shards in [1, 3] {
        let world = Simulation { shards, service_ns: uneven, ..limited(shape.phase(), 1_000) };
        let Some(first) = tried(&world, make, shape) else { continue };
        let again = run(&world, make);
        holds!(REPEATS, first == again, "{world:?}: {:?}", difference(&first, &again));
    }
}

/// A phase sends the requests asked for, no fewer and no more; it sends until its duration is over, and not after. The
/// host ends a phase at its limits, so what can go wrong here is to end too soon, or never.
fn ends_at_the_limits(make: Make<'_, dyn TimingStrategy>, shape: Shape) {
    let (law, phase) = (ENDS, shape.phase());
    for (shards, turns) in [(1, 1), (3, 1), (16, 1), (2, 3)] {
        for requests in [1, 7, 500] {
            let world = Simulation { shards, turns, service_ns: uneven, ..limited(phase, requests) };
            let Some(Outcome { sent, .. }) = tried(&world, make, shape) else { continue };
            let sent = sent.len() as u64;
            holds!(law, sent == requests, "{sent} arrivals of {requests}, {shards} shards, {turns} turns");
        }
        let world = Simulation { shards, turns, ..timed(phase, SECOND) };
        let Some(Outcome { sent, .. }) = tried(&world, make, shape) else { continue };
        let last = sent.iter().map(|sent| sent.at_ns).max();
        holds!(law, last.is_some_and(|at| at < SECOND), "the last at {last:?} ns of {SECOND}, {shards} shards");
        let longer = run(&Simulation { shards, turns, ..timed(phase, 2 * SECOND) }, make).sent.len();
        holds!(law, longer > sent.len(), "{} arrivals in 1 s and {longer} in 2 s, {shards} shards", sent.len());
    }
}

/// Without a host that ends it, a strategy that is alone ends exactly at the request limit, and before the duration.
///
/// [`check`] does not ask for it, because hosts end phases; but a strategy that does needs no word from its host.
///
/// # Panics
/// When the law is broken.
pub fn ends_by_itself(make: Make<'_, dyn TimingStrategy>, shape: Shape) {
    let law = "a strategy that is alone ends by itself";
    for requests in [1, 10, 333] {
        let world = Simulation { host_ends: false, ..limited(shape.phase(), requests) };
        let Some(Outcome { sent, .. }) = tried(&world, make, shape) else { continue };
        let sent = sent.len() as u64;
        holds!(law, sent == requests, "{sent} arrivals of {requests}");
    }
    let world = Simulation { host_ends: false, ..timed(shape.phase(), SECOND) };
    let sent = tried(&world, make, shape).map(|outcome| outcome.sent).unwrap_or_default();
    let late = sent.into_iter().find(|sent| sent.at_ns >= SECOND);
    holds!(law, late.is_none(), "{late:?} in a phase of {SECOND} ns");
}

/// A closed loop never has more sessions open than slots, over all shards and in each, and keeps them filled until the
/// requests run out.
fn keeps_its_slots(make: Make<'_, dyn TimingStrategy>) {
    let law = SLOTS;
    for concurrency in [1, 2, 7, 64] {
        for (shards, turns) in [(1, 1), (3, 1), (8, 2)] {
            let phase = PhaseSpec { concurrency, ..PhaseSpec::default() };
            let world = Simulation { shards, turns, service_ns: uneven, ..limited(phase, 1_000) };
            let Outcome { peak_open, peak_open_by_shard, least_open, .. } = run(&world, make);
            let of = format!("{concurrency} slots, {shards} shards, {turns} turns");
            holds!(law, peak_open == concurrency, "at most {peak_open} open, {of}");
            let each = concurrency.div_ceil(shards);
            holds!(law, peak_open_by_shard.iter().all(|peak| *peak <= each), "{peak_open_by_shard:?} open, {of}");
            holds!(law, least_open == concurrency, "only {least_open} open while there were requests left, {of}");
        }
    }
}

/// An open loop sends at its rate, to within four standard deviations of a Poisson process; how long the server takes and
/// how many requests are open change nothing.
fn keeps_its_rate(make: Make<'_, dyn TimingStrategy>) {
    let law = RATE;
    for (rate, seconds) in [(2.5, 4_000), (200.0, 50), (10_000.0, 2)] {
        for seed in 0..4 {
            let phase = PhaseSpec { rate, seed, ..PhaseSpec::default() };
            let quick = run(&timed(phase, seconds * SECOND), make);
            let (sent, asked) = (quick.sent.len(), rate * seconds as f64);
            let off = (sent as f64 - asked).abs();
            holds!(law, off <= 4.0 * asked.sqrt(), "{sent} arrivals in {seconds} s at {rate}/s, seed {seed}");
            let slow = run(&Simulation { service_ns: |_| 60 * SECOND, ..timed(phase, seconds * SECOND) }, make);
            holds!(law, slow.sent == quick.sent, "with a slow server: {:?}", difference(&quick, &slow));
        }
    }
}

/// The arrivals of all shards together are the same whatever their number.
fn is_divided_among_shards(make: Make<'_, dyn TimingStrategy>, phase: PhaseSpec) {
    let law = SHARDS;
    let of = |shards, world: Simulation| run(&Simulation { shards, ..world }, make).sorted();
    for seed in [0, 42, u64::MAX] {
        let phase = PhaseSpec { seed, ..phase };
        for world in [timed(phase, 3 * SECOND), Simulation { host_ends: false, ..limited(phase, 333) }] {
            let alone = of(1, world);
            for shards in [2, 3, 8, 16] {
                let divided = of(shards, world);
                let apart = alone.iter().zip(&divided).find(|(one, other)| one != other);
                let (one, all) = (alone.len(), divided.len());
                holds!(
                    law,
                    alone == divided,
                    "{one} arrivals and {all} over {shards} shards; they differ at {apart:?}"
                );
            }
        }
    }
}

/// A phase out of the ordinary is run or refused, without a panic; before the phase began, nothing is sent.
fn refuses_what_it_cannot_do(make: Make<'_, dyn TimingStrategy>) {
    let law = REFUSES;
    let early = survives(law, || "a call before the phase".to_owned(), || make().next(0, &Load::default()));
    let sends = early.as_ref().is_ok_and(|step| step.kind == StepKind::SEND);
    holds!(law, !sends, "asked before the phase began, it said {early:?}");
    let rates = [0.0, -0.0, -1.0, 1e-300, 1e-9, 1e9, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let phases = rates.into_iter().flat_map(|rate| {
        [(0, 0), (1, 0), (u32::MAX, u32::MAX)].into_iter().flat_map(move |(concurrency, slots)| {
            [(0, 0), (0, 1), (7, 3), (0, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX - 1, u32::MAX)].into_iter().map(
                move |(shard, shards)| PhaseSpec { rate, concurrency, slots, shard, shards, ..PhaseSpec::default() },
            )
        })
    });
    for phase in phases {
        for (requests, duration_ns) in [(0, 0), (1, 1), (u64::MAX, u64::MAX)] {
            let phase = PhaseSpec { requests, duration_ns, ..phase };
            let mut strategy = make();
            if survives(law, || format!("{phase:?}"), || strategy.start(&phase, &Sessions { turns: 1 })).is_err()
                // A share of a schedule by chance that lies far out may take long to find, which is no panic.
                || phase.shards > 1_000
            {
                continue;
            }
            for (now_ns, open) in [(0, 0), (0, 1), (u64::MAX, 0), (0, u32::MAX)] {
                let load = Load { open, ..Load::default() };
                let _ =
                    survives(law, || format!("{phase:?} at {now_ns} ns, {load:?}"), || strategy.next(now_ns, &load));
            }
        }
    }
}

#[cfg(test)]
mod tests;
