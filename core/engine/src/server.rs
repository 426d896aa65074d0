//! [`Server`]: where requests go, what their heads say, and what of that an endpoint and a user may set.

use crate::{EngineError, base::Base, route::Routes};
use inferometer_abi::{documents::EndpointInfo, types::Outgoing};
use inferometer_model::{
    Clock, ConfigError, Failure,
    config::{ConnectionReuse, HttpVersion, ReceiveTimestamps},
    plan::ServerPlan,
    secret::Secret,
};
use inferometer_net::{Client, Destination, Head, Limits, Route, Stamping, Usage, check_source};
use std::{borrow::Cow, net::IpAddr};

const CONTENT_TYPE: &str = "Content-Type";
/// What stands for the model in a path.
const MODEL: &str = "{model}";

/// Shorter values of headers are no secrets, and are found in any text.
const SHORTEST_SECRET: usize = 6;
const HIDDEN: &str = "<redacted>";

/// The path that an endpoint calls its own, by `plan`; [`MODEL`] may be in it.
pub(crate) fn own_path(plan: &ServerPlan, info: &EndpointInfo) -> String {
    let own = if plan.streaming { info.streaming_path.as_deref() } else { None }.unwrap_or(&info.path);
    plan.path.as_deref().unwrap_or(own).to_owned()
}

/// `path` for requests to `model`, if it goes by the model.
pub(crate) fn path_for(path: &str, model: &str) -> Option<String> {
    let escaped = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    path.contains(MODEL).then(|| path.replace(MODEL, &model.bytes().map(escaped).collect::<String>()))
}

/// Where requests go and what their heads say.
pub(crate) struct Server {
    pub(crate) destinations: Vec<Destination>,
    /// Addresses to connect from, where the user gave some.
    pub(crate) sources: Vec<IpAddr>,
    bases: Vec<Base>,
    heads: Vec<Head>,
    headers: Vec<(String, String)>,
    /// The header that takes a session's identifier, where the user named one.
    session_header: Option<String>,
    /// What only the server should see, should it repeat it.
    secrets: Vec<String>,
    usage: Usage,
    /// The kernel has begun to stamp before the first connection is made.
    _stamping: Option<Stamping>,
    http: HttpVersion,
    /// Most requests that share a connection of HTTP/2 at a time.
    streams: usize,
}

impl Server {
    /// The servers of `plan` for an endpoint that says `info` of itself. Without `looks_up` nothing can be sent to them.
    ///
    /// # Errors
    /// When a setting cannot be used, or a name has no address.
    pub(crate) fn new(plan: &ServerPlan, info: &EndpointInfo, looks_up: bool) -> Result<Self, EngineError> {
        let path = own_path(plan, info);
        let accept = if plan.streaming { "text/event-stream" } else { "application/json" };
        let mut headers = vec![
            ("User-Agent".to_owned(), concat!("inferometer/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Accept".to_owned(), accept.to_owned()),
        ];
        let own = info.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let key = plan.api_key.as_ref().map(|key| match plan.api_key_header.as_ref().or(info.key_header.as_ref()) {
            Some(name) => (name.clone(), key.reveal().to_owned()),
            None => ("Authorization".to_owned(), format!("Bearer {}", key.reveal())),
        });
        let given = plan.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        for (name, value) in own.chain(key).chain(given) {
            headers.retain(|(before, _)| !before.eq_ignore_ascii_case(&name));
            headers.push((name, value));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
            headers.push((CONTENT_TYPE.to_owned(), "application/json".to_owned()));
        }
        if plan.connection.reuse == ConnectionReuse::Never {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        let connection = &plan.connection;
        let routes = Routes::new(connection, &plan.urls, looks_up)?;
        let destinations = plan.urls.iter().map(|url| routes.find(url)).collect::<Result<Vec<_>, _>>()?;
        check_sources(&connection.sources, if looks_up { &destinations } else { &[] })?;
        let bases = plan.urls.iter().map(|url| Base::new(url, &path)).collect();
        let sources = connection.sources.clone();
        let usage = Usage {
            pooled: connection.reuse == ConnectionReuse::Pooled,
            stamped: plan.receive_timestamps == ReceiveTimestamps::Kernel,
            limits: Limits {
                connect: connection.connect_timeout,
                first_byte: connection.first_byte_timeout,
                idle: connection.idle_timeout,
            },
        };
        let session_header = plan.session_header.clone();
        let shown = plan.headers.iter().map(|(_, value)| value).chain(&plan.api_key).map(Secret::reveal);
        let long = shown.filter(|value| value.len() >= SHORTEST_SECRET);
        // Also without the word before it, such as `Bearer`.
        let secrets = long.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, key)| key)]);
        let secrets = secrets.flatten().filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        let is_taken = |name: &&String| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some(name) = session_header.as_ref().filter(is_taken) {
            return Err(EngineError::Config(ConfigError::new(format!(
                "--session-header '{name}' is set by the endpoint '{}'; give a name that nothing else sets",
                plan.endpoint
            ))));
        }
        let mut server = Self {
            destinations,
            sources,
            bases,
            heads: Vec::new(),
            headers,
            session_header,
            secrets,
            usage,
            _stamping: usage.stamped.then(Stamping::begin).flatten(),
            http: connection.http,
            streams: usize::try_from(connection.http2_streams).unwrap_or(usize::MAX),
        };
        let heads = (0..server.destinations.len()).map(|to| server.render(to, &Outgoing::default()));
        let refuse = |failure: Failure| EngineError::Config(ConfigError::new(failure.message));
        server.heads = heads.collect::<Result<_, _>>().map_err(refuse)?;
        Ok(server)
    }

    /// A client without connections, for one thread.
    pub(crate) fn client(&self, clock: Clock) -> Client {
        let client = Client::new(clock, self.destinations.clone(), self.usage).with_sources(&self.sources);
        client.with_http(self.http, self.streams)
    }

    /// `words` of the server's without the keys and header values that it is asked with.
    pub(crate) fn hidden(&self, words: String) -> String {
        self.secrets.iter().fold(words, |words, secret| {
            if words.contains(secret.as_str()) { words.replace(secret.as_str(), HIDDEN) } else { words }
        })
    }

    /// A failure whose message shows no secret.
    pub(crate) fn hide(&self, failure: Failure) -> Failure {
        if self.secrets.is_empty() {
            return failure;
        }
        Failure::new(failure.kind, self.hidden(failure.message.into_owned()))
    }

    /// The head of a request to destination `to`.
    pub(crate) fn head(&self, to: usize, outgoing: &Outgoing) -> Result<Cow<'_, Head>, Failure> {
        let usual = outgoing.method.is_empty()
            && outgoing.path.is_empty()
            && outgoing.content_type.is_empty()
            && outgoing.headers.is_empty();
        Ok(if usual { Cow::Borrowed(&self.heads[to]) } else { Cow::Owned(self.render(to, outgoing)?) })
    }

    /// Where a request to destination `to` goes, as it may be shown.
    pub(crate) fn shown_url(&self, to: usize, outgoing: &Outgoing) -> String {
        self.bases[to].shown(&outgoing.path)
    }

    /// The type of bodies that say nothing else of themselves.
    pub(crate) fn content_type(&self) -> &str {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
        found.map_or("", |(_, value)| value)
    }

    fn render(&self, to: usize, outgoing: &Outgoing) -> Result<Head, Failure> {
        let method = if outgoing.method.is_empty() { "POST" } else { outgoing.method.as_str() };
        let path = self.bases[to].follow(&outgoing.path)?;
        let kind = (!outgoing.content_type.is_empty()).then(|| (CONTENT_TYPE, outgoing.content_type.as_str()));
        let given = outgoing.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        let own: Vec<(&str, &str)> = kind.into_iter().chain(given).collect();
        // What is asked for without a body has no type.
        let is_bare = method != "POST" && outgoing.body.is_empty();
        let shared = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = shared.filter(|(name, _)| {
            !(own.iter().any(|(by, _)| by.eq_ignore_ascii_case(name))
                || is_bare && name.eq_ignore_ascii_case(CONTENT_TYPE))
        });
        let head = Head::new(method, &path, &self.destinations[to], kept.chain(own.iter().copied()))?;
        Ok(match &self.session_header {
            None => head,
            Some(name) => head.with_session_header(name),
        })
    }
}

/// Checks that connections can come from each of `sources`, and that each of `destinations` can be reached from one.
fn check_sources(sources: &[IpAddr], destinations: &[Destination]) -> Result<(), ConfigError> {
    for source in sources {
        check_source(*source).map_err(|e| {
            let why = e.kind();
            ConfigError::new(format!(
                "--source-address {source}: {why}; give an address of this machine, as `ip address` lists them"
            ))
        })?;
    }
    let reaches = |destination: &Destination| {
        let mut pairs = destination.addresses().iter().flat_map(|to| sources.iter().map(move |from| (to, from)));
        pairs.any(|(to, from)| to.is_ipv4() == from.is_ipv4())
    };
    match destinations.iter().find(|destination| !sources.is_empty() && !reaches(destination)) {
        None => Ok(()),
        Some(Destination { authority, route, .. }) => {
            let what = if let Route::Proxy(proxy) = route { &proxy.name } else { authority };
            Err(ConfigError::new(format!(
                "--source-address: none is of the version of IP that {what} is reached by; give one that is"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_in_a_path_is_written_as_paths_take_it() {
        let path = path_for("/v2/models/{model}/generate", "org/a b:1").unwrap();
        assert_eq!(path, "/v2/models/org%2Fa%20b:1/generate");
        assert_eq!(path_for("/v1/chat/completions", "m"), None);
    }

    #[test]
    fn addresses_to_connect_from_are_ours_and_of_the_servers_version_of_ip() {
        let destinations = [Destination::direct("127.0.0.1:8000", vec!["127.0.0.1:8000".parse().unwrap()])];
        let check = |source: &str| check_sources(&[source.parse().unwrap()], &destinations).map_err(|e| e.to_string());
        assert_eq!(check("127.0.0.1"), Ok(()));
        assert!(check("203.0.113.1").unwrap_err().contains("`ip address`"));
        // Where there is no IPv6, that is said instead.
        assert!(check("::1").unwrap_err().contains("--source-address"));
    }
}
