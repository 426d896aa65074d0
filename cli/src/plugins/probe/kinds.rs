//! What the components of each kind are tried on, when nobody said what they are for.

use super::{Fault, Report, Verdict, broken};
use crate::args::ProbeArgs;
use inferometer_abi::{
    api::{DatasetLoader, TelemetryCollector, TimingStrategy},
    documents::{DatasetRequest, Kind, Length},
    types::{ErrorKind, PhaseSpec},
};
use inferometer_host::{HostError, Made, Registry};
use inferometer_testkit::{
    Make, collector,
    dataset::{self, Words},
    endpoint, exporter,
    timing::{self, Sessions, Shape},
};

/// Readings taken of a collector.
const READINGS: u32 = 3;

/// Makes the component and puts it to the laws of its kind.
pub(super) fn probe(report: &mut Report, registry: &Registry, kind: Kind, name: &str, args: &ProbeArgs) {
    let options = args.options.as_str();
    match kind {
        Kind::Endpoint => {
            let ready = report.is_made(options, || registry.endpoint(name, options));
            report.laws(endpoint::laws(&|| again(registry.endpoint(name, options)), &[]), ready);
        }
        Kind::Timing => {
            let ready = report.is_made(options, || registry.timing(name, options));
            let make = || again(registry.timing(name, options));
            report.laws(timing::laws(&make), ready);
            let mut phase = PhaseSpec::default();
            let ready = report.is_able("takes an ordinary phase", ready, || takes_a_phase(&make, &mut phase));
            report.laws(timing::laws_of(&make, Shape::Other(phase)), ready);
        }
        Kind::Exporter => {
            let ready = report.is_made(options, || registry.exporter(name, options));
            report.laws(exporter::laws(&|| again(registry.exporter(name, options))), ready);
        }
        Kind::Collector => {
            let ready = report.is_made(options, || registry.collector(name, options));
            let make = || again(registry.collector(name, options));
            let ready = report.is_able("finds its source", ready, || finds_its_source(&make));
            report.laws(collector::laws(&make, READINGS, &mut || {}), ready);
        }
        Kind::Dataset => {
            let ready = report.is_made(options, || registry.dataset(name, options));
            let make = || again(registry.dataset(name, options));
            report.laws(dataset::laws(&make), ready);
            let request = request(args);
            let ready = report.is_able("opens a data set", ready, || opens(&make, &request));
            report.laws(dataset::laws_of(&make, &request), ready);
        }
    }
}

/// Another one of a component that was made before. What goes wrong here breaks the law that asked for it.
fn again<T>(made: Result<Made<T>, HostError>) -> T {
    made.unwrap_or_else(|error| panic!("it was made before, and now: {error}")).component
}

impl Report {
    /// Finds out whether the component can do anything, which the laws that come next need.
    fn is_able(
        &mut self,
        check: &'static str,
        ready: Result<(), &'static str>,
        tried: impl FnOnce() -> Verdict,
    ) -> Result<(), &'static str> {
        let is_able = self.check(check, super::Weight::Law, || match ready {
            Ok(()) => tried(),
            Err(why) => Err(Fault::Untried(why.to_owned())),
        });
        ready.and(if is_able { Ok(()) } else { Err("there is nothing to try it on") })
    }
}

/// Looks for an ordinary phase that the strategy takes, and leaves it in `found`.
fn takes_a_phase(make: Make<'_, dyn TimingStrategy>, found: &mut PhaseSpec) -> Verdict {
    let base = PhaseSpec { seed: 42, shards: 1, ..PhaseSpec::default() };
    let phases = [
        ("16 slots", PhaseSpec { concurrency: 16, slots: 16, ..base }),
        ("200 requests a second", PhaseSpec { rate: 200.0, ..base }),
        ("16 slots and 200 requests a second", PhaseSpec { concurrency: 16, slots: 16, rate: 200.0, ..base }),
        ("no slots and no rate", base),
    ];
    let mut reasons = Vec::new();
    for (words, phase) in phases {
        let tried = PhaseSpec { requests: 100, ..phase };
        match make().start(&tried, &Sessions { turns: 1 }) {
            Ok(()) => {
                *found = phase;
                return Ok(format!("with {words}"));
            }
            Err(error) if error.kind == ErrorKind::PANICKED => return Err(broken(error)),
            Err(error) => reasons.push(format!("with {words}: {error}")),
        }
    }
    Err(Fault::Untried(reasons.join("; ")))
}

fn finds_its_source(make: Make<'_, dyn TelemetryCollector>) -> Verdict {
    match make().describe() {
        Ok(catalogue) => Ok(format!("{} metrics of {} entities", catalogue.metrics.len(), catalogue.entities.len())),
        Err(error) if error.kind == ErrorKind::PANICKED => Err(broken(error)),
        Err(error) => Err(Fault::Untried(error.to_string())),
    }
}

/// A small data set: of the file that was given, or made up.
fn request(args: &ProbeArgs) -> DatasetRequest {
    DatasetRequest {
        source: args.input_file.clone(),
        seed: 42,
        entries: 20,
        input_tokens: Length { mean: 20.0, stddev: 5.0 },
        output_tokens: Some(Length { mean: 10.0, stddev: 0.0 }),
        ..DatasetRequest::default()
    }
}

fn opens(make: Make<'_, dyn DatasetLoader>, request: &DatasetRequest) -> Verdict {
    match make().open(request, &Words) {
        Ok(info) => Ok(format!("{} sessions", info.sessions)),
        Err(error) if error.kind == ErrorKind::PANICKED || request.source.is_some() => Err(broken(error)),
        Err(error) => Err(Fault::Untried(format!("without --input-file: {error}"))),
    }
}
