//! The truth log: what the server really did, and when, for a client's figures to be held against.
//!
//! A request leaves one [`Record`] when it is over; a thread of its own turns records into lines, so that serving
//! never formats and never touches the file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::MockError;

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Ok,
    /// An HTTP error, meant (`--error-rate`) or earned (a bad request).
    Error,
    Reset,
    Truncated,
    Malformed,
    StreamError,
    /// The client went away, or the server was stopped, before the end.
    #[default]
    Aborted,
}

impl Outcome {
    pub(crate) const ALL: [(Self, &str); 7] = [
        (Self::Ok, "ok"),
        (Self::Error, "error"),
        (Self::Reset, "reset"),
        (Self::Truncated, "truncated"),
        (Self::Malformed, "malformed"),
        (Self::StreamError, "stream_error"),
        (Self::Aborted, "aborted"),
    ];
}

/// One line of the log. Times are nanoseconds since the Unix epoch (see [`Clock`]).
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    /// The request's `X-Request-ID`, if it had one.
    pub(crate) x_request_id: Option<String>,
    pub(crate) path: String,
    /// The client's port, which tells connections that are open at one time apart.
    pub(crate) port: u16,
    /// The model that was to answer; absent when the request was refused.
    pub(crate) model: Option<String>,
    /// When the request was completely read.
    pub(crate) received_ns: u64,
    /// When the first content was handed to the kernel: read just before the write.
    pub(crate) first_ns: Option<u64>,
    /// The same of the last content.
    pub(crate) last_ns: Option<u64>,
    /// When the server was done with the request, however it ended.
    pub(crate) ended_ns: u64,
    /// Input tokens; 0 without a model.
    pub(crate) prompt_tokens: u64,
    /// Output tokens handed to the kernel.
    pub(crate) tokens: usize,
    /// Content chunks handed to the kernel; a plain body is one.
    pub(crate) chunks: usize,
    /// The HTTP status; absent when the client was gone before there was one.
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    /// Why the answer came to its own end: `length` or `stop`. Absent when something else ended it.
    pub(crate) finish_reason: Option<&'static str>,
    /// When each content chunk was handed to the kernel; those of one write share a time.
    pub(crate) written_ns: Vec<u64>,
    /// When what was asked for is ready, where that is after the answer: a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready_ns: Option<u64>,
    /// The request's body, where bodies are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// The words of the output tokens handed to the kernel, where bodies are kept; with several choices those of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// Wall-clock time in nanoseconds, taken from the monotonic clock and one offset, so that it never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    moment: Instant,
    moment_ns: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { moment: Instant::now(), moment_ns: since_epoch.as_nanos() as u64 }
    }

    pub(crate) fn ns(&self, at: Instant) -> u64 {
        self.moment_ns + at.saturating_duration_since(self.moment).as_nanos() as u64
    }
}

/// The thread that writes the log, until every sender is gone.
#[derive(Debug)]
pub(crate) struct TruthLog {
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
}

impl TruthLog {
    pub(crate) fn start(path: &Path) -> Result<(mpsc::Sender<Record>, Self), MockError> {
        let path = path.to_owned();
        let (sender, records) = mpsc::channel();
        let thread = File::create(&path).and_then(|file| {
            std::thread::Builder::new().name("mock-truth".into()).spawn(move || write_all(file, &records))
        });
        match thread {
            Ok(thread) => Ok((sender, Self { path, thread })),
            Err(source) => Err(MockError::TruthLog { path, source }),
        }
    }

    /// Waits until all is written. Every sender must be gone by then.
    pub(crate) fn finish(self) -> Result<(), MockError> {
        let Self { path, thread } = self;
        let written = thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        written.map_err(|source| MockError::TruthLog { path, source })
    }
}

fn write_all(file: File, records: &mpsc::Receiver<Record>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 18, file);
    for record in records {
        serde_json::to_writer(&mut file, &record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
