//! The TOML form of [`RawConfig`]: the flags' long names (or aliases) as keys, a `[plugins]` table, and `[[phase]]` tables,
//! which hold keys of the load.

pub(crate) mod text;

use crate::{
    config::{FIXED_SCHEDULE, LoadConfig, NOT_OF_WARMUPS, RawConfig, SHAPES},
    error::ConfigError,
    plan::PhaseKind,
};
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
    let text = text::read(file)
        .map_err(|why| ConfigError::new(format!("--config {}: {why}; give a TOML file", file.display())))?;
    let wrong = |why: String| ConfigError::new(format!("{}: {why}", file.display()));
    let table: toml::Table = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
    let mut settings = Map::new();
    let mut plugins = PluginSettings::default();
    let mut phases = Vec::new();
    let names = Names::of(RawConfig::augment_args);
    for (key, value) in table {
        let value = json(value);
        match key.as_str() {
            "plugins" => {
                plugins =
                    serde_json::from_value(value).map_err(|e| wrong(format!("[plugins]: {}", text::plain(&e))))?;
            }
            PHASE => phases = tables(value).map_err(&wrong)?,
            _ => names.insert(&mut settings, &key, value).map_err(&wrong)?,
        }
    }
    let typed = typed(flags);
    let phases: Vec<Value> = phases
        .into_iter()
        .enumerate()
        .map(|(index, own)| phase(index + 1, own, &settings, &typed, &names).map(Value::Object).map_err(&wrong))
        .collect::<Result<_, _>>()?;
    lay_over(&mut settings, typed);
    settings.insert(PHASE.to_owned(), phases.into());
    let config = serde_json::from_value(Value::Object(settings)).map_err(|e| wrong(text::plain(&e)))?;
    Ok((config, plugins))
}

/// The key of the tables that are phases.
const PHASE: &str = "phase";

/// The value as JSON; numbers that JSON does not have are text, as settings that may be endless read it.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(n) => n.into(),
        toml::Value::Float(x) if x.is_finite() => x.into(),
        toml::Value::Float(x) => x.to_string().into(),
        toml::Value::Boolean(on) => on.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect()),
    }
}

/// What was typed of `flags`.
fn typed(flags: &RawConfig) -> Map<String, Value> {
    let Ok(Value::Object(mut typed)) = serde_json::to_value(flags) else {
        unreachable!("settings are a map of values that JSON has")
    };
    typed.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()));
    typed
}

fn tables(value: Value) -> Result<Vec<Map<String, Value>>, String> {
    let wrong = || "'phase' is not a list of tables; head each phase with [[phase]]".to_owned();
    let Value::Array(items) = value else { return Err(wrong()) };
    items.into_iter().map(|item| if let Value::Object(table) = item { Ok(table) } else { Err(wrong()) }).collect()
}

/// The settings of the `number`th phase: its own over those of all, and the flags over both.
fn phase(
    number: usize,
    mut own: Map<String, Value>,
    of_all: &Map<String, Value>,
    typed: &Map<String, Value>,
    all: &Names,
) -> Result<Map<String, Value>, String> {
    let name = own.remove("name");
    let shown = match &name {
        None => format!("phase {number}"),
        Some(Value::String(name)) => format!("phase '{name}'"),
        Some(other) => return Err(format!("phase {number}: the name {other} is not text; write it in quotes")),
    };
    let kind = own.remove("kind").unwrap_or_else(|| "profiling".into());
    let kind: PhaseKind = serde_json::from_value(kind.clone())
        .map_err(|_| format!("{shown}: there is no kind {kind}; write \"warmup\" or \"profiling\""))?;
    let names = Names::of(LoadConfig::augment_args);
    let mut keys = Map::new();
    for (key, value) in own {
        names.insert(&mut keys, &key, value).map_err(|why| match all.canonical(&key) {
            Ok(known) if !names.has(&known) => {
                format!("{shown}: '{key}' holds for all phases; write it above the first [[phase]]")
            }
            _ => format!("{shown}: {why}"),
        })?;
    }
    let inherited = |settings: &Map<String, Value>| -> Map<String, Value> {
        let is_not_for_it = |key: &str| kind == PhaseKind::Warmup && NOT_OF_WARMUPS.contains(&key);
        let of_load = settings.iter().filter(|(key, _)| names.has(key) && !is_not_for_it(key));
        of_load.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let mut settings = inherited(of_all);
    lay_over(&mut settings, keys);
    lay_over(&mut settings, inherited(typed));
    settings.extend(name.map(|name| ("name".to_owned(), name)));
    settings.insert("kind".to_owned(), kind.as_str().into());
    Ok(settings)
}

/// Switches, with what they make pointless.
const SWITCHES: [(&str, &[&str]); 3] = [
    ("no-gpu-telemetry", &["gpu-telemetry"]),
    ("no-server-metrics", &["server-metrics", "server-metrics-formats"]),
    ("no-fixed-schedule", &FIXED_SCHEDULE),
];

/// Puts `above` over `below`.
fn lay_over(below: &mut Map<String, Value>, above: Map<String, Value>) {
    make_way(below, &above);
    below.extend(above);
}

/// Takes out of `below` what `above` says the opposite of.
fn make_way(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    let says = |name: &&str| above.get(*name).is_some_and(|value| *value != Value::Bool(false));
    for (switch, pointless) in SWITCHES {
        if pointless.iter().any(|name| above.contains_key(*name)) {
            below.remove(switch);
        }
        if says(&switch) {
            below.retain(|name, _| !pointless.contains(&name.as_str()));
        }
    }
    if let Some(shape) = SHAPES.into_iter().find(|shape| shape.iter().any(says)) {
        let is_other = |name: &str| SHAPES.into_iter().filter(|other| *other != shape).flatten().any(|n| *n == name);
        let of_rates = ["arrival-pattern", "arrival-smoothness", "request-rate-ramp-duration"];
        let has_rate = shape.iter().any(|name| name.starts_with("request-rate"));
        below.retain(|name, _| !is_other(name) && (has_rate || !of_rates.contains(&name.as_str())));
    }
}

/// Every name of every option, with the one it stands for.
struct Names(BTreeMap<String, String>);

impl Names {
    /// Those of the options that `augment` gives a command.
    fn of(augment: fn(clap::Command) -> clap::Command) -> Self {
        let command = augment(clap::Command::new("profile"));
        let mut names = BTreeMap::new();
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            for name in argument.get_all_aliases().unwrap_or_default().into_iter().chain([long]) {
                names.insert(name.to_owned(), long.to_owned());
            }
        }
        Self(names)
    }

    /// Whether there is an option of this name, aliases aside.
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|canonical| canonical == name)
    }

    fn canonical(&self, key: &str) -> Result<String, String> {
        let spelt = key.replace('_', "-");
        self.0.get(&spelt).cloned().ok_or_else(|| {
            let near = nearest(&spelt, self.0.keys().map(String::as_str).chain([PHASE, "plugins"]));
            format!("there is no setting '{key}'{near}")
        })
    }

    /// Puts the setting into `settings` under its own name.
    fn insert(&self, settings: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
        let canonical = self.canonical(key)?;
        // Checked alone, so that the message can name the key.
        let alone = Map::from_iter([(canonical.clone(), value.clone())]);
        serde_json::from_value::<RawConfig>(Value::Object(alone))
            .map_err(|e| format!("'{key}': {}", text::plain(&e)))?;
        if settings.insert(canonical, value).is_some() {
            return Err(format!("'{key}' is given twice, under two of its names; keep one"));
        }
        Ok(())
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
    use crate::{
        plan::{PhaseKind, Plan},
        testing::{file, plan_of, typed},
        values::{Count, Seconds},
    };

    fn read(text: &str, flags: &str) -> Result<(RawConfig, PluginSettings), String> {
        load(&typed(flags), Some(file("config.toml", text).path())).map_err(|e| e.to_string())
    }

    /// The plan of a file and flags.
    fn plan(text: &str, flags: &str) -> Result<Plan, String> {
        plan_of(&read(&format!("model = 'm'\n{text}"), flags)?.0)
    }

    #[test]
    fn flags_win_over_the_file_and_aliases_are_keys_too() {
        let file = "model = 'm'\nmax_concurrency = '1k'\nrequest-count = 20\nstreaming = true\nnum_sessions = 4";
        let (config, _) = read(file, "--concurrency 4").unwrap();
        assert_eq!(config.server.model, ["m"]);
        assert_eq!(config.load.concurrency, Some(Count(4)));
        assert_eq!(config.load.request_count, Some(Count(20)));
        assert_eq!(config.load.num_conversations, Some(Count(4)));
        assert_eq!(config.server.streaming, Some(true));
    }

    #[test]
    fn what_is_endless_is_kept_from_flags_and_from_files() {
        let (config, _) = read("request-timeout-seconds = inf", "--benchmark-grace-period inf").unwrap();
        assert_eq!(config.connection.request_timeout_seconds, Some(Seconds(f64::INFINITY)));
        assert_eq!(config.load.benchmark_grace_period, Some(Seconds(f64::INFINITY)));
    }

    #[test]
    fn lists_and_tables_are_written_as_toml_writes_them() {
        let file = "audio-sample-rates = [16, 44.1]\naudio-depths = '8 16'\nisl = 5\nosl = 5\n\
                    random-range-ratio = { input = 0.5, output = 0.25 }";
        let request = plan(file, "").unwrap().data.request;
        let audio = request.audio.unwrap();
        assert_eq!((audio.sample_rates, audio.depths), (vec![16_000, 44_100], vec![8, 16]));
        assert_eq!(request.range_ratio.map(|ratio| (ratio.input, ratio.output)), Some((0.5, 0.25)));
    }

    #[test]
    fn flags_switch_on_what_the_file_switches_off_and_the_other_way_round() {
        let read = |file: &str, flags: &str| {
            let (config, _) = read(file, flags).unwrap();
            (config.gpu_telemetry, config.no_gpu_telemetry)
        };
        let (nvml, dcgm) = (vec!["nvml".to_owned()], vec!["dcgm".to_owned()]);
        assert_eq!(read("gpu-telemetry = ['nvml']", "--no-gpu-telemetry"), (vec![], Some(true)));
        assert_eq!(read("gpu-telemetry = ['nvml']", "--no-gpu-telemetry=false"), (nvml, Some(false)));
        assert_eq!(read("no-gpu-telemetry = true", "--gpu-telemetry"), (dcgm.clone(), None));
        assert_eq!(read("no-gpu-telemetry = true", "--gpu-telemetry --no-gpu-telemetry=false"), (dcgm, Some(false)));

        let (config, _) =
            self::read("server-metrics = 'h:1'\nserver-metrics-formats = 'json'", "--no-server-metrics").unwrap();
        assert!(config.server_metrics.is_empty() && config.server_metrics_formats.is_empty());
    }

    #[test]
    fn a_load_of_another_shape_takes_the_place_of_the_files() {
        let strategy = |file: &str, flags: &str| plan(file, flags).unwrap().phases.remove(0).strategy;
        let users = "user-centric-rate = 2\nnum-users = 4\nsession-turns-mean = 3";
        assert_eq!(strategy(users, ""), "user_centric");
        assert_eq!(strategy(users, "--request-rate 5"), "poisson");
        let constant = "request-rate = 5\narrival-pattern = 'constant'\nrequest-rate-ramp-duration = 5";
        assert_eq!(strategy(constant, "--request-rate 7"), "constant");
        assert_eq!(strategy(constant, "--user-centric-rate 7 --num-users 2 --session-turns-mean 2"), "user_centric");
        assert_eq!(strategy(constant, "--burst-size 7 --burst-interval 2"), "burst");
        let schedule = "input-file = 'x'\nfixed-schedule = true\nfixed-schedule-speedup = 2";
        assert_eq!(strategy(schedule, ""), "fixed_schedule");
        assert_eq!(strategy(schedule, "--no-fixed-schedule"), "concurrency");
        assert_eq!(strategy("input-file = 'x'\nno-fixed-schedule = true", "--fixed-schedule"), "fixed_schedule");
    }

    #[test]
    fn phases_have_their_own_load_over_the_files_and_flags_over_both() {
        let file = "streaming = true\nconcurrency = 4\nrequest-count = 10\n\
                    [[phase]]\nname = 'cold'\nkind = 'warmup'\nnum_requests = 3\n\
                    [[phase]]\nmax-concurrency = 8\n\
                    [[phase]]\nrequest-rate = 5\nbenchmark-duration = '1m'\n\
                    [[phase]]\nname = 'last'";
        let shown = |flags: &str| {
            let phases = plan(file, flags).unwrap().phases;
            let phases = phases.into_iter().map(|phase| {
                let is_warmup = phase.kind == PhaseKind::Warmup;
                (phase.name, is_warmup, phase.strategy, phase.concurrency.unwrap(), phase.stop.requests.unwrap())
            });
            phases.collect::<Vec<_>>()
        };
        let phase = |name: &str, is_warmup, strategy: &str, concurrency, requests| {
            (name.to_owned(), is_warmup, strategy.to_owned(), concurrency, requests)
        };
        let expected = [
            phase("cold", true, "concurrency", 4, 3),
            phase("profiling", false, "concurrency", 8, 10),
            phase("profiling-2", false, "poisson", 4, 10),
            phase("last", false, "concurrency", 4, 10),
        ];
        assert_eq!(shown(""), expected);
        let expected = [
            phase("cold", true, "concurrency", 2, 3),
            phase("profiling", false, "concurrency", 2, 7),
            phase("profiling-2", false, "poisson", 2, 7),
            phase("last", false, "concurrency", 2, 7),
        ];
        assert_eq!(shown("--concurrency 2 --request-count 7"), expected);
    }

    #[test]
    fn a_warmup_of_a_file_inherits_neither_ends_nor_users_nor_times() {
        let file = "input-file = 'x'\nfixed-schedule = true\nrequest-cancellation-rate = 5\n\
                    [[phase]]\nkind = 'warmup'\nbenchmark-duration = 4\n[[phase]]\n";
        let phases = plan(file, "--fixed-schedule-speedup 2 --benchmark-duration 9").unwrap().phases;
        let shown =
            |phase: &crate::plan::PhasePlan| (phase.strategy.clone(), phase.stop.duration_ns, phase.stop.grace_ns);
        assert_eq!(shown(&phases[0]), ("concurrency".to_owned(), Some(4_000_000_000), u64::MAX));
        assert_eq!(shown(&phases[1]), ("fixed_schedule".to_owned(), Some(9_000_000_000), 30_000_000_000));
        assert_eq!((phases[0].cancellation, phases[1].cancellation.is_some()), (None, true));
    }

    #[test]
    fn flags_put_a_warmup_before_the_phases_of_a_file() {
        let file = "[[phase]]\nconcurrency = 8\n[[phase]]\nconcurrency = 16";
        let phases = plan(file, "--warmup-request-count 3 --warmup-prefill-concurrency 1 --streaming").unwrap().phases;
        let shown: Vec<_> = phases.iter().map(|phase| (phase.name.as_str(), phase.concurrency)).collect();
        assert_eq!(shown, [("warmup", Some(8)), ("profiling", Some(8)), ("profiling-2", Some(16))]);
    }

    #[test]
    fn wrong_phases_are_refused_with_their_name_and_what_would_do() {
        for (file, flags, expected) in [
            ("[[phase]]\nname = 'a'\nconcurency = 4", "", &["phase 'a'", "'concurency'", "'concurrency'"][..]),
            ("[[phase]]\nconcurrency = 'many'", "", &["phase 1", "'concurrency'", "'many'"]),
            ("[[phase]]\nurl = 'h:1'", "", &["phase 1", "'url' holds for all phases", "above the first"]),
            ("[[phase]]\nkind = 'main'", "", &["phase 1", "\"main\"", "\"profiling\""]),
            ("[[phase]]\nname = 4", "", &["phase 1", "quotes"]),
            ("[phase]\nname = 'a'", "", &["[[phase]]"]),
            ("[[phase]]\nconcurrency = 1\nmax-concurrency = 1", "", &["phase 1", "given twice"]),
            ("[[phases]]\nname = 'a'", "", &["'phases'", "'phase'"]),
            ("[[phase]]\nname = 'a'\n[[phase]]\nname = 'a'", "", &["two phases are called 'a'"]),
            ("[[phase]]\nname = ''", "", &["empty name"]),
            ("[[phase]]\nkind = 'warmup'\nrequest-count = 2", "", &["nothing is measured", "\"profiling\""]),
            ("[[phase]]\n[[phase]]\nkind = 'warmup'\nrequest-count = 2", "", &["the last phase is a warm-up"]),
            ("request-count = 9\n[[phase]]\nkind = 'warmup'\n[[phase]]", "", &["phase 'warmup'", "an end of its own"]),
            (
                "[[phase]]\nkind = 'warmup'\nrequest-count = 2\n[[phase]]",
                "--warmup-request-count 3",
                &["--warmup-request-count", "leave one of them out"],
            ),
            (
                "input-file = 'x'\n[[phase]]\nkind = 'warmup'\nrequest-count = 2\nfixed-schedule = true\n[[phase]]",
                "",
                &["phase 'warmup'", "no fixed schedule"],
            ),
            (
                "[[phase]]\nkind = 'warmup'\nrequest-count = 2\nrequest-cancellation-rate = 2\n[[phase]]",
                "",
                &["phase 'warmup'", "--request-cancellation-rate"],
            ),
            ("[[phase]]\nname = 'a'\nrequest-rate = 0", "", &["phase 'a'", "--request-rate 0"]),
        ] {
            let error = plan(file, flags).map(|plan| plan.phases).expect_err(file);
            for part in expected {
                assert!(error.contains(part), "{file}: {error} should mention {part}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        let error = read("concurency = 4", "").unwrap_err();
        assert!(error.contains("'concurency'") && error.contains("'concurrency'"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_named_with_its_key() {
        let error = read("concurrency = 'many'", "").unwrap_err();
        assert!(error.contains("'concurrency'") && error.contains("'many'"), "{error}");
    }

    #[test]
    fn plugin_settings_are_read() {
        let (_, plugins) = read("[plugins.options.acme]\nkey = 1\n[plugins.prefer]\nchat = 'acme'", "").unwrap();
        assert_eq!(plugins.options["acme"]["key"], 1);
        assert_eq!(plugins.prefer["chat"], "acme");
    }
}
