//! What inference servers do to the messages of a request before the chat template sees them.
//!
//! The rules are those of vLLM, which the others follow in the main. Images and other media are not treated here: what
//! they cost is not known from text.

use std::sync::LazyLock;

use minijinja::Value;
use minijinja::value::ValueKind;
use regex::Regex;

/// A loop over the content of a message, or over a variable of that name.
static LOOP_OVER_CONTENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\bfor\s+\w+\s+in\s+[\w.\[\]'"]*content\b"#).expect("the pattern is valid"));

/// Whether a template goes through the parts of a content itself, so that it is to be given them.
pub(crate) fn takes_parts(template: &str) -> bool {
    LOOP_OVER_CONTENT.is_match(template)
}

/// The message as a server hands it to a template: the arguments of tool calls, which are JSON texts in a request, are
/// objects, and a content of text parts alone is one text with a line for each part, unless the template takes parts.
pub(crate) fn as_served(message: &Value, takes_parts: bool) -> Value {
    replaced(message, |key, value| match key {
        "content" if !takes_parts => joined(value),
        "tool_calls" if value.kind() == ValueKind::Seq => Some(
            items(value).map(|call| replaced(&call, |key, value| (key == "function").then(|| called(value)))).collect(),
        ),
        _ => None,
    })
}

/// The function of a tool call with its arguments as an object.
fn called(function: &Value) -> Value {
    replaced(function, |key, value| {
        let arguments = value.as_str().filter(|_| key == "arguments")?;
        if arguments.is_empty() {
            return Some(Value::from_pairs::<_, &str, Value>([]));
        }
        serde_json::from_str(arguments).ok()
    })
}

/// The texts of a content that consists of text parts alone, joined.
fn joined(content: &Value) -> Option<Value> {
    if content.kind() != ValueKind::Seq {
        return None;
    }
    let texts: Option<Vec<String>> = items(content)
        .map(|part| {
            let kind = part.get_attr("type").ok()?;
            let text = part.get_attr("text").ok()?;
            (kind.as_str() == Some("text")).then(|| text.as_str().map(str::to_owned))?
        })
        .collect();
    texts.map(|texts| Value::from(texts.join("\n")))
}

/// The map with those of its values replaced that `replacement` has another for; what is not a map is left as it is.
fn replaced(map: &Value, replacement: impl Fn(&str, &Value) -> Option<Value>) -> Value {
    if map.kind() != ValueKind::Map {
        return map.clone();
    }
    Value::from_pairs(items(map).map(|key| {
        let value = map.get_item(&key).unwrap_or_default();
        let replaced = key.as_str().and_then(|key| replacement(key, &value)).unwrap_or(value);
        (key, replaced)
    }))
}

fn items(value: &Value) -> impl Iterator<Item = Value> + use<> {
    value.try_iter().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(message: &str, takes_parts: bool) -> String {
        let message: Value = serde_json::from_str(message).unwrap();
        serde_json::to_string(&as_served(&message, takes_parts)).unwrap()
    }

    #[test]
    fn arguments_become_objects_unless_they_are_no_json() {
        let call = |arguments: &str| {
            format!(
                r#"{{"role":"assistant","tool_calls":[{{"id":"1","function":{{"name":"f","arguments":{arguments}}}}}],"content":null}}"#
            )
        };
        assert_eq!(served(&call(r#""{\"b\": 1, \"a\": [2.0]}""#), false), call(r#"{"b":1,"a":[2.0]}"#));
        assert_eq!(served(&call(r#""""#), false), call("{}"));
        for left_alone in [r#""{""#, r#"{"b":1}"#] {
            assert_eq!(served(&call(left_alone), false), call(left_alone));
        }
    }

    #[test]
    fn text_parts_are_joined_unless_the_template_takes_parts_or_some_are_no_text() {
        let texts = r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#;
        assert_eq!(served(texts, false), r#"{"role":"user","content":"a\nb"}"#);
        assert_eq!(served(texts, true), texts);
        let image = r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#;
        assert_eq!(served(image, false), image);
    }

    #[test]
    fn a_template_that_loops_over_content_takes_parts() {
        for takes in ["{% for part in message['content'] %}", "{%- for c in m.content -%}", "{% for x in content %}"] {
            assert!(takes_parts(takes), "{takes}");
        }
        for takes_not in ["{{ message.content }}", "{% for m in messages %}{{ m['content'] }}{% endfor %}"] {
            assert!(!takes_parts(takes_not), "{takes_not}");
        }
    }
}
