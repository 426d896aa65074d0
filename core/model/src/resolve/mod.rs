//! From [`RawConfig`] to [`Plan`]: defaults, rules between settings, and every check that needs nothing but the settings
//! and the small files that some of them name.

mod connection;
mod data;
mod lengths;
mod limits;
mod media;
mod phases;
mod series;
mod server;
mod shape;
mod warmup;

use crate::{
    config::RawConfig,
    error::ConfigError,
    file::PluginSettings,
    plan::{OutputPlan, Plan, TokenizerPlan},
    telemetry::telemetry,
    values::{Count, Number, Seconds},
};
use data::data;
use phases::phases;
use server::server;
use std::collections::BTreeMap;

const MOST_WORKERS: u64 = 1024;
const DEFAULT_EXPORT_PATIENCE: Seconds = Seconds(60.0);

/// Decides what will happen. `seed` is used where none was typed.
///
/// # Errors
/// The first setting that cannot be used: what it is, why not, and what to write instead.
pub fn resolve(config: &RawConfig, plugins: &PluginSettings, seed: u64) -> Result<Plan, ConfigError> {
    let mut notes = Vec::new();
    if config.server.model.iter().all(|model| model.trim().is_empty()) {
        return Err(ConfigError::new("--model is missing; name the model the server serves, as in --model llama-3"));
    }
    let server = server(config)?;
    let phases = phases(config, &server, &mut notes)?;
    let data = data(config, &phases, &mut notes)?;
    if let Some(Number(limit)) = config.failed_request_threshold
        && !(0.0..=1.0).contains(&limit)
    {
        return Err(ConfigError::new(format!(
            "--failed-request-threshold {limit} is not a fraction; write 0.05 for five in a hundred"
        )));
    }
    if let Some(Count(workers)) = config.workers
        && !(1..=MOST_WORKERS).contains(&workers)
    {
        return Err(ConfigError::new(format!(
            "--workers {workers} is out of range; give 1 to {MOST_WORKERS}, or leave it out for as many as help"
        )));
    }
    let plugin_options = plugin_options(config, plugins)?;
    let telemetry = telemetry(config, &server, &plugin_options, &mut notes)?;
    Ok(Plan {
        models: config
            .server
            .model
            .iter()
            .map(|model| model.trim().to_owned())
            .filter(|model| !model.is_empty())
            .collect(),
        model_selection: config.server.model_selection_strategy.unwrap_or_default(),
        server,
        data,
        phases,
        telemetry,
        workers: config.workers.map(|count| count.0),
        objectives: (!config.goodput.is_empty()).then(|| config.goodput.join(" ")),
        error_limit: config.failed_request_threshold.map(|limit| limit.0),
        accepts_invalid: config.accept_invalid.unwrap_or_default(),
        tokenizer: tokenizer(config)?,
        output: OutputPlan {
            folder: config.artifact_dir.clone(),
            overwrite: config.overwrite.unwrap_or_default(),
            prefix: prefix(config)?,
            level: config.export_level.unwrap_or_default(),
            export_patience_ns: export_patience(config)?,
        },
        plugin_options,
        exporters: config.exporter.clone(),
        seed: config.data.random_seed.unwrap_or(seed),
        notes,
    })
}

fn tokenizer(config: &RawConfig) -> Result<TokenizerPlan, ConfigError> {
    let plan = TokenizerPlan {
        name: config.tokenizer.clone(),
        revision: config.tokenizer_revision.clone(),
        server_only: config.use_server_token_count.unwrap_or_default(),
        chat_template: config.apply_chat_template.unwrap_or_default(),
    };
    if plan.server_only && plan.chat_template {
        return Err(ConfigError::new(
            "--apply-chat-template is for counting here, which --use-server-token-count never does; leave one out",
        ));
    }
    Ok(plan)
}

fn export_patience(config: &RawConfig) -> Result<u64, ConfigError> {
    let patience = config.export_timeout.unwrap_or(DEFAULT_EXPORT_PATIENCE);
    if patience.0 == 0.0 {
        return Err(ConfigError::new("--export-timeout 0 would give every exporter up; give a time above 0"));
    }
    Ok(patience.as_ns())
}

/// The stem of the file names: a bare name, known endings stripped.
fn prefix(config: &RawConfig) -> Result<Option<String>, ConfigError> {
    let Some(prefix) = &config.profile_export_prefix else { return Ok(None) };
    if prefix.is_empty() || prefix.contains(['/', '\\']) || prefix.starts_with('.') {
        return Err(ConfigError::new(format!(
            "--profile-export-prefix '{prefix}' must be a bare name; choose the folder with --artifact-dir"
        )));
    }
    Ok(Some(prefix.clone()))
}

/// `name.key=value` over `[plugins.options.name]`. A name may hold dots; a value is JSON where it reads as JSON, else text.
///
/// # Errors
/// The first that is not written so.
pub fn plugin_options(
    config: &RawConfig,
    plugins: &PluginSettings,
) -> Result<BTreeMap<String, serde_json::Map<String, serde_json::Value>>, ConfigError> {
    let mut options = plugins.options.clone();
    for option in &config.plugin_option {
        let parsed = option.split_once('=').and_then(|(path, value)| Some((path.rsplit_once('.')?, value)));
        let Some(((name, key), value)) = parsed else {
            return Err(ConfigError::new(format!("--plugin-option {option}: write it as name.key=value")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        options.entry(name.to_owned()).or_default().insert(key.to_owned(), value);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use crate::testing::{plan, plan_of, refused, typed};

    #[test]
    fn wrong_settings_name_the_flag_and_the_remedy() {
        assert!(plan_of(&typed("")).unwrap_err().contains("--model is missing"));
        refused(&[
            ("--plugin-option acme", &["name.key=value"]),
            ("--failed-request-threshold 5", &["--failed-request-threshold 5", "0.05"]),
            ("--workers 70000", &["--workers 70000", "1024"]),
            ("--export-timeout 0", &["--export-timeout 0"]),
            ("--apply-chat-template --use-server-token-count", &["--apply-chat-template", "leave one out"]),
            ("--profile-export-prefix a/b", &["--profile-export-prefix 'a/b'", "--artifact-dir"]),
        ]);
    }

    #[test]
    fn secrets_do_not_leave_in_a_stored_plan() {
        let plan = plan("--api-key sk-1 -H 'X-Key: sk-2'").unwrap();
        let stored = serde_json::to_string(&plan).unwrap();
        assert!(!stored.contains("sk-"), "{stored}");
        assert!(!format!("{plan:?}").contains("sk-"));
    }

    #[test]
    fn options_of_plugins_are_json_where_they_read_as_json() {
        let options = plan("--plugin-option acme.size=3 --plugin-option acme.name=x=y").unwrap().plugin_options;
        assert_eq!(serde_json::to_value(&options["acme"]).unwrap(), serde_json::json!({"size": 3, "name": "x=y"}));
    }

    #[test]
    fn the_name_of_a_plugin_may_hold_dots_and_its_options_values_too() {
        let options = plan("--plugin-option acme.v2.host=a.b").unwrap().plugin_options;
        assert_eq!(options["acme.v2"]["host"], "a.b");
    }
}
