//! One TCP connection with its buffers.

use inferometer_model::{Failure, FailureKind};
use std::{future::poll_fn, io, net::SocketAddr, pin::Pin};
use tokio::{
    io::{AsyncRead as _, Interest, ReadBuf},
    net::TcpStream,
};

const FIRST_BUFFER: usize = 16 << 10;
const LARGEST_BUFFER: usize = 64 << 20;

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Bytes read and not yet used are `input[start..end]`.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// The request that is being written.
    pub(crate) output: Vec<u8>,
    /// Whether it has served before.
    pub(crate) reused: bool,
    /// How long connecting took: about one round trip.
    pub(crate) connect_ns: u64,
    /// Reading or writing met a reset.
    was_reset: bool,
}

/// What became of a request that was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it was handed to the kernel.
    Whole,
    /// The server answered before it had everything; the rest was not written.
    AnsweredEarly,
}

impl Connection {
    /// Connects to the first of `addresses` that accepts.
    pub(crate) async fn open(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for &address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A kernel that refuses this costs latency, not correctness.
                    let _ = stream.set_nodelay(true);
                    let input = vec![0; FIRST_BUFFER];
                    return Ok(Self {
                        stream,
                        input,
                        start: 0,
                        end: 0,
                        output: Vec::new(),
                        reused: false,
                        connect_ns: 0,
                        was_reset: false,
                    });
                }
                Err(e) => last = io::Error::new(e.kind(), format!("{address}: {}", plain(&e))),
            }
        }
        Err(Failure::new(FailureKind::Connect, last.to_string()))
    }

    /// Whether an idle connection was closed, or spoken on, by the server: it must not be used again.
    pub(crate) fn is_stale(&self) -> bool {
        // Costs no system call as long as nothing has happened on the socket.
        let mut byte = [0];
        !matches!(self.stream.try_read(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes `output`, as long as the server has nothing to say in between.
    pub(crate) async fn send(&mut self) -> io::Result<Sent> {
        let sent = self.write_output().await;
        self.was_reset |= sent.is_err();
        sent
    }

    async fn write_output(&mut self) -> io::Result<Sent> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.try_write(&self.output[written..]) {
                Ok(count) => written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
                    if ready.is_readable() && self.try_fill()? {
                        return Ok(Sent::AnsweredEarly);
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Sent::Whole)
    }

    /// Takes in what the server has said already, without waiting; whether that was anything, its end included.
    fn try_fill(&mut self) -> io::Result<bool> {
        self.make_room()?;
        match self.stream.try_read(&mut self.input[self.end..]) {
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether the server's system refused what was sent, since the server had closed the connection or closed it without
    /// reading: such a request was not taken. The kernel knows it as an error of the socket, also where reading it met
    /// the end first.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_reset || matches!(self.stream.take_error(), Ok(Some(_)))
    }

    /// What was read and not yet used.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Marks `count` bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more; 0 is the end of the connection.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.make_room()?;
        let (stream, room) = (&mut self.stream, &mut self.input[self.end..]);
        let count = poll_fn(|context| {
            let mut buffer = ReadBuf::new(room);
            Pin::new(&mut *stream).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
        })
        .await;
        self.was_reset |= count.is_err();
        self.end += *count.as_ref().unwrap_or(&0);
        count
    }

    /// Makes room for the next read.
    fn make_room(&mut self) -> io::Result<()> {
        if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.input.len() < LARGEST_BUFFER {
                self.input.resize(self.input.len() * 2, 0);
            } else {
                return Err(io::Error::other("more than 64 MiB without a place to cut"));
            }
        }
        Ok(())
    }
}

/// The system's message without the error number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
