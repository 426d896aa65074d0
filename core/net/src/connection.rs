//! One connection to a server, from its making to its end, and the answer that is being read from it.

use crate::{
    channel::Channel,
    destination::{Destination, Route},
    dial::{Dialer, connect_unix},
    proxy,
    response::Response,
    socket::{Received, Socket},
    tls,
};
use inferometer_model::{Clock, Failure, FailureKind};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    task::{Context, Poll},
    time::Duration,
};

/// A connection to a server.
pub(crate) struct Connection {
    channel: Channel,
    pub(crate) response: Response,
    /// Whether it has served before.
    pub(crate) reused: bool,
    /// How long connecting took, TLS apart: about one round trip.
    pub(crate) connect_ns: u64,
    /// How long agreeing upon TLS took.
    pub(crate) tls_ns: u64,
}

/// What making a connection waits for.
#[derive(Clone, Copy)]
enum Stage {
    Server,
    Proxy,
    Tls,
}

impl Connection {
    /// Connects to `destination` within `limit`, TLS included; `stamped`: the kernel is asked to stamp what it receives.
    pub(crate) async fn open(
        dialer: &Dialer,
        destination: &Destination,
        stamped: bool,
        clock: Clock,
        limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let stage = Cell::new(Stage::Server);
        let made = Self::make(dialer, destination, stamped, clock, &stage);
        within(limit, made).await.unwrap_or_else(|limit| {
            let authority = &destination.authority;
            let what = match (stage.get(), &destination.route) {
                (Stage::Tls, _) => format!("agreeing upon TLS with {authority}, if it speaks that at all,"),
                (Stage::Proxy, Route::Proxy(proxy)) => {
                    format!("the proxy {} took the connection, and connecting to {authority}", proxy.name)
                }
                (_, Route::Proxy(proxy)) => format!("connecting to the proxy {}", proxy.name),
                (_, Route::Unix(path)) => format!("connecting to {}", path.display()),
                (_, Route::Direct(addresses)) => {
                    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                    format!("connecting to {}", addresses.join(", "))
                }
            };
            Err(Failure::new(
                FailureKind::Timeout,
                format!("{what} took longer than {limit:?} (--connect-timeout-seconds)"),
            ))
        })
    }

    async fn make(
        dialer: &Dialer,
        destination: &Destination,
        stamped: bool,
        clock: Clock,
        stage: &Cell<Stage>,
    ) -> Result<Self, Failure> {
        let begun = clock.now();
        let mut channel = Channel::plain(match &destination.route {
            Route::Unix(path) => Socket::new(connect_unix(path).await?, stamped),
            Route::Direct(addresses) => Socket::new(dialer.connect(addresses).await?, stamped),
            Route::Proxy(proxy) => {
                let connected = dialer.connect(&proxy.addresses).await;
                let named = |failure: Failure| {
                    Failure::new(failure.kind, format!("the proxy {}: {}", proxy.name, failure.message))
                };
                Socket::new(connected.map_err(named)?, stamped)
            }
        });
        if let Route::Proxy(proxy) = &destination.route
            && let Some(target) = &proxy.tunnel
        {
            stage.set(Stage::Proxy);
            proxy::tunnel(&mut channel, proxy, target).await?;
        }
        let connected = clock.now();
        let mut tls_ns = 0;
        if let Some(name) = &destination.tls {
            stage.set(Stage::Tls);
            channel = channel.agree(name).await.map_err(|e| tls::refusal(&e, &destination.authority))?;
            tls_ns = clock.now() - connected;
        }
        Ok(Self { channel, response: Response::default(), reused: false, connect_ns: connected - begun, tls_ns })
    }

    /// The protocol that was agreed upon with TLS, if one was.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.channel.protocol()
    }

    /// What was connected, to be spoken on by another protocol.
    pub(crate) fn into_channel(self) -> Channel {
        self.channel
    }

    /// Whether an idle connection was closed, or spoken on, by the server: it must not be used again.
    pub(crate) fn is_stale(&mut self) -> bool {
        self.channel.is_stale()
    }

    /// Hands as much of `output` over as is taken now; how much that was.
    pub(crate) fn try_write(&mut self, output: &[u8]) -> io::Result<usize> {
        match self.channel.try_write(output) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Hands to the kernel what it has not taken yet of what was written; whether nothing is left.
    pub(crate) fn try_flush(&mut self) -> io::Result<bool> {
        self.channel.try_flush()
    }

    /// Waits until the kernel may take more, or the server has said something; whether it was the latter.
    pub(crate) async fn writable_or_readable(&mut self) -> io::Result<bool> {
        poll_fn(|context| {
            // Both are asked, so that either wakes.
            match (self.channel.poll_readable(context)?, self.channel.poll_writable(context)?) {
                (Poll::Ready(()), _) => Poll::Ready(Ok(true)),
                (Poll::Pending, Poll::Ready(())) => Poll::Ready(Ok(false)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Waits until there may be something to read.
    #[inline]
    pub(crate) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.poll_readable(context)
    }

    /// Reads what has come; nothing if nothing has.
    #[inline]
    pub(crate) fn try_read(&mut self, room: &mut [u8]) -> io::Result<Option<Received>> {
        match self.channel.try_read(room) {
            Ok(received) => Ok(Some(received)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secure(&self) -> bool {
        self.channel.is_secure()
    }

    /// Whether what has come since this was last asked is known to have come in its order.
    pub(crate) fn came_in_order(&self) -> bool {
        self.channel.came_in_order()
    }

    /// As [`Channel::was_refused`].
    pub(crate) fn was_refused(&self) -> bool {
        self.channel.was_refused()
    }
}

/// What `future` comes to, or `limit` if it takes longer.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Duration> {
    match limit {
        None => Ok(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| limit),
    }
}

/// The system's message without the error number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
