//! What must not be seen: keys and header values, and whatever else looks like one where settings are shown or stored.

use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use url::Url;

/// What stands in place of a secret.
const HIDDEN: &str = "<redacted>";
/// Endings of names whose values are secrets.
const NAMES: [&str; 5] = ["key", "token", "secret", "password", "authorization"];

/// A text that must not be seen: it prints and serializes as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// Whether a value under this name is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|end| name.ends_with(end))
}

/// A URL without what only its server should see: user, password and the values of its query.
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails for URLs that cannot have any, which is as well.
    let _ = (shown.set_username(""), shown.set_password(None));
    if url.query().is_some() {
        let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}={HIDDEN}")).collect();
        shown.set_query(None);
        return format!("{}?{}", shown.as_str().trim_end_matches('/'), names.join("&"));
    }
    shown.as_str().trim_end_matches('/').to_owned()
}

/// Text as typed, with the values after names of secrets hidden: `api_key:x`, `token=x`, `"password": "x"`.
pub fn shown_text(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find([':', '=']) {
        let (name, value) = (&rest[..at], &rest[at + 1..]);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let word = name.trim_end_matches(['"', ' ']).rsplit(|c| !is_part(c)).next().unwrap_or_default();
        shown.push_str(&rest[..=at]);
        rest = value;
        if is_secret(word) && !value.starts_with("//") {
            let opened = value.len() - value.trim_start_matches(['"', ' ']).len();
            let length = value[opened..].find(['"', ',', '}', '&']).unwrap_or(value.len() - opened);
            shown.push_str(&value[..opened]);
            shown.push_str(HIDDEN);
            rest = &value[opened + length..];
        }
    }
    shown + rest
}

pub(crate) fn shown_urls<S: Serializer>(urls: &[Url], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(urls.iter().map(shown_url))
}

pub(crate) fn masked<S: Serializer>(settings: &impl Serialize, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(settings).map_err(serde::ser::Error::custom)?;
    mask(&mut value);
    value.serialize(serializer)
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if is_secret(name) && !member.is_object() {
                    *member = HIDDEN.into();
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let shown = |text: &str| shown_url(&Url::parse(text).unwrap());
        assert_eq!(shown("http://h:1/"), "http://h:1");
        assert_eq!(shown("http://me:pw@h/v1?key=abc&b=c"), "http://h/v1?key=<redacted>&b=<redacted>");
    }

    #[test]
    fn values_after_names_of_secrets_are_hidden_and_others_are_not() {
        for (typed, shown) in [
            ("api_key:abc,top_k:4", "api_key:<redacted>,top_k:4"),
            (r#"{"api_key": "abc", "a": 1}"#, r#"{"api_key": "<redacted>", "a": 1}"#),
            ("acme.token=abc", "acme.token=<redacted>"),
            ("http://h/x?key=abc&b=c", "http://h/x?key=<redacted>&b=c"),
            ("--tokenizer=gpt2", "--tokenizer=gpt2"),
            ("max_tokens:5", "max_tokens:5"),
            ("é:ü=", "é:ü="),
        ] {
            assert_eq!(shown_text(typed), shown);
        }
    }
}
