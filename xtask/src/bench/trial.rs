//! One trial: a fresh server, one client under one load, and everything that was seen of both.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::bench::burners::Burners;
use crate::bench::child::{self, Ended};
use crate::bench::host;
use crate::bench::mock::Mock;
use crate::bench::records::{self, Seen, Truth};
use crate::bench::verdict::{Bounds, Verdict};
use crate::bench::workload::{Pace, Workload};

/// A trial that lasts so long shows what else the machine does, which counts in hundredths of a second.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// Who makes the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Ours,
    /// The bare client on one thread.
    Bare,
    /// The bare client on two.
    BareOnTwo,
}

/// The programs that a trial runs.
pub(super) struct Programs {
    pub(super) ours: PathBuf,
    pub(super) bare: PathBuf,
}

/// What is known of a trial.
pub(super) struct Trial {
    pub(super) requests: usize,
    /// Content tokens that were answered, if the answers were streamed; each is a chunk.
    pub(super) chunks: usize,
    pub(super) rate: Option<f64>,
    /// The client's process, from its start to its exit.
    pub(super) wall: Duration,
    pub(super) exited_ns: u64,
    pub(super) cpu: Duration,
    pub(super) peak_bytes: u64,
    /// How long the load took by the client's own account.
    pub(super) load_s: f64,
    pub(super) mock_cpu: Duration,
    /// How much of the machine's cores other programs took meanwhile, in percent, where it can be told.
    pub(super) others: Option<f64>,
    /// The requests as the client and the server saw them, in the order of their sending; none if the workload needs none.
    pub(super) joined: Vec<(Seen, Truth)>,
    /// What the program said of the trial, if it was the client.
    pub(super) verdict: Option<Verdict>,
}

/// What the bare client prints.
#[derive(Deserialize)]
struct BareOutput {
    wall_s: f64,
    requests: usize,
    tokens: usize,
    errors: usize,
}

/// The part of the program's report that is wanted.
#[derive(Deserialize)]
struct Report {
    benchmark_duration: Single,
    total_usage_completion_tokens: Single,
    inferometer: Own,
}

#[derive(Deserialize)]
struct Single {
    avg: f64,
}

#[derive(Deserialize)]
struct Own {
    outcomes: Outcomes,
    verdict: Judgement,
    precision: Option<Bounds>,
}

#[derive(Deserialize)]
struct Judgement {
    state: String,
}

#[derive(Deserialize)]
struct Outcomes {
    ok: usize,
    total: usize,
}

/// What a client says of its load.
struct Claim {
    load_s: f64,
    requests: usize,
    tokens: usize,
    seen: Vec<Seen>,
    verdict: Option<Verdict>,
}

/// A trial about to be run.
pub(super) struct Setting<'a> {
    pub(super) programs: &'a Programs,
    pub(super) workload: &'a Workload,
    pub(super) requests: usize,
    pub(super) seed: u64,
}

impl Setting<'_> {
    /// Runs it with this client. Anything but an answer to every request is an error.
    pub(super) fn run(&self, client: Client) -> Result<Trial> {
        let Self { programs, workload, requests, .. } = *self;
        let scratch = tempfile::tempdir().context("cannot make a folder for the trial")?;
        let folder = scratch.path();
        let mock = Mock::start(&programs.ours, workload.mock, folder, workload.joins)?;
        let (ended, claim) = match client {
            Client::Ours => self.ours(mock.address(), folder)?,
            Client::Bare => self.bare(1, mock.address(), folder)?,
            Client::BareOnTwo => self.bare(2, mock.address(), folder)?,
        };
        let served = mock.stop()?;
        let others = ended.worked.filter(|_| ended.wall >= LONG_ENOUGH).map(|worked| {
            let others = worked.saturating_sub(ended.cpu + served.cpu);
            others.as_secs_f64() / (ended.wall.as_secs_f64() * host::cores() as f64) * 100.0
        });

        ensure!(claim.requests == requests, "{client:?} had {} of {requests} requests answered", claim.requests);
        let chunks = if workload.streams { requests * workload.tokens } else { 0 };
        ensure!(!workload.streams || claim.tokens == chunks, "{client:?} counted {} of {chunks} tokens", claim.tokens);
        let mut joined = records::join(claim.seen, served.truths)?;
        joined.sort_by_key(|(seen, _)| seen.sent_ns);
        joined.drain(..workload.skips.min(joined.len()));
        Ok(Trial {
            requests,
            chunks,
            rate: workload.pace.rate(),
            wall: ended.wall,
            exited_ns: ended.at_ns,
            cpu: ended.cpu,
            peak_bytes: ended.peak_bytes,
            load_s: claim.load_s,
            mock_cpu: served.cpu,
            others,
            joined,
            verdict: claim.verdict,
        })
    }

    /// The program as its users run it, all files and telemetry included.
    fn ours(&self, address: &str, folder: &Path) -> Result<(Ended, Claim)> {
        let workload = self.workload;
        let mut command = Command::new(&self.programs.ours);
        // A verdict is a figure here, not a failure: at its limit the client is its own bottleneck.
        command.args(["profile", "--model", "mock", "--tokenizer", "builtin", "--ui", "none", "--accept-invalid"]);
        command.args(["--url", &format!("http://{address}"), "--artifact-dir", "results"]);
        command.args(["--isl", "16", "--osl", &workload.tokens.to_string()]);
        command.args(["--request-count", &self.requests.to_string(), "--random-seed", &self.seed.to_string()]);
        command.args(workload.streams.then_some("--streaming")).args(workload.ours);
        match workload.pace {
            Pace::Closed(concurrency) => command.args(["--concurrency", &concurrency.to_string()]),
            Pace::Constant(rate) => {
                command.args(["--request-rate", &rate.to_string(), "--arrival-pattern", "constant"])
            }
            Pace::Poisson(rate) => command.args(["--request-rate", &rate.to_string(), "--arrival-pattern", "poisson"]),
        };
        // Nothing of the developer's own settings may reach it.
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("INFEROMETER_") || name.starts_with("HF_"))
        {
            command.env_remove(name);
        }
        command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
        let (ended, _) = self.drive(&mut command, folder)?;

        let results = folder.join("results");
        let report = File::open(results.join("profile_export_aiperf.json")).context("there is no report")?;
        let report: Report = serde_json::from_reader(BufReader::new(report)).context("the report")?;
        let Own { outcomes: Outcomes { ok, total }, verdict: Judgement { state }, precision } = report.inferometer;
        ensure!(ok == total, "{} of {total} requests failed", total - ok);
        let seen = if workload.joins { records::ours(&results.join("profile_export.jsonl"))? } else { Vec::new() };
        let tokens = report.total_usage_completion_tokens.avg as usize;
        let verdict = Some(Verdict { state, bounds: precision.unwrap_or_default() });
        Ok((ended, Claim { load_s: report.benchmark_duration.avg, requests: ok, tokens, seen, verdict }))
    }

    fn bare(&self, threads: usize, address: &str, folder: &Path) -> Result<(Ended, Claim)> {
        let workload = self.workload;
        let records = folder.join("records.jsonl");
        let mut command = Command::new(&self.programs.bare);
        command.args([address, "--max-tokens", &workload.tokens.to_string(), "--threads", &threads.to_string()]);
        command.args(["--requests", &self.requests.to_string(), "--seed", &self.seed.to_string()]);
        command.args(workload.streams.then_some("--stream"));
        match workload.pace {
            Pace::Closed(concurrency) => command.args(["--concurrency", &concurrency.to_string()]),
            Pace::Constant(rate) => command.args(["--rate", &rate.to_string()]),
            Pace::Poisson(rate) => command.args(["--rate", &rate.to_string(), "--poisson"]),
        };
        if workload.joins {
            command.arg("--records").arg(&records);
        }
        let (ended, said) = self.drive(&mut command, folder)?;

        let BareOutput { wall_s, requests, tokens, errors } =
            serde_json::from_str(&said).with_context(|| format!("the bare client printed {said:?}"))?;
        ensure!(errors == 0, "{errors} of {requests} requests of the bare client failed");
        let seen = if workload.joins { records::bare(&records)? } else { Vec::new() };
        Ok((ended, Claim { load_s: wall_s, requests, tokens, seen, verdict: None }))
    }

    /// Runs a client to its end while the burners burn, whose work does not count as the machine's.
    fn drive(&self, command: &mut Command, folder: &Path) -> Result<(Ended, String)> {
        let burners = Burners::start(self.workload.burners)?;
        let (mut ended, said) = child::run(command, folder, Duration::from_secs(self.workload.limit_s))?;
        let burnt = burners.stop()?;
        ended.worked = ended.worked.map(|worked| worked.saturating_sub(burnt));
        Ok((ended, said))
    }
}
