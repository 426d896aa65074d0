//! What is kept of the requests, and the lines that are written of it in the end.

use std::io::{self, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// One request: its number, and times in nanoseconds since the Unix epoch.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(rename = "x_request_id", serialize_with = "as_id")]
    pub(crate) number: usize,
    /// When the schedule wanted it sent; absent in a closed loop.
    pub(crate) intended_ns: Option<u64>,
    /// When it might be sent, and a connection was opened for it if there was none.
    pub(crate) permitted_ns: u64,
    pub(crate) sent_ns: u64,
    /// When the first content came; absent when the answer is whole, as is the last.
    pub(crate) first_ns: Option<u64>,
    pub(crate) last_ns: Option<u64>,
    pub(crate) ended_ns: u64,
    /// Events with content.
    pub(crate) tokens: u64,
}

/// What a thread counted and kept.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) events: u64,
    pub(crate) tokens: u64,
    pub(crate) errors: u64,
    pub(crate) records: Vec<Record>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.events += other.events;
        self.tokens += other.tokens;
        self.errors += other.errors;
        self.records.extend(other.records);
    }

    /// Writes a JSON line for each record.
    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        for record in &self.records {
            serde_json::to_writer(&mut to, record)?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }
}

/// The request identifier of a number: 16 hexadecimal digits.
pub(crate) fn id(number: usize) -> [u8; 16] {
    std::array::from_fn(|digit| b"0123456789abcdef"[number >> (60 - 4 * digit) & 15])
}

fn as_id<S: serde::Serializer>(number: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(&id(*number)).expect("digits are ASCII"))
}

/// Wall-clock time by the monotonic clock and one offset, as in the server's log, so that it never jumps.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    origin_ns: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_ns: since_epoch.as_nanos() as u64 }
    }

    pub(crate) fn ns(self, at: Instant) -> u64 {
        self.origin_ns + at.saturating_duration_since(self.origin).as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_request_as_its_header_did() {
        let record = Record {
            number: 0x2a,
            intended_ns: None,
            permitted_ns: 1,
            sent_ns: 1,
            first_ns: Some(2),
            last_ns: Some(3),
            ended_ns: 4,
            tokens: 2,
        };
        let mut written = Vec::new();
        Tally { records: vec![record], ..Tally::default() }.write(&mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "{\"x_request_id\":\"000000000000002a\",\"intended_ns\":null,\"permitted_ns\":1,\"sent_ns\":1,\"first_ns\":2,\"last_ns\":3,\
             \"ended_ns\":4,\"tokens\":2}\n",
        );
    }
}
