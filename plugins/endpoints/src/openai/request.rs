//! What the requests of OpenAI's APIs end with.

use crate::{
    body::{Object, json},
    turns::streams,
};
use inferometer_plugin_sdk::types::{Request, Result, request_flags};

/// Writes model, stream and, under the name of `limit`, the most output tokens; the extras over all of it; and if it streams
/// in the end, the wish for usage.
///
/// # Errors
/// Of writing, which to memory does not happen.
pub(crate) fn write_rest(body: &mut Object<'_>, request: &Request<'_>, limit: &str) -> Result<()> {
    body.member("model", json(request.model.as_str()))?;
    let asked = streams(request);
    let streams = body.member("stream", json(&asked))?.map_or(asked, |extra| extra == "true");
    if request.max_tokens != 0 {
        body.member(limit, json(&request.max_tokens))?;
    }
    body.extras()?;
    if streams {
        body.member("stream_options", |out| {
            out.extend_from_slice(match request.flags & request_flags::CHUNK_USAGE {
                0 => br#"{"include_usage":true}"#,
                _ => br#"{"include_usage":true,"continuous_usage_stats":true}"#.as_slice(),
            });
            Ok(())
        })?;
    }
    Ok(())
}
