//! The table of distributions: latencies first, then speed, then lengths.

use super::{
    load::is_scheduled,
    page::{Page, table_width},
};
use crate::{
    numbers,
    stats::{finite, is_distribution},
    text::clean,
};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use inferometer_plugin_sdk::documents::{MetricResult, PhaseReport, Stats};

/// A row: its metric, its name where there is room, and its name where there is none.
type Row = (&'static str, &'static str, &'static str);

const ROWS: [Row; 11] = [
    ("time_to_first_token", "Time to First Token", "TTFT"),
    ("time_to_second_token", "Time to Second Token", "TTST"),
    ("time_to_first_output_token", "Time to First Output Token", "TTFO"),
    ("inter_token_latency", "Inter Token Latency", "ITL"),
    ("inter_chunk_latency", "Inter Chunk Gap", "Chunk gap"),
    ("request_latency", "Request Latency", "Request latency"),
    ("intended_time_to_first_token", "First Token from Schedule", "TTFT, schedule"),
    ("effective_latency", "Latency from Schedule", "Latency, schedule"),
    ("output_token_throughput_per_user", "Output TPS per User", "Output TPS/user"),
    ("output_sequence_length", "Output Sequence Length", "OSL"),
    ("input_sequence_length", "Input Sequence Length", "ISL"),
];

type Column = (&'static str, fn(&Stats) -> Option<f64>);

const COLUMNS: [Column; 7] = [
    ("avg", |s| s.avg),
    ("min", |s| s.min),
    ("p50", |s| s.p50),
    ("p90", |s| s.p90),
    ("p99", |s| s.p99),
    ("max", |s| s.max),
    ("std", |s| s.std),
];

/// What is given up first where the terminal is too narrow for all columns.
const LEAST_IMPORTANT_FIRST: [&str; 5] = ["std", "min", "max", "p90", "avg"];

/// Columns from which the long names are used.
const ROOMY: usize = 100;

/// Writes the table and an empty line, or nothing if no distribution was measured.
pub(super) fn write(page: &mut Page, phase: &PhaseReport) {
    let rows =
        ROWS.iter().filter(|row| is_wanted(row.0, phase)).filter_map(|row| Some((row, phase.metrics.get(row.0)?)));
    let rows = rows.filter(|(_, metric)| is_distribution(metric)).collect::<Vec<_>>();
    if rows.is_empty() {
        return;
    }
    let mut columns = COLUMNS.to_vec();
    let mut table = lay_out(&rows, &columns, page.width());
    for name in LEAST_IMPORTANT_FIRST {
        if table_width(&table) <= page.width() {
            break;
        }
        columns.retain(|(column, _)| *column != name);
        table = lay_out(&rows, &columns, page.width());
    }
    page.table(&table);
    page.blank();
}

/// Some rows only say something in some runs.
fn is_wanted(tag: &str, phase: &PhaseReport) -> bool {
    match tag {
        // The same as the first token, unless the model reasons first.
        "time_to_first_output_token" => {
            let stats = |tag| phase.metrics.get(tag).map(|metric| metric.stats);
            stats(tag) != stats("time_to_first_token")
        }
        // The same as the other view, unless the schedule does not wait for answers.
        "effective_latency" | "intended_time_to_first_token" => is_scheduled(&phase.load),
        _ => true,
    }
}

fn lay_out(rows: &[(&Row, &MetricResult)], columns: &[Column], width: usize) -> Table {
    let roomy = width >= ROOMY;
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(std::iter::once("").chain(columns.iter().map(|(name, _)| *name)));
    for ((_, long, short), metric) in rows {
        let name = format!("{}{}", if roomy { long } else { short }, unit(metric));
        let format = Format::of(metric);
        let values =
            columns.iter().map(|(_, get)| finite(get(&metric.stats)).map(|v| format.text(v)).unwrap_or_default());
        table.add_row(std::iter::once(name).chain(values));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let (alignment, left) =
            if i == 0 { (CellAlignment::Left, 0) } else { (CellAlignment::Right, if roomy { 3 } else { 2 }) };
        column.set_padding((left, 0)).set_cell_alignment(alignment);
    }
    table
}

fn unit(metric: &MetricResult) -> String {
    match metric.info.unit.as_str() {
        "" => String::new(),
        "tokens/sec/user" => " (tokens/s)".into(),
        unit => format!(" ({})", clean(unit, 20)),
    }
}

/// How the numbers of a row are written: alike, as far as they are of a size.
enum Format {
    /// Things that are counted: whole numbers stay whole.
    Counts,
    /// Decimals that fit the middle of the row.
    Measures(usize),
}

impl Format {
    fn of(metric: &MetricResult) -> Self {
        match metric.info.unit.as_str() {
            "tokens" | "count" | "requests" => Self::Counts,
            _ => Self::Measures(finite(metric.stats.p50.or(metric.stats.avg)).map_or(1, numbers::decimals)),
        }
    }

    fn text(&self, value: f64) -> String {
        let own = numbers::decimals(value);
        let decimals = match self {
            Self::Counts if value.fract() == 0.0 => 0,
            Self::Counts => own.min(1),
            // Much smaller than the row: two digits of its own. Much larger: no decimals that only take room.
            Self::Measures(row) if own > row + 1 => own,
            Self::Measures(row) => own.min(*row).max(if own == 0 { 0 } else { *row }),
        };
        if value == 0.0 { "0".into() } else { numbers::fixed(value, decimals) }
    }
}
