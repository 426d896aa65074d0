//! The `audio-transcription` endpoint: OpenAI's texts of what is said in a sound.
//!
//! A sound is no prompt, so no tokens are counted on the way in. The texts of a turn are not sent: data sets give some to
//! every turn, and here they would tell the model what to hear. A prompt is given as an extra field.

use crate::{
    multipart::{Form, Source, refuse_raw},
    openai::Dialect,
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
    types::{Answer, Delta, Error, ErrorKind, Event, Outgoing, PartKind, Reply, Request, Result, Span, delta_flags},
};
use serde_json::{Value, value::RawValue};

speaks! {
    /// Speaks `/v1/audio/transcriptions`.
    AudioTranscription, "audio-transcription",
    "OpenAI's texts of what is said in a sound, which is sent as a form (/v1/audio/transcriptions).",
    info: EndpointInfo { tokenizes_input: false, ..speaks::text("/v1/audio/transcriptions") },
    encode: encode,
    answers: Transcripts,
}

fn encode(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    refuse_raw(request, "audio-transcription")?;
    let kinds = [PartKind::TEXT, PartKind::AUDIO];
    let parts = Parts::of(request, "audio-transcription").only(&kinds, "audio")?;
    let mut sounds = parts.of_kind(PartKind::AUDIO);
    let sound = sounds.next().ok_or_else(|| parts.lacks("a sound"))?;
    if sounds.next().is_some() {
        return Err(Error::config("`audio-transcription` sends one sound, and a turn holds several; split the turn"));
    }
    let mut form = Form::default();
    match Source::of(sound, "audio")? {
        Source::Here(file) => form.file("file", "audio", file),
        Source::Elsewhere(url) => {
            return Err(Error::config(format!(
                "`audio-transcription` sends sounds as files, and `{url}` is an address; give base64 and its format"
            )));
        }
    }
    form.text("model", request.model.as_str());
    if streams(request) {
        form.text("stream", "true");
    }
    form.extras(&request.extra_json, &["file"])?;
    form.finish(out);
    Ok(())
}

/// Transcriptions as OpenAI words them, or as a chat.
#[derive(Clone, Copy)]
struct Transcripts;

impl Answers for Transcripts {
    fn on_event(self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        let data = event.data.as_slice();
        let said = match serde_json::from_slice::<Said<'_>>(data) {
            // Some servers stream what they hear in the words of a chat.
            Ok(said) if said.choices.is_some() => return Dialect::Chat.on_event(event, out, scratch),
            Ok(said) => said,
            Err(_) => return Dialect::Chat.on_event(event, out, scratch),
        };
        if let Some(delta) = said.failure(scratch) {
            *out = delta;
            return Ok(());
        }
        if said.is("transcript.text.done") {
            out.flags = delta_flags::ESCAPED | delta_flags::FINISH;
            match said.text {
                // All has been told already, unless nothing has.
                Some(text) if event.index == 0 => tell(text, data, out).ok_or(ErrorKind::MALFORMED)?,
                Some(text) if text.get() == "\"\"" => out.flags |= delta_flags::CONTENT,
                _ => {}
            }
        } else if let Some(text) = said.delta {
            out.flags = delta_flags::ESCAPED;
            out.text = span_of(text, data).ok_or(ErrorKind::MALFORMED)?;
        }
        usage::read_alone(&said.usage, out);
        Ok(())
    }

    fn on_body(self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        const EXPECTED: &str = "a transcription";
        let body = answer.body.as_slice();
        // What is no JSON is a text as it is, subtitles for instance.
        if !body.trim_ascii_start().starts_with(b"{") {
            let text = std::str::from_utf8(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
            let len = text.len().try_into().map_err(|_| unexpected(EXPECTED, "more than 4 GiB", body))?;
            out.deltas.push(Delta { text: Span { off: 0, len }, ..Delta::EMPTY });
            return Ok(());
        }
        let said: Said<'_> = serde_json::from_slice(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
        if let Some(delta) = said.failure(&mut out.scratch) {
            out.deltas.push(delta);
            return Ok(());
        }
        let text = said.text.ok_or_else(|| unexpected(EXPECTED, "no `text`", body))?;
        let mut delta = Delta { flags: delta_flags::ESCAPED, ..Delta::EMPTY };
        tell(text, body, &mut delta).ok_or_else(|| unexpected(EXPECTED, "a `text` that is none", body))?;
        usage::read_alone(&said.usage, &mut delta);
        out.deltas.push(delta);
        Ok(())
    }
}

/// A body, or an event.
#[derive(Default, Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    usage: Value,
    error: Value,
    message: Value,
}

impl Said<'_> {
    fn is(&self, kind: &str) -> bool {
        self.kind.is_some_and(|found| found.get().trim_matches('"') == kind)
    }

    fn failure(&self, scratch: &mut RVec<u8>) -> Option<Delta> {
        failure_of(&self.error, &self.message, self.text.is_some() || self.delta.is_some(), scratch)
    }
}

/// A whole transcription. Of a sound in which nothing is said it is empty, and still what was asked for.
fn tell(text: &RawValue, within: &[u8], delta: &mut Delta) -> Option<()> {
    delta.text = span_of(text, within)?;
    delta.flags |= if delta.text.is_empty() { delta_flags::CONTENT } else { 0 };
    Some(())
}

/// Where a string that was read from `within` lies in it, without its quotes; `None` if it is no text.
fn span_of(string: &RawValue, within: &[u8]) -> Option<Span> {
    let text = string.get().strip_prefix('"')?.strip_suffix('"')?;
    // What is escaped may be half a character.
    if text.contains('\\') {
        serde_json::from_str::<String>(string.get()).ok()?;
    }
    let off = (text.as_ptr() as usize).checked_sub(within.as_ptr() as usize)?;
    Some(Span { off: off.try_into().ok()?, len: text.len().try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{event, read, refused, sent, texts};
    use inferometer_plugin_sdk::types::Part;
    use inferometer_plugin_sdk::{api::Endpoint as _, types::request_flags};

    fn sound<'a>(data: &'a str, mime: &'a str) -> Part<'a> {
        Part { kind: PartKind::AUDIO, mime: mime.into(), ..Part::text(data) }
    }

    #[test]
    fn a_sound_goes_as_a_file_and_texts_stay_behind() {
        let parts = [Part::text("unsaid"), sound("AP8=", "wav")];
        let out = sent(&AudioTranscription, &parts, r#"{"language":"en"}"#, request_flags::STREAM).unwrap();
        let body = String::from_utf8_lossy(&out.body).into_owned();
        assert!(body.contains("name=\"file\"; filename=\"audio.wav\"\r\nContent-Type: audio/wav\r\n\r\n"), "{body}");
        for (name, value) in [("model", "m"), ("stream", "true"), ("language", "en")] {
            assert!(body.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")), "{body}");
        }
        assert!(!body.contains("unsaid"));
        for (parts, words) in [
            (&[Part::text("a")][..], "a sound"),
            (&[parts[1], parts[1]], "several"),
            (&[sound("http://h/a.wav", "")], "address"),
        ] {
            let error = sent(&AudioTranscription, parts, "", 0).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn the_text_of_an_answer_is_that_of_its_json_or_all_of_it() {
        for (body, text, content) in [
            (r#"{"text":"He said \"hi\".","usage":{"type":"duration","seconds":3}}"#, "He said \"hi\".", true),
            (r#"{"task":"transcribe","text":"","segments":[]}"#, "", true),
            ("1\n00:00:00,000 --> 00:00:01,000\nHé\n", "1\n00:00:00,000 --> 00:00:01,000\nHé\n", true),
            ("", "", false),
        ] {
            let reply = read(&AudioTranscription, "", body.as_bytes()).unwrap();
            let [found, ..] = texts(&reply.deltas[0], body.as_bytes(), &reply.scratch);
            assert_eq!((found.as_str(), reply.deltas[0].has_content()), (text, content), "{body}");
        }
        assert!(refused(&AudioTranscription, r#"{"segments":[]}"#).contains("no `text`"));
        let reply = read(&AudioTranscription, "", br#"{"error":{"message":"too long"}}"#).unwrap();
        assert_eq!(texts(&reply.deltas[0], b"", &reply.scratch)[3], "too long");
    }

    #[test]
    fn a_stream_brings_pieces_and_its_end_repeats_none() {
        let (delta, [text, ..]) =
            event(&AudioTranscription, "", r#"{"type":"transcript.text.delta","delta":" \"hi"}"#).unwrap();
        assert_eq!((text.as_str(), delta.flags), (" \"hi", delta_flags::ESCAPED));
        let done = br#"{"type":"transcript.text.done","text":"all","usage":{"input_tokens":14,"output_tokens":45}}"#;
        let read = |index: u32| {
            let mut delta = Delta::EMPTY;
            let event = Event { index, ..Event::new(done) };
            AudioTranscription.on_event(&event, &mut delta, &mut RVec::new()).unwrap();
            assert!(delta.flags & delta_flags::FINISH != 0 && delta.completion_tokens == 45);
            delta.has_content()
        };
        assert_eq!((read(0), read(3)), (true, false));
    }

    #[test]
    fn a_stream_in_the_words_of_a_chat_is_read_as_well() {
        let chunk = r#"{"object":"transcription.chunk","choices":[{"delta":{"content":" hi"}}]}"#;
        assert_eq!(event(&AudioTranscription, "", chunk).unwrap().1[0], " hi");
        assert_eq!(event(&AudioTranscription, "", "[DONE]").unwrap().0.flags, delta_flags::DONE);
        assert!(event(&AudioTranscription, "", "{").is_err());
        let (delta, texts) = event(&AudioTranscription, "", r#"{"type":"error","error":{"message":"no"}}"#).unwrap();
        assert!(delta.flags & delta_flags::ERROR != 0 && texts[3] == "no");
    }
}
