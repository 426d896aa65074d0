//! [`Line`]: a way to the servers of a plan for requests that are no part of a load, over the load's own client: the same
//! connections, heads, keys and endpoint.

use super::{
    Piece,
    listener::{Heard, Listener, Page, Reader},
};
use crate::{
    data::body,
    server::{Server, path_for},
};
use inferometer_abi::{
    api::Endpoint,
    documents::EndpointInfo,
    random::mix,
    types::{Outgoing, Request, Result as AbiResult, request_flags},
};
use inferometer_model::{Clock, Failure, FailureKind, Row, plan::ServerPlan};
use inferometer_net::{Client, Lane, RequestIds, Sending, Stamps};
use std::{cell::Cell, time::Duration};

/// A way to the servers of a plan.
pub(crate) struct Line<'a> {
    pub(crate) server: &'a Server,
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a dyn Endpoint,
    pub(crate) info: &'a EndpointInfo,
    pub(crate) plan: &'a ServerPlan,
    pub(crate) clock: Clock,
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
        self.endpoint.encode(request, &mut outgoing)?;
        if outgoing.path.is_empty()
            && let Some(path) = path_for(&self.server.path, request.model.as_str())
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
        mut outgoing: Outgoing,
        row: &mut Row,
        heard: &mut Heard,
        hear: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Failure> {
        row.permitted = self.clock.now();
        row.body_bytes = body(&outgoing).len() as u32;
        let ids = self.ids.next();
        let mut listener = Listener::new(self, &outgoing, row, heard, hear);
        loop {
            let head = self.server.head(to, &outgoing)?;
            let sending = Sending { to, head: &head, ids, body: body(&outgoing), break_off: None };
            let mut stamps = Stamps::EMPTY;
            let ended = self.client.exchange(sending, &mut Lane::shared(), &mut stamps, &mut listener).await;
            listener.row.last_byte = stamps.last_byte;
            match ended {
                // All that matters had been said.
                Err(Failure { kind: FailureKind::Truncated | FailureKind::Reset, .. }) if listener.has_ended() => {
                    return listener.verdict();
                }
                ended => ended?,
            }
            let Some(next) = listener.next.take() else { return listener.verdict() };
            listener.go_on(&next);
            tokio::time::sleep(Duration::from_nanos(next.delay_ns)).await;
            outgoing = next;
        }
    }

    /// One exchange at `path` of destination `to`, whatever it means.
    ///
    /// # Errors
    /// Why there is no whole answer. A status is not an error here.
    pub(crate) async fn fetch(&self, to: usize, method: &str, path: &str) -> Result<Page, Failure> {
        let content: &[u8] = if method == "POST" { b"{}" } else { b"" };
        let outgoing =
            Outgoing { method: method.into(), path: path.into(), body: content.to_vec().into(), ..Outgoing::default() };
        let head = self.server.head(to, &outgoing)?;
        let sending = Sending { to, head: &head, ids: self.ids.next(), body: content, break_off: None };
        let mut reader = Reader::default();
        self.client.exchange(sending, &mut Lane::shared(), &mut Stamps::EMPTY.clone(), &mut reader).await?;
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
