//! [`Job`]: what all workers share of a run. Immutable but for a few counters.

use crate::{EngineError, control::Control, pool::Pool};
use inferometer_abi::{
    api::Endpoint,
    documents::EndpointInfo,
    random::mix,
    types::{ABSENT_NS, Outgoing},
};
use inferometer_load::{Budget, Sampler};
use inferometer_model::{
    Clock,
    plan::{PhasePlan, Plan, ServerPlan},
};
use inferometer_net::{Destination, Head, RequestIds};
use inferometer_tokens::seed_for;
use std::{
    borrow::Cow,
    net::ToSocketAddrs as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::sync::Semaphore;
use url::Url;

/// What all workers share.
pub(crate) struct Job {
    pub(crate) clock: Clock,
    pub(crate) control: Control,
    pub(crate) endpoint: Box<dyn Endpoint>,
    pub(crate) info: EndpointInfo,
    pub(crate) pool: Pool,
    pub(crate) server: Server,
    pub(crate) phases: Vec<Phase>,
    pub(crate) timeout_ns: u64,
    ids: [u64; 2],
}

impl Job {
    pub(crate) fn new(
        plan: &Plan,
        clock: Clock,
        control: Control,
        endpoint: Box<dyn Endpoint>,
        pool: Pool,
    ) -> Result<Self, EngineError> {
        let info = endpoint.info();
        let sampler = Sampler::new(plan.data.sampling, seed_for(plan.seed, "sampling", 0), pool.sessions.len() as u64);
        let mut first_session = 0;
        let phases = plan.phases.iter().map(|phase| {
            let phase = Phase::new(phase, sampler, first_session, &pool);
            // The data set is gone through once over all phases: profiling starts where the warm-up ended.
            first_session += phase.plan.stop.requests.unwrap_or_default();
            phase
        });
        let phases = phases.collect();
        Ok(Self {
            clock,
            control,
            server: Server::new(&plan.server, &info)?,
            timeout_ns: plan.server.timeout_ns,
            ids: [seed_for(plan.seed, "request-id", 0), seed_for(plan.seed, "request-id", 1)],
            endpoint,
            info,
            pool,
            phases,
        })
    }

    /// The identifiers of a request: version 8 UUIDs made of the seed, so that the same seed sends the same bytes.
    pub(crate) fn ids(&self, phase: u16, session: u64, turn: u32) -> RequestIds {
        let uuid = |salt: u64| {
            let half = |seed: u64| mix(mix(seed ^ session).wrapping_add(u64::from(phase) << 32 | salt));
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&half(self.ids[0]).to_be_bytes());
            bytes[8..].copy_from_slice(&half(self.ids[1]).to_be_bytes());
            bytes[6] = bytes[6] & 0x0f | 0x80;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            bytes
        };
        RequestIds { request: uuid(u64::from(turn) + 1), correlation: uuid(0) }
    }
}

/// One phase, as it runs.
pub(crate) struct Phase {
    pub(crate) plan: PhasePlan,
    pub(crate) budget: Arc<Budget>,
    /// Slots over all workers, where there is a limit.
    pub(crate) slots: Option<Arc<Semaphore>>,
    /// When it began.
    pub(crate) start_ns: AtomicU64,
    sampler: Sampler,
    first_session: u64,
}

impl Phase {
    fn new(plan: &PhasePlan, sampler: Sampler, first_session: u64, pool: &Pool) -> Self {
        let file_once = || pool.sessions.iter().map(|session| session.turns.len() as u64).sum();
        let requests = plan.stop.requests.or_else(|| plan.stop.duration_ns.is_none().then(file_once));
        let slots = plan.concurrency.map(|slots| {
            Arc::new(Semaphore::new(usize::try_from(slots).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
        });
        let mut plan = plan.clone();
        plan.stop.requests = requests;
        let (budget, start_ns) = (Arc::new(Budget::new(requests)), AtomicU64::new(ABSENT_NS));
        Self { plan, budget, slots, start_ns, sampler, first_session }
    }

    /// The entry of the pool that session number `session` of this phase uses.
    pub(crate) fn entry(&self, session: u64) -> usize {
        self.sampler.entry(self.first_session.wrapping_add(session)) as usize
    }

    pub(crate) fn start_ns(&self) -> u64 {
        self.start_ns.load(SeqCst)
    }
}

/// Where requests go and what their heads say.
pub(crate) struct Server {
    pub(crate) destinations: Vec<Destination>,
    paths: Vec<String>,
    heads: Vec<Head>,
    headers: Vec<(String, String)>,
}

impl Server {
    fn new(plan: &ServerPlan, info: &EndpointInfo) -> Result<Self, EngineError> {
        let own = if plan.streaming { info.streaming_path.as_deref() } else { None }.unwrap_or(&info.path);
        let path = plan.path.as_deref().unwrap_or(own);
        let accept = if plan.streaming { "text/event-stream" } else { "application/json" };
        let mut headers = vec![
            ("User-Agent".to_owned(), concat!("inferometer/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Accept".to_owned(), accept.to_owned()),
        ];
        if let Some(key) = &plan.api_key {
            headers.push(("Authorization".to_owned(), format!("Bearer {}", key.reveal())));
        }
        for (name, value) in &plan.headers {
            headers.retain(|(before, _)| !before.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.reveal().to_owned()));
        }
        let destinations = plan.urls.iter().map(look_up).collect::<Result<Vec<_>, _>>()?;
        let paths: Vec<String> = plan.urls.iter().map(|url| join(url, path)).collect();
        let mut server = Self { destinations, paths, heads: Vec::new(), headers };
        server.heads = (0..server.destinations.len()).map(|to| server.render(to, &Outgoing::default())).collect();
        Ok(server)
    }

    /// The head of a request to destination `to`.
    pub(crate) fn head(&self, to: usize, outgoing: &Outgoing) -> Cow<'_, Head> {
        let usual = outgoing.method.is_empty()
            && outgoing.path.is_empty()
            && outgoing.content_type.is_empty()
            && outgoing.headers.is_empty();
        if usual { Cow::Borrowed(&self.heads[to]) } else { Cow::Owned(self.render(to, outgoing)) }
    }

    fn render(&self, to: usize, outgoing: &Outgoing) -> Head {
        let or = |given: &str, usual: &str| if given.is_empty() { usual.to_owned() } else { given.to_owned() };
        let method = or(&outgoing.method, "POST");
        let path = or(&outgoing.path, &self.paths[to]);
        let content_type = or(&outgoing.content_type, "application/json");
        let own = outgoing.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        let overridden = |name: &str| own.clone().any(|(by, _)| by.eq_ignore_ascii_case(name));
        let shared = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = shared
            .chain([("Content-Type", content_type.as_str())])
            .filter(|(name, _)| !overridden(name))
            .chain(own.clone())
            .collect();
        Head::new(&method, &path, &self.destinations[to], all)
    }
}

/// Path and query of requests: the base's own path before the endpoint's, without saying anything twice.
pub(crate) fn join(base: &Url, path: &str) -> String {
    let (bare, query) = path.split_once('?').map_or((path, None), |(bare, query)| (bare, Some(query)));
    let own = base.path().trim_end_matches('/');
    let joined = if own.ends_with(bare) {
        own.to_owned()
    } else if let Some(rest) = bare.strip_prefix("/v1/")
        && own.ends_with("/v1")
    {
        format!("{own}/{rest}")
    } else {
        format!("{own}{bare}")
    };
    let joined = if joined.is_empty() { "/".to_owned() } else { joined };
    match query.or_else(|| base.query()) {
        Some(query) => format!("{joined}?{query}"),
        None => joined,
    }
}

/// Finds the addresses of a URL's host; once, before the load.
fn look_up(url: &Url) -> Result<Destination, EngineError> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let dns = |why: String| EngineError::Dns { host: host.to_owned(), why };
    let addresses: Vec<_> = (bare, port).to_socket_addrs().map_err(|e| dns(e.to_string()))?.collect();
    if addresses.is_empty() {
        return Err(dns("none was returned".to_owned()));
    }
    Ok(Destination { authority, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_without_saying_anything_twice() {
        let joined = |base: &str, path: &str| join(&Url::parse(base).unwrap(), path);
        assert_eq!(joined("http://h", "/v1/chat/completions"), "/v1/chat/completions");
        assert_eq!(joined("http://h/v1/", "/v1/chat/completions"), "/v1/chat/completions");
        assert_eq!(joined("http://h/api", "/v1/x"), "/api/v1/x");
        assert_eq!(joined("http://h/v1/x", "/v1/x"), "/v1/x");
        assert_eq!(joined("http://h/api?key=1", "/x"), "/api/x?key=1");
        assert_eq!(joined("http://h/api", ""), "/api");
        assert_eq!(joined("http://h", ""), "/");
    }

    #[test]
    fn an_ipv6_address_is_looked_up_without_its_brackets() {
        let destination = look_up(&Url::parse("http://[::1]:8000").unwrap()).unwrap();
        assert_eq!(destination.authority, "[::1]:8000");
        assert!(destination.addresses[0].is_ipv6());
    }
}
