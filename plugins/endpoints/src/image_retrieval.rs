//! The `image-retrieval` endpoint: what NVIDIA's NIMs find in images, such as the elements of a page.
//!
//! Images go as they are given: data URIs with their bytes, URLs as addresses. It counts no tokens.

use crate::{
    body::{self, list},
    parts::Parts,
    reading::{Whole, failure_of, unexpected},
    speaks::{self, speaks},
    turns::strings,
};
use inferometer_plugin_sdk::{
    RVec,
    documents::EndpointInfo,
    serde::{Deserialize, de::IgnoredAny},
    types::{Delta, Outgoing, PartKind, Request, Result, delta_flags},
};
use serde_json::Value;

speaks! {
    /// Speaks `/v1/infer`: the images of a turn; its texts are not sent.
    ImageRetrieval, "image-retrieval", "What NVIDIA's NIMs find in images (/v1/infer).",
    info: EndpointInfo { tokenizes_input: false, ..speaks::whole("/v1/infer") },
    encode: encode,
    answers: Whole(read),
}

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        let kinds = [PartKind::TEXT, PartKind::IMAGE];
        let parts = Parts::of(request, "image-retrieval").only(&kinds, "images")?;
        let images: Vec<&str> = parts.of_kind(PartKind::IMAGE).map(|part| part.data.as_str()).collect();
        if images.is_empty() {
            return Err(parts.lacks("an image"));
        }
        let image = |out: &mut RVec<u8>, url: &&str| strings(out, &[("type", "image_url"), ("url", url)]);
        body.member("input", |out| list(out, &images, image)).map(drop)
    })
}

#[derive(Default, Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
struct Found {
    data: Option<Vec<IgnoredAny>>,
    error: Value,
    message: Value,
}

/// Says what an answer holds: what was found in all images counts as one piece of content.
fn read(body: &[u8], scratch: &mut RVec<u8>) -> Result<Delta> {
    const EXPECTED: &str = "a list of what images hold";
    let Found { data, error, message } =
        serde_json::from_slice(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
    if let Some(delta) = failure_of(&error, &message, data.is_some(), scratch) {
        return Ok(delta);
    }
    match data {
        Some(data) if !data.is_empty() => Ok(Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY }),
        Some(_) => Err(unexpected(EXPECTED, "`data` is empty", body)),
        None => Err(unexpected(EXPECTED, "no `data`", body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, read as read_with, refused};
    use inferometer_plugin_sdk::types::Part;

    #[test]
    fn the_images_of_a_turn_are_the_input_and_its_texts_are_left_out() {
        let image = |data| Part { kind: PartKind::IMAGE, ..Part::text(data) };
        let parts = [Part::text("what?"), image("data:image/png;base64,AA"), image("http://i")];
        assert_eq!(
            body(&ImageRetrieval, &parts, r#"{"merge_levels":["word"]}"#).unwrap(),
            concat!(
                r#"{"input":[{"type":"image_url","url":"data:image/png;base64,AA"},{"type":"image_url","url":"http://i"}],"#,
                r#""merge_levels":["word"]}"#
            )
        );
        assert!(body(&ImageRetrieval, &parts[..1], "").unwrap_err().message.contains("an image"));
    }

    #[test]
    fn what_was_found_is_content_and_nothing_at_all_is_refused() {
        let found = r#"{"data":[{"index":0,"bounding_boxes":{"table":[]}}],"usage":{"images_size_mb":0.1}}"#;
        assert!(read_with(&ImageRetrieval, "", found.as_bytes()).unwrap().deltas[0].has_content());
        assert!(refused(&ImageRetrieval, r#"{"data":[]}"#).contains("`data` is empty"));
        assert!(refused(&ImageRetrieval, "{}").contains("no `data`"));
    }
}
