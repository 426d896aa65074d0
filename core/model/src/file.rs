//! The TOML form of [`RawConfig`]: the flags' long names (or aliases) as keys, and a `[plugins]` table.

use crate::{config::RawConfig, error::ConfigError};
use clap::Args as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// The `[plugins]` table of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSettings {
    /// Libraries, or folders of them.
    pub path: Vec<std::path::PathBuf>,
    /// Which of several components of one name is meant, as `name = "package"`.
    pub prefer: BTreeMap<String, String>,
    /// Options by component.
    pub options: BTreeMap<String, Map<String, Value>>,
}

/// Lays the flags over the file, if there is one.
///
/// # Errors
/// Names the file, the key and the nearest key that exists.
pub fn load(flags: &RawConfig, file: Option<&Path>) -> Result<(RawConfig, PluginSettings), ConfigError> {
    let Some(file) = file else { return Ok((flags.clone(), PluginSettings::default())) };
    let text = std::fs::read_to_string(file)
        .map_err(|e| ConfigError::new(format!("--config {}: {e}; give a TOML file", file.display())))?;
    let wrong = |why: String| ConfigError::new(format!("{}: {why}", file.display()));
    let table: toml::Table = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
    let mut settings = Map::new();
    let mut plugins = PluginSettings::default();
    let names = Names::new();
    for (key, value) in table {
        let value = serde_json::to_value(value).map_err(|e| wrong(format!("'{key}': {e}")))?;
        if key == "plugins" {
            plugins = serde_json::from_value(value).map_err(|e| wrong(format!("[plugins]: {e}")))?;
        } else {
            let canonical = names.canonical(&key).map_err(&wrong)?;
            // Checked alone first, so that the message can name the key.
            let alone = Map::from_iter([(canonical.clone(), value.clone())]);
            serde_json::from_value::<RawConfig>(Value::Object(alone)).map_err(|e| wrong(format!("'{key}': {e}")))?;
            if settings.insert(canonical, value).is_some() {
                return Err(wrong(format!("'{key}' is given twice, under two of its names; keep one")));
            }
        }
    }
    if let Ok(Value::Object(typed)) = serde_json::to_value(flags) {
        make_way(&mut settings, &typed);
        settings.extend(typed);
    }
    let config = serde_json::from_value(Value::Object(settings)).map_err(|e| wrong(e.to_string()))?;
    Ok((config, plugins))
}

/// Switches, with what they make pointless.
const SWITCHES: [(&str, &[&str]); 2] =
    [("no-gpu-telemetry", &["gpu-telemetry"]), ("no-server-metrics", &["server-metrics", "server-metrics-formats"])];

/// Takes out of the file's settings what the flags say the opposite of.
fn make_way(settings: &mut Map<String, Value>, typed: &Map<String, Value>) {
    for (switch, pointless) in SWITCHES {
        if pointless.iter().any(|name| typed.contains_key(*name)) {
            settings.remove(switch);
        }
        if typed.get(switch) == Some(&Value::Bool(true)) {
            settings.retain(|name, _| !pointless.contains(&name.as_str()));
        }
    }
}

/// Every name of every option, with the one it stands for.
struct Names(BTreeMap<String, String>);

impl Names {
    fn new() -> Self {
        let command = RawConfig::augment_args(clap::Command::new("profile"));
        let mut names = BTreeMap::new();
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            for name in argument.get_all_aliases().unwrap_or_default().into_iter().chain([long]) {
                names.insert(name.to_owned(), long.to_owned());
            }
        }
        Self(names)
    }

    fn canonical(&self, key: &str) -> Result<String, String> {
        let spelt = key.replace('_', "-");
        self.0.get(&spelt).cloned().ok_or_else(|| {
            let near = nearest(&spelt, self.0.keys().map(String::as_str));
            format!("there is no setting '{key}'{near}")
        })
    }
}

/// `; did you mean 'x'?` if one of `names` is near enough to `typed`, else nothing.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Count;

    fn read(text: &str, flags: &RawConfig) -> Result<(RawConfig, PluginSettings), ConfigError> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("inferometer-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let result = load(flags, Some(&file));
        std::fs::remove_file(&file).unwrap();
        result
    }

    #[test]
    fn flags_win_over_the_file_and_aliases_are_keys_too() {
        let flags = RawConfig { concurrency: Some(Count(4)), ..RawConfig::default() };
        let (config, _) =
            read("model = 'm'\nmax_concurrency = '1k'\nrequest-count = 20\nstreaming = true", &flags).unwrap();
        assert_eq!(config.model, ["m"]);
        assert_eq!(config.concurrency, Some(Count(4)));
        assert_eq!(config.request_count, Some(Count(20)));
        assert_eq!(config.streaming, Some(true));
    }

    #[test]
    fn flags_switch_on_what_the_file_switches_off_and_the_other_way_round() {
        let pages = || vec!["dcgm".to_owned()];
        let read = |file: &str, gpu_telemetry, no_gpu_telemetry| {
            let flags = RawConfig { gpu_telemetry, no_gpu_telemetry, ..RawConfig::default() };
            let (config, _) = read(file, &flags).unwrap();
            (config.gpu_telemetry, config.no_gpu_telemetry)
        };
        assert_eq!(read("gpu-telemetry = ['nvml']", vec![], Some(true)), (vec![], Some(true)));
        assert_eq!(read("gpu-telemetry = ['nvml']", vec![], Some(false)), (vec!["nvml".to_owned()], Some(false)));
        assert_eq!(read("no-gpu-telemetry = true", pages(), None), (pages(), None));
        assert_eq!(read("no-gpu-telemetry = true", pages(), Some(false)), (pages(), Some(false)));

        let flags = RawConfig { no_server_metrics: Some(true), ..RawConfig::default() };
        let (config, _) = self::read("server-metrics = 'h:1'\nserver-metrics-formats = 'json'", &flags).unwrap();
        assert!(config.server_metrics.is_empty() && config.server_metrics_formats.is_empty());
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        let error = read("concurency = 4", &RawConfig::default()).unwrap_err().to_string();
        assert!(error.contains("'concurency'") && error.contains("'concurrency'"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_named_with_its_key() {
        let error = read("concurrency = 'many'", &RawConfig::default()).unwrap_err().to_string();
        assert!(error.contains("'concurrency'") && error.contains("'many'"), "{error}");
    }

    #[test]
    fn plugin_settings_are_read() {
        let (_, plugins) =
            read("[plugins.options.acme]\nkey = 1\n[plugins.prefer]\nchat = 'acme'", &RawConfig::default()).unwrap();
        assert_eq!(plugins.options["acme"]["key"], 1);
        assert_eq!(plugins.prefer["chat"], "acme");
    }
}
