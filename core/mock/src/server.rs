//! The server as a whole: its socket, its threads, and how it is stopped.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use inferometer_load::timer::Timers;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};

use crate::MockError;
use crate::config::MockConfig;
use crate::connection;
use crate::dialects::Api;
use crate::habits::{Habit, Habits};
use crate::prompt::Counter;
use crate::sse::Script;
use crate::telemetry::{Gpus, Telemetry};
use crate::truth::{Clock, Record, TruthLog};
use crate::videos::Videos;

/// Connections that the kernel keeps for us until they are accepted: a load of thousands may start all at once, and
/// one that finds no room is tried again a second later.
const BACKLOG: i32 = 4096;

/// How long accepting rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A running mock server. Dropping it stops it.
#[derive(Debug)]
pub struct MockServer {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    truth: Option<TruthLog>,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) config: MockConfig,
    pub(crate) habits: Habits,
    /// Header lines of bodies that the habits change.
    pub(crate) body_headers: &'static str,
    pub(crate) videos: Videos,
    pub(crate) voices: Vec<Voice>,
    pub(crate) counter: Counter,
    pub(crate) telemetry: Telemetry,
    pub(crate) gpus: Option<Gpus>,
    pub(crate) clock: Clock,
    ordinal: AtomicU64,
}

impl Shared {
    /// Numbers the requests of all threads in the order in which they were read.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.ordinal.fetch_add(1, Relaxed)
    }
}

/// A model, with everything about its answers that can be rendered beforehand.
pub(crate) struct Voice {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) name: String,
    /// The name as a JSON string.
    pub(crate) json: String,
    chat: Script,
    completions: Script,
}

impl Voice {
    fn new(index: usize, name: &str, tokens_per_chunk: usize) -> Self {
        let json = serde_json::Value::from(name).to_string();
        Self {
            index,
            name: name.to_owned(),
            chat: Script::new(Api::Chat, &json, tokens_per_chunk),
            completions: Script::new(Api::Completions, &json, tokens_per_chunk),
            json,
        }
    }

    pub(crate) fn script(&self, api: Api) -> &Script {
        match api {
            Api::Chat => &self.chat,
            Api::Completions => &self.completions,
        }
    }
}

/// What the connections of one thread share.
pub(crate) struct Thread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) timers: Timers,
    pub(crate) truth: Option<std_mpsc::Sender<Record>>,
}

impl MockServer {
    /// Binds the address and starts the threads. The server answers from the moment this returns.
    ///
    /// # Errors
    /// When an option is out of range, the address cannot be bound, the truth log cannot be created, or a thread
    /// cannot be started.
    pub fn start(config: MockConfig) -> Result<Self, MockError> {
        config.check()?;
        let bound = bind(&config.host, config.port);
        let (listener, addr) =
            bound.map_err(|source| MockError::Bind { address: format!("{}:{}", config.host, config.port), source })?;
        let (sender, truth) = match &config.truth_log {
            Some(path) => {
                let (sender, log) = TruthLog::start(path)?;
                (Some(sender), Some(log))
            }
            None => (None, None),
        };
        let count = config.threads;
        let (stop, stopped) = watch::channel(false);
        let habits: Habits = config.habits.iter().copied().collect();
        let shared = Arc::new(Shared {
            habits,
            body_headers: match (habits.has(Habit::Gzip), habits.has(Habit::Trailers)) {
                (false, false) => "",
                (true, false) => "content-encoding: gzip\r\n",
                (false, true) => "trailer: x-mock-trailer\r\n",
                (true, true) => "content-encoding: gzip\r\ntrailer: x-mock-trailer\r\n",
            },
            videos: Videos::default(),
            voices: config
                .models
                .iter()
                .enumerate()
                .map(|(index, model)| Voice::new(index, model, config.tokens_per_chunk))
                .collect(),
            counter: Counter::new(config.count_words),
            telemetry: Telemetry::new(&config.models),
            gpus: Gpus::new(&config),
            clock: Clock::new(),
            ordinal: AtomicU64::new(0),
            config,
        });
        let mut server = Self { addr, stop, threads: Vec::with_capacity(count), truth };
        let launch = |runtime: Runtime, task: Task| {
            start_thread(runtime, Arc::clone(&shared), sender.clone(), stopped.clone(), task)
        };

        // The first thread accepts, and deals connections out in turn. A socket per thread (SO_REUSEPORT) would spare
        // the hand-over but spread connections by a hash, unevenly when they are few; here they are long-lived.
        let mut helpers = Vec::new();
        for _ in 1..count {
            let (connections, dealt) = mpsc::unbounded_channel();
            server.threads.push(launch(runtime()?, Task::Help(dealt))?);
            helpers.push(connections);
        }
        let first = runtime()?;
        let listener = {
            let _context = first.enter();
            TcpListener::from_std(listener).map_err(|source| MockError::Thread { source })?
        };
        server.threads.push(launch(first, Task::Accept(listener, helpers))?);
        Ok(server)
    }

    /// The address in use, with the port that was taken when 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's base URL, without a path: `http://127.0.0.1:8000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Ends every connection, joins the threads and completes the truth log. Requests in flight count as aborted.
    ///
    /// # Errors
    /// When the truth log could not be written.
    pub fn stop(mut self) -> Result<(), MockError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), MockError> {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on its own.
            let _ = thread.join();
        }
        self.truth.take().map_or(Ok(()), TruthLog::finish)
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        let _ = self.shut_down();
    }
}

fn bind(host: &str, port: u16) -> io::Result<(StdListener, SocketAddr)> {
    let listener = StdListener::bind((host, port))?;
    // Listening again only changes the length of the queue, which the standard library fixes at 128.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// What a thread does for connections.
enum Task {
    /// Accepts them, and serves each whose turn is its own.
    Accept(TcpListener, Vec<mpsc::UnboundedSender<StdStream>>),
    /// Serves those it is dealt.
    Help(mpsc::UnboundedReceiver<StdStream>),
}

fn runtime() -> Result<Runtime, MockError> {
    // Time is enabled for the timers' fallback only.
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| MockError::Thread { source })
}

/// Starts a thread, and waits until it has all it needs.
fn start_thread(
    runtime: Runtime,
    shared: Arc<Shared>,
    truth: Option<std_mpsc::Sender<Record>>,
    stopped: watch::Receiver<bool>,
    task: Task,
) -> Result<JoinHandle<()>, MockError> {
    let failed = |source| MockError::Thread { source };
    let (ready, is_ready) = std_mpsc::sync_channel(1);
    let run = move || {
        LocalSet::new().block_on(&runtime, async {
            let (timers, driver) = match Timers::new() {
                Ok(created) => created,
                Err(error) => return drop(ready.send(Err(error))),
            };
            spawn_local(driver);
            // On this thread and before it is ready, so that no request waits for it.
            shared.counter.warm();
            let _ = ready.send(Ok(()));
            let thread = Rc::new(Thread { shared, timers, truth });
            run_until_stopped(task, &thread, stopped).await;
        });
    };
    let thread = std::thread::Builder::new().name("mock".into()).spawn(run).map_err(failed)?;
    let started = is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread died")));
    started.map_err(failed)?;
    Ok(thread)
}

async fn run_until_stopped(task: Task, thread: &Rc<Thread>, mut stopped: watch::Receiver<bool>) {
    let serving = async {
        match task {
            Task::Accept(listener, helpers) => accept(&listener, &helpers, thread).await,
            Task::Help(dealt) => help(dealt, thread).await,
        }
    };
    tokio::select! {
        () = serving => {}
        // It can only fail when the server is gone, which is a stop as well.
        _ = stopped.wait_for(|&stop| stop) => {}
    }
}

async fn accept(listener: &TcpListener, helpers: &[mpsc::UnboundedSender<StdStream>], thread: &Rc<Thread>) {
    let mut turn = 0_usize;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                match turn.checked_sub(1) {
                    None => serve(stream, thread),
                    Some(helper) => {
                        if let Ok(stream) = stream.into_std() {
                            // Fails only while the server is being stopped.
                            let _ = helpers[helper].send(stream);
                        }
                    }
                }
                turn = (turn + 1) % (helpers.len() + 1);
            }
            // Descriptors have run out, most likely; trying again at once would spin until some are freed.
            Err(_) => thread.timers.sleep_until(Instant::now() + ACCEPT_PAUSE).await,
        }
    }
}

async fn help(mut dealt: mpsc::UnboundedReceiver<StdStream>, thread: &Rc<Thread>) {
    while let Some(stream) = dealt.recv().await {
        if let Ok(stream) = TcpStream::from_std(stream) {
            serve(stream, thread);
        }
    }
    // The accepting thread has ended; what is being served goes on until this one is stopped, too.
    std::future::pending::<()>().await;
}

fn serve(stream: TcpStream, thread: &Rc<Thread>) {
    // Without it the kernel holds small writes back, and every time on the wire is the kernel's. It fails only for a
    // connection that is already gone.
    if stream.set_nodelay(true).is_ok() {
        spawn_local(connection::serve(stream, Rc::clone(thread)));
    }
}
