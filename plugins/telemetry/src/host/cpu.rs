//! The machine's processors: how busy they were, what other guests took of them, and whether tasks waited for one.

use super::{
    Part,
    offer::{Offer, Place},
    source::{Last, Source},
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use std::{ops::RangeInclusive, path::Path};

/// How busy the processors are, from `/proc/stat`.
struct Processors {
    stat: Source,
    machine: Last<Times>,
    /// By number.
    cores: Vec<Last<Times>>,
    allowed: Allowed,
    utilization: Place,
    /// Absent where processors are not told apart.
    busiest: Option<Place>,
    /// Absent on kernels that do not tell.
    steal: Option<Place>,
}

/// What a processor, or all of them, did since it started, in the kernel's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    total: u64,
    /// Without work, whether or not a disk was waited for.
    idle: u64,
    /// Ready to run, while the processor worked for another guest.
    stolen: Option<u64>,
}

/// The part that `/proc/stat` tells of.
pub(super) fn processors(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let mut stat = Source::open(&root.join("proc/stat"))?;
    let text = stat.read()?;
    let tells_of_stolen_time = lines(&text).find(|(core, _)| core.is_none())?.1.stolen.is_some();
    let status = std::fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    let allowed = Allowed::of(&status);
    let has_cores = allowed.count(&text).0 > 0;
    Some(Box::new(Processors {
        stat,
        machine: Last::default(),
        cores: Vec::new(),
        allowed,
        utilization: offer.gauge(
            "host_cpu_utilization",
            "%",
            "Share of the time of all of the machine's processors in which they were not idle.",
        ),
        busiest: has_cores.then(|| {
            offer.gauge(
                "host_cpu_busiest_core",
                "%",
                "The same for the busiest of the processors that this program may use.",
            )
        }),
        steal: tells_of_stolen_time.then(|| {
            offer.gauge(
                "host_cpu_steal",
                "%",
                "Share of the processors' time that the hypervisor gave to others: whatever is timed meanwhile looks slower.",
            )
        }),
    }))
}

impl Part for Processors {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        let Some(text) = self.stat.read() else { return };
        let mut busiest: Option<f64> = None;
        for (core, times) in lines(&text) {
            let Some(core) = core else {
                if let Some((before, _)) = self.machine.replace(at_ns, times) {
                    let busy = times.busy_since(before).map(|share| self.utilization.sample(at_ns, share));
                    out.extend(busy);
                    let stolen = self.steal.zip(times.stolen_since(before));
                    out.extend(stolen.map(|(steal, share)| steal.sample(at_ns, share)));
                }
                continue;
            };
            if !self.allowed.has(core) {
                continue;
            }
            if self.cores.len() <= core {
                self.cores.resize_with(core + 1, Last::default);
            }
            let before = self.cores[core].replace(at_ns, times);
            let share = before.and_then(|(before, _)| times.busy_since(before));
            busiest = share.map_or(busiest, |share| Some(busiest.map_or(share, |busiest| busiest.max(share))));
        }
        out.extend(self.busiest.zip(busiest).map(|(place, share)| place.sample(at_ns, share)));
    }
}

/// Processor numbers above this are taken for a broken file.
const MOST_CORES: usize = 65_536;

/// The lines of `/proc/stat` that tell of processors: the number, absent for all of them together, and its times.
fn lines(stat: &str) -> impl Iterator<Item = (Option<usize>, Times)> {
    stat.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cpu")?.split_once(' ')?;
        let core = if name.is_empty() { None } else { Some(name.parse().ok().filter(|core| *core < MOST_CORES)?) };
        Some((core, Times::of(rest)?))
    })
}

impl Times {
    /// From `user nice system idle iowait irq softirq steal guest guest_nice`, the last ones of which are part of the
    /// first two, and of which old kernels have fewer.
    fn of(ticks: &str) -> Option<Self> {
        let mut fields = [0; 8];
        let mut count = 0;
        for (field, ticks) in fields.iter_mut().zip(ticks.split_whitespace()) {
            *field = ticks.parse().ok()?;
            count += 1;
        }
        let [.., idle, waiting, _, _, stolen] = fields;
        let total = fields.iter().fold(0, |total: u64, ticks| total.saturating_add(*ticks));
        (count >= 4).then_some(Self {
            total,
            idle: idle.saturating_add(waiting),
            stolen: (count == fields.len()).then_some(stolen),
        })
    }

    /// Percentage of the time since `before` that was not idle; none if no time was counted.
    fn busy_since(self, before: Self) -> Option<f64> {
        self.share(before, self.idle.saturating_sub(before.idle)).map(|idle| 100.0 - idle)
    }

    fn stolen_since(self, before: Self) -> Option<f64> {
        self.share(before, self.stolen?.saturating_sub(before.stolen?))
    }

    /// Percentage of the time since `before` that `ticks` are. Idle time may fall a little: kernels guess some of it.
    fn share(self, before: Self, ticks: u64) -> Option<f64> {
        let elapsed = self.total.saturating_sub(before.total);
        (elapsed > 0).then(|| (ticks as f64 / elapsed as f64 * 100.0).min(100.0))
    }
}

/// The processors that this program may use: ranges of numbers, or all where the kernel does not tell.
pub(super) struct Allowed(Vec<RangeInclusive<usize>>);

impl Allowed {
    /// From `/proc/self/status`: `Cpus_allowed_list: 0-3,8`.
    pub(super) fn of(status: &str) -> Self {
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        let range = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        };
        Self(list.split(',').filter_map(range).collect())
    }

    fn has(&self, core: usize) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(&core))
    }

    /// How many of the processors of `/proc/stat` these are, and how many there are.
    pub(super) fn count(&self, stat: &str) -> (usize, usize) {
        let cores = || lines(stat).filter_map(|(core, _)| core);
        (cores().filter(|core| self.has(*core)).count(), cores().count())
    }
}

/// Whether tasks wait for processors, from `/proc/pressure/cpu`.
struct Pressure {
    file: Source,
    waited_us: Last<u64>,
    place: Place,
}

/// The part that pressure stall information tells of; kernels may be built or started without.
pub(super) fn pressure(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let mut file = Source::open(&root.join("proc/pressure/cpu"))?;
    waited_us(&file.read()?)?;
    let place = offer.gauge(
        "host_cpu_pressure",
        "%",
        "Share of the time in which at least one task on this machine waited for a processor.",
    );
    Some(Box::new(Pressure { file, waited_us: Last::default(), place }))
}

/// `some avg10=0.18 avg60=1.29 avg300=1.66 total=1801515512`: microseconds since the start.
fn waited_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_whitespace().find_map(|field| field.strip_prefix("total="))?.parse().ok()
}

impl Part for Pressure {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        let Some(now) = self.file.read().and_then(|text| waited_us(&text)) else { return };
        let share = self.waited_us.replace(at_ns, now).map(|(before, elapsed_ns)| {
            let waited_ns = now.saturating_sub(before) as f64 * 1e3;
            (waited_ns / elapsed_ns * 100.0).min(100.0)
        });
        out.extend(share.map(|share| self.place.sample(at_ns, share)));
    }
}
