//! One request on a connection, and its answer as it comes in.

use super::{link::Link, pulse::Bell};
use crate::{
    arrival::Arrival,
    client::{Receiver, Stamps},
    content::Content,
    http1::{FieldPlace, Fields},
};
use h2::{RecvStream, client::ResponseFuture};
use http::{HeaderMap, header};
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::Failure;
use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Why there is no more of an answer.
pub(super) enum Stop {
    /// The stream or its connection failed.
    Broken(h2::Error),
    /// The answer came to an end, and no good one.
    Answer(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Answer(failure)
    }
}

impl From<h2::Error> for Stop {
    fn from(error: h2::Error) -> Self {
        Self::Broken(error)
    }
}

/// An answer as it comes in.
pub(super) struct Answer<'a, R> {
    link: &'a Link,
    state: State,
    content: Content,
    /// The head, where it is handed over: names and values one after another, and where each of them is.
    head: Vec<u8>,
    fields: Vec<FieldPlace>,
    /// How many reads there had been when something of this answer came last.
    reads: u32,
    pub(super) stamps: &'a mut Stamps,
    receiver: &'a mut R,
}

enum State {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl<'a, R: Receiver> Answer<'a, R> {
    /// The answer that `response` is to become.
    pub(super) fn new(link: &'a Link, response: ResponseFuture, stamps: &'a mut Stamps, receiver: &'a mut R) -> Self {
        Self {
            link,
            state: State::Head(response),
            content: Content::default(),
            head: Vec::new(),
            fields: Vec::new(),
            reads: link.log.reads(),
            stamps,
            receiver,
        }
    }

    /// Takes in what has come; ready at the answer's end.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        if let State::Head(response) = &mut self.state {
            let (head, body) = ready!(Pin::new(response).poll(context))?.into_parts();
            self.state = State::Body(body);
            self.take_head(head.status.as_u16(), &head.headers)?;
        }
        loop {
            let State::Body(body) = &mut self.state else { return Poll::Pending };
            let Some(data) = ready!(body.poll_data(context)) else { break };
            let data = data?;
            // So that the server may send as much again.
            let _ = body.flow_control().release_capacity(data.len());
            self.stamp();
            self.stamps.received_bytes += data.len() as u64;
            let arrival = self.arrival();
            self.content.feed(&data, arrival, self.receiver)?;
        }
        self.stamp();
        let arrival = self.arrival();
        let fields = Fields::of(&mut self.head, &self.fields);
        self.content.finish(fields, arrival, self.receiver)?;
        Poll::Ready(Ok(()))
    }

    fn take_head(&mut self, status: u16, headers: &HeaderMap) -> Result<(), Failure> {
        self.stamp();
        (self.stamps.headers, self.stamps.status) = (self.arrival().at_ns, status);
        let text = |name| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
        let (kind, encoding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
        self.content.begin(status, kind.unwrap_or_default(), encoding.unwrap_or_default(), self.receiver)?;
        if self.content.is_whole() {
            for (name, value) in headers {
                let begin = self.head.len();
                self.head.extend_from_slice(name.as_str().as_bytes());
                let middle = self.head.len();
                self.head.extend_from_slice(value.as_bytes());
                self.fields.push(FieldPlace { name: begin..middle, value: middle..self.head.len() });
            }
        }
        Ok(())
    }

    /// When what is at hand came: not before the request was sent, whatever a clock that was set says.
    fn arrival(&self) -> Arrival {
        let arrival = self.link.log.arrival();
        Arrival { at_ns: arrival.at_ns.max(self.stamps.sent), ..arrival }
    }

    /// Something of the answer came.
    fn stamp(&mut self) {
        let (stamps, reads) = (&mut *self.stamps, self.link.log.reads());
        if self.reads != reads {
            self.reads = reads;
            stamps.reads += 1;
        }
        stamps.last_byte = self.link.log.arrival().at_ns.max(stamps.sent);
        if stamps.first_byte == ABSENT_NS {
            stamps.first_byte = stamps.last_byte;
        }
    }
}

/// A request's hold on its connection. It lets go of it when it is dropped, which has to be after its [`Answer`].
pub(super) struct Hold<'a> {
    link: &'a Link,
    bell: &'a Arc<Bell>,
}

impl<'a> Hold<'a> {
    pub(super) fn new(link: &'a Link, bell: &'a Arc<Bell>) -> Self {
        Self { link, bell }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.bell.end();
        // A server that is still at it is told to stop, and what waited for this request goes on.
        self.link.move_on();
        if self.link.is_due() {
            self.link.pulse.beat();
        }
    }
}
