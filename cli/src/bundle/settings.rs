//! The settings of a run as the configuration file of a bundle, and where in it paths stand.

use crate::Failure;
use inferometer_model::{config::RawConfig, file::PluginSettings};
use serde_json::{Map, Value};

/// The key of the tables that are phases.
const PHASE: &str = "phase";
/// The key of the table that is about plugins.
const PLUGINS: &str = "plugins";
/// Settings that say where things are on one machine, and how one run of many is seen and kept.
const OF_THE_MACHINE: [&str; 7] =
    ["artifact-dir", "overwrite", "ui", "plugin", "allow-unsafe-permissions", "locked", "lock-file"];

/// What a path in the settings names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// The requests: a file, or a folder of them.
    Input,
    /// A text.
    SystemPrompt,
    /// Rates over time.
    RateSeries,
    /// A folder of pictures.
    Pictures,
    /// Fields of a metrics page.
    Fields,
    /// The tokenizer's folder.
    Tokenizer,
}

/// The settings as the tables of a configuration file, the seed fixed, without those of the machine.
pub(super) fn tables(settings: &RawConfig, plugins: &PluginSettings, seed: u64) -> Result<Map<String, Value>, Failure> {
    let unwritable = |error: serde_json::Error| {
        Failure::usage(format!("the settings cannot be put into a bundle: {error}; give paths that are UTF-8"))
    };
    let Value::Object(mut tables) = serde_json::to_value(settings).map_err(unwritable)? else {
        unreachable!("settings are a map")
    };
    let plugins = PluginSettings { path: Vec::new(), ..plugins.clone() };
    tables.insert(PLUGINS.to_owned(), serde_json::to_value(plugins).map_err(unwritable)?);
    tables.retain(|name, _| !OF_THE_MACHINE.contains(&name.as_str()));
    // A file has no numbers beyond this; the manifest has the seed in any case.
    if i64::try_from(seed).is_ok() {
        tables.insert("random-seed".to_owned(), seed.into());
    }
    // Each phase has its own.
    if !settings.phase.is_empty() {
        tables.remove("request-rate-series");
    }
    tables.values_mut().for_each(without_nothing);
    tables.retain(|_, value| !is_nothing(value));
    Ok(tables)
}

/// A setting of the machine that is among `tables`, if any.
pub(super) fn of_the_machine(tables: &Map<String, Value>) -> Option<&'static str> {
    OF_THE_MACHINE.into_iter().find(|name| tables.get(*name).is_some_and(|value| !is_nothing(value)))
}

/// The text of the file.
pub(super) fn text(tables: &Map<String, Value>) -> Result<String, Failure> {
    toml::Table::try_from(tables)
        .map_err(|error| error.to_string())
        .and_then(|table| toml::to_string(&table).map_err(|error| error.to_string()))
        .map_err(|error| Failure::usage(format!("the settings cannot be put into a bundle: {error}")))
}

/// Hands every setting that names a path to `visit`, which may change it.
pub(super) fn paths<E>(
    tables: &mut Map<String, Value>,
    visit: &mut impl FnMut(Names, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    for (key, value) in tables {
        let names = match key.as_str() {
            "input-file" => Names::Input,
            "system-prompt-file" => Names::SystemPrompt,
            "request-rate-series" => Names::RateSeries,
            "image-source" => Names::Pictures,
            "gpu-telemetry" => Names::Fields,
            "tokenizer" => Names::Tokenizer,
            PHASE => {
                for phase in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                    paths(phase, visit)?;
                }
                continue;
            }
            _ => continue,
        };
        match value {
            Value::String(path) if is_path(names, path) => visit(names, path)?,
            Value::Array(items) => {
                for item in items {
                    if let Value::String(path) = item
                        && is_path(names, path)
                    {
                        visit(names, path)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the setting, of which some values are words, is a path.
fn is_path(names: Names, value: &str) -> bool {
    match names {
        Names::Pictures => value != "noise",
        Names::Fields => value.ends_with(".csv"),
        _ => true,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Takes out what was not given, which a file cannot say otherwise.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(without_nothing);
            members.retain(|_, member| !is_nothing(member));
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_model::{
        config::{DataConfig, LoadConfig, PhaseConfig, ServerConfig},
        file,
        plan::PhaseKind,
        values::{Count, Number, Seconds},
    };

    fn reread(text: &str) -> (RawConfig, PluginSettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        file::load(&RawConfig::default(), Some(&path)).unwrap()
    }

    #[test]
    fn the_file_says_what_the_settings_say_but_for_those_of_the_machine() {
        let load = LoadConfig {
            request_rate: Some(Number(f64::INFINITY)),
            benchmark_duration: Some(Seconds(2.5)),
            ..LoadConfig::default()
        };
        let settings = RawConfig {
            server: ServerConfig { model: vec!["m".to_owned()], streaming: Some(true), ..ServerConfig::default() },
            phase: vec![PhaseConfig { name: Some("one".to_owned()), kind: PhaseKind::Profiling, load: load.clone() }],
            load: LoadConfig { concurrency: Some(Count(4)), ..LoadConfig::default() },
            goodput: vec!["ttft:50".to_owned()],
            ..RawConfig::default()
        };
        let plugins = PluginSettings {
            options: [("acme".to_owned(), Map::from_iter([("size".to_owned(), Value::from(3))]))].into(),
            ..PluginSettings::default()
        };
        let of_the_machine = RawConfig {
            artifact_dir: Some("/here".into()),
            overwrite: Some(true),
            plugin: vec!["/here/lib.so".to_owned()],
            locked: Some(true),
            lock_file: Some("here.lock".into()),
            ..settings.clone()
        };
        let text = text(&tables(&of_the_machine, &plugins, 7).unwrap()).unwrap();
        let (read, read_plugins) = reread(&text);
        let mut expected = RawConfig { data: DataConfig { random_seed: Some(7), ..DataConfig::default() }, ..settings };
        // A phase has what holds for all of them.
        expected.phase[0].load.concurrency = Some(Count(4));
        assert_eq!((read, read_plugins), (expected, plugins));
    }

    #[test]
    fn paths_are_found_wherever_they_stand_and_words_are_none() {
        let settings = RawConfig {
            phase: vec![PhaseConfig {
                name: None,
                kind: PhaseKind::Profiling,
                load: LoadConfig { request_rate_series: Some("rates.json".into()), ..LoadConfig::default() },
            }],
            data: DataConfig { input_file: Some("a.jsonl".into()), ..DataConfig::default() },
            gpu_telemetry: vec!["dcgm".to_owned(), "fields.csv".to_owned()],
            ..RawConfig::default()
        };
        let mut tables = tables(&settings, &PluginSettings::default(), u64::MAX).unwrap();
        tables.insert("image-source".to_owned(), "noise".into());
        let mut found = Vec::new();
        paths::<()>(&mut tables, &mut |names, path| {
            found.push((names, path.clone()));
            path.insert_str(0, "x/");
            Ok(())
        })
        .unwrap();
        found.sort_by(|a, b| a.1.cmp(&b.1));
        let found: Vec<_> = found.iter().map(|(names, path)| (*names, path.as_str())).collect();
        assert_eq!(
            found,
            [(Names::Input, "a.jsonl"), (Names::Fields, "fields.csv"), (Names::RateSeries, "rates.json")]
        );
        let (read, _) = reread(&text(&tables).unwrap());
        assert_eq!(read.phase[0].load.request_rate_series, Some("x/rates.json".into()));
        assert_eq!(read.gpu_telemetry, ["dcgm", "x/fields.csv"]);
        assert_eq!(read.data.random_seed, None, "no file has a number as large");
    }
}
