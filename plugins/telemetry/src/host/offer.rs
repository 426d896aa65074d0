//! The catalogue in the making.

use inferometer_plugin_sdk::types::{Catalogue, Entity, Metric, MetricKind, Sample};
use serde_json::{Map, Value};

/// The entity that stands for the whole machine.
const HOST: u32 = 0;

/// Metrics and entities, as far as parts have offered them.
pub(super) struct Offer {
    metrics: Vec<Metric>,
    entities: Vec<Entity>,
}

/// A metric of an entity: where samples go.
#[derive(Clone, Copy)]
pub(super) struct Place {
    metric: u32,
    entity: u32,
}

impl Offer {
    /// Nothing but the machine, which has `labels`.
    pub(super) fn new(labels: Map<String, Value>) -> Self {
        let host = Entity { id: "host".into(), labels_json: Value::Object(labels).to_string().into() };
        Self { metrics: Vec::new(), entities: vec![host] }
    }

    /// A level.
    pub(super) fn gauge(&mut self, name: &str, unit: &str, help: &str) -> Place {
        self.metric(name, unit, help, MetricKind::GAUGE)
    }

    /// A count that only grows.
    pub(super) fn counter(&mut self, name: &str, unit: &str, help: &str) -> Place {
        self.metric(name, unit, help, MetricKind::COUNTER)
    }

    fn metric(&mut self, name: &str, unit: &str, help: &str, kind: MetricKind) -> Place {
        self.metrics.push(Metric { name: name.into(), unit: unit.into(), help: help.into(), kind });
        Place { metric: (self.metrics.len() - 1) as u32, entity: HOST }
    }

    /// Another thing that is measured.
    pub(super) fn entity(&mut self, id: &str, labels: Map<String, Value>) -> u32 {
        self.entities.push(Entity { id: id.into(), labels_json: Value::Object(labels).to_string().into() });
        (self.entities.len() - 1) as u32
    }

    /// All that was offered.
    pub(super) fn catalogue(self) -> Catalogue {
        Catalogue { metrics: self.metrics.into(), entities: self.entities.into(), ..Catalogue::default() }
    }
}

impl Place {
    /// The same metric of another entity.
    pub(super) fn of(self, entity: u32) -> Self {
        Self { entity, ..self }
    }

    /// A sample for this place.
    pub(super) fn sample(self, at_ns: u64, value: f64) -> Sample {
        let Self { metric, entity } = self;
        Sample { metric, entity, at_ns, value }
    }
}
