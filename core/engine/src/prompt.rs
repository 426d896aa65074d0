//! The text of a request's body, as AIPerf counts it: where the messages it was made of are not at hand, or there are none.

use serde_json::Value;

/// Fields that hold text, or lists and messages of it.
const FIELDS: [&str; 14] = [
    "system",
    "instructions",
    "messages",
    "prompt",
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

/// Appends the texts of `value`, the value of `field`.
fn gather(field: &str, value: &Value, pieces: &mut Vec<String>) {
    match value {
        Value::String(text) => pieces.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(field, value, pieces)),
        Value::Object(fields) if field == "tools" => pieces.push(Value::Object(fields.clone()).to_string()),
        Value::Object(fields) => {
            for name in ["content", "text", "tool_calls"] {
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
    fn the_text_of_a_body_is_that_of_its_messages_or_prompts() {
        for (body, text) in [
            (
                r#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#,
                "a b",
            ),
            (r#"{"prompt":["x","y"],"max_tokens":4}"#, "x y"),
            (r#"{"input":"one"}"#, "one"),
            (r#"{"query":{"text":"q"},"passages":[{"text":"p"}]}"#, "q p"),
            (r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}]}]}"#, r#"{"id":"c"}"#),
            ("not JSON", ""),
            ("[]", ""),
        ] {
            assert_eq!(text_of(body.as_bytes()), text, "{body}");
        }
    }
}
