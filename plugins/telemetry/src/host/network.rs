//! The network: what went through each interface, what it lost, and what TCP had to send again.
//!
//! Interfaces are not added up: a packet may pass several of them, such as a bridge and what is behind it. The loopback is
//! one of them, for servers on the same machine; there, what is sent is also received.

use super::{
    Part,
    labels::hostname,
    offer::{Offer, Place},
    source::{Growing, Source},
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use serde_json::{Map, Value, json};
use std::{cmp::Reverse, fs, path::Path};

/// Interfaces that are read: those with the most traffic. A node of a cluster has hundreds.
const MOST_INTERFACES: usize = 8;

struct Network {
    /// `/proc/net/dev`, and what is read from it.
    interfaces: Option<(Source, Vec<Interface>)>,
    /// `/proc/net/snmp`
    retransmitted: Option<(Source, Place, Growing)>,
}

struct Interface {
    name: String,
    places: [Place; 3],
    counts: [Growing; 3],
}

/// What went through an interface: bytes received and sent, and packets dropped either way.
type Counts = [u64; 3];

/// How many of each of them make one of our units.
const PER_UNIT: [f64; 3] = [1e6, 1e6, 1.0];

/// The part that `/proc/net` tells of.
pub(super) fn network(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let network = Network { interfaces: interfaces(root, offer), retransmitted: retransmitted(root, offer) };
    let is_there = network.interfaces.is_some() || network.retransmitted.is_some();
    is_there.then(|| Box::new(network) as Box<dyn Part>)
}

fn interfaces(root: &Path, offer: &mut Offer) -> Option<(Source, Vec<Interface>)> {
    let mut dev = Source::open(&root.join("proc/net/dev"))?;
    let text = dev.read()?;
    let mut used: Vec<(&str, Counts)> = lines(&text).filter(|(_, counts)| traffic(counts) > 0).collect();
    used.sort_by_key(|(name, counts)| (Reverse(traffic(counts)), *name));
    used.truncate(MOST_INTERFACES);
    used.sort_unstable();
    if used.is_empty() {
        return None;
    }
    let metrics = [
        offer.counter("host_network_received", "MB", "What this interface has received."),
        offer.counter("host_network_sent", "MB", "What this interface has sent."),
        offer.counter("host_network_dropped", "packets", "Packets that this interface has dropped, either way."),
    ];
    let interface = |(name, _): &(&str, Counts)| {
        let entity = offer.entity(&format!("net_{name}"), labels(root, name));
        let places = metrics.map(|metric| metric.of(entity));
        Interface { name: (*name).to_owned(), places, counts: Default::default() }
    };
    let interfaces = used.iter().map(interface).collect();
    Some((dev, interfaces))
}

fn traffic([received, sent, _]: &Counts) -> u64 {
    received.saturating_add(*sent)
}

fn labels(root: &Path, name: &str) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert("source".to_owned(), json!("/proc"));
    labels.insert("hostname".to_owned(), json!(hostname(root)));
    labels.insert("interface".to_owned(), json!(name));
    let speed = fs::read_to_string(root.join("sys/class/net").join(name).join("speed")).unwrap_or_default();
    // Interfaces of no certain speed say -1 or nothing.
    if let Some(mbps) = speed.trim().parse().ok().filter(|mbps: &i64| *mbps > 0) {
        labels.insert("speed_mbps".to_owned(), json!(mbps));
    }
    labels
}

/// The interfaces of `/proc/net/dev` by name: eight figures of what was received, then of what was sent, and each time
/// bytes, packets, errors and drops first. A name may have a colon in it.
fn lines(dev: &str) -> impl Iterator<Item = (&str, Counts)> {
    dev.lines().filter_map(|line| {
        let (name, figures) = line.rsplit_once(':')?;
        let mut at = [0_u64; 12];
        let mut figures = figures.split_whitespace();
        for figure in &mut at {
            *figure = figures.next()?.parse().ok()?;
        }
        Some((name.trim(), [at[0], at[8], at[3].saturating_add(at[11])]))
    })
}

fn retransmitted(root: &Path, offer: &mut Offer) -> Option<(Source, Place, Growing)> {
    let mut snmp = Source::open(&root.join("proc/net/snmp"))?;
    segments_sent_again(&snmp.read()?)?;
    let help = "TCP segments that this machine has sent again because they, or the answer to them, were lost.";
    Some((snmp, offer.counter("host_tcp_retransmits", "segments", help), Growing::default()))
}

/// From `/proc/net/snmp`, where a line of names is followed by a line of figures.
fn segments_sent_again(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, figures) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(figures.split_whitespace());
    pairs.find(|(name, _)| *name == "RetransSegs")?.1.parse().ok()
}

impl Part for Network {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        if let Some((dev, interfaces)) = &mut self.interfaces
            && let Some(text) = dev.read()
        {
            for (name, counts) in lines(&text) {
                let Some(interface) = interfaces.iter_mut().find(|interface| interface.name == name) else { continue };
                for (at, count) in counts.into_iter().enumerate() {
                    let value = interface.counts[at].at(count) / PER_UNIT[at];
                    out.push(interface.places[at].sample(at_ns, value));
                }
            }
        }
        if let Some((snmp, place, growing)) = &mut self.retransmitted
            && let Some(segments) = snmp.read().and_then(|text| segments_sent_again(&text))
        {
            out.push(place.sample(at_ns, growing.at(segments)));
        }
    }
}
