//! From [`RawConfig`] to [`Plan`]: defaults, rules between settings, and every check that needs nothing but the settings.

use crate::{
    config::{CacheBust, RawConfig},
    error::ConfigError,
    file::PluginSettings,
    plan::{DataPlan, OutputPlan, PhaseKind, PhasePlan, Plan, ReadyPlan, ServerPlan, Stop, TokenizerPlan},
    secret::{self, Secret},
    telemetry::telemetry,
    values::{Count, Seconds, key_values},
};
use inferometer_abi::documents::{DatasetRequest, Length};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};
use url::Url;

const DEFAULT_URL: &str = "http://localhost:8000";
const DEFAULT_ISL: f64 = 550.0;
const DEFAULT_POOL: u64 = 100;
/// Most different prompts that are made up unasked.
const LARGEST_DEFAULT_POOL: u64 = 100_000;
/// Most different prompts that are made up at all: they are kept in memory.
const LARGEST_POOL: u64 = 10_000_000;
const MOST_WORKERS: u64 = 1024;
const DEFAULT_TIMEOUT: Seconds = Seconds(6.0 * 3600.0);
const DEFAULT_GRACE: Seconds = Seconds(30.0);
const DEFAULT_EXPORT_PATIENCE: Seconds = Seconds(60.0);
const DEFAULT_READY_INTERVAL: Seconds = Seconds(1.0);
/// A rate without a count or a duration runs for about this long.
const DEFAULT_RATE_SECONDS: f64 = 10.0;

/// Decides what will happen. `seed` is used where none was typed.
///
/// # Errors
/// The first setting that cannot be used: what it is, why not, and what to write instead.
pub fn resolve(config: &RawConfig, plugins: &PluginSettings, seed: u64) -> Result<Plan, ConfigError> {
    let mut notes = Vec::new();
    if config.model.iter().all(|model| model.trim().is_empty()) {
        return Err(ConfigError::new("--model is missing; name the model the server serves, as in --model llama-3"));
    }
    let server = server(config)?;
    let phases = phases(config, &mut notes)?;
    let data = data(config, &phases, &mut notes)?;
    if let Some(limit) = config.failed_request_threshold
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
    let telemetry = telemetry(config, &server, &plugin_options)?;
    Ok(Plan {
        models: config.model.iter().map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()).collect(),
        model_selection: config.model_selection_strategy.unwrap_or_default(),
        server,
        data,
        phases,
        telemetry,
        workers: config.workers.map(|count| count.0),
        objectives: (!config.goodput.is_empty()).then(|| config.goodput.join(" ")),
        error_limit: config.failed_request_threshold,
        accepts_invalid: config.accept_invalid.unwrap_or_default(),
        tokenizer: TokenizerPlan {
            name: config.tokenizer.clone(),
            revision: config.tokenizer_revision.clone(),
            server_only: config.use_server_token_count.unwrap_or_default(),
        },
        output: OutputPlan {
            folder: config.artifact_dir.clone(),
            overwrite: config.overwrite.unwrap_or_default(),
            prefix: prefix(config)?,
            level: config.export_level.unwrap_or_default(),
            export_patience_ns: export_patience(config)?,
        },
        plugin_options,
        exporters: config.exporter.clone(),
        seed: config.random_seed.unwrap_or(seed),
        notes,
    })
}

fn server(config: &RawConfig) -> Result<ServerPlan, ConfigError> {
    let urls = if config.url.is_empty() { &vec![DEFAULT_URL.to_owned()] } else { &config.url };
    if let Some(path) = &config.endpoint
        && !path.is_empty()
        && !path.starts_with('/')
    {
        return Err(ConfigError::new(format!("--endpoint {path} must begin with '/'; write /{path}")));
    }
    if config.endpoint.as_deref().is_some_and(|path| !path.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ConfigError::new(
            "--endpoint holds a blank or a character that a URL cannot carry; percent-encode it",
        ));
    }
    let headers = config.header.iter().map(|header| parse_headers(header)).collect::<Result<Vec<_>, _>>()?.concat();
    let ready = config.wait_for_model_timeout.filter(|timeout| timeout.0 > 0.0).map(|timeout| ReadyPlan {
        timeout_ns: timeout.as_ns(),
        interval_ns: config.wait_for_model_interval.unwrap_or(DEFAULT_READY_INTERVAL).as_ns(),
        mode: config.wait_for_model_mode.unwrap_or_default(),
    });
    let timeout = config.request_timeout_seconds.unwrap_or(DEFAULT_TIMEOUT);
    if timeout.0 == 0.0 {
        return Err(ConfigError::new("--request-timeout-seconds 0 would fail every request; give a time above 0"));
    }
    Ok(ServerPlan {
        endpoint: config.endpoint_type.clone().unwrap_or_else(|| "chat".to_owned()),
        urls: urls.iter().map(|url| parse_url(url)).collect::<Result<_, _>>()?,
        path: config.endpoint.clone(),
        streaming: config.streaming.unwrap_or_default(),
        api_key: config.api_key.as_deref().map(checked_key).transpose()?,
        headers,
        extra: key_values(&config.extra_inputs).map_err(|why| ConfigError::new(format!("--extra-inputs: {why}")))?,
        legacy_max_tokens: config.use_legacy_max_tokens.unwrap_or_default(),
        timeout_ns: timeout.as_ns(),
        reuse: config.connection_reuse_strategy.unwrap_or_default(),
        receive_timestamps: config.receive_timestamps.unwrap_or_default(),
        sources: config.source_address.iter().map(|source| parse_source(source)).collect::<Result<_, _>>()?,
        ready,
    })
}

/// A base URL; `http://` is supplied where no scheme is given.
fn parse_url(text: &str) -> Result<Url, ConfigError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refuse = |why: &str| {
        let shown = secret::shown_text(&full);
        ConfigError::new(format!("--url {shown}: {why}; write it as http://127.0.0.1:8000"))
    };
    let url = Url::parse(&full).map_err(|e| refuse(&e.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(refuse("https is not spoken yet; put a proxy that ends TLS in front of the server")),
        _ => return Err(refuse("the scheme must be http")),
    }
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
        return Err(refuse("a host and a port from 1 to 65535 are needed"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(
            "--url: a user name or password in the URL is not sent; use -H 'Authorization: …'",
        ));
    }
    Ok(url)
}

/// An address that a connection can come from.
fn parse_source(text: &str) -> Result<IpAddr, ConfigError> {
    let refuse = |why| ConfigError::new(format!("--source-address {text} {why}; give one that `ip address` lists"));
    let address: IpAddr = text.trim().parse().map_err(|_| refuse("is not an IP address"))?;
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(refuse("is no machine's own address"));
    }
    Ok(address)
}

fn checked_key(key: &str) -> Result<Secret, ConfigError> {
    if key.is_empty() || key.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(ConfigError::new(
            "the API key is empty or holds characters that a header cannot carry; check how it is set",
        ));
    }
    Ok(Secret::new(key))
}

/// `Name: value`, `Name:value` or a JSON object of several.
fn parse_headers(text: &str) -> Result<Vec<(String, Secret)>, ConfigError> {
    let pairs: Vec<(String, String)> = if text.trim_start().starts_with('{') {
        let map: BTreeMap<String, String> = serde_json::from_str(text)
            .map_err(|e| ConfigError::new(format!("--header: not a JSON object of texts: {e}")))?;
        map.into_iter().collect()
    } else {
        let (name, value) =
            text.split_once(':').ok_or_else(|| ConfigError::new("--header: a header is written as 'Name: value'"))?;
        vec![(name.trim().to_owned(), value.trim().to_owned())]
    };
    for (name, value) in &pairs {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) || value.chars().any(char::is_control) {
            return Err(ConfigError::new(format!("--header: '{name}' cannot be sent; write it as 'Name: value'")));
        }
        const OURS: [&str; 6] =
            ["connection", "content-length", "host", "transfer-encoding", "x-correlation-id", "x-request-id"];
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(ConfigError::new(format!("--header: '{name}' is set by the client itself; leave it out")));
        }
    }
    Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

fn phases(config: &RawConfig, notes: &mut Vec<String>) -> Result<Vec<PhasePlan>, ConfigError> {
    for (flag, count) in [
        ("--concurrency", config.concurrency),
        ("--request-count", config.request_count),
        ("--warmup-request-count", config.warmup_request_count),
        ("--num-dataset-entries", config.num_dataset_entries),
    ] {
        if count == Some(Count(0)) {
            return Err(ConfigError::new(format!("{flag} 0 asks for nothing; give at least 1, or leave it out")));
        }
    }
    let (strategy, rate) = match (config.request_rate, &config.arrival_pattern) {
        (Some(rate), _) if !(rate.is_finite() && rate > 0.0) => {
            return Err(ConfigError::new(format!(
                "--request-rate {rate} is not a rate; give a number above 0, or leave it out for a fixed concurrency"
            )));
        }
        (Some(rate), pattern) => (pattern.clone().unwrap_or_else(|| "poisson".to_owned()), Some(rate)),
        (None, Some(pattern)) if ["constant", "poisson"].contains(&pattern.as_str()) => {
            return Err(ConfigError::new(format!("--arrival-pattern {pattern} needs a rate; add --request-rate")));
        }
        (None, Some(plugin)) => (plugin.clone(), None),
        (None, None) => ("concurrency".to_owned(), None),
    };
    let concurrency = config.concurrency.map(|count| count.0).or((strategy == "concurrency").then_some(1));
    let duration = config.benchmark_duration;
    if duration.is_some_and(|duration| duration.0 == 0.0) {
        return Err(ConfigError::new("--benchmark-duration 0 leaves no time to send anything; give a time above 0"));
    }
    let requests = match (config.request_count, duration, &config.input_file, rate, concurrency) {
        (Some(count), ..) => Some(count.0),
        (None, Some(_), ..) => None,
        (None, None, Some(_), ..) => {
            notes.push("no count given: the file once".to_owned());
            None
        }
        (None, None, None, Some(rate), _) => {
            let requests = (rate * DEFAULT_RATE_SECONDS).ceil().max(10.0) as u64;
            notes
                .push(format!("no count given: {requests} requests, about {DEFAULT_RATE_SECONDS} s at the rate asked"));
            Some(requests)
        }
        (None, None, None, None, slots) => {
            let requests = 2 * slots.unwrap_or(1);
            notes.push(format!("no count given: 2 × concurrency = {requests} requests"));
            Some(requests)
        }
    };
    let stop = Stop {
        requests,
        sessions: None,
        duration_ns: duration.map(Seconds::as_ns),
        grace_ns: config.benchmark_grace_period.unwrap_or(DEFAULT_GRACE).as_ns(),
    };
    let profiling =
        PhasePlan { concurrency, rate, ..PhasePlan::new("profiling", PhaseKind::Profiling, &strategy, stop) };
    let warmup = config.warmup_request_count.map(|count| PhasePlan {
        name: "warmup".to_owned(),
        kind: PhaseKind::Warmup,
        stop: Stop { requests: Some(count.0), sessions: None, duration_ns: None, grace_ns: u64::MAX },
        ..profiling.clone()
    });
    Ok(warmup.into_iter().chain([profiling]).collect())
}

fn data(config: &RawConfig, phases: &[PhasePlan], notes: &mut Vec<String>) -> Result<DataPlan, ConfigError> {
    let length = |flag: &str, mean: f64, stddev: Option<f64>, least: f64| {
        let stddev = stddev.unwrap_or(0.0);
        if !(mean.is_finite() && mean >= least && mean <= f64::from(u32::MAX)) {
            return Err(ConfigError::new(format!("{flag} {mean} is not a number of tokens; give {least} or more")));
        }
        if !(stddev.is_finite() && stddev >= 0.0) {
            return Err(ConfigError::new(format!("{flag}-stddev {stddev} is not a deviation; give 0 or more")));
        }
        Ok(Length { mean, stddev })
    };
    if config.osl.is_none() && config.osl_stddev.is_some() {
        return Err(ConfigError::new("--osl-stddev needs a mean; add --osl"));
    }
    let (loader, source) = match (&config.input_file, &config.custom_dataset_type) {
        (Some(file), kind) => {
            if config.isl.is_some() || config.isl_stddev.is_some() {
                return Err(ConfigError::new(
                    "--isl is for made-up prompts and --input-file brings its own; leave one out",
                ));
            }
            (kind.clone().unwrap_or_else(|| "single_turn".to_owned()), Some(file.clone()))
        }
        (None, Some(kind)) if kind == "single_turn" => {
            return Err(ConfigError::new("--custom-dataset-type single_turn needs a file; add --input-file"));
        }
        (None, kind) => (kind.clone().unwrap_or_else(|| "synthetic".to_owned()), None),
    };
    // Enough for all phases, so that the measured requests are new to the server's cache.
    let requests = phases.iter().filter_map(|phase| phase.stop.requests).fold(0_u64, u64::saturating_add);
    let mut entries =
        config.num_dataset_entries.map_or(if requests == 0 { DEFAULT_POOL } else { requests }, |count| count.0);
    if config.num_dataset_entries.is_none() && entries > LARGEST_DEFAULT_POOL && source.is_none() {
        entries = LARGEST_DEFAULT_POOL;
        notes.push(format!("{entries} different prompts are used over and over; --num-dataset-entries makes up more"));
    }
    if entries > LARGEST_POOL && source.is_none() {
        return Err(ConfigError::new(format!(
            "--num-dataset-entries must be at most {LARGEST_POOL}: prompts are kept in memory"
        )));
    }
    let request = DatasetRequest {
        entries,
        input_tokens: length("--isl", config.isl.unwrap_or(DEFAULT_ISL), config.isl_stddev, 1.0)?,
        output_tokens: config.osl.map(|mean| length("--osl", mean, config.osl_stddev, 1.0)).transpose()?,
        ..DatasetRequest::default()
    };
    Ok(DataPlan {
        loader,
        source,
        request,
        sampling: config.dataset_sampling_strategy.unwrap_or_default(),
        system_prompt: None,
        shared_system_tokens: None,
        user_context_tokens: None,
        cache_bust: CacheBust::default(),
        delay_ratio: 1.0,
        ignores_times: false,
        replies: None,
    })
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
    use super::*;

    fn typed() -> RawConfig {
        RawConfig { model: vec!["m".into()], ..RawConfig::default() }
    }

    fn plan(config: &RawConfig) -> Result<Plan, String> {
        resolve(config, &PluginSettings::default(), 1).map_err(|e| e.to_string())
    }

    #[test]
    fn a_count_that_is_not_given_is_twice_the_concurrency_and_is_said() {
        let plan = plan(&RawConfig { concurrency: Some(Count(16)), ..typed() }).unwrap();
        assert_eq!(plan.phases[0].stop.requests, Some(32));
        assert_eq!(plan.data.request.entries, 32);
        assert!(plan.notes[0].contains("32 requests"));
    }

    #[test]
    fn a_file_is_used_once_when_no_count_is_given() {
        let plan = plan(&RawConfig { input_file: Some("x.jsonl".into()), ..typed() }).unwrap();
        assert_eq!(plan.phases[0].stop.requests, None);
        assert_eq!(plan.data.loader, "single_turn");
    }

    #[test]
    fn a_rate_is_poisson_unless_said_otherwise_and_has_no_slots() {
        let plan = plan(&RawConfig { request_rate: Some(20.0), ..typed() }).unwrap();
        assert_eq!((plan.phases[0].strategy.as_str(), plan.phases[0].concurrency), ("poisson", None));
    }

    #[test]
    fn a_warmup_comes_first_and_has_its_own_count() {
        let config = RawConfig { warmup_request_count: Some(Count(3)), request_count: Some(Count(8)), ..typed() };
        let phases = plan(&config).unwrap().phases;
        assert_eq!(
            phases.iter().map(|p| (p.kind, p.stop.requests)).collect::<Vec<_>>(),
            [(PhaseKind::Warmup, Some(3)), (PhaseKind::Profiling, Some(8))]
        );
    }

    #[test]
    fn wrong_settings_name_the_flag_and_the_remedy() {
        let cases = [
            (RawConfig::default(), "--model"),
            (RawConfig { request_rate: Some(0.0), ..typed() }, "--request-rate 0"),
            (RawConfig { url: vec!["ftp://x".into()], ..typed() }, "--url ftp://x"),
            (RawConfig { url: vec!["http://".into()], ..typed() }, "--url http://"),
            (RawConfig { arrival_pattern: Some("poisson".into()), ..typed() }, "add --request-rate"),
            (RawConfig { endpoint: Some("v1".into()), ..typed() }, "write /v1"),
            (RawConfig { osl_stddev: Some(1.0), ..typed() }, "add --osl"),
            (RawConfig { concurrency: Some(Count(0)), ..typed() }, "--concurrency 0"),
            (RawConfig { isl: Some(f64::NAN), ..typed() }, "--isl"),
            (RawConfig { header: vec!["Host: x".into()], ..typed() }, "'Host'"),
            (RawConfig { plugin_option: vec!["acme".into()], ..typed() }, "name.key=value"),
            (RawConfig { failed_request_threshold: Some(5.0), ..typed() }, "0.05"),
            (RawConfig { workers: Some(Count(70_000)), ..typed() }, "--workers"),
            (RawConfig { num_dataset_entries: Some(Count(1 << 40)), ..typed() }, "--num-dataset-entries"),
            (RawConfig { endpoint: Some("/a b".into()), ..typed() }, "percent-encode"),
            (RawConfig { header: vec!["X-Request-ID: 1".into()], ..typed() }, "'X-Request-ID'"),
            (RawConfig { source_address: vec!["eth0".into()], ..typed() }, "--source-address eth0"),
            (RawConfig { source_address: vec!["0.0.0.0".into()], ..typed() }, "no machine's own address"),
        ];
        for (config, expected) in cases {
            let error = plan(&config).expect_err(expected);
            assert!(error.contains(expected), "{error} should mention {expected}");
        }
    }

    #[test]
    fn secrets_do_not_leave_in_a_stored_plan() {
        let config = RawConfig { api_key: Some("sk-1".into()), header: vec!["X-Key: sk-2".into()], ..typed() };
        let stored = serde_json::to_string(&plan(&config).unwrap()).unwrap();
        assert!(!stored.contains("sk-"), "{stored}");
        assert!(!format!("{:?}", plan(&config).unwrap()).contains("sk-"));
    }

    #[test]
    fn a_huge_count_does_not_make_as_many_prompts() {
        let plan = plan(&RawConfig { request_count: Some(Count(u64::MAX)), ..typed() }).unwrap();
        assert_eq!(plan.data.request.entries, LARGEST_DEFAULT_POOL);
        assert!(plan.notes[0].contains("over and over"));
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated_in_the_error() {
        let error = plan(&RawConfig { url: vec!["http://me:pw1@h:99999".into()], ..typed() }).unwrap_err();
        assert!(!error.contains("pw1"), "{error}");
    }

    #[test]
    fn options_of_plugins_are_json_where_they_read_as_json() {
        let config = RawConfig { plugin_option: vec!["acme.size=3".into(), "acme.name=x=y".into()], ..typed() };
        let options = plan(&config).unwrap().plugin_options;
        assert_eq!(serde_json::to_value(&options["acme"]).unwrap(), serde_json::json!({"size": 3, "name": "x=y"}));
    }

    #[test]
    fn the_name_of_a_plugin_may_hold_dots_and_its_options_values_too() {
        let config = RawConfig { plugin_option: vec!["acme.v2.host=a.b".into()], ..typed() };
        assert_eq!(plan(&config).unwrap().plugin_options["acme.v2"]["host"], "a.b");
    }
}
