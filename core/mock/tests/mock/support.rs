//! A plain HTTP client on `std::net`, which sees what really came over the wire.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use inferometer_mock::{MockConfig, MockServer};
use serde_json::Value;

/// Starts a server on a free port.
pub(crate) fn serve(config: MockConfig) -> MockServer {
    MockServer::start(MockConfig { port: 0, ..config }).unwrap()
}

pub(crate) struct Client {
    stream: TcpStream,
    /// Read and not yet used.
    buf: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(server: &MockServer) -> Self {
        let stream = TcpStream::connect(server.addr()).unwrap();
        // A server that says nothing fails the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, buf: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: mock\r\n\r\n"));
        self.answer().unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send(post(path, "", body));
        self.answer().unwrap()
    }

    /// Reads one answer with its whole body.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.buf).unwrap() {
                let mut answer = Answer {
                    status: head.code.unwrap(),
                    headers: head
                        .headers
                        .iter()
                        .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
                        .collect(),
                    body: Vec::new(),
                };
                self.buf.drain(..length);
                if answer.status == 100 {
                    return Ok(answer);
                }
                if let Some(length) = answer.header("content-length") {
                    answer.body = self.take(length.parse().unwrap())?;
                } else {
                    answer.body = self.chunked()?;
                }
                return Ok(answer);
            }
            self.more()?;
        }
    }

    /// What the server sends until it closes or breaks the connection.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let read = self.stream.read_to_end(&mut self.buf);
        (std::mem::take(&mut self.buf), read.map(drop))
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (at, size) = loop {
                match httparse::parse_chunk_size(&self.buf).unwrap() {
                    httparse::Status::Complete(found) => break found,
                    httparse::Status::Partial => self.more()?,
                }
            };
            self.take(at)?;
            body.extend(self.take(size as usize)?);
            assert_eq!(self.take(2)?, b"\r\n");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buf.len() < count {
            self.more()?;
        }
        Ok(self.buf.drain(..count).collect())
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buf.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The payloads of the stream's events.
    pub(crate) fn events(&self) -> Vec<String> {
        events(&self.body)
    }

    /// The joined content of a stream.
    pub(crate) fn content(&self) -> String {
        self.events()
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter_map(|event| {
                let choice = &event["choices"][0];
                let content = if choice["text"].is_string() { &choice["text"] } else { &choice["delta"]["content"] };
                content.as_str().map(str::to_owned)
            })
            .collect()
    }
}

pub(crate) fn events(body: &[u8]) -> Vec<String> {
    let body = std::str::from_utf8(body).unwrap();
    body.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
}

/// A request with a body. `headers` are whole lines.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\n{headers}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The lines of a truth log.
pub(crate) fn truth(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn chat(tokens: usize, stream: bool) -> String {
    format!(
        r#"{{"model":"mock","messages":[{{"role":"user","content":"say some words"}}],"max_tokens":{tokens},
        "stream":{stream},"stream_options":{{"include_usage":true}}}}"#
    )
}
