//! One TCP connection, and the answer that is being read from it.

use crate::{
    dial::Dialer,
    response::Response,
    socket::{Received, Socket},
};
use inferometer_model::Failure;
use std::{io, net::SocketAddr};
use tokio::io::Interest;

/// A connection to a server.
pub(crate) struct Connection {
    socket: Socket,
    pub(crate) response: Response,
    /// Whether it has served before.
    pub(crate) reused: bool,
    /// How long connecting took: about one round trip.
    pub(crate) connect_ns: u64,
    /// Reading or writing met a reset.
    was_reset: bool,
}

impl Connection {
    /// Connects to the first of `addresses` that accepts; `stamped`: the kernel is asked to stamp what it receives.
    pub(crate) async fn open(dialer: &Dialer, addresses: &[SocketAddr], stamped: bool) -> Result<Self, Failure> {
        Ok(Self {
            socket: Socket::new(dialer.connect(addresses).await?, stamped),
            response: Response::default(),
            reused: false,
            connect_ns: 0,
            was_reset: false,
        })
    }

    /// Whether an idle connection was closed, or spoken on, by the server: it must not be used again.
    pub(crate) fn is_stale(&self) -> bool {
        // Costs no system call as long as nothing has happened on the socket.
        !matches!(self.socket.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Hands as much of `output` to the kernel as it takes now; how much that was.
    pub(crate) fn try_write(&mut self, output: &[u8]) -> io::Result<usize> {
        match self.socket.stream().try_write(output) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written.inspect_err(|_| self.was_reset = true),
        }
    }

    /// Waits until the kernel may take more, or the server has said something; whether it was the latter.
    pub(crate) async fn writable_or_readable(&self) -> io::Result<bool> {
        Ok(self.socket.stream().ready(Interest::READABLE | Interest::WRITABLE).await?.is_readable())
    }

    /// Waits until there may be something to read.
    pub(crate) fn poll_readable(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        self.socket.stream().poll_read_ready(context)
    }

    /// Reads what has come; nothing if nothing has.
    pub(crate) fn try_read(&mut self, room: &mut [u8]) -> io::Result<Option<Received>> {
        match self.socket.try_read(room) {
            Ok(received) => Ok(Some(received)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => {
                self.was_reset = true;
                Err(e)
            }
        }
    }

    /// Whether what has come since this was last asked is known to have come in its order.
    pub(crate) fn came_in_order(&self) -> bool {
        self.socket.came_in_order()
    }

    /// Whether the server's system refused what was sent, since the server had closed the connection or closed it without
    /// reading: such a request was not taken. The kernel knows it as an error of the socket, also where reading it met
    /// the end first.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_reset || matches!(self.socket.stream().take_error(), Ok(Some(_)))
    }
}

/// The system's message without the error number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
