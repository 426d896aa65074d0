//! The project's own tasks, run as `cargo xtask <task>`: what a developer, the README and CI all type.
//!
//! Not part of the program: nothing here is shipped, and no other crate depends on it.

mod bench;
mod ci;
mod peers;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks", version)]
enum Task {
    /// Run every test; those that need a real server skip themselves where none is installed
    Test,
    /// Check the dependency rule, the rules of the house, and that the documentation shows what is there
    Tidy(tidy::TidyArgs),
    /// Install or start the real servers that tests talk to
    #[command(subcommand)]
    Peers(Peers),
    /// Measure what the program costs and how true its figures are, beside the bare client
    Bench(bench::BenchArgs),
    /// Run everything that a change must pass, in order, stopping at the first failure
    Ci,
}

#[derive(Subcommand)]
enum Peers {
    /// Install the servers and make the tiny model, in target/peers
    Install,
    /// Run one server in the foreground until Ctrl-C
    Start(peers::StartArgs),
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Test => test::run(),
        Task::Tidy(args) => tidy::run(&args),
        Task::Peers(Peers::Install) => peers::install(),
        Task::Peers(Peers::Start(args)) => peers::start(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
