//! The server and how it is spoken to: from the flags to a [`ServerPlan`].

use crate::{
    config::ServerConfig,
    error::ConfigError,
    plan::{ReadyPlan, ServerPlan},
    secret::{self, Secret},
    values::{Seconds, key_values},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};
use url::Url;

const DEFAULT_URL: &str = "http://localhost:8000";
const DEFAULT_TIMEOUT: Seconds = Seconds(6.0 * 3600.0);
const DEFAULT_READY_INTERVAL: Seconds = Seconds(1.0);

/// The server that `config` asks for.
pub(super) fn server(config: &ServerConfig) -> Result<ServerPlan, ConfigError> {
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

#[cfg(test)]
mod tests {
    use crate::{
        config::{ConnectionReuse, ModelSelection},
        testing::{plan, refused},
    };

    #[test]
    fn choices_are_understood_in_both_spellings() {
        for spelt in ["sticky-user-sessions", "sticky_user_sessions"] {
            let server = plan(&format!("--connection-reuse-strategy {spelt}")).unwrap().server;
            assert_eq!(server.reuse, ConnectionReuse::StickyUserSessions);
        }
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
            ("-H 'X-Request-ID: 1'", &["'X-Request-ID'"]),
            ("--source-address eth0", &["--source-address eth0"]),
            ("--source-address 0.0.0.0", &["no machine's own address"]),
            ("--request-timeout-seconds 0", &["--request-timeout-seconds 0"]),
        ]);
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated_in_the_error() {
        let error = plan("--url http://me:pw1@h:99999").unwrap_err();
        assert!(!error.contains("pw1"), "{error}");
    }
}
