//! What really crosses a library boundary.
//!
//! One `#[sabi_trait]` form per kind; [`guard`] on the plugin's side, which contains panics; [`foreign`] on the host's,
//! which turns a wire object back into a plain trait; [`module`], the library's root; [`manifest`], the
//! bytes a host may read without running anything. Built-ins use none of it.

pub mod foreign;
pub mod guard;
pub mod manifest;
pub mod module;
mod objects;

pub use objects::{CollectorObj, DatasetObj, EndpointObj, ExporterObj, TimingObj};
