//! `inferometer`: measures generative-AI inference servers.
//!
//! This crate turns flags into settings, runs the engine, and is the only one that prints.

mod args;
mod builtins;
mod bundle;
mod chat;
mod command_line;
mod demo;
mod dry_run;
mod mock;
mod plugins;
mod process;
mod profile;
mod progress;
mod registry;
mod terminal;
mod trace;
mod unknown_flags;

use args::{Args, Command};
use clap::{CommandFactory as _, FromArgMatches as _};
use inferometer_model::ExitCode;

fn main() -> std::process::ExitCode {
    let ended = match args().command {
        Command::Profile(args) => profile::run(&args),
        Command::Bundle(args) => bundle::make(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Mock(config) => mock::run(*config),
        Command::AnalyzeTrace(args) => trace::analyze(&args),
        Command::Synthesize(args) => trace::synthesize(&args),
        Command::Plugins(command) => plugins::run(&command),
    };
    let code = ended.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.message);
        failure.code
    });
    std::process::ExitCode::from(code as u8)
}

/// What was typed; help and mistakes end the program.
fn args() -> Args {
    let mut command = taking_negative_numbers(Args::command());
    command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Args::from_arg_matches(&matches))
        .unwrap_or_else(|error| unknown_flags::exit(error.format(&mut command)))
}

/// The command with values below zero let through, so that the checks of each setting speak of them.
fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| match argument.get_action().takes_values() && !argument.is_positional() {
            true => argument.allow_negative_numbers(true),
            false => argument,
        })
        .mut_subcommands(taking_negative_numbers)
}

/// Why a command ended early, in words, and how the program ends.
#[derive(Debug)]
struct Failure {
    code: ExitCode,
    message: String,
}

impl Failure {
    fn new(code: ExitCode, error: impl std::fmt::Display) -> Self {
        Self { code, message: error.to_string() }
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

impl From<inferometer_engine::EngineError> for Failure {
    fn from(error: inferometer_engine::EngineError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

type Ended = Result<ExitCode, Failure>;
