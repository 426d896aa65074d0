//! The components that a command works with: built-ins, and the plugins that can be found.

use crate::Failure;
use inferometer_host::{Discovery, Registry};
use inferometer_model::{config::RawConfig, file::PluginSettings};
use std::path::PathBuf;

/// All components of the places that the settings and the environment name. No library is opened.
pub(crate) fn registry(settings: &RawConfig, plugins: &PluginSettings) -> Result<Registry, Failure> {
    let explicit = settings.plugin.iter().map(PathBuf::from).collect();
    let mut discovery = Discovery::from_environment(explicit, plugins.path.clone());
    discovery.allow_unsafe_permissions = settings.allow_unsafe_permissions.unwrap_or_default();
    let mut registry = Registry::discover(&discovery).map_err(Failure::usage)?;
    registry.prefer(&plugins.prefer);
    Ok(registry)
}
