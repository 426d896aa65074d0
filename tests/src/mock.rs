//! The mock server, in the test's own process, with the log of what it really did.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use inferometer_mock::{MockConfig, MockServer};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::Program;

/// The longest that its page of metrics may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A running mock server.
#[derive(Debug)]
pub struct Mock {
    server: MockServer,
    model: String,
    log: PathBuf,
    /// Holds the log.
    _scratch: TempDir,
}

/// What the server did for one request; see the mock's truth log.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// The request's `X-Request-ID`.
    pub x_request_id: String,
    /// Its path.
    pub path: String,
    /// The client's port: connections that are open at one time have different ones.
    pub port: u16,
    /// The model that answered.
    pub model: Option<String>,
    /// When it was completely read, in nanoseconds since the Unix epoch, as all times here.
    pub received_ns: u64,
    /// When its first content was handed to the kernel.
    pub first_ns: Option<u64>,
    /// When its last content was.
    pub last_ns: Option<u64>,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Output tokens handed to the kernel.
    pub tokens: u64,
    /// Content chunks handed to the kernel; a plain body is one.
    pub chunks: u64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The request's body, where the mock keeps bodies.
    pub body: Option<String>,
    /// The text of the answer, as far as it was handed to the kernel, where the mock keeps bodies.
    pub text: Option<String>,
    /// How it ended: `ok`, `aborted`, or the name of a fault.
    pub outcome: String,
}

impl Truth {
    /// The request's body.
    ///
    /// # Panics
    /// If the mock kept none, or it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = self.body.as_ref().expect("the mock was told to keep bodies");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body}"))
    }
}

impl Mock {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(config: MockConfig) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder can be made");
        let log = scratch.path().join("truth.jsonl");
        let model = config.models.first().expect("a mock has a model").clone();
        let config = MockConfig { port: 0, truth_log: Some(log.clone()), ..config };
        let server = MockServer::start(config).unwrap_or_else(|error| panic!("{error}"));
        Self { server, model, log, _scratch: scratch }
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `inferometer profile` of this server's first model, with the tokenizer that every machine has.
    #[must_use]
    pub fn profile(&self) -> Program {
        Program::profile().args(["--model", &self.model, "--url", &self.url(), "--tokenizer", "builtin"])
    }

    /// What one of its counters stands at now; see its page `/metrics`.
    ///
    /// # Panics
    /// If the server does not say.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let page = self.metrics().unwrap_or_else(|error| panic!("the mock's metrics: {error}"));
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("the mock has no counter {name}: {page}"))
    }

    fn metrics(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.server.addr())?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Stops it and returns what it did, in the order in which requests ended.
    ///
    /// # Panics
    /// If its log is damaged.
    #[must_use]
    pub fn stop(self) -> Vec<Truth> {
        self.server.stop().unwrap_or_else(|error| panic!("{error}"));
        let log = fs::read_to_string(&self.log).expect("the log was made at the start");
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("truth log: {error} in {line}")))
            .collect()
    }
}
