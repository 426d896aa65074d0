//! What must not be seen: keys and header values, and whatever else looks like one where settings are shown or stored.

use inferometer_abi::options::is_secret;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use url::Url;

/// What stands in place of a secret.
const HIDDEN: &str = "<redacted>";

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

/// Whether what is under this name is headers, of which nothing but their server knows which are secret.
fn are_headers(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("headers")
}

/// A URL without what only its server should see: user, password and the values of its query.
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails for URLs that cannot have any, which is as well.
    let _ = (shown.set_username(""), shown.set_password(None));
    shown.set_query(None);
    let bare = shown.as_str().trim_end_matches('/').to_owned();
    url.query().map_or_else(|| bare.clone(), |query| format!("{bare}?{}", shown_query(query)))
}

/// A path on a server without the values of its query.
pub fn shown_path(path: &str) -> String {
    path.split_once('?').map_or_else(|| path.to_owned(), |(bare, query)| format!("{bare}?{}", shown_query(query)))
}

/// The names of a query.
fn shown_query(query: &str) -> String {
    let shown =
        |pair: &str| pair.split_once('=').map_or_else(|| HIDDEN.to_owned(), |(name, _)| format!("{name}={HIDDEN}"));
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

/// A component's option as typed, `name.key=value`: of a secret nothing is shown, whatever its value holds.
pub fn shown_option(text: &str) -> String {
    match text.split_once('=') {
        Some((path, _)) if path.rsplit('.').next().is_some_and(is_secret) => format!("{path}={HIDDEN}"),
        Some((path, value)) if !are_headers(path) => format!("{path}={}", shown_text(value)),
        _ => shown_text(text),
    }
}

/// Text as typed, with the values after names of secrets hidden (`api_key:x`, `token=x`, `"password": "x"`) and whoever a
/// URL says asks (`http://me:x@host`), and with the values of a URL's query.
pub fn shown_text(text: &str) -> String {
    if let Some(mut value) = serde_json::from_str::<Value>(text).ok().filter(|v| v.is_object() || v.is_array()) {
        mask(&mut value);
        return value.to_string();
    }
    let text = without_queries(&without_users(text));
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find([':', '=']) {
        let (name, value) = (&rest[..at], &rest[at + 1..]);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let word = name.trim_end_matches(['"', ' ']).rsplit(|c| !is_part(c)).next().unwrap_or_default();
        shown.push_str(&rest[..=at]);
        rest = value;
        if is_secret(word) || are_headers(word) {
            let (starts, ends): (&[char], &[char]) =
                if are_headers(word) { (&[' ', '{'], &['}']) } else { (&['"', ' '], &['"', ',', '}', '&']) };
            let opened = value.len() - value.trim_start_matches(starts).len();
            let length = value[opened..].find(ends).unwrap_or(value.len() - opened);
            shown.push_str(&value[..opened]);
            shown.push_str(HIDDEN);
            rest = &value[opened + length..];
        }
    }
    shown + rest
}

/// Hides what stands between `://` and `@`, as far as one URL may go; a password may hold anything that ends a host.
fn without_users(text: &str) -> String {
    const MARK: &str = "://";
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at + MARK.len());
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || c == '"';
        let end = after.find(ends).into_iter().chain(after.find(MARK)).min().unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(user) => {
                shown.push_str(HIDDEN);
                &after[user..]
            }
            None => after,
        };
    }
    shown + rest
}

/// Hides the values of the queries of URLs, each as far as it may go.
fn without_queries(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || "\"'".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let end = rest[at..].find(ends).map_or(rest.len(), |end| at + end);
        let (url, after) = rest.split_at(end);
        shown.push_str(&url[..at]);
        shown.push_str(&shown_path(&url[at..]));
        rest = after;
    }
    shown + rest
}

pub(crate) fn shown_optional_path<S: Serializer>(path: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(shown_path).serialize(serializer)
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
                if let (true, Value::Object(headers)) = (are_headers(name), &mut *member) {
                    headers.values_mut().for_each(|value| *value = HIDDEN.into());
                } else if is_secret(name) && !member.is_object() {
                    *member = HIDDEN.into();
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => *text = shown_text(text),
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
    fn a_path_is_shown_without_the_values_of_its_query() {
        assert_eq!(shown_path("/v1/x?key=abc&b=c&d"), "/v1/x?key=<redacted>&b=<redacted>&<redacted>");
        assert_eq!(shown_path("/v1/x"), "/v1/x");
    }

    #[test]
    fn of_a_secret_option_nothing_is_shown() {
        for value in ["pa,abc", "pa&abc", "pa}abc", "pa\"abc", r#""pa\"abc""#, r#"{"abc":1"#] {
            assert_eq!(shown_option(&format!("acme.api_token={value}")), "acme.api_token=<redacted>");
        }
        assert_eq!(shown_option(r#"acme.any={"api_key":["abc"]}"#), r#"acme.any={"api_key":"<redacted>"}"#);
        assert_eq!(shown_option("acme.size=5"), "acme.size=5");
    }

    #[test]
    fn values_after_names_of_secrets_are_hidden_and_others_are_not() {
        for (typed, shown) in [
            ("api_key:abc,top_k:4", "api_key:<redacted>,top_k:4"),
            (r#"{"api_key": "abc", "a": 1}"#, r#"{"a":1,"api_key":"<redacted>"}"#),
            (r#"[{"api_key": ["abc", 1]}]"#, r#"[{"api_key":"<redacted>"}]"#),
            ("acme.token=abc", "acme.token=<redacted>"),
            ("http://h/x?key=abc&b=c", "http://h/x?key=<redacted>&b=<redacted>"),
            ("p.url=http://h/m?abc d", "p.url=http://h/m?<redacted> d"),
            ("what is this? a=b", "what is this? a=b"),
            ("--tokenizer=gpt2", "--tokenizer=gpt2"),
            ("max_tokens:5", "max_tokens:5"),
            ("é:ü=", "é:ü="),
            ("http://bob:hunter2@h:1/m", "http://<redacted>@h:1/m"),
            ("p.url=http://bob:a/b,c@d@h?token=x", "p.url=http://<redacted>@h?token=<redacted>"),
            ("http://h:1,http://me@i:2", "http://h:1,http://<redacted>@i:2"),
            (r#"{"url": "http://h", "mail": "me@h"}"#, r#"{"mail":"me@h","url":"http://h"}"#),
            ("token=//x", "token=<redacted>"),
            (r#"p.headers={"X-Team": "blue", "Y": "z"}"#, "p.headers={<redacted>}"),
        ] {
            assert_eq!(shown_text(typed), shown);
        }
    }
}
