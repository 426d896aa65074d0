//! A mock server of its own for every trial, which never outlives it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};

use crate::bench::child;
use crate::bench::records::{self, Truth};

/// The longest that the server may take to start.
const START_WITHIN: Duration = Duration::from_secs(10);

/// The longest that it may take to write the rest of its log and end.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// What util-linux has to tie a program's life to its parent's: the server goes even if this task is killed.
const TETHER: &str = "/usr/bin/setpriv";

/// A running server. Dropping it kills it.
pub(super) struct Mock {
    /// There until it has been stopped.
    child: Option<Child>,
    started: Instant,
    address: String,
    log: Option<PathBuf>,
}

/// What a server did in its life.
pub(super) struct Served {
    pub(super) cpu: Duration,
    /// What it logged; empty if it was to log nothing.
    pub(super) truths: Vec<Truth>,
}

impl Mock {
    /// Starts a server with these flags on a free port, with its log in `folder` if there is to be one.
    pub(super) fn start(program: &Path, flags: &[&str], folder: &Path, keeps_log: bool) -> Result<Self> {
        let log = keeps_log.then(|| folder.join("truth.jsonl"));
        let mut command = if Path::new(TETHER).exists() {
            let mut tether = Command::new(TETHER);
            tether.args(["--pdeathsig", "KILL"]).arg(program);
            tether
        } else {
            Command::new(program)
        };
        // One thread serves, so that there is a core left for the client; prompts are counted the cheap way.
        command.args(["mock", "--port", "0", "--threads", "1", "--count-words"]).args(flags);
        if let Some(log) = &log {
            command.arg("--truth-log").arg(log);
        }
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the mock")?;
        let mut mock = Self { child: Some(child), started, address: String::new(), log };
        mock.address = mock.greeting()?;
        Ok(mock)
    }

    /// The address that the server prints when it is there.
    fn greeting(&mut self) -> Result<String> {
        let output = self.child.as_mut().and_then(|child| child.stdout.take()).expect("its output is a pipe");
        let (sender, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // Without an address in it the line is as good as none.
            let _ = BufReader::new(output).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = line.recv_timeout(START_WITHIN).context("the mock says nothing")?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(';').next());
        Ok(address.with_context(|| format!("the mock did not start and said {line:?}"))?.to_owned())
    }

    /// Where it listens, as host:port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it and reads its log.
    pub(super) fn stop(mut self) -> Result<Served> {
        let running = self.child.as_ref().expect("it is stopped once");
        kill_process(child::pid(running), Signal::TERM).context("cannot end the mock")?;
        let child = self.child.take().expect("it was there just now");
        let ended = child::finish(child, self.started, STOP_WITHIN).context("the mock")?;
        let truths = self.log.as_deref().map(records::truths).transpose()?.unwrap_or_default();
        Ok(Served { cpu: ended.cpu, truths })
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // If it is gone already, so much the better.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
