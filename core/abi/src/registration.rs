//! How a component says that it exists, in the program and in a plugin library alike.
//!
//! The SDK's macros submit a [`Registration`]; a host reads its own set for the built-ins, and the set of each library
//! through the library's root module.

use crate::{
    api::{DatasetLoader, Endpoint, Exporter, TelemetryCollector, TimingStrategy},
    documents::Kind,
    types::Result,
};

/// Makes a component from its options, a JSON object as text.
#[derive(Clone, Copy)]
pub enum Factory {
    /// Makes an endpoint.
    Endpoint(fn(&str) -> Result<Box<dyn Endpoint>>),
    /// Makes a timing strategy.
    Timing(fn(&str) -> Result<Box<dyn TimingStrategy>>),
    /// Makes an exporter.
    Exporter(fn(&str) -> Result<Box<dyn Exporter>>),
    /// Makes a telemetry collector.
    Collector(fn(&str) -> Result<Box<dyn TelemetryCollector>>),
    /// Makes a data set loader.
    Dataset(fn(&str) -> Result<Box<dyn DatasetLoader>>),
}

impl Factory {
    /// The kind it makes.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Endpoint(_) => Kind::Endpoint,
            Self::Timing(_) => Kind::Timing,
            Self::Exporter(_) => Kind::Exporter,
            Self::Collector(_) => Kind::Collector,
            Self::Dataset(_) => Kind::Dataset,
        }
    }
}

/// One component: what it is called and how it is made.
pub struct Registration {
    /// The name users type.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Among components of one name the highest wins; 0 unless there is a reason.
    pub priority: i32,
    /// Makes it.
    pub factory: Factory,
    /// The schema of its options: JSON Schema of an object, as text.
    pub options_schema: fn() -> String,
}

inventory::collect!(Registration);

/// The components of this library or program.
pub fn registrations() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>.into_iter()
}
