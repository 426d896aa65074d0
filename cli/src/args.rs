//! The commands and their flags. The settings of `profile` themselves are defined in `inferometer_model::config`.

use clap::{Args as ClapArgs, Parser, Subcommand};
use inferometer_mock::MockConfig;
use inferometer_model::config::RawConfig;
use std::path::PathBuf;

/// A benchmark for generative-AI inference servers.
#[derive(Parser)]
#[command(name = "inferometer", version, about, max_term_width = 120)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make load on a server, time every token, and report
    Profile(Box<ProfileArgs>),
    /// Benchmark the built-in mock server: a first look that needs no server
    Demo(DemoArgs),
    /// Run a mock inference server with exactly known timing and faults
    Mock(Box<MockConfig>),
}

#[derive(ClapArgs)]
pub(crate) struct ProfileArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the plan and the first requests, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) settings: RawConfig,
}

#[derive(ClapArgs)]
pub(crate) struct DemoArgs {
    /// Folder the files go to [default: a fresh one under ./artifacts]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) artifact_dir: Option<PathBuf>,
}
