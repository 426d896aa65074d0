//! [`Socket`]: a stream to a server, by TCP or on this machine, that says of every read when the system received it.
//!
//! On Linux that is the kernel's own time stamp (SO_TIMESTAMPING, software, on receipt), which comes beside the bytes at no
//! further call. A busy client reads late, and a stamp taken after the read is late with it; the kernel's is not. Of a read
//! that takes up several packets the kernel gives the stamp of the last of them in the stream. Where that one overtook
//! another, its stamp is of a time at which it could not be read yet: [`Socket::came_in_order`] tells. Elsewhere, and
//! where the kernel refuses, as it does for Unix sockets, reads carry no stamp.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

/// A connected stream.
pub(crate) struct Socket {
    stream: Stream,
    /// The kernel stamps what it receives.
    is_stamped: bool,
    /// Packets that had overtaken others when that was last asked; `None` where none does: on this machine.
    overtaking: Cell<Option<u32>>,
}

/// What a [`Socket`] is made of.
pub(crate) enum Stream {
    /// To another machine, or to this one by its network.
    Tcp(TcpStream),
    /// By a file of this machine.
    Unix(UnixStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

/// Does the same to either kind.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, inner => inner.as_fd())
    }
}

/// Keeps the kernel stamping what it receives, for as long as it stands. The kernel stamps while any socket asks for it, and
/// takes some milliseconds to begin: what comes first would have no stamp.
pub struct Stamping {
    _socket: UdpSocket,
}

impl Stamping {
    /// Has the kernel begin; nothing where it cannot.
    pub fn begin() -> Option<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        system::stamp(&socket).then_some(Self { _socket: socket })
    }
}

/// What a read brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes; 0 is the end of the stream.
    pub(crate) count: usize,
    /// When the kernel had the last of them, in nanoseconds since 1970 by the system's clock.
    pub(crate) kernel_ns: Option<u64>,
}

impl Socket {
    /// Takes over a connected stream; `stamped`: the kernel is asked to stamp what it receives.
    pub(crate) fn new(stream: impl Into<Stream>, stamped: bool) -> Self {
        let stream = stream.into();
        let (is_stamped, may_overtake) = match &stream {
            Stream::Tcp(tcp) => {
                // A kernel that refuses this costs latency, not correctness.
                let _ = tcp.set_nodelay(true);
                let is_loopback = tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
                (stamped && system::stamp(&stream), !is_loopback)
            }
            Stream::Unix(_) => (false, false),
        };
        Self { stream, is_stamped, overtaking: Cell::new(may_overtake.then_some(0)) }
    }

    /// Hands as much of `output` to the kernel as it takes now.
    pub(crate) fn try_write(&self, output: &[u8]) -> io::Result<usize> {
        either!(&self.stream, inner => inner.try_write(output))
    }

    /// As [`try_write`](Self::try_write), of several pieces at once.
    pub(crate) fn try_write_vectored(&self, output: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(&self.stream, inner => inner.try_write_vectored(output))
    }

    /// Waits until there may be something to read.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&self.stream, inner => inner.poll_read_ready(context))
    }

    /// Waits until the kernel may take more.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&self.stream, inner => inner.poll_write_ready(context))
    }

    /// The error that the system keeps of the stream; it is forgotten by this.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        either!(&self.stream, inner => inner.take_error()).ok().flatten()
    }

    /// Whether what has come since this was last asked is known to have come in its order.
    pub(crate) fn came_in_order(&self) -> bool {
        let Some(before) = self.overtaking.get() else { return true };
        let now = system::overtaking(&self.stream);
        self.overtaking.set(Some(now.unwrap_or(before)));
        now == Some(before)
    }

    /// Reads what has come, without waiting.
    pub(crate) fn try_read(&self, room: &mut [u8]) -> io::Result<Received> {
        system::try_read(self, room)
    }

    fn try_io<T>(&self, read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        either!(&self.stream, inner => inner.try_io(Interest::READABLE, read))
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Received, Socket, Stream};
    use nix::{
        libc::{IPPROTO_TCP, TCP_INFO, getsockopt, socklen_t, tcp_info},
        sys::socket::{ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt::Timestamping},
    };
    use std::{
        io::{self, IoSliceMut},
        mem::{MaybeUninit, offset_of, size_of},
        os::fd::{AsFd, AsRawFd as _},
    };

    /// Room for one control message of three time stamps (64 bytes), in the alignment that its header needs.
    #[repr(align(16))]
    struct Control([u8; 80]);

    /// Asks the kernel for its time stamps; whether it will give them.
    pub(super) fn stamp(stream: &impl AsFd) -> bool {
        let software = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE;
        setsockopt(stream, Timestamping, &software).is_ok()
    }

    /// Packets that came before others that precede them in the stream; `None` where the kernel does not count them (before
    /// Linux 5.4).
    #[allow(unsafe_code, reason = "there is no safe form of this call")]
    pub(super) fn overtaking(stream: &Stream) -> Option<u32> {
        let mut info = MaybeUninit::<tcp_info>::zeroed();
        let mut length = size_of::<tcp_info>() as socklen_t;
        // SAFETY: `info` has the `length` bytes that the kernel may write, and any bytes are a `tcp_info`: it is numbers alone.
        let (result, info) = unsafe {
            let room = info.as_mut_ptr().cast();
            (getsockopt(stream.as_fd().as_raw_fd(), IPPROTO_TCP, TCP_INFO, room, &raw mut length), info.assume_init())
        };
        let is_told = length as usize >= offset_of!(tcp_info, tcpi_rcv_ooopack) + size_of::<u32>();
        (result == 0 && is_told).then_some(info.tcpi_rcv_ooopack)
    }

    pub(super) fn try_read(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
        let mut partial = None;
        let read = socket.try_io(|| {
            let received = receive(socket, room)?;
            if (1..room.len()).contains(&received.count) {
                // The socket is empty (urgent data apart, which HTTP has no use for), which the runtime is told by this error:
                // it spares the read that would find out.
                partial = Some(received);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(received)
        });
        partial.map_or(read, Ok)
    }

    fn receive(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
        let fd = socket.stream.as_fd().as_raw_fd();
        let mut room = [IoSliceMut::new(room)];
        let mut control = Control([0; 80]);
        let control = socket.is_stamped.then_some(&mut control.0[..]);
        let message = recvmsg::<()>(fd, &mut room, control, MsgFlags::empty())?;
        let stamped = message.cmsgs().ok().filter(|_| socket.is_stamped).into_iter().flatten();
        let kernel_ns = stamped.filter_map(|message| arrival(&message)).next();
        Ok(Received { count: message.bytes, kernel_ns })
    }

    /// The software stamp of a control message, if it is one.
    fn arrival(message: &ControlMessageOwned) -> Option<u64> {
        let ControlMessageOwned::ScmTimestampsns(stamps) = message else { return None };
        let ns = stamps.system.tv_sec() as u64 * 1_000_000_000 + stamps.system.tv_nsec() as u64;
        (ns > 0).then_some(ns)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Received, Socket, Stream, either};
    use std::{io, os::fd::AsFd};

    /// This system stamps nothing.
    pub(super) fn stamp(_stream: &impl AsFd) -> bool {
        false
    }

    pub(super) fn overtaking(_stream: &Stream) -> Option<u32> {
        None
    }

    pub(super) fn try_read(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
        Ok(Received { count: either!(&socket.stream, inner => inner.try_read(room))?, kernel_ns: None })
    }
}
