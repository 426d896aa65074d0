//! A server whose answers take several exchanges: a form starts a job, the job is asked for until it is done, and its
//! result is a file. It takes its time as it is told, fails as it is told, and keeps a log of what it was asked.

mod form;
mod http;

pub use form::Field;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::Program;
use http::{Connection, Request};

/// How the server goes about its jobs.
#[derive(Clone, Copy, Debug)]
pub struct StudioConfig {
    /// Time that it takes to accept a job.
    pub submit: Duration,
    /// Time from then until the job is done.
    pub work: Duration,
    /// Time until it begins to hand out a film.
    pub fetch: Duration,
    /// Size of a film in bytes.
    pub film: usize,
    /// What goes wrong with faulty jobs.
    pub fault: Fault,
    /// Every so many jobs are faulty, from the first on; 0: none is.
    pub faulty_every: u64,
    /// The path that all of it lies under, without a slash at its end.
    pub under: &'static str,
    /// How it says where a film lies.
    pub names: Names,
    /// Seconds that it asks for between two questions about a job.
    pub retry_after: Option<u64>,
}

/// How a server says where something lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// By a path that does not know what it lies under.
    Inner,
    /// By the path that it has to be asked for.
    Outer,
    /// By a whole URL.
    Url,
    /// By the URL of another server.
    Elsewhere,
}

/// What goes wrong with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused when it is submitted.
    Refused,
    /// It fails after so many polls.
    FailsAfter(u32),
    /// It is never done.
    NeverDone,
    /// A poll is answered by something that is no JSON.
    NoJson,
    /// A poll is answered by another status.
    Status(u16),
    /// The connection is closed instead of an answer to a poll.
    HangsUp,
    /// Its film is empty.
    Empty,
    /// Its film is said to lie elsewhere, by a redirect.
    Moved,
}

impl Default for StudioConfig {
    fn default() -> Self {
        Self {
            submit: Duration::from_millis(4),
            work: Duration::from_millis(40),
            fetch: Duration::from_millis(7),
            film: 10_000,
            fault: Fault::NeverDone,
            faulty_every: 0,
            under: "",
            names: Names::Inner,
            retry_after: None,
        }
    }
}

/// What the server was asked for one job.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The fields of the form, in order.
    pub fields: Vec<Field>,
    /// The `X-Request-ID` of each exchange about it, in order.
    pub request_ids: Vec<String>,
    /// How often it was asked for.
    pub polls: u32,
    /// How often its film was.
    pub fetches: u32,
    /// The least time between an answer about it and the next question whether it is done.
    pub shortest_pause: Option<Duration>,
}

struct Job {
    submission: Submission,
    done_at: Instant,
    answered_at: Instant,
}

#[derive(Default)]
struct Log {
    jobs: Vec<Job>,
    /// Numbers of jobs by their ids.
    ids: HashMap<String, usize>,
    connections: u64,
    oddities: Vec<String>,
}

struct Shared {
    config: StudioConfig,
    address: SocketAddr,
    log: Mutex<Log>,
    stopped: AtomicBool,
}

/// A running server. Dropping it stops it.
pub struct Studio {
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Studio {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(config: StudioConfig) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared { config, address, log: Mutex::default(), stopped: AtomicBool::new(false) });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        Self { shared, listening: Some(listening) }
    }

    /// `inferometer profile` of this server, with the tokenizer that every machine has, and without telemetry: it has no
    /// page of metrics.
    #[must_use]
    pub fn profile(&self) -> Program {
        let url = format!("http://{}{}", self.shared.address, self.shared.config.under);
        let program = Program::profile().args(["--model", "film-1", "--url", &url, "--tokenizer", "builtin"]);
        program.args(["--no-server-metrics", "--no-gpu-telemetry", "--no-client-telemetry"])
    }

    /// What it was asked, job by job.
    ///
    /// # Panics
    /// If it was asked for what it does not have.
    #[must_use]
    pub fn jobs(&self) -> Vec<Submission> {
        let log = self.shared.log();
        assert!(log.oddities.is_empty(), "{:?}", log.oddities);
        log.jobs.iter().map(|job| job.submission.clone()).collect()
    }

    /// Connections that were made to it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.log().connections
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.shared.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// The film of every job: bytes of all values, so that it is no text.
fn film(size: usize) -> Vec<u8> {
    let mut film = (0..=u8::MAX).collect::<Vec<_>>().repeat(size.div_ceil(256));
    film.truncate(size);
    film
}

/// An id with everything in it that an id should not have.
fn id(number: usize) -> String {
    format!("job {number}/../é?#%\"")
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.stopped.load(SeqCst) {
                return;
            }
            self.log().connections += 1;
            let shared = Arc::clone(self);
            // It ends with its connection.
            thread::spawn(move || {
                let mut connection = Connection::new(stream);
                while let Some(request) = connection.read() {
                    if shared.answer(&request, &mut connection).is_none() {
                        return;
                    }
                }
            });
        }
    }

    fn is_faulty(&self, number: usize) -> bool {
        self.config.faulty_every > 0 && (number as u64).is_multiple_of(self.config.faulty_every)
    }

    /// The fault of a job, if it has one.
    fn fault(&self, number: usize) -> Option<Fault> {
        self.is_faulty(number).then_some(self.config.fault)
    }

    /// Answers; nothing if the connection is to be closed.
    fn answer(&self, request: &Request, connection: &mut Connection) -> Option<()> {
        let path = http::unescape(&request.path);
        let is_typed = !request.content_type.is_empty();
        if is_typed != (request.method == "POST") {
            self.log().oddities.push(format!("{} of the type '{}'", request.method, request.content_type));
        }
        let path = path.strip_prefix(self.config.under).unwrap_or_default();
        if request.method == "POST" && path == "/v1/jobs" {
            return self.submit(request, connection);
        }
        if let ("GET", Some(id)) = (request.method.as_str(), path.strip_prefix("/v1/jobs/")) {
            let number = self.log().ids.get(id).copied();
            if let Some(number) = number {
                return self.poll(number, request, connection);
            }
        }
        if let ("GET", Some(number)) = (request.method.as_str(), path.strip_prefix("/v1/files/"))
            && let Ok(number) = number.parse()
        {
            return self.fetch(number, request, connection);
        }
        self.log().oddities.push(format!("{} {}", request.method, request.path));
        connection.write_json(404, &json!({"error": "no such thing"}))
    }

    fn submit(&self, request: &Request, connection: &mut Connection) -> Option<()> {
        sleep(self.config.submit);
        let number = {
            let mut log = self.log();
            let number = log.jobs.len();
            let fields = form::read(&request.content_type, &request.body).unwrap_or_else(|why| {
                log.oddities.push(format!("a form that cannot be read: {why}"));
                Vec::new()
            });
            let now = Instant::now();
            let submission = Submission { fields, request_ids: vec![request.id.clone()], ..Submission::default() };
            log.jobs.push(Job { submission, done_at: now + self.config.work, answered_at: now });
            log.ids.insert(id(number), number);
            number
        };
        if self.fault(number) == Some(Fault::Refused) {
            return connection.write_json(422, &json!({"error": {"message": "no such model"}}));
        }
        self.say_state(connection, 202, &json!({"id": id(number), "status": "queued"}))
    }

    /// Says how far a job has come.
    fn say_state(&self, connection: &mut Connection, status: u16, state: &Value) -> Option<()> {
        let wait = self.config.retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n"));
        connection.write(status, "application/json", &wait.unwrap_or_default(), state.to_string().as_bytes())
    }

    /// Where a film lies.
    fn place(&self, number: usize) -> String {
        let (address, under) = (self.address, self.config.under);
        let inner = format!("/v1/files/{number}");
        match self.config.names {
            Names::Inner => inner,
            Names::Outer => format!("{under}{inner}"),
            Names::Url => format!("http://{address}{under}{inner}"),
            Names::Elsewhere => format!("http://elsewhere{under}{inner}"),
        }
    }

    fn poll(&self, number: usize, request: &Request, connection: &mut Connection) -> Option<()> {
        let now = Instant::now();
        let (polls, done) = {
            let job = &mut self.log().jobs[number];
            let pause = now - job.answered_at;
            let Submission { polls, request_ids, shortest_pause, .. } = &mut job.submission;
            *polls += 1;
            *shortest_pause = Some(shortest_pause.map_or(pause, |before| before.min(pause)));
            request_ids.push(request.id.clone());
            job.answered_at = Instant::now();
            (*polls, now >= job.done_at)
        };
        let running = json!({"id": id(number), "status": "running"});
        match self.fault(number) {
            Some(Fault::FailsAfter(after)) if polls > after => {
                connection.write_json(200, &json!({"id": id(number), "status": "failed", "error": "too dark"}))
            }
            Some(Fault::NeverDone | Fault::FailsAfter(_)) => self.say_state(connection, 200, &running),
            Some(Fault::NoJson) => connection.write(200, "application/json", "", b"{\"id\": "),
            Some(Fault::Status(status)) => connection.write_json(status, &json!({"error": "out of order"})),
            Some(Fault::HangsUp) => None,
            _ if done => {
                let done = json!({"id": id(number), "status": "done", "result": self.place(number)});
                self.say_state(connection, 200, &done)
            }
            _ => self.say_state(connection, 200, &running),
        }
    }

    fn fetch(&self, number: usize, request: &Request, connection: &mut Connection) -> Option<()> {
        {
            let submission = &mut self.log().jobs[number].submission;
            submission.fetches += 1;
            submission.request_ids.push(request.id.clone());
        }
        sleep(self.config.fetch);
        match self.fault(number) {
            Some(Fault::Empty) => connection.write(200, "video/mp4", "", b""),
            Some(Fault::Moved) => connection.write(302, "text/plain", "Location: /v1/elsewhere\r\n", b""),
            _ => connection.write(200, "video/mp4", "", &film(self.config.film)),
        }
    }
}
