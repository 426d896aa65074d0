//! `server_metrics_export.{json,csv,jsonl}`: what the inference server says of itself, in AIPerf's layouts, as far as they are
//! wanted.
//!
//! Figures are of the phase's window alone: AIPerf's also hold the idle seconds after it. There are no time slices.

mod json;
mod lines;
mod table;
mod updates;

use self::updates::Updates;
use crate::{names, stats, telemetry};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{Report, Run, Series, Subject, TelemetrySource},
    exporter,
    types::{Collection, Error, ErrorKind, Result, Sample},
};
use std::collections::BTreeMap;

/// The version of AIPerf whose layouts these are.
const AIPERF_VERSION: &str = "0.13.0";

#[derive(Default)]
struct ServerMetrics {
    lines_wanted: bool,
    updates: Vec<Updates>,
}

impl Component for ServerMetrics {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Exporter for ServerMetrics {
    fn begin(&mut self, run: &Run, _: &mut dyn Output) -> Result<()> {
        *self = Self { lines_wanted: is_wanted(run, "jsonl"), updates: Vec::new() };
        Ok(())
    }

    fn telemetry(
        &mut self,
        source: &TelemetrySource,
        collections: &[Collection],
        samples: &[Sample],
        _: &mut dyn Output,
    ) -> Result<()> {
        if source.subject == Subject::Server {
            self.updates.push(Updates::new(source, collections, samples, self.lines_wanted));
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        if !telemetry::is_there(report, Subject::Server) {
            return Ok(());
        }
        let name = |ending| names::server_metrics(&report.run.export, ending);
        let failed = |file: &str, error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::OTHER, format!("{file} could not be put together: {error}"))
        };
        if is_wanted(&report.run, "json") {
            let file = name(".json");
            let text =
                serde_json::to_vec_pretty(&json::File::new(report, &self.updates)).map_err(|e| failed(&file, &e))?;
            out.write(&file, &text)?;
        }
        if is_wanted(&report.run, "csv") {
            let file = name(".csv");
            let text = table::render(report).map_err(|e| failed(&file, &e))?;
            out.write(&file, &text)?;
        }
        if self.lines_wanted {
            lines::write(report, &self.updates, name(".jsonl"), out)?;
        }
        Ok(())
    }
}

exporter! { name: "server_metrics", summary: "Writes what the inference server says of itself.", component: ServerMetrics }

fn is_wanted(run: &Run, ending: &str) -> bool {
    run.export.server_metrics.iter().any(|wanted| wanted == ending)
}

/// The labels of a series: without the bound of a bucket, and without the source, which stands for itself.
fn labels<'a>(source: &TelemetrySource, labels: &'a BTreeMap<String, String>) -> BTreeMap<&'a str, &'a str> {
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.filter(|(name, value)| *name != "le" && !(*name == "source" && *value == source.name)).collect()
}

/// The type and the figures of a series, under AIPerf's names and in its order. What is not a number is left out.
fn figures(series: &Series) -> (&'static str, Vec<(String, f64)>) {
    let mut figures = Vec::new();
    let mut say = |name: &str, value: Option<f64>| {
        figures.extend(stats::finite(value).map(|value| (name.to_owned(), value)));
    };
    if let Some(gauge) = &series.gauge {
        stats::gauge_columns().for_each(|(name, get)| say(name, get(gauge)));
        return ("gauge", figures);
    }
    if let Some(counter) = &series.counter {
        say("total", Some(counter.total));
        say("rate", counter.rate);
        return ("counter", figures);
    }
    if let Some(histogram) = &series.histogram {
        say("count", Some(histogram.count.total));
        say("sum", histogram.sum.map(|sum| sum.total));
        say("avg", histogram.avg);
        say("count_rate", histogram.count.rate);
        say("sum_rate", histogram.sum.and_then(|sum| sum.rate));
        stats::percentiles().for_each(|(name, get)| say(&format!("{name}_estimate"), get(&histogram.estimates)));
        return ("histogram", figures);
    }
    ("gauge", figures)
}

#[cfg(test)]
mod tests;
