//! The limit that a container or a service puts on processor time, and how long it held the program up.

use super::{
    Part,
    offer::{Offer, Place},
    source::{Growing, Source, number},
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The limits on this program: on its own control group, and on those around it.
struct Throttling {
    meters: Vec<Meter>,
    place: Place,
}

/// What tells for how long one limit withheld processors.
struct Meter {
    stat: Source,
    version: &'static Version,
    throttled: Growing,
}

/// A control group whose processor time is limited.
struct Limit {
    folder: PathBuf,
    version: &'static Version,
    /// Processors' worth of time.
    cpus: f64,
}

/// How a version of control groups tells of its limits.
struct Version {
    /// Where processors' control groups are mounted, or linked to.
    mount: &'static str,
    /// The figure of `cpu.stat` that says for how long processors were withheld, and the nanoseconds of its unit.
    throttled: (&'static str, f64),
    /// Reads the limit of a control group from its folder, in processors.
    cpus: fn(&Path) -> Option<f64>,
}

static FIRST: Version = Version {
    mount: "sys/fs/cgroup/cpu",
    throttled: ("throttled_time", 1.0),
    cpus: |folder| {
        let number = |file| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
        ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    },
};

static SECOND: Version = Version {
    mount: "sys/fs/cgroup",
    throttled: ("throttled_usec", 1e3),
    cpus: |folder| {
        let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    },
};

/// Processors that a quota of every period is worth; none if it is no limit.
fn ratio(quota_us: i64, period_us: i64) -> Option<f64> {
    (quota_us > 0 && period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// The processors' worth of time that this program may use, if that is limited.
pub(super) fn cpu_limit(root: &Path) -> Option<f64> {
    limits(root).iter().map(|limit| limit.cpus).reduce(f64::min)
}

/// The limits on this program. Within a container the path of its control group may be one of the machine outside, of
/// which nothing is to be seen but the end, so the folders around it are looked into as far as the mount.
fn limits(root: &Path) -> Vec<Limit> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for group in groups.lines() {
        let mut fields = group.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let version = match controllers {
            "" => &SECOND,
            controllers if controllers.split(',').any(|controller| controller == "cpu") => &FIRST,
            _ => continue,
        };
        for path in Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = root.join(version.mount).join(path);
            limits.extend((version.cpus)(&folder).map(|cpus| Limit { folder, version, cpus }));
        }
    }
    limits
}

/// The part that control groups tell of; there is none without a limit.
pub(super) fn throttling(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let meters: Vec<_> = limits(root).iter().filter_map(Meter::open).collect();
    if meters.is_empty() {
        return None;
    }
    let place = offer.counter(
        "cgroup_cpu_throttled",
        "s",
        "Time for which processors were withheld from this program because its control group had used up its limit, \
         summed over processors: whatever is timed meanwhile looks slower.",
    );
    Some(Box::new(Throttling { meters, place }))
}

impl Meter {
    fn open(limit: &Limit) -> Option<Self> {
        let stat = Source::open(&limit.folder.join("cpu.stat"))?;
        let mut meter = Self { stat, version: limit.version, throttled: Growing::default() };
        meter.seconds()?;
        Some(meter)
    }

    fn seconds(&mut self) -> Option<f64> {
        let (name, unit_ns) = self.version.throttled;
        Some(self.throttled.at(number(&self.stat.read()?, name)?) * unit_ns / 1e9)
    }
}

impl Part for Throttling {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        // A sum that lacks one of them would fall.
        let sum = self.meters.iter_mut().map(Meter::seconds).sum::<Option<f64>>();
        out.extend(sum.map(|seconds| self.place.sample(at_ns, seconds)));
    }
}
