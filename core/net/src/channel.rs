//! [`Channel`]: a stream of bytes to a server, with TLS over it or without, whose every read says when the system had what
//! it brought.
//!
//! TLS is done here, on what was read, rather than by a stream around the socket: so what a read brings has the kernel's
//! stamp of the bytes that completed it, encrypted as they were. Not here: what the bytes mean, and waiting for anything
//! but the socket.

use crate::{
    socket::{Received, Socket},
    tls::TlsName,
};
use rustls::ClientConnection;
use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    task::{Context, Poll, ready},
};

/// A stream of bytes to a server.
pub(crate) struct Channel {
    socket: Socket,
    tls: Option<Box<Tls>>,
    /// Reading or writing met a reset.
    was_reset: bool,
}

/// The state of TLS on a channel.
struct Tls {
    session: ClientConnection,
    /// When the kernel had the last bytes that were read, decrypted or not.
    kernel_ns: Option<u64>,
    /// There may be decrypted bytes that were not taken yet, or an error to be told.
    has_more: bool,
    /// What went wrong behind bytes that could still be taken.
    failed: Option<io::Error>,
}

impl Channel {
    /// A channel without TLS.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { socket, tls: None, was_reset: false }
    }

    /// Agrees upon TLS with the server that answers on the other side.
    ///
    /// # Errors
    /// What the system says, or a [`rustls::Error`] within.
    pub(crate) async fn agree(self, name: &TlsName) -> io::Result<Self> {
        let session = name.session().map_err(io::Error::other)?;
        let tls = Some(Box::new(Tls { session, kernel_ns: None, has_more: false, failed: None }));
        let mut channel = Self { tls, ..self };
        while channel.tls.as_ref().is_some_and(|tls| tls.session.is_handshaking()) {
            poll_fn(|context| channel.poll_flush(context)).await?;
            poll_fn(|context| channel.socket.poll_readable(context)).await?;
            if let Some(tls) = &mut channel.tls {
                match tls.take_in(&channel.socket) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => {
                        // The alert that says why; the server may be gone.
                        let _ = channel.try_flush();
                        return Err(e);
                    }
                }
            }
        }
        poll_fn(|context| channel.poll_flush(context)).await?;
        Ok(channel)
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The protocol that was agreed upon with TLS, if one was.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.session.alpn_protocol()
    }

    /// Reads what has come, without waiting; a count of 0 is the end.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing has, what the system says, or a [`rustls::Error`] within.
    #[inline]
    pub(crate) fn try_read(&mut self, room: &mut [u8]) -> io::Result<Received> {
        let received = match &mut self.tls {
            None => self.socket.try_read(room),
            Some(tls) => tls.try_read(&self.socket, room),
        };
        received.inspect_err(|e| self.was_reset |= e.kind() != io::ErrorKind::WouldBlock)
    }

    /// Hands as much of `output` over as is taken now; how much that was. With TLS some of that may still have to be
    /// [flushed](Self::poll_flush).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is taken, or what the system says.
    pub(crate) fn try_write(&mut self, output: &[u8]) -> io::Result<usize> {
        let written = match &mut self.tls {
            None => self.socket.try_write(output),
            Some(tls) => tls.try_write(&self.socket, output),
        };
        written.inspect_err(|e| self.was_reset |= e.kind() != io::ErrorKind::WouldBlock)
    }

    /// Hands to the kernel what is left to be, as far as it takes it; whether nothing is left.
    pub(crate) fn try_flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        tls.flush(&self.socket).inspect_err(|_| self.was_reset = true)
    }

    /// Waits until the kernel has taken everything.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.try_flush()? {
            ready!(self.socket.poll_writable(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until there may be something to read.
    #[inline]
    pub(crate) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            Some(tls) if tls.has_more => Poll::Ready(Ok(())),
            _ => self.socket.poll_readable(context),
        }
    }

    /// Waits until the kernel may take more.
    pub(crate) fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(context)
    }

    /// Whether an idle channel was closed, or spoken on, by the server: it must not be used again.
    pub(crate) fn is_stale(&mut self) -> bool {
        // Costs no system call as long as nothing has happened on the socket.
        !matches!(self.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether what has come since this was last asked is known to have come in its order.
    pub(crate) fn came_in_order(&self) -> bool {
        self.socket.came_in_order()
    }

    /// Whether the server's system refused what was sent, since the server had closed the connection or closed it without
    /// reading: such a request was not taken. The kernel knows it as an error of the socket, also where reading it met
    /// the end first.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_reset || self.socket.take_error().is_some()
    }
}

impl Tls {
    fn try_read(&mut self, socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
        loop {
            match self.session.reader().read(room) {
                Ok(count) => {
                    self.has_more = count == room.len() || self.failed.is_some();
                    return Ok(Received { count, kernel_ns: self.kernel_ns });
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.has_more = false,
                // Many servers close without a word, and HTTP knows where an answer ends.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Received { count: 0, kernel_ns: self.kernel_ns });
                }
                Err(e) => return Err(e),
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.take_in(socket) {
                Ok(_) => {}
                // Whatever was good before it is taken first.
                Err(e) if e.kind() == io::ErrorKind::InvalidData => (self.failed, self.has_more) = (Some(e), true),
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads once from the socket and decrypts what is whole; how much was read, 0 at the end.
    fn take_in(&mut self, socket: &Socket) -> io::Result<usize> {
        let mut tap = Tap { socket, kernel_ns: None };
        let count = self.session.read_tls(&mut tap)?;
        self.kernel_ns = tap.kernel_ns;
        let processed = self.session.process_new_packets();
        if self.session.wants_write() {
            // An answer to the server's TLS, or the alert that says what is wrong. What is not taken now goes out with what
            // is written next, and a broken socket is met by the next read.
            let _ = self.flush(socket);
        }
        processed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(count)
    }

    fn try_write(&mut self, socket: &Socket, output: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.flush(socket)? && taken < output.len() {
            taken += self.session.writer().write(&output[taken..])?;
        }
        if taken == 0 && !output.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Sink { socket }) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

/// Reads from a socket, and keeps the kernel's stamp.
struct Tap<'a> {
    socket: &'a Socket,
    kernel_ns: Option<u64>,
}

impl Read for Tap<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let received = self.socket.try_read(room)?;
        self.kernel_ns = received.kernel_ns;
        Ok(received.count)
    }
}

/// Writes to a socket.
struct Sink<'a> {
    socket: &'a Socket,
}

impl Write for Sink<'_> {
    fn write(&mut self, output: &[u8]) -> io::Result<usize> {
        self.socket.try_write(output)
    }

    fn write_vectored(&mut self, output: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(output)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
