//! `cargo xtask bench`: what the program costs and how true its figures are, beside the bare client of `tests/bare`.
//!
//! Both put the same load on a mock server of their own, in turn, so that whatever else the machine does meets both
//! alike; the bars are ratios wherever they can be. [`workloads`] is the table of what is measured (a [`workload`] is
//! one line of it), [`trial`] runs one client once, beside [`burners`] where there are to be some, [`records`] joins what
//! it recorded with the server's log, [`figures`], [`receiving`] and [`stats`] make numbers of it, and [`results`] shows
//! and keeps them, with the program's own [`verdict`]. A bar that is missed is shown and is no failure: figures are for
//! people to judge.

mod burners;
mod child;
mod figures;
mod host;
mod mock;
mod receiving;
mod records;
mod results;
mod stats;
mod trial;
mod verdict;
mod workload;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::shell;
use figures::Bar;
use results::{Outcome, Results, Row, Side};
use trial::{Client, Programs, Setting};
use workload::Workload;

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Workloads to run, by name [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Runs of each workload, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u64,
    /// A tenth of the requests, and without the largest workloads; for a first look, the bars are for all of it
    #[arg(long)]
    quick: bool,
    /// File that the results go to [default: one named by time and commit, in target/bench]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this build of the program in place of a fresh one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Results of another day to compare with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Keep a core busy until the input ends
    #[arg(long, hide = true, exclusive = true)]
    burn: bool,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if args.burn {
        return burners::burn(std::io::stdin());
    }
    ensure!(args.runs > 0, "--runs counts from 1");
    let chosen = choose(&args.names, args.quick)?;
    let then = args.against.as_deref().map(Results::read).transpose()?;
    if let Some(then) = &then {
        ensure!(then.quick == args.quick, "compare like with like: either both are --quick or neither is");
    }
    let workspace = shell::workspace()?;
    let target = workspace.target_directory.as_std_path();
    let packages = match args.program {
        None => ["-p", "inferometer-bare", "-p", "inferometer-cli"].as_slice(),
        Some(_) => &["-p", "inferometer-bare"],
    };
    shell::run(shell::cargo().args(["build", "--release"]).args(packages))?;
    let ours = args.program.clone().unwrap_or_else(|| target.join("release/inferometer"));
    let ours = ours.canonicalize().with_context(|| format!("cannot find {}", ours.display()))?;
    let programs = Programs { ours, bare: target.join("release/inferometer-bare") };

    let mut results = Results {
        time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        commit: commit(workspace.workspace_root.as_std_path())?,
        host: host::describe(),
        quick: args.quick,
        workloads: Vec::new(),
    };
    let default = || target.join(format!("bench/{}-{}.json", results.time.replace(':', ""), results.commit));
    let file = args.json.clone().unwrap_or_else(default);
    let mut misses = 0;
    for (workload, requests) in chosen {
        let outcome = measure(&programs, workload, requests, args.runs).with_context(|| workload.name)?;
        let (table, missed) = results::table(workload, &outcome, then.as_ref());
        println!("{table}");
        misses += missed;
        results.workloads.push(outcome);
        // After each one, so that a later failure costs only what it must.
        results.write(&file)?;
    }
    println!("{misses} figure(s) miss their bar; all are in {}", file.display());
    Ok(())
}

/// The workloads of these names, or all, with the number of their requests.
fn choose(names: &[String], quick: bool) -> Result<Vec<(&'static Workload, usize)>> {
    let known = || workloads::ALL.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ");
    for name in names {
        if !workloads::ALL.iter().any(|workload| workload.name == *name) {
            bail!("there is no workload {name}; there are: {}", known());
        }
    }
    let is_chosen = |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    let sized = |workload: &'static Workload| {
        let requests = if quick { workload.quick? } else { workload.requests };
        Some((workload, requests))
    };
    let chosen: Vec<_> = workloads::ALL.iter().filter(is_chosen).filter_map(sized).collect();
    ensure!(!chosen.is_empty(), "{} has no short form; leave --quick out", names.join(", "));
    Ok(chosen)
}

/// Runs a workload, the clients in turn, and takes its figures.
fn measure(programs: &Programs, workload: &'static Workload, requests: usize, runs: u64) -> Result<Outcome> {
    let mut taken: Vec<(Client, Vec<Option<f64>>)> = Vec::new();
    let (mut others, mut verdicts) = (Vec::new(), Vec::new());
    for seed in 1..=runs * workload.repeat as u64 {
        let setting = Setting { programs, workload, requests, seed };
        for client in workload.clients() {
            let trial = setting.run(client).with_context(|| format!("{client:?}, with seed {seed}"))?;
            others.extend(trial.others);
            // Only numbers outlive a trial: what this task holds, its children would seem to hold (see `child`).
            taken.push((client, workload.figures.iter().map(|figure| (figure.of)(&trial)).collect()));
            verdicts.extend(trial.verdict);
        }
    }
    let row = |(number, figure): (usize, &figures::Figure)| {
        let side = |of: Client| {
            let trials = taken.iter().filter(|(client, _)| *client == of).map(|(_, values)| values[number]);
            let side = trials.collect::<Option<_>>().and_then(Side::new);
            // What is only looked at may be unknown on some systems.
            ensure!(side.is_some() || matches!(figure.bar, Bar::Free), "{of:?} gave no {}", figure.name);
            Ok(side)
        };
        let (name, unit) = (figure.name.to_owned(), figure.unit.to_owned());
        Ok(Row { name, unit, ours: side(Client::Ours)?, bare: side(figure.rival)? })
    };
    let figures = workload.figures.iter().enumerate().map(row).collect::<Result<_>>()?;
    Ok(Outcome { name: workload.name.to_owned(), figures, others: stats::median(&others), verdicts })
}

/// The commit that is checked out, marked if the files differ from it.
fn commit(root: &Path) -> Result<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(root).args(args).output().context("cannot start git")?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short", "HEAD"])?;
    let is_changed = !git(&["status", "--porcelain"])?.is_empty();
    Ok(if is_changed { format!("{hash}-changed") } else { hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], quick: bool) -> Result<Vec<(&'static str, usize)>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Ok(choose(&names, quick)?.into_iter().map(|(workload, requests)| (workload.name, requests)).collect())
    }

    #[test]
    fn workloads_are_chosen_by_name_and_run_in_their_own_order() {
        assert_eq!(chosen(&["one", "whole"], false).unwrap(), [("whole", 200_000), ("one", 1)]);
        assert_eq!(chosen(&[], false).unwrap().len(), workloads::ALL.len());
    }

    #[test]
    fn a_quick_look_is_shorter_and_leaves_the_largest_out() {
        assert_eq!(chosen(&["whole"], true).unwrap(), [("whole", 20_000)]);
        assert_eq!(chosen(&[], true).unwrap().len(), workloads::ALL.len() - 2);
        assert!(chosen(&["million"], true).unwrap_err().to_string().contains("leave --quick out"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = chosen(&["hole"], false).unwrap_err().to_string();
        assert!(error.contains("no workload hole") && error.contains("whole, burst"), "{error}");
    }
}
