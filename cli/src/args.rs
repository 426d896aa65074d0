//! The commands and their flags. The settings of `profile` themselves are defined in `inferometer_model::config`.

use clap::{
    Args as ClapArgs, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use inferometer_abi::documents::Kind;
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
    /// See which components there are, where they come from, and what can be set
    #[command(subcommand)]
    Plugins(PluginsCommand),
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

#[derive(Subcommand)]
pub(crate) enum PluginsCommand {
    /// List all components, built in and from libraries; no library is opened
    List(ListArgs),
    /// Show everything about a component and its options; its library is opened
    Show(ShowArgs),
}

#[derive(ClapArgs)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
}

#[derive(ClapArgs)]
pub(crate) struct ShowArgs {
    /// Name of the component, alone or qualified as in `acme:chat`
    pub(crate) name: String,
    /// Only the component of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).map(|name| kind(&name)))]
    pub(crate) kind: Option<Kind>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
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

/// The kind of one of the names that the parser lets through.
fn kind(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name).expect("the parser knows the names of all kinds")
}
