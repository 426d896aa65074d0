//! What goes over the wire for a request, endpoint by endpoint.

#![allow(clippy::unwrap_used, reason = "a test")]

use inferometer_endpoints::{
    Chat, CohereChat, Gemini, HuggingfaceGenerate, Kserve, Messages, Ollama, OllamaGenerate, Responses, SolidoRag,
};
use inferometer_plugin_sdk::{
    RStr,
    api::Endpoint,
    types::{ErrorKind, Message, Outgoing, Part, PartKind, Request, Result, request_flags},
};

fn sent(endpoint: &dyn Endpoint, request: &Request<'_>) -> Result<String> {
    let mut out = Outgoing::default();
    endpoint.encode(request, &mut out)?;
    Ok(String::from_utf8(out.body.into()).unwrap())
}

fn message<'a>(role: &'a str, parts: &'a [Part<'a>], extra: &'a str) -> Message<'a> {
    Message { role: role.into(), parts: parts.into(), extra_json: extra.into() }
}

fn part<'a>(kind: PartKind, mime: &'a str, data: &'a str) -> Part<'a> {
    Part { kind, flags: 0, name: RStr::empty(), mime: mime.into(), data: data.into() }
}

/// What is sent for a system message and two turns, with a limit and extras, to be streamed.
fn conversation(endpoint: &dyn Endpoint, extra: &str) -> String {
    let [system, hi, hello, more] = ["Be brief.", "Hi \"you\"", "Hello", "More"].map(|text| [Part::text(text)]);
    let messages = [
        message("system", &system, ""),
        message("user", &hi, ""),
        message("assistant", &hello, ""),
        message("user", &more, r#"{"name":"Ann"}"#),
    ];
    let request = Request {
        max_tokens: 16,
        flags: request_flags::STREAM,
        extra_json: extra.into(),
        ..Request::new("m", &messages)
    };
    sent(endpoint, &request).unwrap()
}

/// What is sent for one message of `parts` without anything else.
fn question(endpoint: &dyn Endpoint, parts: &[Part<'_>]) -> Result<String> {
    let messages = [message("user", parts, "")];
    sent(endpoint, &Request::new("m", &messages))
}

#[test]
fn responses_lift_what_the_system_says_into_instructions() {
    assert_eq!(
        conversation(&Responses, r#"{"temperature":0.5,"model":"o"}"#),
        concat!(
            r#"{"input":[{"type":"message","role":"user","content":"Hi \"you\""},"#,
            r#"{"type":"message","role":"assistant","content":"Hello"},"#,
            r#"{"type":"message","role":"user","content":"More","name":"Ann"}],"model":"o","stream":true,"#,
            r#""instructions":"Be brief.","max_output_tokens":16,"temperature":0.5}"#
        )
    );
    let parts = [Part::text("See"), part(PartKind::IMAGE, "", "http://i"), part(PartKind::AUDIO, "audio/mpeg", "AA")];
    assert_eq!(
        question(&Responses, &parts).unwrap(),
        concat!(
            r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"See"},"#,
            r#"{"type":"input_image","image_url":"http://i"},"#,
            r#"{"type":"input_audio","input_audio":{"data":"AA","format":"mp3"}}]}],"model":"m","stream":false}"#
        )
    );
}

#[test]
fn messages_lift_what_the_system_says_and_always_have_a_limit() {
    assert_eq!(
        conversation(&Messages, r#"{"top_k":1}"#),
        concat!(
            r#"{"model":"m","messages":[{"role":"user","content":"Hi \"you\""},{"role":"assistant","content":"Hello"},"#,
            r#"{"role":"user","content":"More","name":"Ann"}],"max_tokens":16,"stream":true,"system":"Be brief.","top_k":1}"#
        )
    );
    let image = part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA==");
    assert_eq!(
        question(&Messages, &[Part::text("See"), image, part(PartKind::IMAGE, "", "http://i")]).unwrap(),
        concat!(
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"See"},{"type":"image","source":"#,
            r#"{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"image","source":{"type":"url","#,
            r#""url":"http://i"}}]}],"max_tokens":1024}"#
        )
    );
    let info = Messages.info();
    assert_eq!(info.headers["anthropic-version"], "2023-06-01");
    assert_eq!(info.key_header.as_deref(), Some("x-api-key"));
}

#[test]
fn gemini_has_words_of_its_own_for_everything() {
    assert_eq!(
        conversation(&Gemini, r#"{"generationConfig":{"topK":1},"safetySettings":[]}"#),
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"text":"Hi \"you\""}]},{"role":"model","parts":[{"text":"Hello"}]},"#,
            r#"{"role":"user","parts":[{"text":"More"}],"name":"Ann"}],"#,
            r#""systemInstruction":{"parts":[{"text":"Be brief."}]},"#,
            r#""generationConfig":{"maxOutputTokens":16,"topK":1},"safetySettings":[]}"#
        )
    );
    let parts = [
        part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA=="),
        part(PartKind::AUDIO, "wav", "BB"),
        part(PartKind::VIDEO, "video/mp4", "http://v"),
        part(PartKind::IMAGE, "", "http://i"),
    ];
    assert_eq!(
        question(&Gemini, &parts).unwrap(),
        concat!(
            r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}},"#,
            r#"{"inlineData":{"mimeType":"audio/wav","data":"BB"}},"#,
            r#"{"fileData":{"mimeType":"video/mp4","fileUri":"http://v"}},{"fileData":{"fileUri":"http://i"}}]}]}"#
        )
    );
    assert_eq!(Gemini.info().key_header.as_deref(), Some("x-goog-api-key"));
}

#[test]
fn cohere_keeps_the_system_in_the_conversation() {
    assert_eq!(
        conversation(&CohereChat, ""),
        concat!(
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \"you\""},"#,
            r#"{"role":"assistant","content":"Hello"},{"role":"user","content":"More","name":"Ann"}],"#,
            r#""stream":true,"max_tokens":16}"#
        )
    );
    let image = part(PartKind::IMAGE, "", "http://i");
    assert!(
        question(&CohereChat, &[image]).unwrap().contains(r#"{"type":"image_url","image_url":{"url":"http://i"}}"#)
    );
}

#[test]
fn ollama_is_told_its_limit_among_options_and_images_without_their_type() {
    assert_eq!(
        conversation(&Ollama, r#"{"options":{"seed":1,"num_predict":9},"think":false}"#),
        concat!(
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \"you\""},"#,
            r#"{"role":"assistant","content":"Hello"},{"role":"user","content":"More","name":"Ann"}],"stream":true,"#,
            r#""options":{"num_predict":9,"seed":1},"think":false}"#
        )
    );
    let image = part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA==");
    assert_eq!(
        question(&Ollama, &[Part::text("See"), image]).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"See","images":["AA=="]}],"stream":false}"#
    );
    assert_eq!(
        conversation(&OllamaGenerate, ""),
        concat!(
            r#"{"model":"m","prompt":"Be brief.\n\nHi \"you\"\n\nHello\n\nMore","stream":true,"#,
            r#""options":{"num_predict":16}}"#
        )
    );
}

#[test]
fn apis_of_a_prompt_are_sent_all_texts_as_one() {
    assert_eq!(
        conversation(&HuggingfaceGenerate, r#"{"temperature":0.5}"#),
        r#"{"inputs":"Be brief. Hi \"you\" Hello More","parameters":{"max_new_tokens":16,"temperature":0.5}}"#
    );
    assert_eq!(
        conversation(&Kserve, r#"{"parameters":{"temperature":0},"id":"7"}"#),
        concat!(
            r#"{"text_input":"Be brief.\n\nHi \"you\"\n\nHello\n\nMore","#,
            r#""parameters":{"max_tokens":16,"stream":true,"temperature":0},"id":"7"}"#
        )
    );
}

#[test]
fn solido_is_asked_the_last_message() {
    assert_eq!(
        conversation(&SolidoRag, ""),
        r#"{"query":["More"],"filters":{"family":"Solido","tool":"SDE"},"inference_model":"m"}"#
    );
}

#[test]
fn media_that_an_api_has_no_words_for_are_refused_with_the_endpoints_name() {
    let video = part(PartKind::VIDEO, "", "http://v");
    let audio = part(PartKind::AUDIO, "wav", "AA");
    let image = part(PartKind::IMAGE, "", "http://i");
    for (endpoint, name, refused) in [
        (&Responses as &dyn Endpoint, "responses", video),
        (&Messages, "messages", video),
        (&Messages, "messages", audio),
        (&CohereChat, "cohere-chat", audio),
        (&Ollama, "ollama", video),
        (&Ollama, "ollama", image),
        (&OllamaGenerate, "ollama-generate", image),
        (&HuggingfaceGenerate, "huggingface-generate", image),
        (&Kserve, "kserve", audio),
        (&SolidoRag, "solido-rag", image),
        (&Gemini, "gemini", part(PartKind(9), "", "x")),
    ] {
        let error = question(endpoint, &[refused]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UNSUPPORTED, "{name}");
        assert!(error.message.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn usage_is_asked_for_with_each_event_if_it_is_wanted() {
    let flags = request_flags::STREAM | request_flags::CHUNK_USAGE;
    let body = sent(&Chat, &Request { flags, ..Request::new("m", &[]) }).unwrap();
    assert!(body.ends_with(r#""stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#), "{body}");
    let whole = sent(&Chat, &Request { flags: request_flags::CHUNK_USAGE, ..Request::new("m", &[]) }).unwrap();
    assert!(!whole.contains("stream_options"), "{whole}");
}
