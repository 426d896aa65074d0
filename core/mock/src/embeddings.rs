//! The embeddings route: vectors that depend on the input alone, the same on every machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::Deserialize;

use crate::ask::{Call, named};
use crate::http::append;
use crate::prompt::Prompt;
use crate::refusal::Refusal;

/// Length of a vector when the request names none.
const DIMENSIONS: usize = 64;
const MAX_DIMENSIONS: usize = 8192;

/// What an embeddings request wants.
pub(crate) struct EmbedAsk {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    dimensions: usize,
    /// Vectors are sent as base64 of their little-endian floats.
    base64: bool,
    /// One number per input, from which its vector is drawn.
    seeds: Vec<u64>,
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    input: Option<Input>,
    /// A chat in place of an input, which is one input.
    #[serde(borrow)]
    messages: Option<Prompt<'a>>,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

impl EmbedAsk {
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let body: Body<'_> = call.json()?;
        let inputs: Vec<(u64, Prompt<'_>)> = match &body.input {
            None if body.messages.is_some() => {
                let prompt = body.messages.unwrap_or_default();
                vec![(hash(prompt.text().bytes()), prompt)]
            }
            Some(Input::Text(input)) => vec![text(input)],
            Some(Input::Tokens(input)) if !input.is_empty() => vec![tokens(input)],
            Some(Input::Texts(inputs)) if !inputs.is_empty() => inputs.iter().map(|input| text(input)).collect(),
            Some(Input::TokenLists(inputs)) if !inputs.is_empty() => inputs.iter().map(|input| tokens(input)).collect(),
            _ => return Err(Refusal::of("input", "input must be text, token ids, or a list of at least one of them")),
        };
        let dimensions = body.dimensions.unwrap_or(DIMENSIONS);
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            let message = format!("dimensions must be from 1 to {MAX_DIMENSIONS}, not {dimensions}");
            return Err(Refusal::of("dimensions", message));
        }
        let base64 = match body.encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                let message = format!("encoding_format must be float or base64, not {other}");
                return Err(Refusal::of("encoding_format", message));
            }
        };
        let (seeds, pieces): (_, Vec<_>) = inputs.into_iter().unzip();
        Ok(Self {
            model: named(body.model)?,
            prompt_tokens: call.counter.count(&pieces.into_iter().collect()),
            dimensions,
            base64,
            seeds,
        })
    }

    /// The answer. `model` is a JSON string.
    pub(crate) fn whole(&self, model: &str, with_usage: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, format_args!("{{\"object\":\"list\",\"model\":{model},\"data\":["));
        for (index, &seed) in self.seeds.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            append(&mut out, format_args!("{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":"));
            let vector = vector(seed, self.dimensions);
            if self.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                append(&mut out, format_args!("\"{}\"", STANDARD.encode(bytes)));
            } else {
                serde_json::to_writer(&mut out, &vector).expect("a vector takes any bytes");
            }
            out.push(b'}');
        }
        out.push(b']');
        if with_usage {
            let tokens = self.prompt_tokens;
            append(&mut out, format_args!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}"));
        }
        out.push(b'}');
        out
    }
}

/// An input's own number, and what it says.
fn text(input: &str) -> (u64, Prompt<'_>) {
    (hash(input.bytes()), Prompt::of_text(input))
}

fn tokens(input: &[u32]) -> (u64, Prompt<'_>) {
    (hash(input.iter().flat_map(|id| id.to_le_bytes())), Prompt::of_ids(input.len() as u64))
}

/// A vector of length 1. Only operations that IEEE 754 defines to the last bit are used.
fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let raw: Vec<f64> = (0..dimensions).map(|_| rng.random::<f64>() - 0.5).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.iter().map(|x| (x / norm) as f32).collect()
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits: the standard library promises no stable hash.
pub(crate) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::tests::call;

    fn read(request: &str) -> Result<EmbedAsk, Refusal> {
        call(request, EmbedAsk::read)
    }

    fn body(request: &str) -> String {
        String::from_utf8(read(request).ok().unwrap().whole("\"m\"", true)).unwrap()
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the algorithm's authors.
        assert_eq!(hash("".bytes()), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash("foobar".bytes()), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn the_same_input_gives_the_same_unit_vector_and_another_gives_another() {
        let one = body(r#"{"model":"m","input":"some words","dimensions":8}"#);
        assert_eq!(one, body(r#"{"model":"m","input":["some words"],"dimensions":8}"#));
        assert_ne!(one, body(r#"{"model":"m","input":"other words","dimensions":8}"#));
        let value: serde_json::Value = serde_json::from_str(&one).unwrap();
        let vector = value["data"][0]["embedding"].as_array().unwrap();
        let norm: f64 = vector.iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
        assert_eq!(vector.len(), 8);
        assert!((norm - 1.0).abs() < 1e-6);
        assert_eq!(value["usage"]["prompt_tokens"], 2);
    }

    #[test]
    fn every_input_of_a_list_gets_its_own_vector() {
        let value: serde_json::Value = serde_json::from_str(&body(r#"{"model":"m","input":[[1,2],[3]]}"#)).unwrap();
        assert_eq!(value["data"].as_array().unwrap().len(), 2);
        assert_eq!(value["data"][1]["index"], 1);
        assert_eq!(value["usage"]["total_tokens"], 3);
    }

    #[test]
    fn base64_holds_the_same_floats() {
        let value = |format: &str| {
            let request = format!(r#"{{"model":"m","input":"x","dimensions":3,"encoding_format":"{format}"}}"#);
            let mut value: serde_json::Value = serde_json::from_str(&body(&request)).unwrap();
            value["data"][0]["embedding"].take()
        };
        let bytes = STANDARD.decode(value("base64").as_str().unwrap()).unwrap();
        let packed: Vec<f32> = bytes.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        assert_eq!(packed, serde_json::from_value::<Vec<f32>>(value("float")).unwrap());
    }

    #[test]
    fn a_chat_is_one_input() {
        let request = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"some words"}]}]}"#;
        let value: serde_json::Value = serde_json::from_str(&body(request)).unwrap();
        assert_eq!(value["data"].as_array().unwrap().len(), 1);
        assert_eq!(value["usage"]["prompt_tokens"], 2);
    }

    #[test]
    fn unusable_requests_are_refused() {
        for request in [
            r#"{"model":"m"}"#,
            r#"{"model":"m","input":[]}"#,
            r#"{"model":"m","input":"x","dimensions":0}"#,
            r#"{"model":"m","input":"x","encoding_format":"int8"}"#,
            r#"{"input":"x"}"#,
        ] {
            assert_eq!(read(request).err().unwrap().status, 400, "{request}");
        }
    }
}
