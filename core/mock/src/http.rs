//! HTTP/1.1 on the server's side: reading one request after another, and writing the heads of answers.
//!
//! Made by hand, because a mock has to control what a well-behaved server hides: where writes are cut, when a
//! connection is reset, and which promise of a header is broken. Requests in HTTP/1.0 are refused: their clients cannot
//! take the chunked bodies that streams are sent in.

use std::io::{self, Write as _};
use std::ops::Range;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::form::unquoted;
use crate::habits::{Habit, Habits};

const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;
/// Room made for each read.
const READ: usize = 16 << 10;

/// The head of a request, as far as the mock cares.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// What follows the question mark.
    pub(crate) query: String,
    pub(crate) request_id: Option<String>,
    pub(crate) authorization: Option<String>,
    /// Keys in the headers that APIs have of their own for them.
    pub(crate) keys: Vec<String>,
    /// What parts a multipart body.
    pub(crate) boundary: Option<String>,
    /// The client takes a stream of events.
    pub(crate) accepts_events: bool,
    /// The client wants the connection closed after the answer.
    pub(crate) close: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client is gone, or went in the middle of a request.
    Gone,
    /// What came is not a request that can be served; after the answer the connection cannot be used.
    Refused { status: u16, message: String },
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

fn refused<T>(status: u16, message: impl Into<String>) -> Result<T, ReadError> {
    let message = message.into();
    Err(ReadError::Refused { status, message })
}

enum Body {
    Length(usize),
    Chunked,
}

/// Reads the requests of one connection, in a buffer that all of them share.
#[derive(Default)]
pub(crate) struct Reader {
    buf: Vec<u8>,
    /// The body of the request read last, framing removed.
    body: Range<usize>,
    /// Where that request ends and the next may already begin.
    next: usize,
}

impl Reader {
    /// Waits for the first byte of the next request. False when the client closed instead.
    pub(crate) async fn wait(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.buf.drain(..self.next);
        self.next = 0;
        self.body = 0..0;
        while self.buf.is_empty() {
            self.buf.reserve(READ);
            if stream.read_buf(&mut self.buf).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the request whose first byte has come.
    pub(crate) async fn request(&mut self, stream: &mut TcpStream) -> Result<Request, ReadError> {
        let (request, head, body, expects) = loop {
            if let Some(found) = parse_head(&self.buf)? {
                break found;
            }
            if self.buf.len() > MAX_HEAD {
                return refused(431, format!("the request head is longer than {MAX_HEAD} bytes"));
            }
            self.more(stream).await?;
        };
        if expects && self.buf.len() == head {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match body {
            Body::Length(length) if length > MAX_BODY => {
                return refused(413, format!("the request body is longer than {MAX_BODY} bytes"));
            }
            Body::Length(length) => {
                while self.buf.len() < head + length {
                    self.more(stream).await?;
                }
                self.body = head..head + length;
                self.next = head + length;
            }
            Body::Chunked => self.chunked_body(stream, head).await?,
        }
        Ok(request)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.buf[self.body.clone()]
    }

    /// Takes the chunks out of their framing, moving them together in place.
    async fn chunked_body(&mut self, stream: &mut TcpStream, head: usize) -> Result<(), ReadError> {
        let mut end = head;
        let mut at = head;
        loop {
            let (framing, size) = loop {
                match httparse::parse_chunk_size(&self.buf[at..]) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.buf.len() - at <= MAX_HEAD => self.more(stream).await?,
                    _ => return refused(400, "a chunk of the request body has no valid size"),
                }
            };
            at += framing;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 {
                break;
            }
            if size > MAX_BODY - (end - head) {
                return refused(413, format!("the request body is longer than {MAX_BODY} bytes"));
            }
            while self.buf.len() < at + size + 2 {
                self.more(stream).await?;
            }
            if &self.buf[at + size..at + size + 2] != b"\r\n" {
                return refused(400, "a chunk of the request body is longer than it says");
            }
            self.buf.copy_within(at..at + size, end);
            end += size;
            at += size + 2;
        }
        // Trailers, which mean nothing here, up to an empty line.
        loop {
            match memchr::memchr(b'\n', &self.buf[at..]) {
                Some(line) => {
                    let empty = matches!(&self.buf[at..at + line], b"" | b"\r");
                    at += line + 1;
                    if empty {
                        break;
                    }
                }
                None if self.buf.len() - at > MAX_HEAD => return refused(431, "the trailers never end"),
                None => self.more(stream).await?,
            }
        }
        self.body = head..end;
        self.next = at;
        Ok(())
    }

    async fn more(&mut self, stream: &mut TcpStream) -> Result<(), ReadError> {
        self.buf.reserve(READ);
        match stream.read_buf(&mut self.buf).await? {
            0 => Err(ReadError::Gone),
            _ => Ok(()),
        }
    }
}

/// The head at the start of `buf`, its length, the kind of body, and whether the client waits for leave to send it.
/// `None` while it is incomplete.
fn parse_head(buf: &[u8]) -> Result<Option<(Request, usize, Body, bool)>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(buf) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return refused(431, format!("the request has more than {MAX_HEADERS} headers"));
        }
        Err(error) => return refused(400, format!("this is not HTTP/1.1: {error}")),
    };
    if head.version != Some(1) {
        return refused(505, "this server speaks HTTP/1.1 only");
    }
    let target = head.path.unwrap_or_default();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..Request::default()
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut content_length = None;
    let mut chunked = false;
    let mut expects = false;
    for header in head.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("x-request-id") {
            request.request_id = Some(text(header.value));
        } else if is("authorization") {
            request.authorization = Some(text(header.value));
        } else if is("x-api-key") || is("api-key") || is("x-goog-api-key") {
            request.keys.push(text(header.value));
        } else if is("content-type") {
            request.boundary = boundary(header.value);
        } else if is("accept") {
            request.accepts_events = memchr::memmem::find(header.value, b"text/event-stream").is_some();
        } else if is("content-length") {
            // Rust would take a plus sign, HTTP does not.
            let digits = header.value.iter().all(u8::is_ascii_digit);
            let parsed = text(header.value).parse::<usize>().ok().filter(|_| digits);
            if parsed.is_none() || content_length.is_some_and(|seen| Some(seen) != parsed) {
                return refused(400, "the content-length is not one number");
            }
            content_length = parsed;
        } else if is("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return refused(501, "the only transfer-encoding understood is chunked");
            }
            chunked = true;
        } else if is("connection") {
            let tokens = text(header.value);
            request.close |= tokens.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"));
        } else if is("expect") {
            expects |= header.value.eq_ignore_ascii_case(b"100-continue");
        }
    }
    let body = match (chunked, content_length) {
        (true, Some(_)) => return refused(400, "both a content-length and a transfer-encoding are given"),
        (true, None) => Body::Chunked,
        (false, length) => Body::Length(length.unwrap_or(0)),
    };
    Ok(Some((request, length, body, expects)))
}

/// What parts a multipart body of this type.
fn boundary(content_type: &[u8]) -> Option<String> {
    const MULTIPART: &[u8] = b"multipart/form-data";
    if !content_type.get(..MULTIPART.len())?.eq_ignore_ascii_case(MULTIPART) {
        return None;
    }
    let content_type = String::from_utf8_lossy(content_type);
    let found = content_type.split(';').find_map(|field| field.trim().strip_prefix("boundary="));
    found.map(|boundary| unquoted(boundary).into_owned())
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const SSE: &str = "text/event-stream; charset=utf-8";
pub(crate) const LINES: &str = "application/x-ndjson";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const VIDEO: &str = "video/mp4";
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

/// What the head of an answer depends on.
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) length: Length,
    /// Echoed, for clients and logs that match answers by it.
    pub(crate) request_id: Option<&'a str>,
    pub(crate) close: bool,
    /// Whole lines of further headers.
    pub(crate) extra: &'a str,
}

impl Head<'_> {
    /// Appends the head, up to and with its empty line.
    pub(crate) fn write(&self, habits: Habits, out: &mut Vec<u8>) {
        if habits.has(Habit::Continue) {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if habits.has(Habit::EarlyHints) {
            out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nlink: </mock.css>; rel=preload\r\n\r\n");
        }
        let version = if habits.has(Habit::Http10) { "1.0" } else { "1.1" };
        let reason = reason(self.status);
        append(out, format_args!("HTTP/{version} {} {reason}\r\ncontent-type: ", self.status));
        out.extend_from_slice(self.content_type.as_bytes());
        match self.length {
            Length::Known(length) => append(out, format_args!("\r\ncontent-length: {length}")),
            Length::Chunked => out.extend_from_slice(b"\r\ncache-control: no-cache\r\ntransfer-encoding: chunked"),
            Length::UntilClose => out.extend_from_slice(b"\r\ncache-control: no-cache"),
        }
        if let Some(id) = self.request_id {
            out.extend_from_slice(b"\r\nx-request-id: ");
            out.extend_from_slice(id.as_bytes());
        }
        if self.close {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.extra.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends formatted text.
pub(crate) fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes any bytes");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
