//! The way out of a connection: bytes gathered into one write, the pieces that writes may be cut into, and waiting
//! with an eye on the client.

use std::future::{Future as _, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use inferometer_load::timer::Timers;
use tokio::io::{AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use crate::faults::Fate;

/// What one write gathers at most when nothing has to wait.
pub(crate) const BATCH: usize = 16 << 10;

/// The writing side of a connection while one request is answered.
pub(crate) struct Outlet<'a> {
    stream: &'a mut TcpStream,
    timers: &'a Timers,
    /// What the next [`flush`](Self::flush) writes.
    pub(crate) buf: &'a mut Vec<u8>,
    /// The largest piece of a write; 0 for whole writes.
    split: usize,
    /// Whether a read may still tell that the client went away: not once it has sent another request.
    watching: bool,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(stream: &'a mut TcpStream, timers: &'a Timers, buf: &'a mut Vec<u8>, split: usize) -> Self {
        buf.clear();
        Self { stream, timers, buf, split, watching: true }
    }

    /// Hands what was gathered to the kernel. Gives the time just before.
    pub(crate) async fn flush(&mut self, fate: &mut Fate) -> io::Result<Instant> {
        let at = Instant::now();
        if self.split == 0 {
            self.stream.write_all(self.buf).await?;
        } else {
            let mut rest = &self.buf[..];
            while !rest.is_empty() {
                let (piece, left) = rest.split_at(fate.piece(self.split).min(rest.len()));
                self.stream.write_all(piece).await?;
                rest = left;
                // A chance for the other side to see this piece alone.
                tokio::task::yield_now().await;
            }
        }
        self.buf.clear();
        Ok(at)
    }

    /// Waits until `at`. Fails when the client closes the connection meanwhile.
    pub(crate) async fn pause(&mut self, at: Instant) -> io::Result<()> {
        let mut sleep = pin!(self.timers.sleep_until(at));
        poll_fn(|cx| {
            if sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if self.watching {
                let mut byte = [MaybeUninit::uninit()];
                match self.stream.poll_peek(cx, &mut ReadBuf::uninit(&mut byte)) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                    Poll::Ready(Ok(_)) => self.watching = false,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Makes the close of the connection a reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}
