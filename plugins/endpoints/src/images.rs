//! The endpoints that make images: `image-generation` and `image-edit`.
//!
//! An image counts as one piece of content, whole or in part; what it looks like is of no interest, so its bytes are
//! passed over.

use crate::{
    body::{self, json},
    multipart::{Form, Source, refuse_raw},
    parts::Parts,
    reading::{Answers, failure_of, unexpected},
    speaks::{self, speaks},
    turns::streams,
    usage,
};
use inferometer_plugin_sdk::{
    RVec,
    documents::EndpointInfo,
    serde::Deserialize,
    types::{Answer, Delta, ErrorKind, Event, Outgoing, PartKind, Reply, Request, Result, delta_flags},
};
use serde_json::{Value, value::RawValue};

speaks! {
    /// Speaks `/v1/images/generations`: the texts of a turn are the prompt.
    ImageGeneration, "image-generation", "OpenAI's images made from a prompt (/v1/images/generations).",
    info: info("/v1/images/generations"),
    encode: encode_prompt,
    answers: InPieces,
}

speaks! {
    /// Speaks `/v1/images/edits`: the texts of a turn are the prompt, and its images are what is edited. Those that are
    /// given with their bytes go as files, others by their addresses.
    ImageEdit, "image-edit", "OpenAI's images made from images and a prompt, sent as a form (/v1/images/edits).",
    info: info("/v1/images/edits"),
    encode: encode_form,
    answers: InPieces,
}

fn info(path: &str) -> EndpointInfo {
    EndpointInfo { produces_tokens: false, ..speaks::text(path) }
}

fn encode_prompt(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    body::encode(request, out, |body| {
        let prompt = Parts::of(request, "image-generation").only(&[PartKind::TEXT], "text")?.prompt()?;
        body.member("prompt", json(&prompt))?;
        body.member("model", json(request.model.as_str()))?;
        body.member("response_format", json("b64_json"))?;
        body.member("n", json(&1))?;
        if streams(request) {
            body.member("stream", json(&true))?;
        }
        Ok(())
    })
}

fn encode_form(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    refuse_raw(request, "image-edit")?;
    let kinds = [PartKind::TEXT, PartKind::IMAGE];
    let parts = Parts::of(request, "image-edit").only(&kinds, "text and images")?;
    let mut form = Form::default();
    form.text("prompt", parts.prompt()?);
    form.text("model", request.model.as_str());
    form.text("response_format", "b64_json");
    form.text("n", "1");
    if streams(request) {
        form.text("stream", "true");
    }
    // The API's name for one file, and for each of several.
    let several = parts.of_kind(PartKind::IMAGE).count() > 1;
    let name = if several { "image[]" } else { "image" };
    let mut has_image = false;
    for (number, part) in parts.of_kind(PartKind::IMAGE).enumerate() {
        has_image = true;
        match Source::of(part, "image")? {
            Source::Here(file) => form.file(name, &format!("image-{number}"), file),
            Source::Elsewhere(url) => form.text("url", url),
        }
    }
    if !has_image {
        return Err(parts.lacks("an image"));
    }
    form.extras(&request.extra_json, &["prompt", "image", "image[]", "url", "mask"])?;
    form.finish(out);
    Ok(())
}

/// An image in an answer: its bytes in base64, or where it lies. Read without copying either.
#[derive(Default, Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
struct Image<'a> {
    #[serde(borrow)]
    b64_json: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
}

impl Image<'_> {
    /// Whether there is one.
    fn is_there(&self) -> bool {
        [self.b64_json, self.url].into_iter().flatten().any(|text| text.get().starts_with('"') && text.get().len() > 2)
    }
}

/// A body, or an event.
#[derive(Default, Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
struct Images<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    b64_json: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Vec<Image<'a>>>,
    usage: Value,
    error: Value,
    message: Value,
}

impl Images<'_> {
    /// Whether the event's type ends like this.
    fn is(&self, end: &str) -> bool {
        self.kind.is_some_and(|kind| kind.get().trim_matches('"').ends_with(end))
    }
}

/// Images as they come in pieces, or whole.
#[derive(Clone, Copy)]
struct InPieces;

impl Answers for InPieces {
    fn on_event(self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        let data = event.data.as_slice().trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            out.flags = if data.is_empty() { 0 } else { delta_flags::DONE };
            return Ok(());
        }
        let images: Images<'_> = serde_json::from_slice(data).map_err(|_| ErrorKind::MALFORMED)?;
        let is_error = event.name == "error" || images.is("error");
        if let Some(delta) = failure_of(&images.error, &images.message, !is_error, scratch) {
            *out = delta;
            return Ok(());
        }
        let one = Image { b64_json: images.b64_json, url: images.url };
        if one.is_there() || images.data.iter().flatten().any(Image::is_there) {
            out.flags |= delta_flags::CONTENT;
        }
        // Servers that do not say what an event is send all images at once.
        if images.is(".completed") || images.data.is_some() {
            out.flags |= delta_flags::FINISH;
        }
        usage::read_alone(&images.usage, out);
        Ok(())
    }

    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        const EXPECTED: &str = "a list of images";
        let body = answer.body.as_slice();
        let images: Images<'_> =
            serde_json::from_slice(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
        if let Some(delta) = failure_of(&images.error, &images.message, images.data.is_some(), &mut out.scratch) {
            out.deltas.push(delta);
            return Ok(());
        }
        let Some(data) = &images.data else { return Err(unexpected(EXPECTED, "no `data`", body)) };
        if data.is_empty() {
            return Err(unexpected(EXPECTED, "`data` is empty", body));
        }
        for (number, image) in data.iter().enumerate() {
            if !image.is_there() {
                let found = format!("data[{number}] has neither `b64_json` nor `url`");
                return Err(unexpected(EXPECTED, &found, body));
            }
            let choice = u32::try_from(number).unwrap_or(u32::MAX);
            out.deltas.push(Delta { flags: delta_flags::CONTENT, choice, ..Delta::EMPTY });
        }
        if let Some(last) = out.deltas.last_mut() {
            usage::read_alone(&images.usage, last);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, event, read, refused, sent, texts};
    use inferometer_plugin_sdk::types::request_flags;
    use inferometer_plugin_sdk::types::{Part, PartKind};

    const IMAGE: Part<'_> = Part {
        kind: PartKind::IMAGE,
        flags: 0,
        name: inferometer_plugin_sdk::RStr::empty(),
        mime: inferometer_plugin_sdk::RStr::empty(),
        data: inferometer_plugin_sdk::RStr::from_str("data:image/png;base64,iVA="),
    };

    #[test]
    fn a_prompt_asks_for_one_image_with_its_bytes() {
        let expected = r#"{"prompt":"a cat","model":"m","response_format":"b64_json","n":1"#;
        assert_eq!(body(&ImageGeneration, &[Part::text("a cat")], "").unwrap(), format!("{expected}}}"));
        let out = sent(&ImageGeneration, &[Part::text("a cat")], r#"{"size":"8x8"}"#, request_flags::STREAM).unwrap();
        assert_eq!(out.body.as_slice(), format!("{expected},\"stream\":true,\"size\":\"8x8\"}}").as_bytes());
    }

    #[test]
    fn images_to_edit_go_as_files_or_by_their_addresses() {
        let out =
            sent(&ImageEdit, &[Part::text("a hat"), IMAGE], r#"{"n":2,"size":"8x8"}"#, request_flags::STREAM).unwrap();
        let body = String::from_utf8_lossy(&out.body).into_owned();
        assert!(out.content_type.starts_with("multipart/form-data; boundary="));
        assert!(body.contains("name=\"image\"; filename=\"image-0.png\"\r\nContent-Type: image/png\r\n\r\n"), "{body}");
        for (name, value) in [
            ("prompt", "a hat"),
            ("model", "m"),
            ("response_format", "b64_json"),
            ("n", "2"),
            ("stream", "true"),
            ("size", "8x8"),
        ] {
            assert_eq!(body.matches(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")).count(), 1, "{name}: {body}");
        }
        let away = Part { kind: PartKind::IMAGE, ..Part::text("http://h/cat.png") };
        let body = super::tests::body(&ImageEdit, &[Part::text("a"), IMAGE, away], "").unwrap();
        assert!(
            body.contains("name=\"image[]\"; filename") && body.contains("name=\"url\"\r\n\r\nhttp://h/cat.png\r\n")
        );
    }

    #[test]
    fn extras_that_the_turn_gives_and_turns_without_an_image_are_refused() {
        for key in ["prompt", "image", "url", "mask"] {
            let error = body(&ImageEdit, &[Part::text("a"), IMAGE], &format!(r#"{{"{key}":"x"}}"#)).unwrap_err();
            assert!(error.message.contains(&format!("`{key}`")), "{error}");
        }
        assert!(body(&ImageEdit, &[Part::text("a")], "").unwrap_err().message.contains("an image"));
        assert!(body(&ImageEdit, &[IMAGE], "").unwrap_err().message.contains("a text"));
    }

    #[test]
    fn every_image_of_an_answer_is_content_and_the_usage_is_read() {
        let answer = r#"{"created":1,"data":[{"b64_json":"iVA=","revised_prompt":"x"},{"url":"http://i"}],"usage":{"input_tokens":9,"output_tokens":196}}"#;
        let reply = read(&ImageGeneration, "", answer.as_bytes()).unwrap();
        let told: Vec<_> = reply.deltas.iter().map(|delta| (delta.has_content(), delta.choice)).collect();
        assert_eq!(told, [(true, 0), (true, 1)]);
        assert_eq!((reply.deltas[1].prompt_tokens, reply.deltas[1].completion_tokens), (9, 196));
        for (answer, found) in [
            (r#"{"data":[]}"#, "`data` is empty"),
            (r#"{"data":[{"b64_json":""}]}"#, "data[0] has neither"),
            ("{}", "no `data`"),
            ("[]", "in `[]`"),
        ] {
            assert!(refused(&ImageGeneration, answer).contains(found), "{answer}");
        }
        let refusal = r#"{"error":{"message":"not that","code":"moderation"}}"#;
        let reply = read(&ImageGeneration, "", refusal.as_bytes()).unwrap();
        assert_eq!(texts(&reply.deltas[0], b"", &reply.scratch)[3], "not that");
    }

    #[test]
    fn a_stream_brings_images_in_part_and_ends_with_the_whole() {
        let read = |data: &str| event(&ImageGeneration, "", data).unwrap().0;
        let part = read(r#"{"type":"image_generation.partial_image","partial_image_index":0,"b64_json":"iVA="}"#);
        assert_eq!(part.flags, delta_flags::CONTENT);
        let whole = read(r#"{"type":"image_edit.completed","b64_json":"iVA=","usage":{"output_tokens":7}}"#);
        assert_eq!((whole.flags, whole.completion_tokens), (delta_flags::CONTENT | delta_flags::FINISH, 7));
        assert_eq!(read("[DONE]").flags, delta_flags::DONE);
        assert_eq!(read(r#"{"type":"image_generation.started"}"#), Delta::EMPTY);
        let (delta, texts) = event(&ImageGeneration, "error", r#"{"type":"error","message":"busy"}"#).unwrap();
        assert!(delta.flags & delta_flags::ERROR != 0 && texts[3] == "busy");
        assert!(event(&ImageGeneration, "", "{").is_err());
    }
}
