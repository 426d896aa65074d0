//! [`Expression`]: where the user says the text of an answer is, in JMESPath.
//!
//! Most expressions are plain paths, such as `choices[0].delta.content`, and most answers have a text there. Then it is
//! found by walking along, on the measured path without allocating; everything else is left to the library.

use crate::{scan::Cursor, usage};
use inferometer_plugin_sdk::types::{Delta, Error, Result, Span, delta_flags};
use serde_json::Value;

/// A JMESPath expression, ready to be used.
pub(crate) struct Expression {
    compiled: jmespath::Expression<'static>,
    /// The steps of one that is a plain path.
    path: Option<Vec<Step>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Expression {
    /// # Errors
    /// Quotes `text` and says what is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let compiled = jmespath::compile(text).map_err(|error| {
            // The library draws the place on lines of its own; the first says what is wrong.
            let reason = error.to_string();
            let reason = reason.lines().next().unwrap_or_default();
            Error::config(format!(
                "the response_field `{text}` is no JMESPath expression: {reason}; write one like `data[0].text`"
            ))
        })?;
        Ok(Self { compiled, path: steps(text) })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.compiled.as_str()
    }

    /// What is there in `answer`; null if there is nothing.
    pub(crate) fn search(&self, answer: &Value) -> Value {
        let found = self.compiled.search(answer);
        found.ok().and_then(|found| serde_json::to_value(&*found).ok()).unwrap_or_default()
    }

    /// The text there, if the expression is a plain path that leads to one; declines an answer that holds usage or an error.
    pub(crate) fn scan(&self, data: &[u8]) -> Option<Delta> {
        let path = self.path.as_deref()?;
        let mut cursor = Cursor::new(data)?;
        let mut found = None;
        cursor.space();
        walk(&mut cursor, path, true, &mut found)?;
        let text = found.filter(|_| cursor.is_at_end())?;
        Some(Delta { flags: delta_flags::ESCAPED, text, ..Delta::EMPTY })
    }
}

/// The steps of an expression that is a plain path.
fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for (number, piece) in text.split('.').enumerate() {
        let (name, indices) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if is_name {
            steps.push(Step::Key(name.to_owned()));
        } else if number > 0 || !name.is_empty() || indices.is_empty() {
            return None;
        }
        if !indices.is_empty() {
            for index in indices.strip_prefix('[')?.strip_suffix(']')?.split("][") {
                let is_index = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                steps.push(Step::Index(index.parse().ok().filter(|_| is_index)?));
            }
        }
    }
    Some(steps)
}

/// Passes a value, and tells the text to which `path` leads within it.
fn walk(c: &mut Cursor<'_>, path: &[Step], is_top: bool, found: &mut Option<Span>) -> Option<()> {
    let Some((step, rest)) = path.split_first() else {
        *found = Some(c.string()?);
        return Some(());
    };
    match step {
        Step::Key(name) => {
            let mut seen = false;
            c.object(|c| match c.any_key()? {
                // Of members that come twice, parsers take the last.
                key if key == name.as_bytes() => {
                    (!std::mem::replace(&mut seen, true)).then_some(())?;
                    walk(c, rest, false, found)
                }
                key if is_top && usage::is_place(key) => c.require(b"null"),
                b"error" if is_top => c.require(b"null"),
                _ => c.pass_value(),
            })
        }
        Step::Index(index) => {
            let mut at = 0;
            c.list(|c| {
                at += 1;
                if at - 1 == *index { walk(c, rest, false, found) } else { c.pass_value() }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn plain_paths_are_told_from_what_only_the_library_understands() {
        assert_eq!(steps("text"), Some(vec![key("text")]));
        assert_eq!(
            steps("a.b_2[0][17].c"),
            Some(vec![key("a"), key("b_2"), Step::Index(0), Step::Index(17), key("c")])
        );
        assert_eq!(steps("[0].generated_text"), Some(vec![Step::Index(0), key("generated_text")]));
        for other in
            ["", "a[*]", "a[-1]", "a[]", "a[0", "a[+1]", "a || b", "\"a b\"", "a.[0]", "a..b", "length(a)", "a[?b]"]
        {
            assert_eq!(steps(other), None, "{other}");
        }
    }

    #[test]
    fn walking_finds_what_the_library_finds() {
        for (path, answer) in [
            ("a.b", r#"{"x":[1,{"a":2}],"a":{"c":{},"b":"t\u00e9\n"}}"#),
            ("[1].t", r#" [{"t":"one"}, {"t": "two"} ] "#),
            ("a[0][1]", r#"{"a":[["x","y"]],"usage":null,"error":null}"#),
        ] {
            let expression = Expression::new(path).unwrap();
            let delta = expression.scan(answer.as_bytes()).unwrap_or_else(|| panic!("{path}"));
            let text = std::str::from_utf8(delta.text.of(answer.as_bytes()).unwrap()).unwrap();
            let text: Value = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(text, expression.search(&serde_json::from_str(answer).unwrap()), "{path}");
        }
    }

    #[test]
    fn walking_declines_what_it_would_read_otherwise_than_a_parser() {
        for answer in [
            r#"{"a":"x","a":"y"}"#,
            r#"{"a":7}"#,
            r#"{"b":1}"#,
            r#"{"a":"x","usage":{"prompt_tokens":1}}"#,
            r#"{"a":"x","error":"no"}"#,
            r#"{"a":"x"} y"#,
            r#"{"\u0061":"x"}"#,
            "7",
            "",
        ] {
            assert!(Expression::new("a").unwrap().scan(answer.as_bytes()).is_none(), "{answer}");
        }
    }

    #[test]
    fn an_expression_finds_nothing_rather_than_failing() {
        let value = json!({"a": [1, 2], "b": "x"});
        for (text, found) in [
            ("b", json!("x")),
            ("a[*]", json!([1, 2])),
            ("c || b", json!("x")),
            ("c.d", Value::Null),
            ("length(c)", Value::Null),
            ("join('', [b, b])", json!("xx")),
        ] {
            assert_eq!(Expression::new(text).unwrap().search(&value), found, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_text() {
        for text in ["a[", "", "a b", "$.a"] {
            let error = Expression::new(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.message.contains(&format!("`{text}`")) && error.message.lines().count() == 1, "{error}");
        }
    }
}
