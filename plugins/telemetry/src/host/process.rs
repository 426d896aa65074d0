//! The processor time of this program, from its own clock, which is exact where `/proc` counts hundredths of a second.

use super::{
    Part,
    offer::{Offer, Place},
    source::Last,
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

struct CpuTime {
    used_ns: Last<u64>,
    utilization: Place,
    time: Place,
}

/// The part that the process's clock tells of; it is the same wherever the files are.
pub(super) fn cpu_time(_: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    Some(Box::new(CpuTime {
        used_ns: Last::default(),
        utilization: offer.gauge(
            "process_cpu_utilization",
            "%",
            "Processor time of this program, all threads: 100% is one processor.",
        ),
        time: offer.counter("process_cpu_time", "s", "Processor time that this program has used, all threads."),
    }))
}

impl Part for CpuTime {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used_ns = used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64;
        let share = self.used_ns.replace(at_ns, used_ns).map(|(before, elapsed_ns)| {
            let grown = used_ns.saturating_sub(before) as f64;
            grown / elapsed_ns * 100.0
        });
        out.extend(share.map(|share| self.utilization.sample(at_ns, share)));
        out.push(self.time.sample(at_ns, used_ns as f64 / 1e9));
    }
}
