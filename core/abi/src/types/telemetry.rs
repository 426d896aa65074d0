//! What a telemetry collector measures.

use abi_stable::{
    StableAbi,
    std_types::{RString, RVec},
};

/// How a metric behaves over time.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricKind(pub u32);

impl MetricKind {
    /// A level: summarised by its statistics.
    pub const GAUGE: Self = Self(0);
    /// A count that only grows: summarised by its increase.
    pub const COUNTER: Self = Self(1);
    /// Counts of observations that were no greater than a bound, one entity per bound, which is its label `le`; `+Inf`
    /// counts all of them. The catalogue also holds the entity without that label; if their sum is known, it is a
    /// counter on that entity, called like the metric with `_sum` after it. Since 1.1.
    pub const HISTOGRAM: Self = Self(2);
}

/// What a collector's figures are about.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub u32);

impl Subject {
    /// Accelerators and other hardware that serves the model.
    pub const DEVICE: Self = Self(0);
    /// The inference server, as it tells of itself.
    pub const SERVER: Self = Self(1);
    /// The machine that makes the load.
    pub const CLIENT: Self = Self(2);
}

/// One thing a collector measures.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Metric {
    /// Its tag, such as `nvidia_power_usage`.
    pub name: RString,
    /// Its unit, such as `W`.
    pub unit: RString,
    /// What it is, in a sentence.
    pub help: RString,
    /// How it behaves.
    pub kind: MetricKind,
}

/// One thing that is measured: a device, a host, a server.
///
/// Labels that hosts look for on devices: `gpu_index`, `gpu_name`, `gpu_uuid`, `pci_bus_id`, `device`, `hostname`,
/// `namespace`, `pod_name`, and `platform` (`nvidia`, `amd`, or the vendor's name). On anything: `source`, where the figures
/// come from, such as a URL.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Entity {
    /// Its name, unique in the catalogue.
    pub id: RString,
    /// A JSON object of labels (`gpu_index`, `hostname` …).
    pub labels_json: RString,
}

/// What a collector has to offer.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct Catalogue {
    /// What is measured.
    pub metrics: RVec<Metric>,
    /// On what.
    pub entities: RVec<Entity>,
    /// Shortest sensible time between two collections, in nanoseconds.
    pub min_interval_ns: u64,
    /// The first word is the subject, see [`Catalogue::subject`]; the others are zero.
    pub reserved: [u64; 4],
}

impl Catalogue {
    /// What the figures are about. Since 1.1; catalogues of before are about devices.
    pub fn subject(&self) -> Subject {
        Subject(u32::try_from(self.reserved[0]).unwrap_or(Subject::DEVICE.0))
    }

    /// The same catalogue, about `subject`.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.reserved[0] = u64::from(subject.0);
        self
    }
}

/// One reading.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Index into [`Catalogue::metrics`].
    pub metric: u32,
    /// Index into [`Catalogue::entities`].
    pub entity: u32,
    /// When, in nanoseconds since the run began.
    pub at_ns: u64,
    /// What.
    pub value: f64,
}

/// One call of a collector, as exporters see it. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// When the call began, in nanoseconds since the run began.
    pub began_ns: u64,
    /// When it returned.
    pub ended_ns: u64,
    /// How many samples it gave; those of all collections follow each other.
    pub samples: u32,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u64; 2],
}
