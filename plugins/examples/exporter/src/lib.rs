//! An exporter: a line per phase in InfluxDB's line protocol, for a CI job that keeps results in a database of time series.
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_exporter.so --exporter example-exporter …
//! ```
//!
//! The line goes to `summary.lp` beside the other results. It looks like this, without the line breaks:
//!
//! ```text
//! inferometer,kind=profiling,phase=profiling,verdict=valid
//!     ok=20.0,error=3.0,time_to_first_token_avg=12.5,time_to_first_token_p99=31.25 1700000000070000000
//! ```
//!
//! Exporters run one after another when the load is over, so they may take their time. They write through the host, which
//! keeps the files in the run's folder.

use inferometer_plugin_sdk::{
    Component,
    api::{Exporter, Output},
    documents::{PhaseReport, Report},
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Error, Result},
};
use std::fmt::Write as _;

/// The exporter.
pub struct Example {
    options: Options,
}

/// What a user may set; `inferometer plugins show example-exporter` prints it. Other names are refused before the run.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// The measurement that the lines belong to.
    pub measurement: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { measurement: "inferometer".to_owned() }
    }
}

impl Component for Example {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        if escaped(&options.measurement).is_empty() {
            return Err(Error::config("measurement is empty; give a name, such as 'inferometer'"));
        }
        Ok(Self { options })
    }
}

impl Exporter for Example {
    // `begin` and `records` have defaults that do nothing; the second is where single requests would come by.

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        // What the user gave with --profile-export-prefix, if anything.
        let prefix = report.run.export.prefix.as_deref();
        let stem = prefix.filter(|prefix| !prefix.is_empty()).unwrap_or("summary");
        for phase in &report.phases {
            // An error goes back to the host, which tells the user; the other exporters still write.
            out.write(&format!("{stem}.lp"), self.line(report, phase).as_bytes())?;
        }
        Ok(())
    }
}

impl Example {
    fn line(&self, report: &Report, phase: &PhaseReport) -> String {
        let mut line = escaped(&self.options.measurement);
        for (tag, value) in [("kind", &phase.kind), ("phase", &phase.name), ("verdict", &report.verdict.state)] {
            // The protocol knows no empty values.
            let value = escaped(value);
            if !value.is_empty() {
                let _ = write!(line, ",{tag}={value}");
            }
        }
        // Counts as numbers like all others, so that a field has one type in the database.
        let _ = write!(line, " ok={:?},error={:?}", phase.outcomes.ok as f64, phase.outcomes.error as f64);
        for (tag, metric) in &phase.metrics {
            let stats = &metric.stats;
            for (name, value) in [("avg", stats.avg), ("p50", stats.p50), ("p99", stats.p99)] {
                // What was not measured is absent, and must not become a zero. Nor does the protocol know infinity.
                if let Some(value) = value.filter(|value| value.is_finite()) {
                    let _ = write!(line, ",{}_{name}={value:?}", escaped(tag));
                }
            }
        }
        // Times within a run are nanoseconds since it began, and `epoch_ns` is when that was.
        let ended_ns = report.run.epoch_ns.saturating_add(phase.end_ns).min(i64::MAX as u64);
        let _ = writeln!(line, " {ended_ns}");
        line
    }
}

/// `text` as a name or a tag's value. Texts of servers, data sets and users may hold anything.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            // A backslash cannot be escaped there, and a control character may be a line's end.
            '\\' => escaped.push('/'),
            ',' | '=' | ' ' => escaped.extend(['\\', character]),
            _ if character.is_control() => escaped.push('_'),
            _ => escaped.push(character),
        }
    }
    escaped
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::exporter! {
    name: "example-exporter",
    summary: "Example: a line per phase in InfluxDB's line protocol.",
    component: Example
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::documents::{MetricResult, Outcomes, Stats};

    #[test]
    fn a_phase_is_one_line() {
        let latency = Stats { avg: Some(12.5), p99: Some(f64::INFINITY), ..Stats::default() };
        let latency = MetricResult { stats: latency, ..MetricResult::default() };
        let phase = PhaseReport {
            name: "warm up,\n1".into(),
            end_ns: 7,
            outcomes: Outcomes { total: 23, ok: 20, error: 3, ..Outcomes::default() },
            metrics: [("request_latency".to_owned(), latency)].into(),
            ..PhaseReport::default()
        };
        let mut report = Report::default();
        report.run.epoch_ns = 1_000;
        let example = Example::create(Options::default()).unwrap();
        assert_eq!(
            example.line(&report, &phase),
            "inferometer,phase=warm\\ up\\,_1 ok=20.0,error=3.0,request_latency_avg=12.5 1007\n",
        );
    }
}
