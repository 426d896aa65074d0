//! Connections to the server: from the flags to a [`ConnectionPlan`].

use crate::{
    config::{ConnectionConfig, HttpVersion},
    error::{ConfigError, refuse},
    plan::{ConnectionPlan, ProxyPlan, TlsPlan},
    secret::{self, Secret},
    values::{Count, Seconds},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use url::Url;

const CONNECT_TIMEOUT: Seconds = Seconds(30.0);
const FIRST_BYTE_TIMEOUT: Seconds = Seconds(30.0 * 60.0);
const IDLE_TIMEOUT: Seconds = Seconds(5.0 * 60.0);
const REQUEST_TIMEOUT: Seconds = Seconds(6.0 * 3600.0);
const HTTP2_STREAMS: u64 = 100;

/// The connections that `config` asks for, to `urls`.
pub(super) fn connection(config: &ConnectionConfig, urls: &[Url]) -> Result<ConnectionPlan, ConfigError> {
    let timeout = config.request_timeout_seconds.unwrap_or(REQUEST_TIMEOUT);
    if timeout.0 == 0.0 {
        return refuse("--request-timeout-seconds 0 would fail every request; give a time above 0");
    }
    let http = config.http_version.unwrap_or_default();
    if let Some(Count(streams)) = config.http2_streams {
        if streams == 0 {
            return refuse("--http2-streams 0 would send nothing; give 1 or more");
        }
        if http == HttpVersion::Http1 {
            return refuse("--http2-streams needs HTTP/2; add --http-version 2, or leave it out");
        }
    }
    let is_secure = urls.iter().any(|url| url.scheme() == "https");
    let tls = TlsPlan {
        ca: config.ca_certificate.clone(),
        certificate: config.client_certificate.clone(),
        key: config.client_key.clone(),
        insecure: config.insecure.unwrap_or_default(),
    };
    if tls.certificate.is_some() != tls.key.is_some() {
        return refuse("--client-certificate and --client-key go together; give both");
    }
    if tls.insecure && tls.ca.is_some() {
        return refuse(
            "--insecure takes any certificate, and --ca-certificate only those it vouches for; leave one out",
        );
    }
    if tls != TlsPlan::default() && !is_secure {
        let flag = match &tls {
            TlsPlan { ca: Some(_), .. } => "--ca-certificate",
            TlsPlan { certificate: Some(_), .. } => "--client-certificate",
            _ => "--insecure",
        };
        return refuse(format!(
            "{flag} is for TLS, and no --url begins with https://; write it so, or leave the flag out"
        ));
    }
    let sources: Vec<IpAddr> =
        config.source_address.iter().map(|source| parse_source(source)).collect::<Result<_, _>>()?;
    if config.unix_socket.is_some() && (config.proxy.is_some() || !sources.is_empty()) {
        return refuse("--unix-socket goes to a file of this machine; leave out --proxy and --source-address");
    }
    let limit = |given: Option<Seconds>, usual: Seconds| {
        let limit = given.unwrap_or(usual);
        (limit.0 > 0.0).then(|| Duration::from_nanos(limit.as_ns()))
    };
    Ok(ConnectionPlan {
        reuse: config.connection_reuse_strategy.unwrap_or_default(),
        http,
        http2_streams: config.http2_streams.map_or(HTTP2_STREAMS, |streams| streams.0),
        ip_version: config.ip_version.unwrap_or_default(),
        sources,
        unix_socket: config.unix_socket.clone(),
        proxy: config.proxy.as_deref().map(parse_proxy).transpose()?,
        tls,
        connect_timeout: limit(config.connect_timeout_seconds, CONNECT_TIMEOUT),
        first_byte_timeout: limit(config.first_byte_timeout_seconds, FIRST_BYTE_TIMEOUT),
        idle_timeout: limit(config.idle_timeout_seconds, IDLE_TIMEOUT),
        request_timeout: Duration::from_nanos(timeout.as_ns()),
    })
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

fn parse_proxy(text: &str) -> Result<ProxyPlan, ConfigError> {
    if text == "env" {
        return Ok(ProxyPlan::Environment);
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let shown = secret::shown_text(&full);
    let refuse = |why: &str| ConfigError::new(format!("--proxy {shown}: {why}; write it as http://proxy:3128, or env"));
    let mut url = Url::parse(&full).map_err(|e| refuse(&e.to_string()))?;
    if url.scheme() != "http" {
        return Err(refuse("only proxies that are spoken to by plain HTTP are known"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("a host is needed"));
    }
    let user = (!url.username().is_empty())
        .then(|| Secret::new(format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()))));
    // What is secret is apart now. It fails for URLs that cannot have any.
    let _ = (url.set_username(""), url.set_password(None));
    Ok(ProxyPlan::Url { url, user })
}

/// Text without its percent encoding.
fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{ConnectionReuse, HttpVersion, IpVersion},
        plan::ProxyPlan,
        testing::{plan, refused},
    };
    use std::time::Duration;

    #[test]
    fn choices_are_understood_in_both_spellings() {
        for spelt in ["sticky-user-sessions", "sticky_user_sessions"] {
            let connection = plan(&format!("--connection-reuse-strategy {spelt}")).unwrap().server.connection;
            assert_eq!(connection.reuse, ConnectionReuse::StickyUserSessions);
        }
    }

    #[test]
    fn a_time_out_of_zero_is_none_and_the_usual_ones_end_what_hangs() {
        let usual = plan("").unwrap().server.connection;
        assert_eq!(usual.connect_timeout, Some(Duration::from_secs(30)));
        assert_eq!((usual.first_byte_timeout, usual.idle_timeout).0, Some(Duration::from_secs(1_800)));
        assert_eq!((usual.http, usual.ip_version), (HttpVersion::Http1, IpVersion::Auto));
        let given = plan("--connect-timeout-seconds 0 --idle-timeout-seconds 20ms").unwrap().server.connection;
        assert_eq!((given.connect_timeout, given.idle_timeout), (None, Some(Duration::from_millis(20))));
    }

    #[test]
    fn a_proxys_password_is_kept_apart_and_unseen() {
        let plan = plan("--proxy http://me:p%40ss@proxy:3128").unwrap();
        let Some(ProxyPlan::Url { url, user }) = &plan.server.connection.proxy else { panic!("a URL") };
        assert_eq!((url.as_str(), user.as_ref().unwrap().reveal()), ("http://proxy:3128/", "me:p@ss"));
        assert!(!serde_json::to_string(&plan).unwrap().contains("p@ss"));
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_the_way_out() {
        refused(&[
            ("--source-address eth0", &["--source-address eth0"]),
            ("--source-address 0.0.0.0", &["no machine's own address"]),
            ("--request-timeout-seconds 0", &["--request-timeout-seconds 0"]),
            ("--http2-streams 4", &["--http-version 2"]),
            ("--http-version 2 --http2-streams 0", &["--http2-streams 0"]),
            ("--insecure", &["--insecure", "https://"]),
            (
                "--url https://h --insecure --ca-certificate ca.pem",
                &["--insecure", "--ca-certificate", "leave one out"],
            ),
            ("--ca-certificate ca.pem", &["--ca-certificate", "https://"]),
            ("--unix-socket /tmp/s --proxy env", &["--unix-socket", "--proxy"]),
            ("--proxy socks5://h", &["--proxy socks5://h", "http://proxy:3128"]),
        ]);
    }
}
