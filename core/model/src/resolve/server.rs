//! The server and how it is spoken to: from the flags to a [`ServerPlan`].

use super::connection::connection;
use crate::{
    config::{RawConfig, ServerConfig},
    error::ConfigError,
    plan::{ReadyPlan, ServerPlan},
    secret::{self, Secret},
    values::{Seconds, key_values},
};
use std::{collections::BTreeMap, path::Path};
use url::Url;

const DEFAULT_URL: &str = "http://localhost:8000";
const DEFAULT_READY_INTERVAL: Seconds = Seconds(1.0);

/// What stands for the model in a path.
const MODEL: &str = "{model}";
/// The header that takes a session's identifier, where no other is named.
const CORRELATION: &str = "x-correlation-id";
/// Headers that nobody else may set.
const OURS: [&str; 6] = ["connection", "content-length", "host", "transfer-encoding", CORRELATION, "x-request-id"];
/// Headers that a user may set to what suits the server, and to nothing that changes from session to session.
const OF_THE_API: [&str; 4] = ["accept", "authorization", "content-type", "user-agent"];

/// The server that `config` asks for.
pub(super) fn server(raw: &RawConfig) -> Result<ServerPlan, ConfigError> {
    let config = &raw.server;
    let urls = if config.url.is_empty() { &vec![DEFAULT_URL.to_owned()] } else { &config.url };
    if let Some(path) = &config.endpoint
        && !path.is_empty()
        && !path.starts_with('/')
    {
        let shown = secret::shown_path(path);
        return Err(ConfigError::new(format!("--endpoint {shown} must begin with '/'; write /{shown}")));
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
    let urls = urls.iter().map(|url| parse_url(url)).collect::<Result<Vec<_>, _>>()?;
    let api_key = match &config.api_key_file {
        Some(file) => Some(key_of_file(file)?),
        None => config
            .api_key
            .as_deref()
            .map(|key| checked_key(key, "the key of --api-key or INFEROMETER_API_KEY"))
            .transpose()?,
    };
    check_header_names(config, &headers, api_key.is_some())?;
    Ok(ServerPlan {
        endpoint: config.endpoint_type.clone().unwrap_or_else(|| "chat".to_owned()),
        connection: connection(&raw.connection, &urls)?,
        urls,
        path: config.endpoint.clone(),
        streaming: config.streaming.unwrap_or_default(),
        api_key,
        api_key_header: config.api_key_header.clone(),
        session_header: config.session_header.clone(),
        headers,
        extra: key_values(&config.extra_inputs).map_err(|why| ConfigError::new(format!("--extra-inputs: {why}")))?,
        legacy_max_tokens: config.use_legacy_max_tokens.unwrap_or_default(),
        chunk_usage: chunk_usage(raw)?,
        endpoint_options: endpoint_options(config),
        receive_timestamps: config.receive_timestamps.unwrap_or_default(),
        ready,
    })
}

/// Checks the names of headers that are given alone: that a header can be called so, and that nothing else sets it.
fn check_header_names(config: &ServerConfig, given: &[(String, Secret)], has_key: bool) -> Result<(), ConfigError> {
    for (flag, name) in [("--api-key-header", &config.api_key_header), ("--session-header", &config.session_header)] {
        let Some(name) = name else { continue };
        if !is_header_name(name) {
            return Err(ConfigError::new(format!("{flag} '{name}' is no name of a header; write it like X-Name")));
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let takes_session = flag == "--session-header";
        let setter = if given.iter().any(|(other, _)| is(other)) {
            "--header"
        } else if takes_session && config.api_key_header.as_deref().is_some_and(is) {
            "--api-key-header"
        } else if takes_session && is(CORRELATION) {
            continue;
        } else if OURS.into_iter().any(is) || takes_session && OF_THE_API.into_iter().any(is) {
            "the client itself"
        } else {
            continue;
        };
        return Err(ConfigError::new(format!(
            "{flag} '{name}' is set by {setter}; give a name that nothing else sets"
        )));
    }
    if config.api_key_header.is_some() && !has_key {
        return Err(ConfigError::new(
            "--api-key-header has no key to send; give one with INFEROMETER_API_KEY or --api-key-file, or leave it out",
        ));
    }
    Ok(())
}

/// A base URL; `http://` is supplied where no scheme is given.
fn parse_url(text: &str) -> Result<Url, ConfigError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refuse = |why: &str| {
        let shown = secret::shown_text(&full);
        ConfigError::new(format!("--url {shown}: {why}; write it as http://127.0.0.1:8000"))
    };
    if full.contains(MODEL) {
        return Err(ConfigError::new(format!(
            "--url {}: {MODEL} stands for the model in a path only; give that by --endpoint, as in --endpoint \
             '/openai/deployments/{MODEL}/chat/completions'",
            secret::shown_text(&full)
        )));
    }
    let url = Url::parse(&full).map_err(|e| refuse(&e.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(refuse("the scheme must be http or https"));
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

fn checked_key(key: &str, what: &str) -> Result<Secret, ConfigError> {
    if key.is_empty() || key.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(ConfigError::new(format!(
            "{what} is empty or holds characters that a header cannot carry; check how it is set"
        )));
    }
    Ok(Secret::new(key))
}

/// The key that a file's first line is.
fn key_of_file(file: &Path) -> Result<Secret, ConfigError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| {
        ConfigError::new(format!(
            "--api-key-file {shown}: {e}; give a file that this user may read, its first line the key"
        ))
    })?;
    checked_key(text.lines().next().unwrap_or_default().trim(), &format!("the key in --api-key-file {shown}"))
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// Whether each event is to bring the usage so far.
fn chunk_usage(raw: &RawConfig) -> Result<bool, ConfigError> {
    let wanted = raw.server.per_chunk_usage.unwrap_or_default();
    if wanted && !raw.server.streaming.unwrap_or_default() {
        return Err(ConfigError::new("--per-chunk-usage is for streams; add --streaming, or leave it out"));
    }
    Ok(wanted)
}

/// What flags say that are options of the endpoint.
fn endpoint_options(config: &ServerConfig) -> serde_json::Map<String, serde_json::Value> {
    let mut options = serde_json::Map::new();
    if let Some(download) = config.download_video_content {
        options.insert("download_video_content".to_owned(), download.into());
    }
    if let Some(kind) = config.request_content_type {
        options.insert("request_content_type".to_owned(), kind.as_str().into());
    }
    options
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
        if !is_header_name(name) || value.chars().any(char::is_control) {
            return Err(ConfigError::new(format!("--header: '{name}' cannot be sent; write it as 'Name: value'")));
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(ConfigError::new(format!("--header: '{name}' is set by the client itself; leave it out")));
        }
    }
    Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

#[cfg(test)]
mod tests {
    use crate::{
        config::ModelSelection,
        file::PluginSettings,
        resolve::resolve,
        testing::{file, plan, plan_of, refused, typed},
    };

    #[test]
    fn choices_are_understood_in_both_spellings() {
        for spelt in ["round-robin", "round_robin"] {
            let plan = plan(&format!("--model-selection-strategy {spelt}")).unwrap();
            assert_eq!(plan.model_selection, ModelSelection::RoundRobin);
        }
    }

    #[test]
    fn what_cannot_be_reached_or_sent_is_refused_with_what_can() {
        refused(&[
            ("--url ftp://x", &["--url ftp://x"]),
            ("--url http://", &["--url http://"]),
            ("--url http://me:pw1@h:99999", &["--url"]),
            ("--endpoint v1", &["write /v1"]),
            ("--endpoint '/a b'", &["percent-encode"]),
            ("-H 'Host: x'", &["'Host'"]),
            ("--api-key-file /nowhere/key", &["--api-key-file /nowhere/key"]),
            ("--api-key-header 'a b'", &["--api-key-header 'a b'"]),
            ("--per-chunk-usage", &["--streaming"]),
            ("-H 'X-Request-ID: 1'", &["'X-Request-ID'"]),
            ("--url http://h/openai/deployments/{model}/chat", &["{model}", "--endpoint '/openai/deployments/{model}"]),
            ("--api-key-header api-key", &["--api-key-header", "no key", "INFEROMETER_API_KEY"]),
            ("--api-key k --api-key-header Host", &["--api-key-header 'Host'", "the client itself"]),
            ("--session-header Authorization", &["--session-header 'Authorization'", "the client itself"]),
            ("--session-header content-type", &["--session-header 'content-type'"]),
            ("--session-header X-Request-ID", &["--session-header 'X-Request-ID'"]),
            ("--session-header X-A -H 'x-a: 1'", &["--session-header 'X-A' is set by --header"]),
            ("--session-header X-A --api-key k --api-key-header X-A", &["is set by --api-key-header"]),
        ]);
    }

    #[test]
    fn an_empty_key_is_named_by_where_it_may_come_from() {
        let mut config = typed("--model m");
        config.server.api_key = Some(String::new());
        let error = plan_of(&config).unwrap_err();
        assert!(error.contains("--api-key") && error.contains("INFEROMETER_API_KEY"), "{error}");
    }

    #[test]
    fn the_key_of_a_file_wins_over_that_of_the_environment() {
        let file = file("key", "of-the-file\n");
        let mut config = typed(&format!("--model m --api-key-file {}", file.path().display()));
        config.server.api_key = Some("of-the-environment".to_owned());
        let key = resolve(&config, &PluginSettings::default(), 1).unwrap().server.api_key.unwrap();
        assert_eq!(key.reveal(), "of-the-file");
    }

    #[test]
    fn the_usual_header_of_sessions_and_one_of_ones_own_may_be_named() {
        for name in ["X-Correlation-ID", "X-Session"] {
            assert_eq!(plan(&format!("--session-header {name}")).unwrap().server.session_header.as_deref(), Some(name));
        }
        assert!(plan("--api-key k --api-key-header Authorization").is_ok());
    }

    #[test]
    fn a_key_in_a_paths_query_is_not_stored() {
        let plan =
            plan("--endpoint /v1/x?key=sk-1 --gpu-telemetry http://h/m?tok=sk-1 --server-metrics http://h/m?sk-1");
        let stored = serde_json::to_string(&plan.unwrap()).unwrap();
        assert!(stored.contains("/v1/x?key=<redacted>") && !stored.contains("sk-1"), "{stored}");
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated_in_the_error() {
        let error = plan("--url http://me:pw1@h:99999").unwrap_err();
        assert!(!error.contains("pw1"), "{error}");
    }
}
