//! [`Line`]: a way to the servers of a plan for requests that are no part of a load, over the load's own client: the same
//! connections, heads, keys and endpoint.

use super::{
    Piece,
    listener::{Heard, Listener, Page, Reader},
};
use crate::{
    data::body,
    exchanges::{Progress, Trip, Way},
    reading::{Buffers, Reading},
    segment::FirstEvent,
    server::path_for,
};
use inferometer_abi::{
    random::mix,
    types::{Outgoing, Request, Result as AbiResult, request_flags},
};
use inferometer_model::{Failure, Row, plan::ServerPlan};
use inferometer_net::{Lane, RequestIds, Sending, Stamps};
use std::cell::Cell;

/// A way to the servers of a plan.
pub(crate) struct Line<'a> {
    pub(crate) way: Way<'a>,
    pub(crate) plan: &'a ServerPlan,
    /// What the identifiers of the requests are made of.
    pub(crate) ids: &'a Ids,
}

impl Line<'_> {
    /// The flags of a request as the plan has them.
    pub(crate) fn flags(&self) -> u32 {
        let given = |given, flag| if given { flag } else { 0 };
        given(self.plan.streaming, request_flags::STREAM)
            | given(self.plan.legacy_max_tokens, request_flags::LEGACY_MAX_TOKENS)
            | given(self.plan.chunk_usage, request_flags::CHUNK_USAGE)
    }

    /// The first exchange of `request`.
    ///
    /// # Errors
    /// The endpoint's.
    pub(crate) fn encode(&self, request: &Request<'_>) -> AbiResult<Outgoing> {
        let mut outgoing = Outgoing::default();
        self.way.speaker.endpoint.encode(request, &mut outgoing)?;
        if outgoing.path.is_empty()
            && let Some(path) = path_for(&self.way.speaker.path, request.model.as_str())
        {
            outgoing.path = path.into();
        }
        Ok(outgoing)
    }

    /// Makes as many exchanges with destination `to` as the endpoint asks for, from `outgoing` on. What has come is in
    /// `heard` and `row` however it ends, being dropped included.
    ///
    /// # Errors
    /// How the request failed.
    pub(crate) async fn ask(
        &self,
        to: usize,
        outgoing: &Outgoing,
        row: &mut Row,
        heard: &mut Heard,
        hear: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Failure> {
        let Way { speaker, clock, .. } = self.way;
        row.permitted = clock.now();
        row.body_bytes = body(outgoing).len() as u32;
        let (mut buffers, mut first, mut progress) = (Buffers::default(), FirstEvent::default(), Progress::NONE);
        let over = Cell::new(false);
        let ear = Listener { heard: &mut *heard, hear };
        let mut reading = Reading::new(speaker, outgoing, row, &mut buffers, &mut first, &over, ear);
        let trip = Trip { outgoing, to, ids: self.ids.next(), break_off: None };
        let pause = async |until| tokio::time::sleep_until(clock.instant(until).into()).await;
        let gone = self.way.go(trip, &mut Lane::shared(), &mut progress, &mut reading, pause).await;
        let ended = gone.and_then(|_| reading.verdict());
        let has_ended = reading.ended;
        drop(reading);
        progress.stamp(row);
        (heard.ended, heard.page.status) = (has_ended, row.status);
        ended
    }

    /// One exchange at `path` of destination `to`, whatever it means.
    ///
    /// # Errors
    /// Why there is no whole answer. A status is not an error here.
    pub(crate) async fn fetch(&self, to: usize, method: &str, path: &str) -> Result<Page, Failure> {
        let content: &[u8] = if method == "POST" { b"{}" } else { b"" };
        let outgoing =
            Outgoing { method: method.into(), path: path.into(), body: content.to_vec().into(), ..Outgoing::default() };
        let head = self.way.server.head(to, &outgoing)?;
        let sending = Sending { to, head: &head, ids: self.ids.next(), body: content, break_off: None };
        let mut reader = Reader::default();
        self.way.client.exchange(sending, &mut Lane::shared(), &mut Stamps::EMPTY.clone(), &mut reader).await?;
        Ok(reader.page)
    }
}

/// Makes the identifiers of requests: version 8 UUIDs, of one session.
pub(crate) struct Ids {
    seed: u64,
    count: Cell<u64>,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, count: Cell::new(0) }
    }

    fn next(&self) -> RequestIds {
        let number = self.count.get() + 1;
        self.count.set(number);
        RequestIds { request: self.uuid(number), correlation: self.uuid(0) }
    }

    fn uuid(&self, number: u64) -> [u8; 16] {
        let high = mix(self.seed ^ mix(number));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&mix(high).to_be_bytes());
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }
}
