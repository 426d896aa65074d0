//! What of a request's body is the prompt: its text, as AIPerf counts it where the messages it was made of are not at hand,
//! or there are none; and its chat, of which a template makes what the model is given.

use inferometer_tokens::Chat;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Fields that hold text, or lists and messages of it.
const FIELDS: [&str; 18] = [
    "system",
    "instructions",
    "system_instruction",
    "systemInstruction",
    "messages",
    "contents",
    "prompt",
    "text_input",
    "input",
    "inputs",
    "query",
    "queries",
    "passages",
    "documents",
    "texts",
    "text",
    "content",
    "tools",
];

/// All text of a JSON body, pieces joined by blanks; empty where there is none.
pub(crate) fn text_of(body: &[u8]) -> String {
    let mut pieces = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        for field in FIELDS {
            if let Some(value) = fields.get(field) {
                gather(field, value, &mut pieces);
            }
        }
    }
    pieces.join(" ")
}

/// The parts of a body that chat templates see, as they were sent.
#[derive(Deserialize)]
pub(crate) struct ChatBody<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    chat_template_kwargs: Option<&'a RawValue>,
    #[serde(default)]
    add_generation_prompt: Option<bool>,
}

impl<'a> ChatBody<'a> {
    /// That of a JSON body; nothing if it holds no messages.
    pub(crate) fn of(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The chat as a server hands it to a template.
    pub(crate) fn chat(&self) -> Chat<'a> {
        Chat {
            tools: self.tools.map(RawValue::get),
            variables: self.chat_template_kwargs.map(RawValue::get),
            add_generation_prompt: self.add_generation_prompt.unwrap_or(true),
            served: true,
            ..Chat::new(self.messages.get())
        }
    }
}

/// Appends the texts of `value`, the value of `field`.
fn gather(field: &str, value: &Value, pieces: &mut Vec<String>) {
    match value {
        // The bytes of an image are no text, wherever they stand.
        Value::String(text) if text.starts_with("data:") && text.contains(";base64,") => {}
        Value::String(text) => pieces.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(field, value, pieces)),
        Value::Object(fields) if field == "tools" => pieces.push(Value::Object(fields.clone()).to_string()),
        Value::Object(fields) => {
            // `data` holds the texts of a tensor.
            for name in ["content", "parts", "text", "data", "tool_calls"] {
                match fields.get(name) {
                    Some(calls) if name == "tool_calls" => gather("tools", calls, pieces),
                    Some(inner) => gather(name, inner, pieces),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chat_of_a_body_is_as_it_was_sent_and_other_bodies_have_none() {
        let body = br#"{"model":"m", "messages":[{"b":1, "a":2}],"tools": [{}],"chat_template_kwargs":{"x": 1},"n":1}"#;
        let found = ChatBody::of(body).unwrap();
        let chat = found.chat();
        assert_eq!(chat.messages, r#"[{"b":1, "a":2}]"#);
        assert_eq!((chat.tools, chat.variables), (Some("[{}]"), Some(r#"{"x": 1}"#)));
        assert!(chat.served && chat.add_generation_prompt);
        let plain = ChatBody::of(br#"{"messages":[],"tools":null,"add_generation_prompt":false}"#).unwrap();
        assert_eq!((plain.chat().tools, plain.chat().add_generation_prompt), (None, false));
        for other in [&br#"{"prompt":"x"}"#[..], b"not JSON", b"[]", b""] {
            assert!(ChatBody::of(other).is_none());
        }
    }

    #[test]
    fn the_text_of_a_body_is_that_of_its_messages_or_prompts() {
        for (body, text) in [
            (
                r#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#,
                "a b",
            ),
            (r#"{"prompt":["x","y"],"max_tokens":4}"#, "x y"),
            (r#"{"input":"one"}"#, "one"),
            (r#"{"query":{"text":"q"},"passages":[{"text":"p"}]}"#, "q p"),
            (r#"{"model":"m","query":"q","documents":["p",{"text":"r"}]}"#, "q p r"),
            (r#"{"query":"q","texts":["p","r"]}"#, "q p r"),
            (r#"{"query":["q"],"filters":{"family":"Solido"},"inference_model":"m"}"#, "q"),
            (r#"{"inputs":"once","parameters":{"max_new_tokens":4}}"#, "once"),
            (r#"{"text_input":"once","parameters":{"stream":false}}"#, "once"),
            (r#"{"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"data":["once"]}]}"#, "once"),
            (
                r#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"},{"inline_data":{"data":"AA=="}}]}]}"#,
                "s a",
            ),
            (
                r#"{"model":"m","instructions":"s","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}]}"#,
                "s a",
            ),
            (r#"{"model":"m","system":"s","prompt":"a","images":["AA=="]}"#, "s a"),
            (r#"{"input":[{"type":"image_url","url":"data:image/png;base64,AA=="}]}"#, ""),
            (r#"{"input":["a","data:image/png;base64,AA=="]}"#, "a"),
            (r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}]}]}"#, r#"{"id":"c"}"#),
            ("not JSON", ""),
            ("[]", ""),
        ] {
            assert_eq!(text_of(body.as_bytes()), text, "{body}");
        }
    }
}
