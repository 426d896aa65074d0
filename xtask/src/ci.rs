//! `cargo xtask ci`: the one list of what a change must pass. It stops at the first failure and names it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::shell;

/// A step's name, the arguments given to cargo, and what is added to the environment.
type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
const STEPS: &[Step] = &[
    ("format", &["fmt", "--all", "--check"], &[]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ("tidy",   &["xtask", "tidy"], &[]),
    ("peers",  &["xtask", "peers", "install"], &[]),
    // The command that the README gives; here a missing server is a failure instead of a skipped test.
    ("test",   &["xtask", "test"], &[("INFEROMETER_REQUIRE_PEERS", "1")]),
    ("docs",   &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
];

pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    let mut done: Vec<(&str, Duration)> = Vec::new();
    let outcome = STEPS.iter().try_for_each(|step @ (name, ..)| {
        println!("\n== {name}: cargo {}", step.1.join(" "));
        let step_start = Instant::now();
        let result = shell::run(&mut command(step)).with_context(|| format!("ci step `{name}`"));
        done.push((name, step_start.elapsed()));
        result
    });
    println!("\n== summary");
    for (name, time) in &done {
        println!("{name:<8} {:>7.1} s", time.as_secs_f64());
    }
    println!("{:<8} {:>7.1} s", "all", start.elapsed().as_secs_f64());
    outcome
}

fn command((_, args, environment): &Step) -> Command {
    let mut command = shell::cargo();
    command.args(*args).envs(environment.iter().copied());
    command
}
