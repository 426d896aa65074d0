//! A component behind the wire form of its kind: called as a library's components are, within the test's own program.
//!
//! What crosses is what would cross to a library: values by layout, documents as JSON, panics as errors.

use inferometer_abi::wire::{foreign, guard};
use inferometer_plugin_sdk::{
    api::{DatasetLoader, Endpoint, Exporter, TelemetryCollector, TimingStrategy},
    types::Result,
};

/// An endpoint.
///
/// # Errors
/// When its description of itself is none that a host accepts.
pub fn endpoint(native: Box<dyn Endpoint>) -> Result<Box<dyn Endpoint>> {
    foreign::endpoint(guard::endpoint("endpoint", native))
}

/// A timing strategy.
pub fn timing(native: Box<dyn TimingStrategy>) -> Box<dyn TimingStrategy> {
    foreign::timing(guard::timing("timing", native))
}

/// An exporter.
pub fn exporter(native: Box<dyn Exporter>) -> Box<dyn Exporter> {
    foreign::exporter(guard::exporter("exporter", native))
}

/// A telemetry collector.
pub fn collector(native: Box<dyn TelemetryCollector>) -> Box<dyn TelemetryCollector> {
    foreign::collector(guard::collector("collector", native))
}

/// A data set loader.
pub fn dataset(native: Box<dyn DatasetLoader>) -> Box<dyn DatasetLoader> {
    foreign::dataset(guard::dataset("dataset", native))
}
