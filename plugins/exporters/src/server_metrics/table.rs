//! `server_metrics_export.csv`: one table per type of metric, in AIPerf's layout. The names of labels are columns.

use super::{AIPERF_VERSION, figures, labels};
use crate::{
    csv::Table,
    numbers, stats,
    telemetry::{self, Reading},
    text::clean,
};
use inferometer_plugin_sdk::documents::{Report, Subject};
use std::{borrow::Cow, collections::BTreeSet};

const SCHEMA_VERSION: &str = "1.0";
/// Longest text of a comment.
const COMMENT: usize = 200;

/// The whole file; of the profiling phase.
pub(super) fn render(report: &Report) -> csv::Result<Vec<u8>> {
    let run = &report.run;
    let mut text = format!(
        "# Server metrics, in the layout of AIPerf Server Metrics Export (CSV)\r\n\
         # aiperf_version: {AIPERF_VERSION}\r\n\
         # inferometer_version: {}\r\n\
         # schema_version: {SCHEMA_VERSION}\r\n\
         # benchmark_id: {}\r\n\
         #\r\n",
        clean(&run.version, COMMENT),
        clean(&run.benchmark_id, COMMENT)
    )
    .into_bytes();

    let readings = report.profiling().into_iter().flat_map(|phase| telemetry::readings(report, phase, Subject::Server));
    let (infos, figures): (Vec<_>, Vec<_>) = readings.partition(is_info);
    let tables = ["gauge", "counter", "histogram"].map(|kind| figures_table(kind, &figures));
    let mut between: &[u8] = b"";
    for table in tables.into_iter().chain([info_table(&infos)]) {
        let table = table?;
        if table.rows() > 0 {
            text.extend_from_slice(between);
            text.extend(table.into_bytes()?);
            between = b"\r\n";
        }
    }
    Ok(text)
}

/// Whether a gauge only carries labels: it is called so, and always 1.
fn is_info(reading: &Reading<'_>) -> bool {
    let is_one = |value: Option<f64>| value == Some(1.0);
    let gauge = reading.series.gauge.as_ref();
    reading.metric.name.ends_with("_info") && gauge.is_some_and(|gauge| is_one(gauge.min) && is_one(gauge.max))
}

fn columns(kind: &str) -> Vec<Cow<'static, str>> {
    let percentiles = stats::percentiles().map(|(name, _)| name);
    match kind {
        "gauge" => stats::gauge_columns().map(|(name, _)| name.into()).collect(),
        // The last four would be of time slices; they are there for scripts that look for them.
        "counter" => ["total", "rate", "rate_avg", "rate_min", "rate_max", "rate_std"].map(Cow::from).into(),
        _ => {
            let head = ["count", "count_rate", "sum", "sum_rate", "avg"].map(Cow::from);
            head.into_iter().chain(percentiles.map(|name| format!("{name}_estimate").into())).collect()
        }
    }
}

fn figures_table(kind: &str, readings: &[Reading<'_>]) -> csv::Result<Table> {
    let rows = readings.iter().map(|reading| (reading, figures(reading.series)));
    let mut rows = rows.filter(|(_, (of, figures))| *of == kind && !figures.is_empty()).collect::<Vec<_>>();
    rows.sort_by(|(one, _), (other, _)| {
        (&one.source.name, &one.metric.name).cmp(&(&other.source.name, &other.metric.name))
    });
    let label_names: BTreeSet<&str> =
        rows.iter().flat_map(|(reading, _)| labels(reading.source, &reading.entity.labels).into_keys()).collect();
    let columns = columns(kind);
    let with_buckets = kind == "histogram";

    let head = ["Endpoint", "Type", "Metric", "Unit"].into_iter().chain(columns.iter().map(|name| &**name));
    let tail = ["Description"].into_iter().chain(with_buckets.then_some("buckets"));
    let mut table = Table::new(head.chain(label_names.iter().copied()).chain(tail))?;
    for (reading, (_, figures)) in rows {
        let Reading { source, metric, entity, series } = reading;
        let labels = labels(source, &entity.labels);
        let known = [telemetry::endpoint(&source.name), kind, &metric.name, &metric.unit].map(str::to_owned);
        let values = columns.iter().map(|column| {
            let value = figures.iter().find(|(name, _)| name == column).map(|(_, value)| *value);
            value
                .map(|value| if column == "count" { whole(value) } else { numbers::decimal(value) })
                .unwrap_or_default()
        });
        let label_values = label_names.iter().map(|name| labels.get(name).copied().unwrap_or_default().to_owned());
        let buckets = series.histogram.as_ref().filter(|_| with_buckets).map(|histogram| {
            let buckets = histogram.buckets.iter().map(|bucket| format!("{}={}", bucket.le, whole(bucket.count)));
            buckets.collect::<Vec<_>>().join(";")
        });
        table.row(known.into_iter().chain(values).chain(label_values).chain([metric.help.clone()]).chain(buckets))?;
    }
    Ok(table)
}

fn info_table(readings: &[Reading<'_>]) -> csv::Result<Table> {
    let mut table = Table::new(["Endpoint", "Metric", "Key", "Value", "Description"])?;
    for Reading { source, metric, entity, .. } in readings {
        for (key, value) in labels(source, &entity.labels) {
            let row = [telemetry::endpoint(&source.name), &metric.name, key, value, &metric.help];
            table.row(row.map(str::to_owned))?;
        }
    }
    Ok(table)
}

fn whole(count: f64) -> String {
    if count.fract() == 0.0 && count.abs() < 1e15 { format!("{count:.0}") } else { numbers::decimal(count) }
}
