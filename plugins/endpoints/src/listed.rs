//! Endpoints of one exchange whose answer is a list and no text: what they have in common, of which each is a table.
//!
//! They do not stream, and know neither a conversation nor a limit of tokens.

use crate::{
    body::Object,
    openai::{append, error_message},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, Error, Outgoing, Request, Result, delta_flags},
};
use serde_json::Value;

/// What one of them is like.
pub(crate) struct Api {
    /// Its path on the server.
    pub(crate) path: &'static str,
    /// Whether its requests are made of tokens.
    pub(crate) tokenizes_input: bool,
    /// Whether they are a query and passages to be ranked.
    pub(crate) ranks: bool,
    /// Writes the members of a body.
    pub(crate) write: fn(&mut Object<'_>, &Request<'_>) -> Result<()>,
    /// Says what a body holds.
    pub(crate) read: fn(&[u8], &mut RVec<u8>) -> Result<Delta>,
}

impl Api {
    pub(crate) fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        encode(request, out, self.write)
    }
}

/// Writes a request: what `write` writes, and the extras over it. A raw body goes out as it is.
///
/// # Errors
/// Those of `write`, and when the extras are no JSON object.
pub(crate) fn encode(
    request: &Request<'_>,
    out: &mut Outgoing,
    write: impl FnOnce(&mut Object<'_>, &Request<'_>) -> Result<()>,
) -> Result<()> {
    out.body.clear();
    if !request.raw_body.is_empty() {
        out.body.extend_from_slice(&request.raw_body);
        return Ok(());
    }
    let mut body = Object::open(&mut out.body, request.extra_json.as_str())?;
    write(&mut body, request)?;
    body.extras()?;
    body.close();
    Ok(())
}

/// A type that is an endpoint by its table.
macro_rules! listed {
    ($(#[$doc:meta])* $component:ident, $name:literal, $summary:literal, $api:expr) => {
        $(#[$doc])*
        pub struct $component;

        impl inferometer_plugin_sdk::Component for $component {
            type Options = inferometer_plugin_sdk::NoOptions;

            fn create(_: Self::Options) -> inferometer_plugin_sdk::types::Result<Self> {
                Ok(Self)
            }
        }

        impl inferometer_plugin_sdk::api::Endpoint for $component {
            fn info(&self) -> inferometer_plugin_sdk::documents::EndpointInfo {
                inferometer_plugin_sdk::documents::EndpointInfo {
                    path: $api.path.to_owned(),
                    tokenizes_input: $api.tokenizes_input,
                    ranks: $api.ranks,
                    ..inferometer_plugin_sdk::documents::EndpointInfo::default()
                }
            }

            fn encode(
                &self,
                request: &inferometer_plugin_sdk::types::Request<'_>,
                out: &mut inferometer_plugin_sdk::types::Outgoing,
            ) -> inferometer_plugin_sdk::types::Result<()> {
                $api.encode(request, out)
            }

            /// Nothing of this API's is a stream.
            fn on_event(
                &self,
                _: &inferometer_plugin_sdk::types::Event<'_>,
                _: &mut inferometer_plugin_sdk::types::Delta,
                _: &mut inferometer_plugin_sdk::RVec<u8>,
            ) -> inferometer_plugin_sdk::types::Result<(), inferometer_plugin_sdk::types::ErrorKind> {
                Err(inferometer_plugin_sdk::types::ErrorKind::MALFORMED)
            }

            fn on_body(
                &self,
                answer: &inferometer_plugin_sdk::types::Answer<'_>,
                out: &mut inferometer_plugin_sdk::types::Reply,
            ) -> inferometer_plugin_sdk::types::Result<()> {
                let delta = ($api.read)(answer.body.as_slice(), &mut out.scratch)?;
                out.deltas.push(delta);
                Ok(())
            }
        }

        inferometer_plugin_sdk::endpoint! { name: $name, summary: $summary, component: $component }
    };
}
pub(crate) use listed;

/// The delta of an answer that tells of an error, if `answer` does. One that `is_whole` holds what it ought to, and tells
/// of an error only in so many words.
pub(crate) fn failure(answer: &Value, is_whole: bool, scratch: &mut RVec<u8>) -> Option<Delta> {
    let message = error_message(answer, is_whole)?;
    let error = append(scratch, |out| out.extend_from_slice(message.as_bytes()))?;
    Some(Delta { flags: delta_flags::SCRATCH | delta_flags::ERROR, error, ..Delta::EMPTY })
}

/// The error for an answer that is not what was `expected`: says what was found, and the answer's beginning.
pub(crate) fn unexpected(expected: &str, found: &str, body: &[u8]) -> Error {
    let begin: String = String::from_utf8_lossy(&body[..body.len().min(320)]).chars().take(80).collect();
    Error::malformed(format!(
        "the answer is not {expected}: {found} in `{begin}`; check the server's path and the endpoint"
    ))
}
