//! [`Http2`]: requests by HTTP/2, several of them on a connection at a time, stamped as those of HTTP/1.1 are.
//!
//! The protocol itself is a library's, which also the servers to be measured use. What is ours is [what it reads and
//! writes](wire), [who moves it on](pulse), so that every event has the stamp of the read that completed it, and which
//! connection a request is sent on. Not here: how connections are made.
//!
//! A connection that has room for a request is shared; where none has, one more is made. Requests that come meanwhile wait
//! for it, as many as are to share it.

mod answer;
mod head;
mod link;
mod pulse;
mod wire;

pub(crate) use head::Prepared;
pub(crate) use link::Link;

use crate::{
    arrival::Arrivals,
    channel::Channel,
    client::{Receiver, Sending, Stamps, stale_ns},
    limits::Limits,
};
use answer::{Answer, Hold, Stop};
use h2::Reason;
use inferometer_abi::types::ABSENT_NS;
use inferometer_model::{Clock, Failure, FailureKind, config::HttpVersion};
use link::Berth;
use pulse::Bell;
use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::sync::Notify;

/// How often a request is sent that servers say they have not looked at.
const MOST_REFUSALS: u32 = 10;

/// Why a request was not answered by HTTP/2.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The server would rather be spoken to by HTTP/1.1.
    Http1,
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The connections of one worker that speak HTTP/2.
pub(crate) struct Http2 {
    clock: Clock,
    arrivals: Rc<Arrivals>,
    limits: Limits,
    /// Most requests on a connection at a time.
    most: usize,
    version: HttpVersion,
    /// By destination.
    pools: Vec<Pool>,
}

/// Whose connection a request is sent on.
pub(crate) enum Berths<'a> {
    /// One that all share.
    Shared,
    /// That of a lane, which nobody else uses.
    Own(&'a mut Option<Rc<Link>>),
    /// One that is made for it.
    Fresh,
}

/// The connections to one destination.
#[derive(Default)]
struct Pool {
    is_secure: bool,
    /// The server chose HTTP/1.1.
    is_http1: Cell<bool>,
    /// In the order in which they are filled, so that surplus ones age and are closed.
    links: RefCell<Vec<Rc<Link>>>,
    /// Connections that are being made.
    coming: Cell<usize>,
    /// Requests that wait for room on one.
    waiting: Cell<usize>,
    /// Tells them to look again.
    room: Rc<Notify>,
    /// Most requests that the server takes on a connection, as it said last; 0: it has said nothing yet.
    allowed: Cell<usize>,
}

impl Http2 {
    /// No connections yet, to destinations with TLS or without as `secure` says; at most `most` requests share one at a
    /// time.
    pub(crate) fn new(
        clock: Clock,
        arrivals: &Rc<Arrivals>,
        limits: Limits,
        version: HttpVersion,
        secure: impl Iterator<Item = bool>,
        most: usize,
    ) -> Self {
        let pools = secure.map(|is_secure| Pool { is_secure, ..Pool::default() }).collect();
        Self { clock, arrivals: Rc::clone(arrivals), limits, most: most.max(1), version, pools }
    }

    /// Whether requests to that destination are sent by HTTP/2, as far as is known.
    pub(crate) fn serves(&self, to: usize) -> bool {
        let pool = &self.pools[to];
        match self.version {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            HttpVersion::Auto => pool.is_secure && !pool.is_http1.get(),
        }
    }

    /// Whether HTTP/2 can be spoken on a connection to that destination with which `protocol` was agreed upon. HTTP/1.1 is
    /// spoken otherwise.
    ///
    /// # Errors
    /// Nothing else than HTTP/2 was asked for.
    pub(crate) fn accepts(&self, to: usize, protocol: Option<&[u8]>) -> Result<bool, Failure> {
        let pool = &self.pools[to];
        if !pool.is_secure || protocol == Some(b"h2") {
            return Ok(true);
        }
        if self.version == HttpVersion::Http2 {
            let message = "the server does not offer HTTP/2 with TLS; leave --http-version out, or say auto";
            return Err(Failure::new(FailureKind::Malformed, message));
        }
        pool.is_http1.set(true);
        Ok(false)
    }

    /// Sends one request and reads the answer to its end. `open` makes a connection, and stamps that.
    ///
    /// # Errors
    /// What became of it if there was no complete answer; `stamps` says how far it came.
    pub(crate) async fn exchange(
        &self,
        sending: Sending<'_>,
        mut berths: Berths<'_>,
        open: impl AsyncFn(&mut Stamps) -> Result<Channel, Refused>,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Refused> {
        let pool = &self.pools[sending.to];
        let (mut refuser, mut refusals): (Option<Rc<Link>>, u32) = (None, 0);
        loop {
            let berth = self.berth(pool, &mut berths, refuser.as_ref(), &open, stamps).await?;
            let link = berth.link();
            let (reused, reads) = (stamps.reused, link.log.reads());
            let error = match self.attempt(link, sending, pool.is_secure, stamps, receiver).await {
                Ok(()) => return Ok(()),
                Err(Stop::Answer(failure)) => return Err(failure.into()),
                Err(Stop::Broken(error)) => error,
            };
            let is_untouched = if was_refused(&error) {
                refusals += 1;
                refusals < MOST_REFUSALS
            } else {
                // The connection tells no more than that the server had closed it while it was idle.
                let now = self.clock.now();
                let at_once = now.saturating_sub(stamps.written.min(now)) < stale_ns(link.connect_ns);
                let was_idle = reused && error.is_io() && link.log.reads() == reads;
                was_idle && (at_once || link.log.was_refused()) && !stamps.resent
            };
            if is_untouched && stamps.status == 0 {
                stamps.resent = true;
                refuser = Some(Rc::clone(link));
                continue;
            }
            return Err(link.failure(&error, stamps.status).into());
        }
    }

    /// Sends the request and reads the answer.
    async fn attempt(
        &self,
        link: &Link,
        Sending { head, ids, body, break_off, .. }: Sending<'_>,
        is_secure: bool,
        stamps: &mut Stamps,
        receiver: &mut impl Receiver,
    ) -> Result<(), Stop> {
        let request = head.http2(ids, body.len(), is_secure)?;
        let bell = Bell::new(&link.pulse);
        let _hold = Hold::new(link, &bell);
        let begun = self.clock.now();
        if stamps.sent == ABSENT_NS {
            stamps.sent = begun;
        }
        let response = link.send(request, body, &bell)?;
        let mut answer = Answer::new(link, response, stamps, receiver);
        // The bell has to be heard before anything can come.
        let waker = Waker::from(Arc::clone(&bell));
        if let Poll::Ready(ended) = answer.poll(&mut Context::from_waker(&waker)) {
            return ended;
        }
        link.move_on();
        let written = link.until(&bell, |context| match answer.poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            // An answer may begin before its request was taken.
            Poll::Pending if bell.written_ns().is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let ended = written.await;
        answer.stamps.written = bell.written_ns().unwrap_or_else(|| self.clock.now());
        if let Some(ended) = ended {
            return ended;
        }
        let (limits, clock, reads) = (self.limits, self.clock, link.log.reads());
        let mut timer = pin!(limits.timer(clock));
        let received = link.until(&bell, |context| match answer.poll(context) {
            Poll::Pending => {
                let over = limits.poll_over(timer.as_mut(), clock, answer.stamps, context);
                over.map(|failure| {
                    if link.log.reads() == reads {
                        // Nothing at all has come on it: it is given up, for whoever comes next.
                        link.retire();
                    }
                    Err(Stop::Answer(failure))
                })
            }
            ended => ended,
        });
        match break_off {
            None => received.await,
            Some(after) => tokio::time::timeout(after, received)
                .await
                .unwrap_or_else(|_| Err(Stop::Answer(Failure::new(FailureKind::Cancelled, "broken off on purpose")))),
        }
    }

    /// Room on a connection other than `refuser`.
    async fn berth(
        &self,
        pool: &Pool,
        berths: &mut Berths<'_>,
        refuser: Option<&Rc<Link>>,
        open: &impl AsyncFn(&mut Stamps) -> Result<Channel, Refused>,
        stamps: &mut Stamps,
    ) -> Result<Berth, Refused> {
        let is_refuser = |link: &Rc<Link>| refuser.is_some_and(|refuser| Rc::ptr_eq(refuser, link));
        match berths {
            Berths::Shared => {}
            Berths::Fresh => return Ok(Berth::on(&self.open(pool, open, stamps).await?)),
            Berths::Own(own) => {
                if let Some(link) = own.take().filter(|link| !is_refuser(link) && link.has_room() && link.stands()) {
                    (stamps.connected, stamps.reused) = (self.clock.now(), true);
                    return Ok(Berth::on(own.insert(link)));
                }
                return Ok(Berth::on(own.insert(self.open(pool, open, stamps).await?)));
            }
        }
        let begun = self.clock.now();
        let mut has_waited = false;
        loop {
            if let Some(link) = pool.free(is_refuser) {
                let now = self.clock.now();
                (stamps.connected, stamps.reused) = (now, !has_waited);
                (stamps.connect_ns, stamps.tls_ns) = (if has_waited { now - begun } else { 0 }, 0);
                return Ok(Berth::on(&link));
            }
            if !pool.expects_room(self.most) {
                break;
            }
            has_waited = true;
            pool.wait().await;
            if pool.is_http1.get() {
                return Err(Refused::Http1);
            }
        }
        let coming = Counted::one_more(&pool.coming, Some(&pool.room));
        let link = self.open(pool, open, stamps).await?;
        let berth = Berth::on(&link);
        pool.links.borrow_mut().push(link);
        drop(coming);
        Ok(berth)
    }

    async fn open(
        &self,
        pool: &Pool,
        open: &impl AsyncFn(&mut Stamps) -> Result<Channel, Refused>,
        stamps: &mut Stamps,
    ) -> Result<Rc<Link>, Refused> {
        let channel = open(stamps).await?;
        let link = Link::begin(channel, self.clock, &self.arrivals, self.most, &pool.room, stamps.connect_ns);
        Ok(Rc::new(link.await?))
    }
}

impl Pool {
    /// The first connection that has room and passes for none that `is_refuser`. Those that have ended are let go.
    fn free(&self, is_refuser: impl Fn(&Rc<Link>) -> bool) -> Option<Rc<Link>> {
        let mut links = self.links.borrow_mut();
        let mut at = 0;
        while let Some(link) = links.get(at) {
            if link.has_room() && !link.stands() {
                links.remove(at);
            } else if link.has_room() && !is_refuser(link) {
                if let Some(allowed) = link.allowed() {
                    self.allowed.set(allowed);
                }
                return Some(Rc::clone(link));
            } else {
                at += 1;
            }
        }
        None
    }

    /// Whether the connections that are being made will have room for one more, as far as is known.
    fn expects_room(&self, most: usize) -> bool {
        let links = self.links.borrow();
        let unsettled = links.iter().filter(|link| !link.is_settled()).count();
        let most = if self.allowed.get() == 0 { most } else { most.min(self.allowed.get()) };
        // Each will have the request that it was made for.
        self.waiting.get() < (self.coming.get() + unsettled) * (most - 1)
    }

    async fn wait(&self) {
        let _waiting = Counted::one_more(&self.waiting, None);
        self.room.notified().await;
    }
}

/// One of so many, for as long as it lives; its end is news to whoever waits for room, where that is given.
struct Counted<'a> {
    count: &'a Cell<usize>,
    room: Option<&'a Notify>,
}

impl<'a> Counted<'a> {
    fn one_more(count: &'a Cell<usize>, room: Option<&'a Notify>) -> Self {
        count.set(count.get() + 1);
        Self { count, room }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
        if let Some(room) = self.room {
            room.notify_waiters();
        }
    }
}

/// Whether the server said that it has not looked at the request.
fn was_refused(error: &h2::Error) -> bool {
    let is_refusal = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (is_refusal || error.is_go_away())
}
