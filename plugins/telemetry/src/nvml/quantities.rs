//! What is asked of a GPU, and under which name and in which unit it is told: those of AIPerf and of DCGM's exporter.

use inferometer_plugin_sdk::types::{Metric, MetricKind};

/// One call of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Milliwatts.
    Power,
    /// Millijoules since the driver was loaded.
    Energy,
    /// Percentages of time: kernels ran; memory was read or written.
    Utilization,
    /// Bytes.
    Memory,
    /// Degrees Celsius.
    Temperature,
    /// A percentage.
    Encoder,
    /// A percentage.
    Decoder,
    /// A percentage, since it was asked before.
    Sm,
    /// Nanoseconds since the driver was loaded.
    PowerViolation,
}

impl Query {
    pub(super) const ALL: [Self; 9] = [
        Self::Power,
        Self::Energy,
        Self::Utilization,
        Self::Memory,
        Self::Temperature,
        Self::Encoder,
        Self::Decoder,
        Self::Sm,
        Self::PowerViolation,
    ];
}

/// A figure among those that a query gives.
pub(super) struct Quantity {
    pub(super) query: Query,
    /// Its place among the figures of the query.
    pub(super) place: usize,
    /// What the figure is multiplied by.
    pub(super) scale: f64,
    /// The name of the metric.
    pub(super) name: &'static str,
    unit: &'static str,
    kind: MetricKind,
    help: &'static str,
}

impl Quantity {
    const fn gauge(query: Query, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { query, place: 0, scale: 1.0, name, unit, kind: MetricKind::GAUGE, help }
    }

    const fn counter(query: Query, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { kind: MetricKind::COUNTER, ..Self::gauge(query, name, unit, help) }
    }

    const fn at(self, place: usize) -> Self {
        Self { place, ..self }
    }

    const fn times(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    pub(super) fn metric(&self) -> Metric {
        Metric { name: self.name.into(), unit: self.unit.into(), help: self.help.into(), kind: self.kind }
    }
}

/// All figures, in the order of the catalogue.
#[rustfmt::skip]
pub(super) const QUANTITIES: [Quantity; 10] = [
    Quantity::gauge(Query::Power, "nvidia_power_usage", "W", "Power that the GPU draws.").times(1e-3),
    Quantity::counter(Query::Energy, "nvidia_energy_consumption", "MJ", "Energy that the GPU has used since the driver was loaded.").times(1e-9),
    Quantity::gauge(Query::Utilization, "nvidia_gpu_utilization", "%", "Share of the time in which at least one kernel ran."),
    Quantity::gauge(Query::Utilization, "nvidia_memory_utilization", "%", "Share of the time in which GPU memory was read or written.").at(1),
    Quantity::gauge(Query::Memory, "nvidia_memory_used", "GB", "GPU memory in use, without what the driver reserves for itself.").times(1e-9),
    Quantity::gauge(Query::Temperature, "nvidia_temperature", "°C", "Temperature of the GPU."),
    Quantity::gauge(Query::Encoder, "nvidia_encoder_utilization", "%", "Utilization of the video encoder."),
    Quantity::gauge(Query::Decoder, "nvidia_decoder_utilization", "%", "Utilization of the video decoder."),
    Quantity::gauge(Query::Sm, "nvidia_sm_utilization", "%", "Share of the streaming multiprocessors that had work, over the time since the last reading."),
    Quantity::counter(Query::PowerViolation, "nvidia_power_violation", "us", "Time for which the power limit held the GPU's clocks down.").times(1e-3),
];
