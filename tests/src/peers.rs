//! Real servers to measure: llama-server, a real engine, and Dynamo, a real front end over a simulated one.
//!
//! `cargo xtask peers install` puts them into `target/peers`; they are started here, on loopback, on free ports. A
//! server whose test process ends, in whatever way, ends too. What they print is kept in `target/peers/logs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::binary::target_directory;
use crate::ports;

/// Says what is started and how; the same file says what is installed.
const CATALOGUE: &str = include_str!("../../xtask/peers/peers.toml");

/// Set where a missing server is a failure instead of a skipped test: in CI.
const REQUIRED: &str = "INFEROMETER_REQUIRE_PEERS";

/// The longest that a server may take until it lists its model.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often a starting server is asked.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// The longest that one answer to that question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Runs "$@" until it ends or standard input does, and then ends everything in its process group, itself included.
/// The writing end of standard input is held by the test process alone, so the server cannot outlive it.
const SUPERVISOR: &str = r#"{ "$@"; kill -9 0; } & read -r line; kill -9 0"#;

/// llama-server, one for the whole test process; `None`, with a word on standard error, if it is not installed.
///
/// # Panics
/// If it does not start, or if it is not installed and `INFEROMETER_REQUIRE_PEERS` is set.
pub fn llama() -> Option<&'static Peer> {
    static SHARED: OnceLock<Option<Peer>> = OnceLock::new();
    SHARED.get_or_init(|| own("llama")).as_ref()
}

/// Dynamo's front end and mocker, as [`llama`].
///
/// # Panics
/// As [`llama`].
pub fn dynamo() -> Option<&'static Peer> {
    static SHARED: OnceLock<Option<Peer>> = OnceLock::new();
    SHARED.get_or_init(|| own("dynamo")).as_ref()
}

/// A server of the test's own, `llama` or `dynamo`, which it may end in the middle of a run; otherwise as [`llama`].
///
/// # Panics
/// As [`llama`].
#[must_use]
pub fn own(name: &str) -> Option<Peer> {
    match Peer::start(name, None) {
        Ok(Some(peer)) => Some(peer),
        Ok(None) => {
            let server = &catalogue().peer[name].server;
            let missing = format!("{server} is not installed; run cargo xtask peers install");
            assert!(std::env::var_os(REQUIRED).is_none(), "{missing} ({REQUIRED} is set)");
            // Past the test harness, which shows what a test prints only if it fails.
            writeln!(std::io::stderr(), "skipped: {missing}").expect("standard error can be written");
            None
        }
        Err(error) => panic!("{error:#}"),
    }
}

/// A running server. Dropping it ends all of its processes.
#[derive(Debug)]
pub struct Peer {
    model: String,
    port: u16,
    processes: Vec<Child>,
    log: PathBuf,
    /// Held for the server's lifetime.
    _scratch: TempDir,
}

impl Peer {
    /// Starts `llama` or `dynamo` on the given port or a free one; `None` if it is not installed.
    ///
    /// # Errors
    /// If there is no server of that name, or if it does not list its model within a minute.
    pub fn start(name: &str, port: Option<u16>) -> Result<Option<Self>> {
        let catalogue = catalogue();
        let Some(server) = catalogue.peer.get(name) else {
            let known = catalogue.peer.keys().cloned().collect::<Vec<_>>().join(", ");
            bail!("there is no server named {name}; choose one of: {known}");
        };
        let peers = target_directory().join("peers");
        let (venv, model) = (peers.join(name), peers.join("tiny"));
        if !(venv.join("stamp").exists() && model.join("stamp").exists()) {
            return Ok(None);
        }

        let (log, log_file) = open_log(&peers, name)?;
        let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
        let port = port.unwrap_or_else(ports::free);
        let places = Places(vec![
            ("{venv}", venv.display().to_string()),
            ("{model}", model.display().to_string()),
            ("{port}", port.to_string()),
            ("{side_port}", ports::free().to_string()),
            ("{scratch}", scratch.path().display().to_string()),
        ]);
        let mut peer = Self { model: catalogue.model.name, port, processes: Vec::new(), log, _scratch: scratch };
        for process in &server.process {
            let mut command = supervised(&places, process, &server.env);
            command.stdout(log_file.try_clone()?).stderr(log_file.try_clone()?);
            let child = command.spawn().with_context(|| format!("cannot start {}", server.server))?;
            peer.processes.push(child);
        }
        peer.wait_until_ready().with_context(|| format!("{}: see {}", server.server, peer.log.display()))?;
        Ok(Some(peer))
    }

    /// Where it answers, without a slash at the end: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The name of the model that it serves.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The folder of that model: `tokenizer.json`, its configuration, and weights.
    #[must_use]
    pub fn model_folder(&self) -> PathBuf {
        target_directory().join("peers/tiny")
    }

    /// What one of its counters stands at now, over all labels; 0 if it has not counted anything yet.
    ///
    /// # Panics
    /// If the server does not show its metrics.
    #[must_use]
    pub fn counter(&self, name: &str) -> f64 {
        let page = get(self.port, "/metrics").unwrap_or_else(|error| panic!("metrics of {}: {error}", self.url()));
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next())??;
            Some(value.parse::<f64>().unwrap_or_else(|error| panic!("{error} in {line}")))
        });
        // From +0: the sum of nothing is -0 otherwise.
        values.fold(0.0, |sum, value| sum + value)
    }

    /// Where what it prints is kept.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits for all of its processes to end: for a person who ends it from outside.
    ///
    /// # Errors
    /// If the system cannot wait.
    pub fn wait(mut self) -> Result<()> {
        // Waiting closes a child's standard input, which would end it; so the ends are kept until then.
        let inputs: Vec<_> = self.processes.iter_mut().map(|child| child.stdin.take()).collect();
        for child in &mut self.processes {
            child.wait()?;
        }
        drop(inputs);
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !lists_model(self.port, &self.model) {
            for child in &mut self.processes {
                if child.try_wait()?.is_some() {
                    bail!("it ended while it was starting");
                }
            }
            if Instant::now() >= deadline {
                bail!("it did not list its model within {} s", READY_WITHIN.as_secs());
            }
            sleep(ASK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.processes {
            // The supervisor ends its process group when its standard input does.
            drop(child.stdin.take());
        }
        for child in &mut self.processes {
            // An error means that it is gone already.
            let _ = child.wait();
        }
    }
}

/// The part of `peers.toml` that says how to start.
#[derive(Deserialize)]
struct Catalogue {
    model: Model,
    peer: BTreeMap<String, Server>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

#[derive(Deserialize)]
struct Server {
    /// Its name for people.
    server: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    process: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    command: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

fn catalogue() -> Catalogue {
    toml::from_str(CATALOGUE).expect("xtask/peers/peers.toml has this form")
}

/// What the words in braces stand for.
struct Places(Vec<(&'static str, String)>);

impl Places {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// The command of one process, in a process group of its own that ends with this process.
fn supervised(places: &Places, process: &Process, common: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", SUPERVISOR, "sh"])
        .args(process.command.iter().map(|word| places.fill(word)))
        .envs(common.iter().chain(&process.env).map(|(name, value)| (name, places.fill(value))))
        .process_group(0)
        .stdin(Stdio::piped());
    command
}

/// A new log, named after this test program, the server, and how many this process has started.
fn open_log(peers: &Path, name: &str) -> Result<(PathBuf, File)> {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let folder = peers.join("logs");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    // Without the hash that cargo appends, so that a new build overwrites the logs of the last one.
    let program = program.rsplit_once('-').map_or(program.as_ref(), |(name, _)| name);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{program}-{name}-{number}.log"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, file))
}

/// Whether the server answers and lists the model.
fn lists_model(port: u16, model: &str) -> bool {
    let answer = get(port, "/v1/models");
    answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("\"{model}\"")))
}

/// What the server answers when it is asked for `path`, head and body.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_in_braces_of_the_catalogue_is_known() {
        let known = ["{venv}", "{model}", "{port}", "{side_port}", "{scratch}"];
        let places = Places(known.map(|name| (name, String::new())).to_vec());
        for server in catalogue().peer.values() {
            let words = server.process.iter().flat_map(|process| &process.command);
            let values = server.process.iter().flat_map(|process| process.env.values());
            for text in words.chain(values).chain(server.env.values()) {
                assert!(!places.fill(text).contains(['{', '}']), "{text}");
            }
        }
    }

    #[test]
    fn an_unknown_server_is_refused_with_the_names_of_the_known_ones() {
        let error = Peer::start("triton", None).unwrap_err();
        assert_eq!(error.to_string(), "there is no server named triton; choose one of: dynamo, llama");
    }
}
