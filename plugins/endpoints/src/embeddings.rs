//! The endpoints of embeddings: `embeddings`, `nim-embeddings` and `chat-embeddings`.
//!
//! Their answers are large: megabytes of numbers, none of which is of interest. They are passed over rather than taken
//! apart, the usual ones by [`crate::scan`] and the others by a parser that keeps only what kind of value it saw.

use crate::{
    body::{self, Object, json, list},
    chat,
    parts::Parts,
    reading::{Whole, failure, unexpected},
    scan::Cursor,
    speaks::{self, speaks},
    usage,
};
use inferometer_plugin_sdk::{
    RVec,
    serde::{
        Deserialize, Deserializer,
        de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
    },
    types::{Delta, PartKind, Request, Result, delta_flags},
};
use serde_json::Value;
use std::fmt;

const PATH: &str = "/v1/embeddings";

speaks! {
    /// Speaks `/v1/embeddings`: the texts of a turn, always as a list.
    Embeddings, "embeddings", "OpenAI's embeddings of texts (/v1/embeddings).",
    info: speaks::whole(PATH),
    encode: |request, out| body::encode(request, out, |body| write(body, request)),
    answers: Whole(read),
}

speaks! {
    /// Speaks `/v1/embeddings` as NVIDIA's NIMs do for models that see: an image stands behind its text.
    NimEmbeddings, "nim-embeddings", "Embeddings of texts and images, as NVIDIA's NIMs take them (/v1/embeddings).",
    info: speaks::whole(PATH),
    encode: |request, out| body::encode(request, out, |body| write_joined(body, request)),
    answers: Whole(read),
}

speaks! {
    /// Speaks `/v1/embeddings` with the body of a chat, of which the server makes what it embeds.
    ChatEmbeddings, "chat-embeddings", "Embeddings of chats, with images where the model sees (/v1/embeddings).",
    info: speaks::whole(PATH),
    encode: |request, out| body::encode(request, out, |body| write_chat(body, request)),
    answers: Whole(read),
}

fn write(body: &mut Object<'_>, request: &Request<'_>) -> Result<()> {
    let parts = Parts::of(request, "embeddings").only(&[PartKind::TEXT], "text")?;
    write_input(body, request, parts, &parts.texts().collect::<Vec<_>>())
}

fn write_joined(body: &mut Object<'_>, request: &Request<'_>) -> Result<()> {
    let kinds = [PartKind::TEXT, PartKind::IMAGE];
    let parts = Parts::of(request, "nim-embeddings").only(&kinds, "text and images")?;
    let mut texts = parts.texts();
    let mut images = parts.of_kind(PartKind::IMAGE).map(|part| part.data.as_str());
    let pair = || match (texts.next(), images.next()) {
        (Some(text), Some(image)) => Some(format!("{text} {image}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    write_input(body, request, parts, &std::iter::from_fn(pair).collect::<Vec<_>>())
}

fn write_input<T: AsRef<str>>(
    body: &mut Object<'_>,
    request: &Request<'_>,
    parts: Parts<'_>,
    texts: &[T],
) -> Result<()> {
    if texts.is_empty() {
        return Err(parts.lacks("a text"));
    }
    body.member("model", json(request.model.as_str()))?;
    body.member("input", |out| list(out, texts, |out, text| json(text.as_ref())(out))).map(drop)
}

fn write_chat(body: &mut Object<'_>, request: &Request<'_>) -> Result<()> {
    body.member("messages", |out| list(out, &request.messages, chat::write_message))?;
    body.member("model", json(request.model.as_str())).map(drop)
}

/// Says what an answer holds: all of its embeddings count as one piece of content.
fn read(body: &[u8], scratch: &mut RVec<u8>) -> Result<Delta> {
    scan(body).map_or_else(|| parse(body, scratch), Ok)
}

/// The fast way, for what has the usual shape; declines what has another.
fn scan(body: &[u8]) -> Option<Delta> {
    let mut cursor = Cursor::new(body)?;
    let (mut has_data, mut usage) = (false, None);
    cursor.object(|c| match c.any_key()? {
        b"data" => {
            (!std::mem::replace(&mut has_data, true)).then_some(())?;
            let mut is_empty = true;
            c.list(|c| {
                is_empty = false;
                pass_embedding(c)
            })?;
            (!is_empty).then_some(())
        }
        b"usage" if usage.is_none() => {
            let before = c.rest();
            c.pass_value()?;
            usage = before.get(..before.len() - c.rest().len());
            Some(())
        }
        b"error" | b"message" => None,
        key if usage::is_place(key) => None,
        _ => c.pass_value(),
    })?;
    (has_data && cursor.is_at_end()).then_some(())?;
    let mut delta = Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY };
    if let Some(usage) = usage {
        usage::read_alone(&serde_json::from_slice(usage).ok()?, &mut delta);
    }
    Some(delta)
}

fn pass_embedding(c: &mut Cursor<'_>) -> Option<()> {
    let mut has_embedding = false;
    c.object(|c| match c.any_key()? {
        b"object" => c.require(b"\"embedding\""),
        b"embedding" => {
            (!std::mem::replace(&mut has_embedding, true)).then_some(())?;
            if c.rest().starts_with(b"[") { c.numbers() } else { pass_base64(c) }
        }
        _ => c.pass_value(),
    })?;
    has_embedding.then_some(())
}

fn pass_base64(c: &mut Cursor<'_>) -> Option<()> {
    let before = c.rest();
    let len = c.string()?.len as usize;
    is_base64(&before[1..=len]).then_some(())
}

/// Whether `text` may be bytes in base64, of either alphabet.
fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|&&b| b == b'=').count();
    let digits = &text[..text.len() - padding];
    let is_digit = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b'+' | b'/' | b'-' | b'_');
    !digits.is_empty() && padding <= 2 && digits.iter().fold(true, |all, &b| all & is_digit(b))
}

/// The thorough way.
#[cold]
fn parse(body: &[u8], scratch: &mut RVec<u8>) -> Result<Delta> {
    const EXPECTED: &str = "a list of embeddings";
    let answer: Embedded = serde_json::from_slice(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
    let Embedded { data, usage, meta, error, message } = answer;
    let rest = serde_json::json!({"usage": usage, "meta": meta, "error": error, "message": message});
    if let Some(delta) = failure(&rest, data.is_some(), scratch) {
        return Ok(delta);
    }
    let data = data.ok_or_else(|| unexpected(EXPECTED, "no `data`", body))?;
    if data.is_empty() {
        return Err(unexpected(EXPECTED, "`data` is empty", body));
    }
    for (number, Item { object, embedding }) in data.iter().enumerate() {
        match object {
            Shape::Absent => {}
            Shape::Text(kind) if kind == "embedding" => {}
            other => return Err(unexpected(EXPECTED, &format!("the object of data[{number}] is {other}"), body)),
        }
        if !embedding.is_vector() {
            return Err(unexpected(EXPECTED, &format!("the embedding of data[{number}] is {embedding}"), body));
        }
    }
    let mut delta = Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY };
    usage::read(&rest, &mut delta);
    Ok(delta)
}

#[derive(Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[derive(Default)]
struct Embedded {
    data: Option<Vec<Item>>,
    usage: Value,
    meta: Value,
    error: Value,
    message: Value,
}

#[derive(Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde")]
struct Item {
    #[serde(default)]
    object: Shape,
    #[serde(default)]
    embedding: Shape,
}

/// What kind of value was seen.
#[derive(Default)]
enum Shape {
    #[default]
    Absent,
    Text(String),
    Numbers(usize),
    Other(&'static str),
}

impl Shape {
    /// Whether it is a vector: a list of numbers, or the bytes of one in base64.
    fn is_vector(&self) -> bool {
        match self {
            Self::Numbers(count) => *count > 0,
            Self::Text(text) => is_base64(text.as_bytes()),
            Self::Absent | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("missing"),
            Self::Text(text) if text.is_empty() => f.write_str("an empty text"),
            Self::Text(text) => {
                write!(f, "the text `{}`, which is no base64", text.chars().take(40).collect::<String>())
            }
            Self::Numbers(0) => f.write_str("an empty list"),
            Self::Numbers(_) => f.write_str("a list of numbers"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;

        impl<'de> Visitor<'de> for Seen {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Other("null"))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::Other("true or false"))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
                Ok(Shape::Other("a number"))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
                Ok(Shape::Other("a number"))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::Other("a number"))
            }

            fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
                Ok(Shape::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let (mut count, mut all_numbers) = (0, true);
                while let Some(item) = list.next_element::<Shape>()? {
                    count += 1;
                    all_numbers &= matches!(item, Shape::Other("a number"));
                }
                Ok(if all_numbers {
                    Shape::Numbers(count)
                } else {
                    Shape::Other("a list that holds more than numbers")
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Shape::Other("an object"))
            }
        }

        deserializer.deserialize_any(Seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, read as read_with, refused, texts};
    use inferometer_plugin_sdk::types::{ErrorKind, NO_COUNT, Part};
    use proptest::prelude::*;

    const ANSWER: &str = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[-0.25,1e-3,7]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#;

    fn delta(answer: &str) -> Delta {
        let reply = read_with(&Embeddings, "application/json", answer.as_bytes()).unwrap();
        reply.deltas[0]
    }

    #[test]
    fn one_text_is_a_list_as_well_and_nothing_is_said_of_streams() {
        let (one, two) = (Part::text("a\"b"), Part::text("c"));
        assert_eq!(body(&Embeddings, &[one], "").unwrap(), r#"{"model":"m","input":["a\"b"]}"#);
        assert_eq!(
            body(&Embeddings, &[one, two], r#"{"encoding_format":"base64"}"#).unwrap(),
            r#"{"model":"m","input":["a\"b","c"],"encoding_format":"base64"}"#
        );
    }

    #[test]
    fn an_image_stands_behind_its_text() {
        let image = |data| Part { kind: PartKind::IMAGE, ..Part::text(data) };
        let parts =
            [Part::text("a"), image("data:image/png;base64,AA"), Part::text("b"), image("http://i"), image("http://j")];
        assert_eq!(
            body(&NimEmbeddings, &parts, "").unwrap(),
            r#"{"model":"m","input":["a data:image/png;base64,AA","b http://i","http://j"]}"#
        );
        assert_eq!(body(&Embeddings, &parts, "").unwrap_err().kind, ErrorKind::UNSUPPORTED);
    }

    #[test]
    fn a_chat_is_embedded_with_its_messages() {
        assert_eq!(
            body(&ChatEmbeddings, &[Part::text("a")], "").unwrap(),
            r#"{"messages":[{"role":"user","content":"a"}],"model":"m"}"#
        );
    }

    #[test]
    fn a_turn_without_text_is_refused() {
        let error = body(&Embeddings, &[], "").unwrap_err();
        assert!(error.kind == ErrorKind::CONFIG && error.message.contains("`embeddings`"), "{error}");
    }

    #[test]
    fn the_usual_answer_is_passed_over_and_its_usage_is_read() {
        let found = scan(ANSWER.as_bytes()).unwrap();
        assert_eq!(found, delta(ANSWER));
        assert!(found.has_content());
        assert_eq!((found.prompt_tokens, found.completion_tokens), (5, NO_COUNT));
        let base64 = r#"{"data":[{"embedding":"AACAPwAAAEA="},{"embedding":"AA-_"}]}"#;
        assert!(scan(base64.as_bytes()).is_some_and(|delta| delta.has_content()));
    }

    #[test]
    fn an_embedding_that_is_none_is_refused_with_what_was_found() {
        for (embedding, found) in [
            (r#""[0.1, 0.2]""#, "the text `[0.1, 0.2]`, which is no base64"),
            (r#""""#, "an empty text"),
            ("[]", "an empty list"),
            ("null", "null"),
            ("7", "a number"),
            ("{}", "an object"),
            (r#"[0.1,"x"]"#, "a list that holds more than numbers"),
        ] {
            let answer = format!(r#"{{"data":[{{"object":"embedding","embedding":{embedding}}}]}}"#);
            let message = refused(&Embeddings, &answer);
            assert!(message.contains(&format!("the embedding of data[0] is {found} in")), "{message}");
        }
        for (answer, found) in [
            (r#"{"data":[{"index":0}]}"#, "the embedding of data[0] is missing"),
            (r#"{"data":[{"object":"image","embedding":[1]}]}"#, "the object of data[0] is the text `image`"),
            (r#"{"data":[]}"#, "`data` is empty"),
            ("{}", "no `data`"),
            ("<html>", "`<html>`"),
        ] {
            let message = refused(&Embeddings, answer);
            assert!(message.contains(found), "{message}");
        }
    }

    #[test]
    fn an_error_in_the_answer_is_told_in_the_servers_words() {
        for answer in [r#"{"error":{"message":"too long"}}"#, r#"{"message":"too long"}"#] {
            let reply = read_with(&Embeddings, "", answer.as_bytes()).unwrap();
            let [.., error] = texts(&reply.deltas[0], answer.as_bytes(), &reply.scratch);
            assert_eq!((error.as_str(), reply.deltas[0].has_content()), ("too long", false));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_scan_takes_the_parser_reads_alike(at in 0..ANSWER.len(), byte: u8, cut in 0..ANSWER.len()) {
            let mut damaged = ANSWER.as_bytes().to_vec();
            damaged[at] = byte;
            damaged.truncate(ANSWER.len() - cut / 4);
            if let Some(delta) = scan(&damaged) {
                prop_assert_eq!(parse(&damaged, &mut RVec::new()).ok(), Some(delta));
            }
        }
    }
}
