//! The commands and their flags. The settings of `profile` themselves are defined in `inferometer_model::config`.

use crate::{
    chat::ChatArgs,
    trace::{AnalyzeTraceArgs, SynthesizeArgs},
};
use clap::{
    Args as ClapArgs, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use inferometer_abi::documents::Kind;
use inferometer_mock::MockConfig;
use inferometer_model::{config::RawConfig, values::Seconds};
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
    /// Put all that a run needs but the server into one file, to be run where there is no network
    #[command(
        after_help = "Takes the settings of `profile`. Keys, headers and whatever else looks like a secret are left out; \
        plugin libraries are named and not put in. The seed is fixed, so that every run sends the same bytes."
    )]
    Bundle(Box<BundleArgs>),
    /// Talk to a server, and see what every answer took
    Chat(Box<ChatArgs>),
    /// Benchmark the built-in mock server: a first look that needs no server
    Demo(DemoArgs),
    /// Run a mock inference server with exactly known timing and faults
    Mock(Box<MockConfig>),
    /// Report what a trace is made of: arrivals, lengths, prefixes that prompts share, conversations
    AnalyzeTrace(Box<AnalyzeTraceArgs>),
    /// Write a changed copy of a trace: longer, shorter, faster, with more or less to share
    Synthesize(Box<SynthesizeArgs>),
    /// See which components there are, where they come from, and what can be set
    #[command(subcommand)]
    Plugins(PluginsCommand),
}

#[derive(ClapArgs)]
pub(crate) struct ProfileArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Settings and data from a file that `bundle` made; flags win over it
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) bundle: Option<PathBuf>,
    /// Print the plan and the first requests, write the schedule to `schedule.jsonl`, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long every answer is taken to last in a dry run
    #[arg(long, value_name = "SECONDS", default_value = "1", requires = "dry_run")]
    pub(crate) dry_run_latency: Seconds,
    #[command(flatten)]
    pub(crate) settings: RawConfig,
}

#[derive(ClapArgs)]
pub(crate) struct BundleArgs {
    /// File to write; --overwrite replaces one that is there
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Settings from a TOML file; flags win over it
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: RawConfig,
}

#[derive(ClapArgs)]
pub(crate) struct DemoArgs {
    /// Folder the files go to [default: a fresh one under ./artifacts]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) artifact_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum PluginsCommand {
    /// List all components, built in and from libraries; no library is opened
    List(ListArgs),
    /// Show everything about a component and its options; its library is opened
    Show(ShowArgs),
    /// Check that a library is a good plugin, in a process of its own
    Check(CheckArgs),
    /// Make a crate to begin a plugin with
    New(NewArgs),
    /// Check a library and put it where every run finds it, in place of older builds
    #[command(
        after_help = "Replaced are the installed libraries of the same package that bring no component which this one does \
        not bring too, and an earlier build under the same file name. Others stay."
    )]
    Install(InstallArgs),
    /// Write down the libraries of a run, for --locked to hold it to them
    Lock(LockArgs),
    /// Run the checks that need a library open
    #[command(hide = true)]
    Probe(ProbeArgs),
}

#[derive(ClapArgs)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) locked: LockedArgs,
}

#[derive(ClapArgs)]
pub(crate) struct ShowArgs {
    /// Name of the component, alone or qualified as in `acme:chat`
    pub(crate) name: String,
    /// Only the component of this kind
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub(crate) kind: Option<Kind>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) locked: LockedArgs,
}

#[derive(ClapArgs)]
pub(crate) struct CheckArgs {
    /// The library, or a crate to build one from with `cargo build --release`
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Option of a component, as in `profile`; may be repeated
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    pub(crate) plugin_option: Vec<String>,
    /// File for a data set loader to open
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<String>,
    #[command(flatten)]
    pub(crate) checks: ChecksArgs,
}

/// How a library is checked.
#[derive(ClapArgs)]
pub(crate) struct ChecksArgs {
    /// Take it even if others may write to it
    #[arg(long)]
    pub(crate) allow_unsafe_permissions: bool,
    /// Give a component up that has not passed its checks after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) timeout: u32,
}

#[derive(ClapArgs)]
pub(crate) struct NewArgs {
    /// Name of the crate and of its component, such as `acme-chat`
    pub(crate) name: String,
    /// Kind of the component
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub(crate) kind: Kind,
    /// Folder of the plugin SDK's source to build with, instead of the registry's
    #[arg(long, value_name = "FOLDER")]
    pub(crate) sdk_path: Option<PathBuf>,
    /// Folder to make [default: one of the crate's name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct InstallArgs {
    /// The library, or a crate to build one from with `cargo build --release`
    pub(crate) file: PathBuf,
    /// Install it even if a component breaks laws; never one that is not safe to open
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) checks: ChecksArgs,
}

#[derive(ClapArgs)]
pub(crate) struct LockArgs {
    /// File to write [default: inferometer-plugins.lock]
    #[arg(long, value_name = "FILE")]
    pub(crate) lock_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
}

#[derive(ClapArgs)]
pub(crate) struct ProbeArgs {
    /// The library
    pub(crate) file: PathBuf,
    /// SHA-256 of the library that is meant
    #[arg(long)]
    pub(crate) sha256: String,
    /// The component, as `KIND:NAME`; without it the library is only opened
    #[arg(long)]
    pub(crate) component: Option<String>,
    /// Its options, as JSON; none are its defaults
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) options: String,
    /// File for a data set loader to open
    #[arg(long)]
    pub(crate) input_file: Option<String>,
}

/// Whether plugins are held to a lock file: flags of `profile` that mean the same here.
#[derive(ClapArgs)]
pub(crate) struct LockedArgs {
    /// Take only the plugins of a lock file, byte for byte
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) locked: Option<bool>,
    /// Lock file that plugins are held to, which needs no --locked then [default: inferometer-plugins.lock]
    #[arg(long, value_name = "FILE")]
    pub(crate) lock_file: Option<PathBuf>,
}

/// Where to look for plugins: flags of `profile` that mean the same here.
#[derive(ClapArgs)]
pub(crate) struct PlacesArgs {
    /// Plugin library, or a folder of them; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) plugin: Vec<String>,
    /// Settings from a TOML file, of which the plugins table matters here
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Load plugins even if others may write to them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) allow_unsafe_permissions: Option<bool>,
}

/// The names of the kinds, and the kinds they stand for.
fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).map(|name| kind(&name))
}

/// The kind of one of the names that the parser lets through.
fn kind(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name).expect("the parser knows the names of all kinds")
}
