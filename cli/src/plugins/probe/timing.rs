//! Laws of every timing strategy, on a clock that is only counted.

use super::{Fault, Law, Maker, Verdict, broken, survives};
use inferometer_abi::{
    api::{Timetable, TimingStrategy},
    types::{Flow, Load, PhaseSpec, Step, StepKind, TurnTime},
};
use std::collections::VecDeque;

pub(super) const LAWS: [Law<dyn TimingStrategy>; 3] = [
    ("sends the requests asked for, none earlier than the one before", sends_what_is_asked),
    ("makes the same schedule again", repeats_itself),
    ("refuses what it cannot do without a panic", refuses),
];

/// Requests of a phase.
const REQUESTS: u64 = 200;
/// How long every answer takes.
const SERVICE_NS: u64 = 1_000_000;
/// More calls than a phase needs.
const MOST_CALLS: u32 = 100_000;

/// 1,000 sessions of one turn, five milliseconds apart.
struct Sessions;

impl Timetable for Sessions {
    fn sessions(&self) -> u64 {
        1_000
    }

    fn turns(&self, _: u64) -> u32 {
        1
    }

    fn time(&self, session: u64, _: u32) -> TurnTime {
        TurnTime { timestamp_ns: session.saturating_mul(5_000_000), delay_ns: 0 }
    }
}

fn sends_what_is_asked(make: Maker<'_, dyn TimingStrategy>) -> Verdict {
    let (what, sent) = schedule(make)?;
    let span_s = sent.last().map_or(0.0, |step| step.at_ns as f64 / 1e9);
    Ok(format!("{REQUESTS} requests within {span_s:.3} s, {what}"))
}

fn repeats_itself(make: Maker<'_, dyn TimingStrategy>) -> Verdict {
    let ((_, one), (_, other)) = (schedule(make)?, schedule(make)?);
    match one.iter().zip(&other).position(|(one, other)| one != other) {
        Some(at) => Err(broken(format_args!("arrival {at} was first {:?} and then {:?}", one[at], other[at]))),
        None => Ok(String::new()),
    }
}

fn refuses(make: Maker<'_, dyn TimingStrategy>) -> Verdict {
    let early = survives(make()?.next(0, &Load::default()), || "a call before the phase".to_owned())?;
    if early.is_ok_and(|step| step.kind == StepKind::SEND) {
        return Err(broken("it sends before the phase began"));
    }
    for rate in [0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY] {
        for (concurrency, slots) in [(0, 0), (1, 0), (u32::MAX, u32::MAX)] {
            for (shard, shards) in [(0, 0), (0, 1), (7, 3)] {
                for (requests, duration_ns) in [(0, 0), (1, 1), (u64::MAX, u64::MAX)] {
                    let phase = PhaseSpec {
                        rate,
                        concurrency,
                        slots,
                        shard,
                        shards,
                        requests,
                        duration_ns,
                        ..PhaseSpec::default()
                    };
                    let mut strategy = make()?;
                    let words = || format!("{phase:?}");
                    if survives(strategy.start(&phase, &Sessions), words)?.is_ok() {
                        for (now_ns, open) in [(0, 0), (0, u32::MAX), (u64::MAX, 0)] {
                            let _ = survives(strategy.next(now_ns, &Load { open, ..Load::default() }), words)?;
                        }
                    }
                }
            }
        }
    }
    Ok(String::new())
}

/// What kind of phase the strategy takes, and the arrivals it makes of one.
fn schedule(make: Maker<'_, dyn TimingStrategy>) -> Result<(&'static str, Vec<Step>), Fault> {
    let base = PhaseSpec { seed: 42, requests: REQUESTS, shards: 1, ..PhaseSpec::default() };
    let phases = [
        ("with 8 slots", PhaseSpec { concurrency: 8, slots: 8, ..base }),
        ("at 100 a second", PhaseSpec { rate: 100.0, ..base }),
        ("with 8 slots at 100 a second", PhaseSpec { concurrency: 8, slots: 8, rate: 100.0, ..base }),
        ("without slots or a rate", base),
    ];
    let mut reasons = Vec::new();
    for (what, phase) in phases {
        let mut strategy = make()?;
        match survives(strategy.start(&phase, &Sessions), || format!("{phase:?}"))? {
            Ok(()) => return Ok((what, arrivals(&mut *strategy)?)),
            Err(error) => reasons.push(format!("{what}: {error}")),
        }
    }
    Err(Fault::Untried(format!("it takes no ordinary phase ({})", reasons.join("; "))))
}

fn arrivals(strategy: &mut dyn TimingStrategy) -> Result<Vec<Step>, Fault> {
    let (mut now_ns, mut load) = (0, Load::default());
    let mut sent: Vec<Step> = Vec::new();
    let mut in_flight: VecDeque<(u64, u64)> = VecDeque::new();
    for _ in 0..MOST_CALLS {
        if sent.len() as u64 == REQUESTS {
            return Ok(sent);
        }
        let step = survives(strategy.next(now_ns, &load), || format!("a call at {now_ns} ns"))?
            .map_err(|error| broken(format_args!("at {now_ns} ns, in mid-phase, it failed: {error}")))?;
        let ends_ns = in_flight.front().map(|(at_ns, _)| *at_ns);
        let until_ns = match step.kind {
            StepKind::SEND => {
                if let Some(last) = sent.last().filter(|last| last.at_ns > step.at_ns) {
                    return Err(broken(format_args!("after {} ns it sends at {} ns", last.at_ns, step.at_ns)));
                }
                // A schedule that lies behind is caught up with.
                let at_ns = step.at_ns.max(now_ns);
                in_flight.push_back((at_ns.saturating_add(SERVICE_NS), step.session));
                load.open += 1;
                load.sent += 1;
                sent.push(step);
                at_ns
            }
            StepKind::WAIT => step.at_ns.min(ends_ns.unwrap_or(u64::MAX)),
            StepKind::PARK => ends_ns.ok_or_else(|| {
                broken(format_args!(
                    "after {} of {REQUESTS} requests it waits for something that cannot happen",
                    sent.len()
                ))
            })?,
            StepKind::END => {
                return Err(broken(format_args!("it ends after {} of {REQUESTS} requests", sent.len())));
            }
            StepKind(other) => return Err(broken(format_args!("it wants step {other}, which there is not"))),
        };
        now_ns = now_ns.max(until_ns);
        while let Some((at_ns, session)) = in_flight.front().copied().filter(|(at_ns, _)| *at_ns <= now_ns) {
            in_flight.pop_front();
            load.open -= 1;
            load.ended += 1;
            let flow = Flow { session, turns: 1, at_ns, latency_ns: SERVICE_NS, ..Flow::default() };
            survives(strategy.on_flow(&flow), || format!("{flow:?}"))?
                .map_err(|error| broken(format_args!("told that a request ended, it failed: {error}")))?;
        }
    }
    Err(broken(format_args!("after {MOST_CALLS} calls it has sent {} of {REQUESTS} requests", sent.len())))
}
