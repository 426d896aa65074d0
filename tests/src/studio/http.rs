//! As much of HTTP/1.1 as the studio needs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

/// One request.
pub(super) struct Request {
    pub(super) method: String,
    /// As it came.
    pub(super) path: String,
    pub(super) content_type: String,
    /// `X-Request-ID`.
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// A connection that serves one request after another.
pub(super) struct Connection {
    stream: TcpStream,
    /// Read and not yet used.
    input: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Answers are small and timed.
        let _ = stream.set_nodelay(true);
        Self { stream, input: Vec::new() }
    }

    /// The next request; none when the connection is over, or is none of HTTP.
    pub(super) fn read(&mut self) -> Option<Request> {
        let (length, mut request, body) = loop {
            if let Some(head) = head(&self.input)? {
                break head;
            }
            self.fill()?;
        };
        while self.input.len() < length + body {
            self.fill()?;
        }
        request.body = self.input[length..length + body].to_vec();
        self.input.drain(..length + body);
        Some(request)
    }

    fn fill(&mut self) -> Option<()> {
        let mut piece = [0; 8 << 10];
        let count = self.stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        self.input.extend_from_slice(&piece[..count]);
        Some(())
    }

    /// Writes an answer with further header lines; nothing if the client has gone.
    pub(super) fn write(&mut self, status: u16, content_type: &str, lines: &str, body: &[u8]) -> Option<()> {
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{lines}\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).ok()
    }

    pub(super) fn write_json(&mut self, status: u16, body: &Value) -> Option<()> {
        self.write(status, "application/json", "", body.to_string().as_bytes())
    }
}

/// The head that `input` begins with: its length, the request but for its body, and the body's length. `Some(None)`: it
/// has not come whole; `None`: it is no head.
fn head(input: &[u8]) -> Option<Option<(usize, Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(input).ok()? else { return Some(None) };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map_or_else(String::new, |header| String::from_utf8_lossy(header.value).into_owned())
    };
    let request = Request {
        method: parsed.method?.to_owned(),
        path: parsed.path?.to_owned(),
        content_type: header("Content-Type"),
        id: header("X-Request-ID"),
        body: Vec::new(),
    };
    Some(Some((length, request, header("Content-Length").parse().unwrap_or(0))))
}

/// A path without its escapes. What does not unescape is no path of ours.
pub(super) fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(plain) if byte == b'%' => {
                bytes.push(plain);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_without_its_escapes() {
        assert_eq!(unescape("/a%2Fb%20%C3%A9%"), "/a/b é%");
        assert_eq!(unescape("/a%zz"), "/a%zz");
    }
}
