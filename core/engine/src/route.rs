//! [`Routes`]: the way to each URL's server, found once, before the load: addresses, socket file or proxy, and TLS.

use crate::EngineError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper_util::client::proxy::matcher::Matcher;
use inferometer_model::{
    ConfigError,
    config::{HttpVersion, IpVersion},
    plan::{ConnectionPlan, ProxyPlan},
    secret::{Secret, shown_text},
};
use inferometer_net::{Destination, Proxy, Route, Tls, interleaved};
use std::{
    env,
    net::{SocketAddr, ToSocketAddrs as _},
};
use url::Url;

/// The variables of the environment that name proxies, by scheme: the first that is there counts, and those of a scheme
/// before those of all.
const VARIABLES: [(&str, [&str; 2]); 2] =
    [("http", ["HTTP_PROXY", "http_proxy"]), ("https", ["HTTPS_PROXY", "https_proxy"])];
const VARIABLES_OF_ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// How a plan's connections are made.
pub(crate) struct Routes<'a> {
    plan: &'a ConnectionPlan,
    /// Where a URL begins with `https://`.
    tls: Option<Tls>,
    /// What the environment says of proxies, if it is to be asked.
    environment: Option<Matcher>,
    /// Whether names are looked up; destinations are without addresses otherwise.
    looks_up: bool,
}

impl<'a> Routes<'a> {
    /// For connections to `urls`.
    pub(crate) fn new(plan: &'a ConnectionPlan, urls: &[Url], looks_up: bool) -> Result<Self, ConfigError> {
        let protocols: &[&str] = match plan.http {
            HttpVersion::Http1 => &["http/1.1"],
            HttpVersion::Http2 => &["h2"],
            HttpVersion::Auto => &["h2", "http/1.1"],
        };
        let tls = urls.iter().any(is_secure).then(|| Tls::new(&plan.tls, protocols)).transpose()?;
        let environment = matches!(plan.proxy, Some(ProxyPlan::Environment)).then(Matcher::from_env);
        if environment.is_some() {
            check_variables(urls, |name| env::var(name).ok())?;
        }
        Ok(Self { plan, tls, environment, looks_up })
    }

    /// The server of `url`, looked up.
    pub(crate) fn find(&self, url: &Url) -> Result<Destination, EngineError> {
        let host = url.host_str().unwrap_or_default();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let route = match (&self.plan.unix_socket, self.proxy(url)?) {
            (Some(path), _) => Route::Unix(path.clone()),
            (None, Some((proxy, authorization))) => {
                // What is not HTTP/1.1 in the clear is not for the proxy to read.
                let tunnels = is_secure(url) || self.plan.http == HttpVersion::Http2;
                let tunnel = tunnels.then(|| format!("{host}:{}", port(url)));
                let name = proxy.as_str().trim_end_matches('/').to_owned();
                Route::Proxy(Proxy { name, addresses: self.addresses(&proxy, Whose::Proxy)?, authorization, tunnel })
            }
            (None, None) => Route::Direct(self.addresses(url, Whose::Server)?),
        };
        let tls = self.tls.as_ref().filter(|_| is_secure(url));
        Ok(Destination { authority, route, tls: tls.map(|tls| tls.name(host)).transpose()? })
    }

    /// The proxy for requests to `url`, if there is one, and what tells it who asks.
    fn proxy(&self, url: &Url) -> Result<Option<(Url, Option<Secret>)>, ConfigError> {
        if let Some(ProxyPlan::Url { url, user }) = &self.plan.proxy {
            let authorization = user.as_ref().map(|user| format!("Basic {}", STANDARD.encode(user.reveal())));
            return Ok(Some((url.clone(), authorization.map(Secret::new))));
        }
        let target: Option<http::Uri> = url.as_str().parse().ok();
        let found = self.environment.as_ref().zip(target).and_then(|(matcher, target)| matcher.intercept(&target));
        let Some(found) = found else { return Ok(None) };
        let shown = found.uri();
        let proxy = Url::parse(&shown.to_string()).ok().filter(|proxy| proxy.scheme() == "http");
        let proxy = proxy.ok_or_else(|| {
            ConfigError::new(format!(
                "--proxy env: the environment says {shown}, and only proxies that are spoken to by plain HTTP are known; \
                 write it as http://proxy:3128"
            ))
        })?;
        let authorization = found.basic_auth().and_then(|value| value.to_str().ok());
        Ok(Some((proxy, authorization.map(Secret::new))))
    }

    /// The addresses of a URL's host that may be used, in the order they are tried.
    fn addresses(&self, url: &Url, whose: Whose) -> Result<Vec<SocketAddr>, EngineError> {
        if !self.looks_up {
            return Ok(Vec::new());
        }
        let host = url.host_str().unwrap_or_default();
        let (whose, given_by) = match (whose, &self.environment) {
            (Whose::Server, _) => ("server", "--url"),
            (Whose::Proxy, None) => ("proxy", "--proxy"),
            (Whose::Proxy, Some(_)) => ("proxy", "what --proxy env finds in the environment"),
        };
        let dns = |why: String| EngineError::Dns { whose, given_by, host: host.to_owned(), why };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = (bare, port(url)).to_socket_addrs().map_err(|e| dns(e.to_string()))?.collect();
        if found.is_empty() {
            return Err(dns("none was returned".to_owned()));
        }
        let version = self.plan.ip_version;
        let kept = interleaved(found.into_iter().filter(|address| match version {
            IpVersion::Auto => true,
            IpVersion::V4 => address.is_ipv4(),
            IpVersion::V6 => address.is_ipv6(),
        }));
        if kept.is_empty() {
            let (asked, other) = if version == IpVersion::V4 { (4, 6) } else { (6, 4) };
            return Err(EngineError::Config(ConfigError::new(format!(
                "--ip-version {asked}: {host} has no address of that version, only of version {other}; leave the flag out"
            ))));
        }
        Ok(kept)
    }
}

/// Whose name is looked up.
#[derive(Clone, Copy)]
enum Whose {
    Server,
    Proxy,
}

/// Checks that what the environment says of proxies for `urls` names one: what names none would be passed over in silence.
fn check_variables(urls: &[Url], value_of: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    let given = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, value_of(name)?)));
    for (scheme, names) in VARIABLES {
        if !urls.iter().any(|url| url.scheme() == scheme) {
            continue;
        }
        let Some((name, value)) = given(names).or_else(|| given(VARIABLES_OF_ALL)) else { continue };
        let alone = Matcher::builder().all(value.clone()).build();
        if !value.is_empty() && alone.intercept(&http::Uri::from_static("http://server")).is_none() {
            let shown = shown_text(&if value.contains("://") { value } else { format!("http://{value}") });
            return Err(ConfigError::new(format!(
                "--proxy env: {name} is '{shown}', which names no proxy; write it as http://proxy:3128, or unset it"
            )));
        }
    }
    Ok(())
}

fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

fn port(url: &Url) -> u16 {
    // Every scheme that is taken has one.
    url.port_or_known_default().unwrap_or(80)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use inferometer_model::plan::TlsPlan;
    use std::time::Duration;

    /// Connections as nobody set them.
    pub(crate) fn usual() -> ConnectionPlan {
        ConnectionPlan {
            reuse: Default::default(),
            http: HttpVersion::Http1,
            http2_streams: 100,
            ip_version: IpVersion::Auto,
            sources: Vec::new(),
            unix_socket: None,
            proxy: None,
            tls: TlsPlan::default(),
            connect_timeout: None,
            first_byte_timeout: None,
            idle_timeout: None,
            request_timeout: Duration::from_secs(1),
        }
    }

    fn find(plan: &ConnectionPlan, url: &str) -> Result<Destination, String> {
        let url = Url::parse(url).unwrap();
        let routes = Routes::new(plan, std::slice::from_ref(&url), true).map_err(|e| e.to_string())?;
        routes.find(&url).map_err(|e| e.to_string())
    }

    fn by_proxy(http: HttpVersion) -> ConnectionPlan {
        let url = Url::parse("http://127.0.0.1:3128").unwrap();
        let proxy = Some(ProxyPlan::Url { url, user: Some(Secret::new("me:p@ss")) });
        ConnectionPlan { proxy, http, tls: TlsPlan { insecure: true, ..TlsPlan::default() }, ..usual() }
    }

    #[test]
    fn an_ipv6_address_is_looked_up_without_its_brackets() {
        let destination = find(&usual(), "http://[::1]:8000").unwrap();
        assert_eq!(destination.authority, "[::1]:8000");
        assert!(destination.addresses()[0].is_ipv6() && destination.tls.is_none());
    }

    #[test]
    fn a_version_of_ip_that_the_server_does_not_have_is_refused_by_the_flags_name() {
        let plan = ConnectionPlan { ip_version: IpVersion::V6, ..usual() };
        let why = find(&plan, "http://127.0.0.1:80").unwrap_err();
        assert!(why.contains("--ip-version 6") && why.contains("version 4"), "{why}");
        assert!(find(&plan, "http://[::1]:80").is_ok());
    }

    #[test]
    fn what_is_never_sent_is_not_looked_up() {
        let url = Url::parse("http://no.such.host.invalid").unwrap();
        let plan = usual();
        let routes = Routes::new(&plan, std::slice::from_ref(&url), false).unwrap();
        assert!(routes.find(&url).unwrap().addresses().is_empty());
    }

    #[test]
    fn a_socket_file_needs_no_look_up() {
        let plan = ConnectionPlan { unix_socket: Some("/tmp/s".into()), ..usual() };
        let destination = find(&plan, "http://no.such.host.invalid/v1").unwrap();
        assert_eq!(destination.authority, "no.such.host.invalid");
        assert!(matches!(destination.route, Route::Unix(path) if path.ends_with("s")));
    }

    #[test]
    fn a_proxy_reads_what_is_http_1_in_the_clear_and_is_asked_for_a_tunnel_otherwise() {
        let tunnel = |http, url| {
            let Route::Proxy(proxy) = find(&by_proxy(http), url).unwrap().route else { panic!("a proxy") };
            assert_eq!(proxy.authorization.as_ref().unwrap().reveal(), "Basic bWU6cEBzcw==");
            assert_eq!((proxy.name.as_str(), proxy.addresses.len()), ("http://127.0.0.1:3128", 1));
            proxy.tunnel
        };
        // The server's name is the proxy's to look up.
        assert_eq!(tunnel(HttpVersion::Http1, "http://no.such.host.invalid"), None);
        let secure = Some("no.such.host.invalid:443".to_owned());
        assert_eq!(tunnel(HttpVersion::Http1, "https://no.such.host.invalid"), secure);
        assert_eq!(
            tunnel(HttpVersion::Http2, "http://no.such.host.invalid:8000").unwrap(),
            "no.such.host.invalid:8000"
        );
    }

    #[test]
    fn the_environment_names_proxies_by_scheme_and_the_hosts_that_need_none() {
        let set = Matcher::builder().http("http://a:b@127.0.0.1:1").https("socks5://127.0.0.1:2").no("localhost");
        let plan = usual();
        let routes = Routes { plan: &plan, tls: None, environment: Some(set.build()), looks_up: true };
        let proxy = |url: &str| routes.proxy(&Url::parse(url).unwrap());
        let (url, authorization) = proxy("http://server").unwrap().unwrap();
        assert_eq!((url.as_str(), authorization.unwrap().reveal()), ("http://127.0.0.1:1/", "Basic YTpi"));
        assert!(proxy("http://localhost:8000").unwrap().is_none());
        assert!(proxy("https://server").unwrap_err().to_string().contains("socks5"));
    }

    #[test]
    fn a_variable_of_the_environment_that_names_no_proxy_is_refused_by_its_name() {
        let urls = [Url::parse("http://server").unwrap()];
        let check = |name: &'static str, value: &'static str| {
            check_variables(&urls, |asked| (asked == name).then(|| value.to_owned())).map_err(|error| error.to_string())
        };
        for (name, value) in
            [("HTTP_PROXY", "garbage^^"), ("all_proxy", "http://me:pw1@h^^:3128"), ("http_proxy", "ftp://h")]
        {
            let why = check(name, value).unwrap_err();
            assert!(why.contains("--proxy env") && why.contains(name) && !why.contains("pw1"), "{why}");
        }
        for (name, value) in [("HTTP_PROXY", ""), ("HTTP_PROXY", "proxy:3128"), ("HTTPS_PROXY", "garbage^^")] {
            assert_eq!(check(name, value), Ok(()));
        }
    }

    #[test]
    fn a_proxy_without_an_address_is_named_and_not_the_server() {
        let url = Url::parse("http://no.such.proxy.invalid:3128").unwrap();
        let plan = ConnectionPlan { proxy: Some(ProxyPlan::Url { url, user: None }), ..usual() };
        let why = find(&plan, "http://127.0.0.1").unwrap_err();
        assert!(why.contains("no.such.proxy.invalid") && why.contains("check --proxy"), "{why}");
        assert!(!why.contains("--url"), "{why}");
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_their_flags() {
        let missing = TlsPlan { ca: Some("/no/such.pem".into()), ..TlsPlan::default() };
        let plan = ConnectionPlan { tls: missing, ..usual() };
        let why = find(&plan, "https://127.0.0.1").unwrap_err();
        assert!(why.contains("--ca-certificate /no/such.pem"), "{why}");
        assert!(find(&plan, "http://127.0.0.1").is_ok(), "it is not read where it is not needed");
    }
}
