//! NVIDIA's GPUs, as the driver of this machine tells of them through its management library (NVML).
//!
//! The library is looked for when the collector is asked, so the program runs without it. A GPU is read as a whole: one
//! that is partitioned (MIG) is one entity with the label `mig`, without the figures that the driver does not give for it
//! then, such as utilization; its instances have none of their own.
//!
//! Not here: other machines' GPUs, which are read from the page of an exporter.

mod driver;
mod quantities;
#[cfg(test)]
mod tests;

use crate::host::hostname;
use driver::Driver;
use inferometer_plugin_sdk::{
    Component, RVec,
    api::TelemetryCollector,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Catalogue, Entity, Error, ErrorKind, Result, Sample},
};
use quantities::{QUANTITIES, Query};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The driver does not look at most of its figures more often than this.
const SHORTEST_NS: u64 = 100_000_000;

/// A GPU, and what it says when asked.
trait Gpu: Send {
    /// Which one it is.
    fn identity(&self) -> &Identity;

    /// The figures of a query, in its own units and in its order; a figure is absent if there is none yet.
    ///
    /// # Errors
    /// When the GPU does not have them, or not now; in words.
    fn ask(&mut self, query: Query) -> std::result::Result<Values, String>;
}

/// What a query gives; the second place is for those that give two figures.
type Values = [Option<f64>; 2];

/// Which GPU it is, in the driver's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    index: u32,
    name: String,
    uuid: String,
    pci_bus_id: String,
    /// Its file below `/dev`.
    device: String,
    /// The driver's version.
    driver: String,
    /// Whether it is partitioned.
    has_mig: bool,
}

/// Finds the GPUs of this machine; the error says why there are none, and what to do.
type Find = fn() -> std::result::Result<Vec<Box<dyn Gpu>>, String>;

/// Reads the GPUs of this machine.
pub(crate) struct Nvml {
    options: Options,
    find: Find,
    opened: Option<Opened>,
}

/// What a user may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub(crate) struct Options {
    /// The GPUs to read, each by its index or its UUID as `nvidia-smi -L` lists them; all if none is given.
    devices: Vec<Choice>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", untagged)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
enum Choice {
    Index(u32),
    /// A UUID, or an index as text.
    Uuid(String),
}

impl Choice {
    fn is(&self, gpu: &Identity) -> bool {
        match self {
            Self::Index(index) => *index == gpu.index,
            Self::Uuid(text) => text.eq_ignore_ascii_case(&gpu.uuid) || *text == gpu.index.to_string(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Uuid(text) => format!("'{text}'"),
        }
    }
}

struct Opened {
    gpus: Vec<Answering>,
    catalogue: Catalogue,
}

/// A GPU and the queries that it answered when first asked.
struct Answering {
    gpu: Box<dyn Gpu>,
    queries: Vec<Query>,
}

impl Component for Nvml {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        Ok(Self { options, find: Driver::gpus, opened: None })
    }
}

impl Nvml {
    fn opened(&mut self) -> Result<&mut Opened> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => Opened::of(self.chosen()?)?,
        };
        Ok(self.opened.insert(opened))
    }

    /// The GPUs that the user wants read, in the driver's order.
    fn chosen(&self) -> Result<Vec<Box<dyn Gpu>>> {
        let gpus = (self.find)().map_err(|reason| Error::new(ErrorKind::UNSUPPORTED, reason))?;
        let choices = &self.options.devices;
        let missing = choices.iter().find(|choice| !gpus.iter().any(|gpu| choice.is(gpu.identity())));
        if let Some(choice) = missing {
            let there = gpus.iter().map(|gpu| format!("{} ({})", gpu.identity().index, gpu.identity().uuid));
            return Err(Error::config(format!(
                "the option 'devices' names {}, which is none of this machine's GPUs; there are: {}",
                choice.words(),
                there.collect::<Vec<_>>().join(", ")
            )));
        }
        let is_chosen = |gpu: &Identity| choices.is_empty() || choices.iter().any(|choice| choice.is(gpu));
        Ok(gpus.into_iter().filter(|gpu| is_chosen(gpu.identity())).collect())
    }
}

impl Opened {
    /// Asks each GPU everything: what none of them answers is not offered, nor is a GPU that answers nothing.
    fn of(gpus: Vec<Box<dyn Gpu>>) -> Result<Self> {
        let mut refusal = String::new();
        let mut answering = Vec::new();
        for mut gpu in gpus {
            let mut answers = |query: &Query| gpu.ask(*query).inspect_err(|reason| refusal.clone_from(reason)).is_ok();
            let queries: Vec<Query> = Query::ALL.into_iter().filter(&mut answers).collect();
            if !queries.is_empty() {
                answering.push(Answering { gpu, queries });
            }
        }
        if answering.is_empty() {
            return Err(Error::new(
                ErrorKind::UNSUPPORTED,
                format!(
                    "the NVIDIA driver tells nothing of this machine's GPUs ({refusal}); see whether `nvidia-smi` does"
                ),
            ));
        }
        let hostname = hostname(Path::new("/"));
        let is_offered = |query| answering.iter().any(|one| one.queries.contains(&query));
        let catalogue = Catalogue {
            metrics: QUANTITIES.iter().filter(|one| is_offered(one.query)).map(|one| one.metric()).collect(),
            entities: answering.iter().map(|one| one.gpu.identity().entity(&hostname)).collect(),
            min_interval_ns: SHORTEST_NS,
            ..Catalogue::default()
        };
        Ok(Self { gpus: answering, catalogue })
    }
}

impl Identity {
    fn entity(&self, hostname: &str) -> Entity {
        let Self { index, name, uuid, pci_bus_id, device, driver, has_mig } = self;
        let labels = json!({
            "source": "nvml://localhost",
            "platform": "nvidia",
            "hostname": hostname,
            "gpu_index": index.to_string(),
            "gpu_name": name,
            "gpu_uuid": uuid,
            "pci_bus_id": pci_bus_id,
            "device": device,
            "driver": driver,
            "mig": if *has_mig { "enabled" } else { "" },
        });
        // What the driver does not say is left out.
        let said = labels.as_object().into_iter().flatten().filter(|(_, label)| *label != "");
        let labels: Map<_, _> = said.map(|(name, label)| (name.clone(), label.clone())).collect();
        Entity { id: format!("gpu_{index}").into(), labels_json: Value::Object(labels).to_string().into() }
    }
}

impl TelemetryCollector for Nvml {
    /// The GPUs as they were when first asked: the places in the catalogue stay as they are.
    fn describe(&mut self) -> Result<Catalogue> {
        Ok(self.opened()?.catalogue.clone())
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        let Opened { gpus, catalogue } = self.opened()?;
        let (mut answers, mut refusal) = (0, String::new());
        for (entity, Answering { gpu, queries }) in (0..).zip(gpus) {
            for query in queries {
                let values = match gpu.ask(*query) {
                    Ok(values) => values,
                    Err(reason) => {
                        refusal = format!("{} ({}): {reason}", gpu.identity().index, gpu.identity().uuid);
                        continue;
                    }
                };
                answers += 1;
                for quantity in QUANTITIES.iter().filter(|quantity| quantity.query == *query) {
                    let metric = catalogue.metrics.iter().position(|metric| metric.name == quantity.name);
                    let value = values[quantity.place].filter(|value| value.is_finite());
                    out.extend(metric.zip(value).map(|(metric, value)| Sample {
                        metric: metric as u32,
                        entity,
                        at_ns: now_ns,
                        value: value * quantity.scale,
                    }));
                }
            }
        }
        // One GPU of several that falls silent has no samples; if none says anything more, there is nothing to read.
        if answers == 0 {
            return Err(Error::new(ErrorKind::IO, format!("no GPU answers any more; the last one was GPU {refusal}")));
        }
        Ok(())
    }
}
