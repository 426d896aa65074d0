//! What the requests of OpenAI's APIs have in common.

use crate::body::{Object, json};
use inferometer_plugin_sdk::types::{Outgoing, Request, Result, request_flags};

/// Writes a request: what `input` writes, then model, stream and, under the name of `limit`, the most output tokens;
/// the extras over all of it; and if it streams in the end, the wish for usage. A raw body goes out as it is.
///
/// # Errors
/// Those of `input`, and when the extras are no JSON object.
pub(crate) fn encode(
    request: &Request<'_>,
    out: &mut Outgoing,
    limit: &str,
    input: impl FnOnce(&mut Object<'_>) -> Result<()>,
) -> Result<()> {
    out.body.clear();
    if !request.raw_body.is_empty() {
        out.body.extend_from_slice(&request.raw_body);
        return Ok(());
    }
    let mut body = Object::open(&mut out.body, request.extra_json.as_str())?;
    input(&mut body)?;
    body.member("model", json(request.model.as_str()))?;
    let asked = request.flags & request_flags::STREAM != 0;
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
    body.close();
    Ok(())
}
