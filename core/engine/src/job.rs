//! [`Job`]: what all workers share of a run. Immutable but for a few counters.

use crate::{
    EngineError,
    base::Base,
    control::Control,
    data::{self, Listed, Order, Pool},
    slots::Slots,
};
use inferometer_abi::{
    api::Endpoint,
    documents::EndpointInfo,
    random::mix,
    types::{ABSENT_NS, Outgoing, TurnTime},
};
use inferometer_load::{Arrival, Budget, Sampler};
use inferometer_model::{
    Clock, ConfigError, Failure, FailureKind,
    config::ConnectionReuse,
    plan::{PhasePlan, Plan, ServerPlan},
};
use inferometer_net::{Destination, Head, RequestIds, check_source};
use inferometer_tokens::seed_for;
use std::{
    borrow::Cow,
    fmt::Display,
    net::{IpAddr, ToSocketAddrs as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use url::Url;

const CONTENT_TYPE: &str = "Content-Type";
/// The strategy that follows the data's own times.
pub(crate) const FIXED_SCHEDULE: &str = "fixed_schedule";
/// The strategy whose users take the data's sessions in turn.
pub(crate) const USER_CENTRIC: &str = "user_centric";
/// The strategy that keeps so many sessions in progress.
const CLOSED_LOOP: &str = "concurrency";

/// What all workers share.
pub(crate) struct Job {
    pub(crate) clock: Clock,
    pub(crate) control: Control,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    /// What the endpoint is called, for messages.
    name: String,
    pub(crate) info: EndpointInfo,
    pub(crate) pool: Arc<Pool>,
    pub(crate) reuse: ConnectionReuse,
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
        endpoint: Arc<dyn Endpoint>,
        pool: Arc<Pool>,
    ) -> Result<Self, EngineError> {
        let info = endpoint.info();
        let sampler = Sampler::new(plan.data.sampling, seed_for(plan.seed, "sampling", 0), pool.sessions());
        let seed = |index| seed_for(plan.seed, "cancellation", index);
        let phases = plan.phases.iter().zip(0..).map(|(phase, index)| Phase::new(phase, sampler, &pool, seed(index)));
        let phases = phases.collect::<Result<_, _>>()?;
        Ok(Self {
            clock,
            control,
            server: Server::new(&plan.server, &info)?,
            timeout_ns: plan.server.timeout_ns,
            reuse: plan.server.reuse,
            ids: [seed_for(plan.seed, "request-id", 0), seed_for(plan.seed, "request-id", 1)],
            name: plan.server.endpoint.clone(),
            endpoint,
            info,
            pool,
            phases,
        })
    }

    /// A failure that is the endpoint's own.
    pub(crate) fn blame(&self, what: impl Display) -> Failure {
        Failure::new(FailureKind::Plugin, format!("endpoint '{}': {what}", self.name))
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
    pub(crate) slots: Option<Slots>,
    /// Slots for requests without a first token, where there is a limit.
    pub(crate) prefill: Option<Slots>,
    /// Seed of which requests are broken off on purpose.
    pub(crate) cancellation_seed: u64,
    /// When it began.
    start_ns: AtomicU64,
    /// Sessions begun in the phases before it.
    first_session: AtomicU64,
    sampler: Sampler,
    /// How the data's own times are followed, if they are.
    replay: Option<data::Course>,
    /// The order in which it goes through the data set, if that is not the sampler's.
    order: Option<Order>,
    /// Requests that had to wait for their session.
    waited: AtomicU64,
    /// Turns that were not sent, since the reply they build on was not got.
    pub(crate) unsent: AtomicU64,
}

impl Phase {
    fn new(plan: &PhasePlan, sampler: Sampler, pool: &Pool, cancellation_seed: u64) -> Result<Self, EngineError> {
        let mut plan = plan.clone();
        let stop = &mut plan.stop;
        let (mut replay, mut order) = (None, None);
        let mut sessions = stop.sessions;
        // With no limit, the data set once.
        let once = stop.requests.is_none() && stop.duration_ns.is_none() && stop.sessions.is_none();
        let follows = plan.strategy == FIXED_SCHEDULE;
        if once || follows {
            let replayed = pool.outlines()?.replayed(&plan.replay);
            let (requests, sessions_within) = replayed.totals();
            if once {
                stop.requests = Some(requests);
                // A schedule that follows the data's times numbers its sessions as the data set does.
                sessions = (!follows).then_some(sessions_within);
            }
            if follows {
                if sessions_within == 0 {
                    return Err(EngineError::Config(ConfigError::new(
                        "no session of the data set lies within --fixed-schedule-start-offset and -end-offset; widen them",
                    )));
                }
                replay = Some(replayed.course);
                order = Some(Order::Listed(Arc::new(Listed::new(replayed.in_order(), pool.sessions()))));
            }
        } else if plan.strategy == USER_CENTRIC {
            order = Some(Order::InTurn(pool.sessions()));
        }
        // The closed loop's strategy opens its slots one after another by itself.
        let ramp_ns = if plan.strategy == CLOSED_LOOP { 0 } else { plan.concurrency_ramp_ns };
        Ok(Self {
            budget: Arc::new(Budget::new(plan.stop.requests, sessions)),
            slots: plan.concurrency.map(|slots| Slots::new(slots, ramp_ns)),
            prefill: plan.prefill_concurrency.map(|slots| Slots::new(slots, plan.prefill_ramp_ns)),
            cancellation_seed,
            start_ns: AtomicU64::new(ABSENT_NS),
            first_session: AtomicU64::new(0),
            sampler,
            replay,
            order,
            waited: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            plan,
        })
    }

    /// The order in which it goes through the data set.
    pub(crate) fn order(&self) -> Order {
        self.order.clone().unwrap_or(Order::Sampled(self.sampler))
    }

    /// A turn's think time, as the phase has it.
    pub(crate) fn delay(&self, time: TurnTime) -> u64 {
        self.replay.map_or(time.delay_ns, |course| course.scaled(time.delay_ns))
    }

    /// When a turn is to be sent at the earliest, in nanoseconds since the phase began, where the data's times are followed
    /// and it has one.
    pub(crate) fn timestamp(&self, time: TurnTime) -> Option<u64> {
        let course = self.replay.filter(|_| time.timestamp_ns != TurnTime::NONE.timestamp_ns)?;
        Some(course.at(time.timestamp_ns))
    }

    /// Begins it at the time that `start_ns` gives when all is ready. Phases with the sampler's order go through the data
    /// set together: each goes on where `before` ended.
    pub(crate) fn begin(&self, before: Option<&Self>, pool: &Pool, start_ns: impl FnOnce() -> u64) {
        if let Some(before) = before {
            let first = before.first_session.load(SeqCst) + before.budget.sessions();
            self.first_session.store(first, SeqCst);
            pool.read_ahead(self.order());
        }
        self.start_ns.store(start_ns(), SeqCst);
    }

    /// The session that an arrival stands for.
    pub(crate) fn course(&self, arrival: &Arrival, pool: &Pool) -> Course {
        let number = arrival.session;
        if arrival.is_exact {
            let entry = number % pool.sessions();
            let place = match &self.order {
                Some(Order::InTurn(_)) => Some(number),
                Some(order) => order.place(entry),
                None => None,
            };
            return Course { number, entry, place, server: number };
        }
        let place = self.first_session.load(SeqCst).wrapping_add(number);
        Course { number, entry: self.sampler.entry(place), place: Some(place), server: number }
    }

    /// It is over.
    pub(crate) fn end(&self, pool: &Pool) {
        self.waited.fetch_add(pool.take_waited(), SeqCst);
    }

    /// Requests that had to wait for their session.
    pub(crate) fn waited(&self) -> u64 {
        self.waited.load(SeqCst)
    }

    pub(crate) fn start_ns(&self) -> u64 {
        self.start_ns.load(SeqCst)
    }
}

/// Which session a flight belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    /// Its number in the schedule: identifiers go by it.
    pub(crate) number: u64,
    /// What its destination goes by: its number, or that of the session that began it.
    pub(crate) server: u64,
    /// Its number in the data set.
    pub(crate) entry: u64,
    /// Its place in the order that is read ahead, where that is known.
    pub(crate) place: Option<u64>,
}

/// Where requests go and what their heads say.
pub(crate) struct Server {
    pub(crate) destinations: Vec<Destination>,
    /// Addresses to connect from, where the user gave some.
    pub(crate) sources: Vec<IpAddr>,
    /// The path that the endpoint calls its own.
    pub(crate) path: String,
    bases: Vec<Base>,
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
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
            headers.push((CONTENT_TYPE.to_owned(), "application/json".to_owned()));
        }
        if plan.reuse == ConnectionReuse::Never {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        let destinations = plan.urls.iter().map(look_up).collect::<Result<Vec<_>, _>>()?;
        check_sources(&plan.sources, &destinations)?;
        let bases = plan.urls.iter().map(|url| Base::new(url, path)).collect();
        let (sources, path) = (plan.sources.clone(), path.to_owned());
        let mut server = Self { destinations, sources, path, bases, heads: Vec::new(), headers };
        let heads = (0..server.destinations.len()).map(|to| server.render(to, &Outgoing::default()));
        let refuse = |failure: Failure| EngineError::Config(ConfigError::new(failure.message));
        server.heads = heads.collect::<Result<_, _>>().map_err(refuse)?;
        Ok(server)
    }

    /// The head of a request to destination `to`.
    pub(crate) fn head(&self, to: usize, outgoing: &Outgoing) -> Result<Cow<'_, Head>, Failure> {
        let usual = outgoing.method.is_empty()
            && outgoing.path.is_empty()
            && outgoing.content_type.is_empty()
            && outgoing.headers.is_empty();
        Ok(if usual { Cow::Borrowed(&self.heads[to]) } else { Cow::Owned(self.render(to, outgoing)?) })
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
        Head::new(method, &path, &self.destinations[to], kept.chain(own.iter().copied()))
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
        let mut pairs = destination.addresses.iter().flat_map(|to| sources.iter().map(move |from| (to, from)));
        pairs.any(|(to, from)| to.is_ipv4() == from.is_ipv4())
    };
    match destinations.iter().find(|destination| !sources.is_empty() && !reaches(destination)) {
        None => Ok(()),
        Some(Destination { authority, .. }) => Err(ConfigError::new(format!(
            "--source-address: none is of the version of IP that {authority} is reached by; give one that is"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_looked_up_without_its_brackets() {
        let destination = look_up(&Url::parse("http://[::1]:8000").unwrap()).unwrap();
        assert_eq!(destination.authority, "[::1]:8000");
        assert!(destination.addresses[0].is_ipv6());
    }

    #[test]
    fn addresses_to_connect_from_are_ours_and_of_the_servers_version_of_ip() {
        let destinations = [look_up(&Url::parse("http://127.0.0.1:8000").unwrap()).unwrap()];
        let check = |source: &str| check_sources(&[source.parse().unwrap()], &destinations).map_err(|e| e.to_string());
        assert_eq!(check("127.0.0.1"), Ok(()));
        assert!(check("203.0.113.1").unwrap_err().contains("`ip address`"));
        // Where there is no IPv6, that is said instead.
        assert!(check("::1").unwrap_err().contains("--source-address"));
    }
}
