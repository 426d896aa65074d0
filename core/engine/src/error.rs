//! What can keep a run from starting or from being written.

use inferometer_host::HostError;
use inferometer_model::{ConfigError, ExitCode};
use inferometer_tokens::TokenizerError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A component cannot be had.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The tokenizer cannot be had.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A component refused.
    #[error("{component}: {error}")]
    Component {
        /// Which.
        component: String,
        /// Its words.
        error: inferometer_abi::types::Error,
    },
    /// The name of the server, or of the proxy before it, has no address.
    #[error("the {whose}'s name '{host}' has no address ({why}); check {given_by}")]
    Dns {
        /// Whose name it is: `server` or `proxy`.
        whose: &'static str,
        /// What the name was given by.
        given_by: &'static str,
        /// The name.
        host: String,
        /// The system's words.
        why: String,
    },
    /// The server was not ready in time.
    #[error("{0}")]
    NotReady(String),
    /// The system refused something the engine cannot do without.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

impl EngineError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Dns { .. } | Self::NotReady(_) => ExitCode::Unreachable,
            Self::System { .. } => ExitCode::Internal,
            _ => ExitCode::Usage,
        }
    }

    /// The error of the component called `name`.
    pub(crate) fn component(name: &str) -> impl FnOnce(inferometer_abi::types::Error) -> Self {
        let component = name.to_owned();
        move |error| Self::Component { component, error }
    }
}
