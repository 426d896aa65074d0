//! Pages of exporters that tell of accelerators: which of their fields are taken, and how a device is known by its labels.
//! A vendor is a table; what is not in it is left out.

use super::{
    index::{self, Index, Place},
    text::{self, Labels},
};
use inferometer_plugin_sdk::types::MetricKind;
use std::borrow::Cow;

const GAUGE: MetricKind = MetricKind::GAUGE;
const COUNTER: MetricKind = MetricKind::COUNTER;

/// A field of an exporter, and the metric that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// What the exporter calls it.
    pub(super) name: Cow<'static, str>,
    /// What we call it.
    pub(super) tag: Cow<'static, str>,
    /// How many of our units one of the exporter's is.
    pub(super) scale: f64,
    pub(super) unit: Cow<'static, str>,
    pub(super) kind: MetricKind,
    /// Its title for people.
    pub(super) help: Cow<'static, str>,
    /// Whether it is the whole board's, though the exporter repeats it for each part that the board is divided into.
    pub(super) is_of_board: bool,
}

/// What an exporter's labels mean: for each of ours the names it may have there, the best first. Upper and lower case are
/// one.
#[derive(Debug)]
struct Names {
    ours: &'static [(&'static str, &'static [&'static str])],
    /// Parts of a board that count as devices.
    instance: &'static [&'static str],
    /// Parts of a device that do not: their figures are left out.
    lesser: &'static [&'static str],
}

/// Our labels that tell of a part of a board, and not of the board.
const OF_INSTANCES: [&str; 4] = ["mig_instance", "mig_profile", "namespace", "pod_name"];

/// The fields and labels of an exporter.
#[derive(Debug)]
pub(super) struct Devices {
    platform: &'static str,
    /// Where fields mean the same, the first that a device has counts.
    fields: Vec<Field>,
    names: &'static Names,
    /// What the label `source` says.
    source: String,
}

/// Memory in MiB as decimal gigabytes.
pub(super) const GB_PER_MIB: f64 = 1.048_576e-3;

type Row = (&'static str, &'static str, f64, &'static str, MetricKind, &'static str, bool);

/// Of NVIDIA's dcgm-exporter. `XID_ERRORS` is the code of the last error, so neither a count nor a counter.
#[rustfmt::skip]
const DCGM: [Row; 11] = [
    ("DCGM_FI_DEV_POWER_USAGE",              "nvidia_power_usage",         1.0,        "W",    GAUGE,   "NVIDIA GPU Power Usage",     true),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "nvidia_energy_consumption",  1e-9,       "MJ",   COUNTER, "NVIDIA Energy Consumption",  true),
    ("DCGM_FI_DEV_GPU_UTIL",                 "nvidia_gpu_utilization",     1.0,        "%",    GAUGE,   "NVIDIA GPU Utilization",     false),
    ("DCGM_FI_DEV_MEM_COPY_UTIL",            "nvidia_memory_utilization",  1.0,        "%",    GAUGE,   "NVIDIA Memory Utilization",  false),
    ("DCGM_FI_DEV_FB_USED",                  "nvidia_memory_used",         GB_PER_MIB, "GB",   GAUGE,   "NVIDIA GPU Memory Used",     false),
    ("DCGM_FI_DEV_GPU_TEMP",                 "nvidia_temperature",         1.0,        "°C",   GAUGE,   "NVIDIA GPU Temperature",     true),
    ("DCGM_FI_DEV_ENC_UTIL",                 "nvidia_encoder_utilization", 1.0,        "%",    GAUGE,   "NVIDIA Encoder Utilization", false),
    ("DCGM_FI_DEV_DEC_UTIL",                 "nvidia_decoder_utilization", 1.0,        "%",    GAUGE,   "NVIDIA Decoder Utilization", false),
    ("DCGM_FI_PROF_SM_ACTIVE",               "nvidia_sm_utilization",      100.0,      "%",    GAUGE,   "NVIDIA SM Utilization",      false),
    ("DCGM_FI_DEV_XID_ERRORS",               "nvidia_xid_errors",          1.0,        "code", GAUGE,   "NVIDIA XID Errors",          true),
    ("DCGM_FI_DEV_POWER_VIOLATION",          "nvidia_power_violation",     1e-3,       "us",   COUNTER, "NVIDIA Power Violation",     true),
];

const DCGM_NAMES: Names = Names {
    ours: &[
        ("gpu_index", &["gpu"]),
        ("gpu_name", &["modelName"]),
        ("gpu_uuid", &["UUID"]),
        ("pci_bus_id", &["pci_bus_id"]),
        ("device", &["device"]),
        ("hostname", &["Hostname"]),
        ("namespace", &["namespace", "exported_namespace"]),
        ("pod_name", &["pod", "exported_pod"]),
        ("mig_instance", &["GPU_I_ID"]),
        ("mig_profile", &["GPU_I_PROFILE"]),
    ],
    instance: &["GPU_I_ID"],
    lesser: &["nvlink", "nvswitch", "cpu", "cpucore"],
};

/// Of AMD's device-metrics-exporter, which declares everything a gauge. Energy is in microjoules, memory in MiB.
#[rustfmt::skip]
const AMD: [Row; 11] = [
    ("gpu_package_power",         "amd_power",              1.0,        "W",     GAUGE,   "AMD GPU Power",          false),
    ("gpu_average_package_power", "amd_power",              1.0,        "W",     GAUGE,   "AMD GPU Power",          false),
    ("gpu_power_usage",           "amd_power",              1.0,        "W",     GAUGE,   "AMD GPU Power",          false),
    ("gpu_energy_consumed",       "amd_energy_consumption", 1e-12,      "MJ",    COUNTER, "AMD Energy Consumption", false),
    ("gpu_gfx_activity",          "amd_gfx_activity",       1.0,        "%",     GAUGE,   "AMD GFX Activity",       false),
    ("gpu_umc_activity",          "amd_umc_activity",       1.0,        "%",     GAUGE,   "AMD UMC Activity",       false),
    ("gpu_mma_activity",          "amd_mm_activity",        1.0,        "%",     GAUGE,   "AMD MM Activity",        false),
    ("gpu_used_vram",             "amd_memory_used",        GB_PER_MIB, "GB",    GAUGE,   "AMD GPU Memory Used",    false),
    ("gpu_junction_temperature",  "amd_temperature",        1.0,        "°C",    GAUGE,   "AMD GPU Temperature",    false),
    ("gpu_edge_temperature",      "amd_temperature",        1.0,        "°C",    GAUGE,   "AMD GPU Temperature",    false),
    ("gpu_ecc_uncorrect_total",   "amd_ecc_uncorrectable",  1.0,        "count", COUNTER, "AMD ECC Uncorrectable",  false),
];

/// What the label `platform` says of AMD's devices.
const AMD_PLATFORM: &str = "amd";

const AMD_NAMES: Names = Names {
    ours: &[
        ("gpu_index", &["gpu_id"]),
        ("gpu_name", &["card_series", "card_model"]),
        ("gpu_uuid", &["gpu_uuid", "serial_number"]),
        ("pci_bus_id", &["pcie_bus_id"]),
        ("hostname", &["hostname"]),
        ("namespace", &["namespace", "exported_namespace"]),
        ("pod_name", &["pod", "exported_pod"]),
        ("partition", &["gpu_partition_id"]),
    ],
    instance: &["gpu_partition_id"],
    lesser: &[],
};

impl Devices {
    /// NVIDIA's devices, with further fields.
    pub(super) fn dcgm(further: &[Field], source: &str) -> Self {
        let fields = built_in().chain(further.iter().cloned()).collect();
        Self { platform: "nvidia", fields, names: &DCGM_NAMES, source: source.to_owned() }
    }

    /// AMD's devices.
    pub(super) fn amd(source: &str) -> Self {
        let fields = AMD.into_iter().map(field).collect();
        Self { platform: AMD_PLATFORM, fields, names: &AMD_NAMES, source: source.to_owned() }
    }

    /// The devices that a series on a page shows it to be of.
    pub(super) fn recognize(series: &str, source: &str) -> Option<Self> {
        let name = text::name(series);
        if name.starts_with("DCGM_FI_") {
            return Some(Self::dcgm(&[], source));
        }
        // These names are not the exporter's alone: a server may have one of them too.
        let is_amd = AMD.iter().any(|row| row.0 == name) && AMD_NAMES.get("gpu_uuid", &text::labels(series)?).is_some();
        is_amd.then(|| Self::amd(source))
    }

    /// What its exporter says where there is no value: the blanks of DCGM (`dcgm_fields.h`: 32 and 64 bits, and doubles,
    /// four of each), and all bits set, of which AMD's drivers have 16 in most fields.
    #[expect(clippy::cast_precision_loss, reason = "the exporter's own figures lost it")]
    pub(super) fn is_missing(&self, value: f64) -> bool {
        const BLANK_32: f64 = 2_147_483_632.0;
        const BLANK_DOUBLE: f64 = 140_737_488_355_328.0;
        let is_blank = |blank: f64| (blank..blank + 4.0).contains(&value);
        !value.is_finite()
            || value >= i64::MAX as f64
            || value == f64::from(u32::MAX)
            || self.platform == AMD_PLATFORM && value == f64::from(u16::MAX)
            || is_blank(BLANK_32)
            || is_blank(BLANK_DOUBLE)
    }

    /// Where the figures of a series go; `None` if it is not in the table or of no device.
    pub(super) fn place(&self, series: &str, index: &mut Index) -> Option<Place> {
        let name = text::name(series);
        let rank = self.fields.iter().position(|field| field.name == name)?;
        let field = &self.fields[rank];
        let theirs = text::labels(series)?;
        if first(self.names.lesser, &theirs).is_some() {
            return None;
        }
        let ours = self.names.ours.iter().filter_map(|(ours, _)| Some((*ours, self.names.get(ours, &theirs)?)));
        let mut labels: Labels = ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut instance = first(self.names.instance, &theirs);
        if field.is_of_board && instance.take().is_some() {
            // Power of a part that is the whole board's would be counted once per part.
            labels.retain(|name, _| !OF_INSTANCES.contains(&name.as_str()));
        }
        let device = labels.get("gpu_uuid").cloned().or_else(|| Some(format!("gpu{}", labels.get("gpu_index")?)))?;
        let parts = [labels.get("hostname").cloned(), Some(device), instance.map(str::to_owned)];
        let id = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
        labels.insert("platform".to_owned(), self.platform.to_owned());
        labels.insert("source".to_owned(), self.source.clone());
        let metric = index.metric(index::metric(&field.tag, field.kind, &field.unit, &field.help))?;
        let entity = index.entity(id, labels);
        Some(index.place(metric, entity, field.scale, u16::try_from(rank).unwrap_or(u16::MAX)))
    }
}

impl Names {
    /// What one of our labels says there.
    fn get<'l>(&self, ours: &str, theirs: &'l Labels) -> Option<&'l str> {
        first(self.ours.iter().find(|(name, _)| *name == ours)?.1, theirs)
    }
}

/// The first of `names` that says something.
fn first<'l>(names: &[&str], labels: &'l Labels) -> Option<&'l str> {
    names.iter().find_map(|name| {
        let mut named = labels.iter().filter(|(label, _)| label.eq_ignore_ascii_case(name));
        named.find(|(_, value)| !value.is_empty()).map(|(_, value)| value.as_str())
    })
}

/// The fields of NVIDIA's that are always taken.
pub(super) fn built_in() -> impl Iterator<Item = Field> {
    DCGM.into_iter().map(field)
}

fn field((name, tag, scale, unit, kind, help, is_of_board): Row) -> Field {
    Field { name: name.into(), tag: tag.into(), scale, unit: unit.into(), kind, help: help.into(), is_of_board }
}
