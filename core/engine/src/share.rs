//! How a load is divided among workers.

use inferometer_abi::types::PhaseSpec;
use inferometer_model::plan::{PhasePlan, Plan};

/// Requests in flight that one worker thread serves with ease.
const SLOTS_PER_WORKER: u64 = 64;
/// Arrivals a second that one worker thread serves with ease.
const RATE_PER_WORKER: f64 = 1_000.0;

/// As many workers as help: more than the load needs only disturb the server beside them.
pub(crate) fn workers(plan: &Plan) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let wanted = plan.workers.unwrap_or_else(|| {
        let by_slots = |phase: &PhasePlan| phase.concurrency.unwrap_or(0).div_ceil(SLOTS_PER_WORKER);
        let by_rate = |phase: &PhasePlan| (phase.rate.unwrap_or(0.0) / RATE_PER_WORKER).ceil() as u64;
        plan.phases.iter().map(|phase| by_slots(phase).max(by_rate(phase))).max().unwrap_or(1).min(processors)
    });
    // A worker without a slot of its own would have nothing to do.
    let slots = plan.phases.iter().filter(|phase| phase.rate.is_none()).filter_map(|phase| phase.concurrency).min();
    wanted.clamp(1, slots.unwrap_or(u64::MAX).clamp(1, u64::from(u16::MAX))) as u32
}

/// What the strategy of worker `shard` is told of a phase.
pub(crate) fn phase_spec(phase: &PhasePlan, seed: u64, shard: u32, shards: u32) -> PhaseSpec {
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let concurrency = narrow(phase.concurrency.unwrap_or(0));
    let spec = PhaseSpec {
        seed,
        requests: phase.stop.requests.unwrap_or(0),
        duration_ns: phase.stop.duration_ns.unwrap_or(0),
        shard,
        shards,
        concurrency,
        slots: concurrency / shards + u32::from(shard < concurrency % shards),
        rate: phase.rate.unwrap_or(0.0),
        reserved: [0; 6],
    };
    spec.with_sessions(phase.stop.sessions.unwrap_or(0))
}
