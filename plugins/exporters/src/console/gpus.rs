//! GPUs, one row each, what the answers cost in energy, and the machine that made the load.

use super::page::{Page, Tone, table_width};
use crate::{
    names, numbers,
    stats::finite,
    telemetry::{self, Device, Reading},
    text::clean,
};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use inferometer_plugin_sdk::documents::{PhaseReport, Report, Subject};

/// Most rows; the files hold all GPUs.
const SHOWN: usize = 16;
/// Longest name.
const NAME: usize = 40;
/// Columns from which there is more air between them.
const ROOMY: usize = 100;

/// A column: its header, and what it says of a GPU.
type Column = (&'static str, fn(&[Reading<'_>]) -> Option<String>);

const COLUMNS: [Column; 6] = [
    ("power (W)", |of| gauge(of, is_power, |reading| reading.value())),
    ("max", |of| gauge(of, is_power, |reading| finite(reading.series.gauge?.max))),
    ("busy (%)", |of| gauge(of, is_busy, |reading| reading.value())),
    ("memory (GB)", |of| gauge(of, is_memory, |reading| reading.value())),
    ("temp (°C)", |of| gauge(of, is_temperature, |reading| reading.value())),
    ("energy", |of| of.iter().find_map(joules).map(energy)),
];

/// What is given up first where the terminal is too narrow.
const LEAST_IMPORTANT_FIRST: [&str; 4] = ["temp (°C)", "max", "memory (GB)", "energy"];

fn gauge(
    readings: &[Reading<'_>],
    is_it: fn(&Reading<'_>) -> bool,
    value: fn(&Reading<'_>) -> Option<f64>,
) -> Option<String> {
    let of = readings.iter().find(|reading| reading.series.gauge.is_some() && is_it(reading))?;
    value(of).map(numbers::short)
}

// Vendors choose their own tags, so columns go by unit and by what the tag speaks of.

fn is_power(reading: &Reading<'_>) -> bool {
    reading.metric.unit == "W" && reading.metric.name.contains("power") && !reading.metric.name.contains("limit")
}

fn is_busy(reading: &Reading<'_>) -> bool {
    let name = reading.metric.name.as_str();
    let of_vendors = ["nvidia_gpu_utilization", "amd_gfx_activity"].contains(&name);
    let part = ["memory", "encoder", "decoder", "sm_", "jpg", "umc", "mm_"].iter().any(|part| name.contains(part));
    of_vendors || reading.metric.unit == "%" && !part && ["utiliz", "activity"].iter().any(|of| name.contains(of))
}

fn is_memory(reading: &Reading<'_>) -> bool {
    reading.metric.unit == "GB" && reading.metric.name.contains("memory_used")
}

fn is_temperature(reading: &Reading<'_>) -> bool {
    reading.metric.unit == "°C" && !reading.metric.name.contains("memory")
}

/// The growth of an energy counter.
fn joules(reading: &Reading<'_>) -> Option<f64> {
    let unit = match reading.metric.unit.as_str() {
        "mJ" => 1e-3,
        "J" => 1.0,
        "kJ" => 1e3,
        "MJ" => 1e6,
        "Wh" => 3.6e3,
        "kWh" => 3.6e6,
        _ => return None,
    };
    reading.series.counter?;
    reading.value().map(|value| value * unit)
}

fn energy(joules: f64) -> String {
    let (size, unit) = match joules.abs() {
        s if s >= 1e6 => (1e6, "MJ"),
        s if s >= 1e4 => (1e3, "kJ"),
        _ => (1.0, "J"),
    };
    format!("{} {unit}", numbers::short(joules / size))
}

/// Writes the table, what the answers cost, and an empty line; nothing if no GPU was read.
pub(super) fn write(page: &mut Page, report: &Report, phase: &PhaseReport) {
    let devices = once_each(telemetry::devices(report, phase));
    if devices.is_empty() {
        return;
    }
    let mut hosts = devices.iter().map(|(device, _)| device.hostname);
    let first = hosts.next();
    let several_hosts = hosts.any(|host| Some(host) != first);
    let rows = devices.iter().take(SHOWN).map(|(device, readings)| {
        let host =
            device.hostname.filter(|_| several_hosts).map(|host| format!("{} ", short(host))).unwrap_or_default();
        let part = device.instance.map(|part| format!("/{part}")).unwrap_or_default();
        (clean(&format!("{host}{}{part} {}", device.index, device.name), NAME), readings.as_slice())
    });
    let rows = rows.collect::<Vec<_>>();

    let mut columns = COLUMNS.to_vec();
    columns.retain(|(_, say)| rows.iter().any(|(_, readings)| say(readings).is_some()));
    let mut table = lay_out(&rows, &columns, page.width());
    for name in LEAST_IMPORTANT_FIRST {
        if table_width(&table) <= page.width() {
            break;
        }
        columns.retain(|(column, _)| *column != name);
        table = lay_out(&rows, &columns, page.width());
    }
    page.table(&table);
    if let Some(more) = devices.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let file = names::json(&report.run.export);
        page.line(Tone::Faint, &format!("and {}: see {file}", numbers::counted(more as u64, "more GPU")));
    }
    cost(page, phase, &devices);
    page.blank();
}

/// Devices with their readings.
type Devices<'a> = Vec<(Device<'a>, Vec<Reading<'a>>)>;

/// Puts what several sources tell of one GPU together; the first source's figures are shown where both have them.
fn once_each(devices: Devices<'_>) -> Devices<'_> {
    let mut each: Devices<'_> = Vec::new();
    for (device, readings) in devices {
        // Ids that are no UUIDs may be those of another machine's GPUs.
        let has_uuid = readings.iter().any(|reading| reading.entity.labels.contains_key("gpu_uuid"));
        let is_it = |(other, _): &&mut (Device<'_>, _)| {
            has_uuid && (other.uuid, other.instance) == (device.uuid, device.instance)
        };
        match each.iter_mut().find(is_it) {
            Some((_, before)) => before.extend(readings),
            None => each.push((device, readings)),
        }
    }
    each
}

/// A host's name without its domain.
fn short(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() { host } else { host.split('.').next().unwrap_or(host) }
}

fn lay_out(rows: &[(String, &[Reading<'_>])], columns: &[Column], width: usize) -> Table {
    let roomy = width >= ROOMY;
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(std::iter::once("GPU").chain(columns.iter().map(|(name, _)| *name)));
    for (name, readings) in rows {
        let values = columns.iter().map(|(_, say)| say(readings).unwrap_or_default());
        table.add_row(std::iter::once(name.clone()).chain(values));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let (alignment, left) =
            if i == 0 { (CellAlignment::Left, 0) } else { (CellAlignment::Right, if roomy { 3 } else { 2 }) };
        column.set_padding((left, 0)).set_cell_alignment(alignment);
    }
    table
}

/// The energy metrics that are shown, and in which words; their tags begin with the vendor.
const COSTS: [(&str, &str); 5] = [
    ("_total_gpu_energy", ""),
    ("_total_gpu_power", "W together"),
    ("_energy_per_request", "J per request"),
    ("_energy_per_output_token", "mJ per output token"),
    ("_output_tokens_per_joule", "output tokens per J"),
];

/// One line per vendor.
fn cost(page: &mut Page, phase: &PhaseReport, devices: &Devices<'_>) {
    let tags = || phase.metrics.keys();
    let mut vendors =
        COSTS.iter().flat_map(|(ending, _)| tags().filter_map(move |tag| tag.strip_suffix(ending))).collect::<Vec<_>>();
    vendors.sort_unstable();
    vendors.dedup();
    let mut title = "Energy";
    for vendor in &vendors {
        let said = COSTS.iter().filter_map(|(ending, words)| {
            let value = finite(phase.metrics.get(&format!("{vendor}{ending}"))?.stats.avg)?;
            Some(if words.is_empty() { energy(value) } else { format!("{} {words}", numbers::short(value)) })
        });
        let mut said = said.collect::<Vec<_>>().join(" · ");
        if phase.metrics.contains_key(&format!("{vendor}_total_gpu_energy")) && is_reckoned(vendor, devices) {
            said += " (energy as mean power × time, where no counter tells it)";
        }
        let of = if vendors.len() > 1 { format!("{vendor}: ") } else { String::new() };
        if !said.is_empty() {
            page.entry(std::mem::take(&mut title), Tone::Plain, &format!("{of}{said}"));
        }
    }
}

/// Whether the energy of a device of `vendor` is no counter's.
fn is_reckoned(vendor: &str, devices: &Devices<'_>) -> bool {
    // The counter may be the board's where the power is told for each of its parts.
    let is_counted = |uuid: &str| {
        let mut of_board = devices.iter().filter(|(device, _)| device.uuid == uuid);
        of_board.any(|(_, readings)| readings.iter().any(|reading| joules(reading).is_some()))
    };
    devices.iter().any(|(device, readings)| {
        device.platform.eq_ignore_ascii_case(vendor) && readings.iter().any(is_power) && !is_counted(device.uuid)
    })
}

/// Writes what the machine that made the load had to do, in a line.
pub(super) fn client(page: &mut Page, report: &Report, phase: &PhaseReport) {
    let readings = telemetry::readings(report, phase, Subject::Client).collect::<Vec<_>>();
    let find = |tag: &str| readings.iter().find(|reading| reading.metric.name == tag);
    let percent = |value: f64| format!("{}%", numbers::short(value));
    let highest = |reading: &Reading<'_>| finite(reading.series.gauge?.max).map(percent);

    let busy = find("host_cpu_utilization").and_then(|reading| {
        let highest = highest(reading).map(|max| format!(" (max {max})")).unwrap_or_default();
        Some(format!("CPU {}{highest}", percent(reading.value()?)))
    });
    let core = find("host_cpu_busiest_core").and_then(highest).map(|max| format!("busiest core at most {max}"));
    let memory = find("host_memory_used").and_then(|reading| {
        let all = reading.entity.labels.get("memory_gb").and_then(|text| finite(text.parse().ok()));
        let of = all.map(|all| format!(" of {}", numbers::short(all))).unwrap_or_default();
        Some(format!("memory {}{of} {}", numbers::short(reading.value()?), reading.metric.unit))
    });
    let said = [busy, core, memory].into_iter().flatten().collect::<Vec<_>>();
    if !said.is_empty() {
        page.entry("Client", Tone::Plain, &said.join(" · "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_has_a_unit_of_its_size() {
        let cases =
            [(0.24, "0.240 J"), (240.0, "240.0 J"), (9_990.0, "9,990 J"), (12_340.0, "12.3 kJ"), (5.6e6, "5.60 MJ")];
        for (joules, text) in cases {
            assert_eq!(energy(joules), text);
        }
    }
}
