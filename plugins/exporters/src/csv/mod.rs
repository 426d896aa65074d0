//! `profile_export_aiperf.csv`: the summary as tables.
//!
//! AIPerf's layout: a table of distributions, a table of single numbers, and a table of GPUs, whose header is there also
//! when no GPU was read. Rows are sorted by tag. Numbers keep up to six decimals where AIPerf rounds to two, so that
//! small values survive; a script that parses them as numbers does not notice.
//!
//! A run of several profiling phases is told by its last. Behind all that, each earlier one has the first two tables again,
//! with its name in a column before all others.

mod gpus;

use crate::{names, numbers, stats};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{MetricInfo, MetricResult, PhaseReport, Report},
    exporter,
    types::{Error, ErrorKind, Result},
};

struct Csv;

impl Component for Csv {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}

impl Exporter for Csv {
    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        let file = names::csv(&report.run.export);
        let text = render(report)
            .map_err(|e| Error::new(ErrorKind::OTHER, format!("{file} could not be put together: {e}")))?;
        out.write(&file, &text)
    }
}

exporter! { name: "csv", summary: "Writes the summary as CSV, in AIPerf's layout.", component: Csv }

fn render(report: &Report) -> csv::Result<Vec<u8>> {
    let phases: Vec<_> = report.phases.iter().filter(|phase| phase.kind == "profiling").collect();
    let (result, earlier) = phases.split_last().map_or((None, &[][..]), |(last, earlier)| (Some(*last), earlier));
    let mut text = Vec::new();
    append(&mut text, result.map(|phase| tables(phase, None)).transpose()?.into_iter().flatten())?;
    if !text.is_empty() {
        text.extend_from_slice(b"\r\n\r\n");
    }
    text.extend(gpus::table(report)?.into_bytes()?);
    for phase in earlier {
        append(&mut text, tables(phase, Some(&phase.name))?)?;
    }
    Ok(text)
}

/// Appends those tables that have rows, each behind an empty line.
fn append(text: &mut Vec<u8>, tables: impl IntoIterator<Item = Table>) -> csv::Result<()> {
    for table in tables.into_iter().filter(|table| table.rows > 0) {
        if !text.is_empty() {
            text.extend_from_slice(b"\r\n");
        }
        text.extend(table.into_bytes()?);
    }
    Ok(())
}

/// The distributions and the single numbers of a phase, with its `name` in a column of its own if there is one.
fn tables(phase: &PhaseReport, name: Option<&str>) -> csv::Result<[Table; 2]> {
    let stat_names = stats::csv_columns().map(|(name, _)| name);
    let head = || name.map(|_| "Phase").into_iter().chain(["Metric"]);
    let first = |label: String| name.map(str::to_owned).into_iter().chain([label]);

    let mut distributions = Table::new(head().chain(stat_names))?;
    for metric in phase.metrics.values().filter(|m| stats::is_distribution(m)) {
        let values = stats::csv_columns().map(|(_, get)| number(get(&metric.stats)));
        distributions.row(first(label(metric)).chain(values))?;
    }
    let mut scalars = Table::new(head().chain(["Value"]))?;
    let single = || phase.metrics.values().filter(|m| !stats::is_distribution(m) && stats::measured(m));
    for metric in single() {
        // Metrics of two vendors bear one name: only their tags tell them apart.
        let is_shared = single().filter(|other| other.info.header == metric.info.header).count() > 1;
        let tag = if is_shared { format!(" [{}]", metric.info.tag) } else { String::new() };
        scalars.row(first(label(metric) + &tag).chain([number(metric.stats.avg)]))?;
    }
    Ok([distributions, scalars])
}

fn number(value: Option<f64>) -> String {
    stats::finite(value).map(numbers::decimal).unwrap_or_default()
}

/// The header and the unit, which is left out where it only says that things are counted.
fn label(metric: &MetricResult) -> String {
    let MetricInfo { tag, header, unit, .. } = &metric.info;
    let header = if header.is_empty() { tag } else { header };
    match unit.as_str() {
        "" | "count" | "requests" => header.clone(),
        unit => format!("{header} ({unit})"),
    }
}

/// One of several tables in a file.
pub(crate) struct Table {
    writer: csv::Writer<Vec<u8>>,
    rows: usize,
}

impl Table {
    /// A table with this header.
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> csv::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(header)?;
        Ok(Self { writer, rows: 0 })
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, fields: impl IntoIterator<Item = String>) -> csv::Result<()> {
        self.rows += 1;
        self.writer.write_record(fields)
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The finished text.
    pub(crate) fn into_bytes(self) -> csv::Result<Vec<u8>> {
        self.writer.into_inner().map_err(|e| e.into_error().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Disk, SAMPLE_CSV, phased_report, sample_report};

    fn export(report: &Report) -> String {
        let mut disk = Disk::default();
        Csv.finish(report, &mut disk).unwrap();
        disk.text("profile_export_aiperf.csv")
    }

    #[test]
    fn the_sample_comes_out_as_aiperf_wrote_it_but_for_more_decimals() {
        let ours = export(&sample_report());
        assert_eq!(ours.matches("\r\n").count(), SAMPLE_CSV.matches("\r\n").count());
        for (ours, sample) in ours.split("\r\n").zip(SAMPLE_CSV.split("\r\n")) {
            let (ours, sample): (Vec<_>, Vec<_>) = (ours.split(',').collect(), sample.split(',').collect());
            assert_eq!(ours.len(), sample.len(), "{ours:?} {sample:?}");
            for (our, theirs) in ours.iter().zip(&sample) {
                match (our.parse::<f64>(), theirs.parse::<f64>()) {
                    (Ok(our), Ok(theirs)) => assert!((our - theirs).abs() <= 0.005_000_1, "{ours:?} {sample:?}"),
                    _ => assert_eq!(our, theirs),
                }
            }
        }
    }

    #[test]
    fn earlier_phases_follow_what_aiperf_would_have_written_of_the_last() {
        let (alone, both) = (export(&sample_report()), export(&phased_report()));
        let rest = both.strip_prefix(&alone).expect("the first tables are as they were");
        assert!(rest.starts_with("\r\nPhase,Metric,avg,min,max,"), "{rest}");
        assert!(rest.contains("\r\n\r\nPhase,Metric,Value\r\n"), "{rest}");
        let rows = || rest.lines().filter(|line| !line.is_empty() && !line.starts_with("Phase,"));
        assert!(rows().count() > 10 && rows().all(|row| row.starts_with("\"slow, \"\"cold\"\"\",")), "{rest}");
        assert!(rest.contains("\",Request Count,12.00\r\n"), "{rest}");
    }

    #[test]
    fn what_is_not_a_number_is_an_empty_field_and_a_run_without_results_has_the_last_header_only() {
        let mut report = sample_report();
        let phase = &mut report.phases[0];
        phase.metrics.retain(|tag, _| tag == "request_latency");
        let latency = phase.metrics.get_mut("request_latency").unwrap();
        latency.stats.avg = Some(f64::NAN);
        latency.stats.max = Some(f64::INFINITY);
        latency.info.header = "Latency, \"end to end\"".into();
        let text = export(&report);
        assert!(text.contains("\r\n\"Latency, \"\"end to end\"\" (ms)\",,119.486591,,"), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");

        let nothing = export(&Report::default());
        assert!(nothing.starts_with("Endpoint,GPU_Index,") && nothing.matches("\r\n").count() == 1, "{nothing}");
    }
}
