//! The flags of `chat`.

use crate::args::{LockedArgs, PlacesArgs};
use clap::Args;
use inferometer_model::{
    config::{ConnectionConfig, RawConfig, ServerConfig},
    values::Count,
};

#[derive(Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    server: ServerConfig,
    #[command(flatten)]
    connection: ConnectionConfig,
    /// System message that the conversation begins with
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// Most output tokens to ask for [default: no limit is sent]
    #[arg(long, value_name = "COUNT")]
    pub(super) max_tokens: Option<Count>,
    /// Ask for whole answers; without it they are streamed if the endpoint can
    #[arg(long, conflicts_with = "streaming")]
    no_streaming: bool,
    /// Tokenizer that counts where the server does not: a folder or file with `tokenizer.json`, a name in the Hugging Face
    /// cache, or `builtin` [default: the model's name]
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
    /// Option of a component; may be repeated
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    plugin_option: Vec<String>,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
    #[command(flatten)]
    locked: LockedArgs,
}

impl ChatArgs {
    /// The settings of a run that they stand for.
    pub(super) fn settings(&self) -> RawConfig {
        RawConfig {
            server: self.server.clone(),
            connection: self.connection.clone(),
            tokenizer: self.tokenizer.clone(),
            plugin: self.places.plugin.clone(),
            plugin_option: self.plugin_option.clone(),
            allow_unsafe_permissions: self.places.allow_unsafe_permissions,
            locked: self.locked.locked,
            lock_file: self.locked.lock_file.clone(),
            ..RawConfig::default()
        }
    }

    /// Whether streams are insisted on, and not only wanted.
    pub(super) fn insists_on_streams(&self) -> bool {
        self.server.streaming == Some(true)
    }

    /// Whether answers are to be streamed, if `typed` in a file.
    pub(super) fn wants_streams(&self, typed: Option<bool>) -> bool {
        !self.no_streaming && typed.unwrap_or(true)
    }
}
