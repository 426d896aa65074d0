//! GPUs that do not exist, as NVIDIA's dcgm-exporter would show them.
//!
//! All of them work while at least one request is being answered, from the moment it was completely read to its end,
//! and are idle otherwise. Every figure is a function of that alone: power has two levels, and energy is the exact
//! integral of the power since the server was started. No request is slower for them.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::page::Page;
use crate::config::MockConfig;

/// What a figure depends on.
struct State {
    gpu: usize,
    working: bool,
    /// Since the server was started.
    age: Duration,
    /// How much of that they worked.
    worked: Duration,
}

/// A metric: its name, type and help as dcgm-exporter has them, and what it shows.
type Field = (&'static str, &'static str, &'static str, fn(&Gpus, &State) -> String);

const FIELDS: [Field; 9] = [
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", |_, state| {
        (if state.working { 65 } else { 35 } + state.gpu % 8).to_string()
    }),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", |gpus, state| {
        let milliwatts = gpus.idle_mw + if state.working { gpus.busy_mw } else { 0 };
        format!("{:.6}", milliwatts as f64 / 1e3)
    }),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Total energy consumption since boot (in mJ).",
        |gpus, state| {
            // Milliwatts times nanoseconds are billionths of a millijoule.
            let idle = u128::from(gpus.idle_mw) * state.age.as_nanos();
            let busy = u128::from(gpus.busy_mw) * state.worked.as_nanos();
            ((idle + busy) / 1_000_000_000).to_string()
        },
    ),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", |_, state| level(state, "100", "0")),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", |_, state| level(state, "40", "0")),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", |_, _| "0".into()),
    (
        "DCGM_FI_DEV_POWER_VIOLATION",
        "counter",
        "Throttling duration due to power constraints (in ns).",
        // A tenth of the work, so that there is something to see.
        |_, state| (state.worked.as_nanos() / 10).to_string(),
    ),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", |_, state| {
        // Of each GPU another, so that one taken for another shows.
        (40_960 + state.gpu).to_string()
    }),
    ("DCGM_FI_PROF_SM_ACTIVE", "gauge", "The ratio of cycles an SM has at least 1 warp assigned.", |_, state| {
        level(state, "0.900000", "0.000000")
    }),
];

fn level(state: &State, working: &str, idle: &str) -> String {
    (if state.working { working } else { idle }).to_owned()
}

/// The GPUs of the server.
pub(crate) struct Gpus {
    count: usize,
    /// What each draws at any time, in milliwatts.
    idle_mw: u64,
    /// What each draws on top of it while they work.
    busy_mw: u64,
    started: Instant,
    // A lock in place of atomics: times are taken while it is held, so that they are in order across threads.
    work: Mutex<Work>,
}

impl Gpus {
    /// None, if none are configured.
    pub(crate) fn new(config: &MockConfig) -> Option<Self> {
        let milliwatts = |watts: f64| (watts * 1e3).round() as u64;
        (config.gpus > 0).then(|| Self {
            count: config.gpus,
            idle_mw: milliwatts(config.gpu_idle_watts),
            busy_mw: milliwatts(config.gpu_busy_watts),
            started: Instant::now(),
            work: Mutex::default(),
        })
    }

    /// A request was completely read: now, which is what it gives.
    pub(crate) fn begin(&self) -> Instant {
        let mut work = self.work();
        let now = Instant::now();
        work.begin(now);
        now
    }

    /// The answer to a request is over: now, which is what it gives.
    pub(crate) fn end(&self) -> Instant {
        let mut work = self.work();
        let now = Instant::now();
        work.end(now);
        now
    }

    /// The page of dcgm-exporter.
    pub(crate) fn render(&self) -> Vec<u8> {
        let (now, working, worked) = {
            let work = self.work();
            let now = Instant::now();
            (now, work.since.is_some(), work.until(now))
        };
        self.page(now.saturating_duration_since(self.started), working, worked)
    }

    fn page(&self, age: Duration, working: bool, worked: Duration) -> Vec<u8> {
        let mut page = Page::default();
        for (name, kind, help, value) in FIELDS {
            page.family(name, kind, help);
            for gpu in 0..self.count {
                let labels = format_args!(
                    "gpu=\"{gpu}\",UUID=\"GPU-00000000-0000-0000-0000-{gpu:012x}\",pci_bus_id=\"00000000:{gpu:02X}:00.0\",\
                     device=\"nvidia{gpu}\",modelName=\"Mock GPU\",Hostname=\"mock\""
                );
                let state = State { gpu, working, age, worked };
                page.sample(format_args!("{name}{{{labels}}}"), value(self, &state));
            }
        }
        page.into_bytes()
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().expect("nothing that can panic is done while it is held")
    }
}

/// How long at least one request was being answered.
#[derive(Default)]
struct Work {
    requests: u64,
    /// Since when there have been any.
    since: Option<Instant>,
    /// Up to when there were none the last time.
    total: Duration,
}

impl Work {
    fn begin(&mut self, at: Instant) {
        self.requests += 1;
        self.since.get_or_insert(at);
    }

    fn end(&mut self, at: Instant) {
        self.requests -= 1;
        if self.requests == 0 {
            self.total = self.until(at);
            self.since = None;
        }
    }

    fn until(&self, at: Instant) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| at.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(page: &[u8], series: &str) -> String {
        let page = std::str::from_utf8(page).unwrap();
        let line = page.lines().find(|line| line.starts_with(series)).unwrap();
        line.rsplit_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn energy_is_the_integral_of_the_power_to_the_millijoule() {
        let config = MockConfig { gpus: 2, gpu_idle_watts: 62.5, gpu_busy_watts: 250.0, ..MockConfig::default() };
        let gpus = Gpus::new(&config).unwrap();
        let page = gpus.page(Duration::from_secs(10), true, Duration::from_millis(4_321));
        for gpu in ["0", "1"] {
            let of = |field: &str| value(&page, &format!("{field}{{gpu=\"{gpu}\""));
            assert_eq!(of("DCGM_FI_DEV_POWER_USAGE"), "312.500000");
            // 62.5 W for 10 s, and 250 W for 4.321 s.
            assert_eq!(of("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"), "1705250");
            assert_eq!(of("DCGM_FI_DEV_POWER_VIOLATION"), "432100000");
        }
    }

    #[test]
    fn a_server_without_gpus_has_no_page_of_them() {
        assert!(Gpus::new(&MockConfig::default()).is_none());
    }

    proptest! {
        #[test]
        fn work_lasts_as_long_as_the_union_of_all_requests(
            requests in proptest::collection::vec((0_u64..100, 0_u64..30), 0..12),
            at in 0_u64..150,
        ) {
            let started = Instant::now();
            let moment = |ns: u64| started + Duration::from_nanos(ns);
            let mut events: Vec<(u64, bool)> =
                requests.iter().flat_map(|&(from, length)| [(from, true), (from + length, false)]).collect();
            // A request that ends at once begins first.
            events.sort_by_key(|&(ns, begins)| (ns, !begins));
            let mut work = Work::default();
            for (ns, begins) in events.into_iter().filter(|&(ns, _)| ns <= at) {
                if begins { work.begin(moment(ns)) } else { work.end(moment(ns)) }
            }
            let covered = |ns: u64| requests.iter().any(|&(from, length)| (from..from + length).contains(&ns));
            let expected = (0..at).filter(|&ns| covered(ns)).count() as u64;
            prop_assert_eq!(work.until(moment(at)), Duration::from_nanos(expected));
        }
    }
}
