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
    /// Zero.
    pub reserved: [u64; 4],
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
