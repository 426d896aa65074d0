//! Exporters that break one law each.

use super::*;
use inferometer_plugin_sdk::{
    documents::{Report, Run, TelemetrySource},
    types::{Collection, Sample},
};

/// Writes one line per record, with a fault.
#[derive(Default)]
struct Fake {
    fault: &'static str,
    batches: usize,
}

impl Exporter for Fake {
    fn begin(&mut self, _: &Run, out: &mut dyn Output) -> Result<()> {
        out.write("lines.jsonl", b"")
    }

    fn records(&mut self, records: &[Record<'_>], out: &mut dyn Output) -> Result<()> {
        self.batches += 1;
        for record in records {
            let message = record.error_message.as_str();
            match self.fault {
                "does not escape" => out.write("lines.jsonl", format!("{{\"error\":\"{message}\"}}\n").as_bytes())?,
                "names files by sessions" => out.write(record.conversation_id.as_str(), b"x")?,
                "panics" => assert!(record.values.iter().all(|value| value.is_finite())),
                _ => out.write("lines.jsonl", format!("{}\n", record.index).as_bytes())?,
            }
        }
        Ok(())
    }

    fn telemetry(
        &mut self,
        source: &TelemetrySource,
        collections: &[Collection],
        samples: &[Sample],
        out: &mut dyn Output,
    ) -> Result<()> {
        match self.fault {
            "trusts the places of samples" => {
                let metrics = samples.iter().map(|sample| source.metrics[sample.metric as usize].name.len());
                out.show(&format!("{}\n", metrics.sum::<usize>()))
            }
            _ => out.show(&format!("{} readings\n", collections.len())),
        }
    }

    fn finish(&mut self, report: &Report, out: &mut dyn Output) -> Result<()> {
        match self.fault {
            "counts batches" => out.show(&format!("{} batches", self.batches)),
            "shows all" => out.show(&report.notes.concat()),
            "is silent" => {
                let _ = out.show("the end");
                Ok(())
            }
            _ => out.show("the end\n"),
        }
    }
}

fn with(fault: &'static str) {
    check(|| Box::new(Fake { fault, batches: 0 }));
}

#[test]
fn an_exporter_without_a_fault_is_lawful() {
    with("");
}

#[test]
#[should_panic(expected = "what is written can be read")]
fn json_that_is_none_is_found() {
    with("does not escape");
}

#[test]
#[should_panic(expected = "files lie in the artifact folder")]
fn a_name_that_leaves_the_folder_is_found() {
    with("names files by sessions");
}

#[test]
#[should_panic(expected = "without a panic")]
fn a_panic_is_found() {
    with("panics");
}

#[test]
#[should_panic(expected = "without a panic")]
fn telemetry_that_is_trusted_too_much_is_found() {
    with("trusts the places of samples");
}

#[test]
#[should_panic(expected = "the same run gives the same bytes")]
fn bytes_that_depend_on_batches_are_found() {
    with("counts batches");
}

#[test]
#[should_panic(expected = "it shows")]
fn control_characters_on_the_terminal_are_found() {
    with("shows all");
}

#[test]
#[should_panic(expected = "tells that its output failed")]
fn a_failure_that_is_kept_silent_is_found() {
    with("is silent");
}
