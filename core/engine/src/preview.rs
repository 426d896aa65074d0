//! [`Preview`]: requests as they would be sent, for those who look before they send.

use crate::{Prepared, data};
use inferometer_abi::types::Outgoing;

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Name of its session.
    pub session: String,
    /// Method of HTTP.
    pub method: String,
    /// The whole URL, without the values of its query.
    pub url: String,
    /// Type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Prepared {
    /// The first `count` requests, as far as they do not depend on what is answered to others.
    pub fn preview(&self, count: usize) -> Vec<Preview> {
        let pool = &self.job.pool;
        let order = self.job.phases[0].order();
        let sessions = (0..pool.sessions())
            .map_while(|place| Some((place, order.entry(place)?)))
            .map_while(|(place, entry)| Some((place, pool.look_up(entry, false).ok()?)));
        let shown = sessions.flat_map(|(place, session)| {
            let requests = session.turns.iter().filter_map(|turn| turn.encoded.as_ref());
            requests.map(|outgoing| self.shown(place, &session.name, outgoing)).collect::<Vec<_>>()
        });
        shown.take(count).collect()
    }

    fn shown(&self, place: u64, session: &str, outgoing: &Outgoing) -> Preview {
        let or = |given: &str, usual: &str| if given.is_empty() { usual.to_owned() } else { given.to_owned() };
        let server = &self.job.server;
        Preview {
            session: session.to_owned(),
            method: or(&outgoing.method, "POST"),
            url: server.shown_url((place % server.destinations.len() as u64) as usize, outgoing),
            content_type: or(&outgoing.content_type, server.content_type()),
            body: data::body(outgoing).to_owned(),
        }
    }
}
