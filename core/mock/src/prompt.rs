//! What a request says to the model: its text, whatever shape it has, and how many tokens that is.

use std::borrow::Cow;
use std::fmt;

use inferometer_tokens::Tokenizer;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::words::WORDS;

/// Counts prompts.
pub(crate) enum Counter {
    /// In tokens of `o200k_base`.
    Tokens(Tokenizer),
    /// In words, parted by white space.
    Words,
}

impl Counter {
    pub(crate) fn new(words: bool) -> Self {
        if words { Self::Words } else { Self::Tokens(Tokenizer::o200k_base()) }
    }

    /// Counts once for nothing: tables are made on first use, and the matcher learns each thread's text letter by
    /// letter, which takes some milliseconds that no request should wait for.
    pub(crate) fn warm(&self) {
        let letters = ('a'..='z').map(|small| format!(" {small}{small}. {}{small}", small.to_ascii_uppercase()));
        let text: String = WORDS.into_iter().map(str::to_owned).chain(letters).collect();
        self.text(&text);
        self.text("Shall I compare thee to a summer's day?\n\n1609");
    }

    /// Token ids count as one token each.
    pub(crate) fn count(&self, prompt: &Prompt<'_>) -> u64 {
        prompt.ids + self.text(prompt.text())
    }

    fn text(&self, text: &str) -> u64 {
        let count = match self {
            Self::Tokens(tokenizer) => tokenizer.count(text).expect("an embedded vocabulary takes any text"),
            Self::Words => text.split_whitespace().count(),
        };
        count as u64
    }
}

/// A prompt of any of the allowed shapes: text, token ids, messages, content parts, and lists of these. Borrowed from the request
/// where it is one piece of text without escapes, as it mostly is.
#[derive(Default)]
pub(crate) struct Prompt<'a> {
    /// The pieces of text joined by one blank, which is how clients count them; none, if there is none.
    text: Option<Cow<'a, str>>,
    /// Token ids.
    ids: u64,
}

impl<'a> Prompt<'a> {
    pub(crate) fn of_text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), ids: 0 }
    }

    pub(crate) fn of_ids(ids: u64) -> Self {
        Self { text: None, ids }
    }

    /// The text, without the token ids.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    fn push(&mut self, next: Self) {
        self.ids += next.ids;
        match (&mut self.text, next.text) {
            (Some(text), Some(next)) => {
                let text = text.to_mut();
                text.push(' ');
                text.push_str(&next);
            }
            (None, next) => self.text = next,
            (Some(_), None) => {}
        }
    }
}

impl<'a> FromIterator<Prompt<'a>> for Prompt<'a> {
    fn from_iter<I: IntoIterator<Item = Self>>(pieces: I) -> Self {
        let mut whole = Self::default();
        pieces.into_iter().for_each(|piece| whole.push(piece));
        whole
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Prompt<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Pieces)
    }
}

struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = Prompt<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, token ids or content parts")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Prompt::of_text(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Prompt::of_text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, _token: u64) -> Result<Self::Value, E> {
        Ok(Prompt::of_ids(1))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Prompt::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut whole = Prompt::default();
        while let Some(part) = parts.next_element()? {
            whole.push(part);
        }
        Ok(whole)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut part: A) -> Result<Self::Value, A::Error> {
        let mut whole = Prompt::default();
        while let Some(key) = part.next_key::<Cow<'de, str>>()? {
            if ["text", "content", "parts"].contains(&&*key) {
                whole.push(part.next_value()?);
            } else {
                part.next_value::<IgnoredAny>()?;
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Prompt<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn text(json: &str) -> String {
        read(json).text.unwrap().into_owned()
    }

    #[test]
    fn pieces_of_text_are_joined_by_one_blank() {
        assert_eq!(text(r#""a b\nc""#), "a b\nc");
        assert_eq!(text(r#"["a b","","c"]"#), "a b  c");
        let parts = r#"[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"u"}},{"text":"this"}]"#;
        assert_eq!(text(parts), "see this");
        assert!(read("null").text.is_none() && read("[]").text.is_none());
    }

    #[test]
    fn a_usual_prompt_is_not_copied() {
        assert!(matches!(read(r#""a b c""#).text, Some(Cow::Borrowed(_))));
    }

    #[test]
    fn text_counts_by_o200k_base_and_ids_one_each() {
        let count = |json: &str| Counter::new(false).count(&read(json));
        // The published encoder's counts.
        assert_eq!(count(r#""Shall I compare thee to a summer's day?""#), 11);
        assert_eq!(count(r#""日本語 😀 naïve""#), 5);
        assert_eq!(count("[11,12,13,14]"), 4);
        assert_eq!(count("[[11,12],[13]]"), 3);
        assert_eq!(count("null"), 0);
    }

    #[test]
    fn words_are_counted_where_that_is_asked_for() {
        let count = |json: &str| Counter::new(true).count(&read(json));
        assert_eq!(count(r#""  one two\n\tunbelievably  ""#), 3);
        assert_eq!(count(r#"["one two","three"]"#), 3);
        assert_eq!(count(r#""""#), 0);
    }
}
