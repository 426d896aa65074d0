//! Rerankers: scores that depend on the query and the passage alone, the same on every machine.

use std::borrow::Cow;

use serde::Deserialize;

use crate::ask::{Call, named};
use crate::embeddings::hash;
use crate::fill::filled;
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranker {
    /// NVIDIA NIM's `/v1/ranking`.
    Nim,
    /// Cohere's `/v2/rerank`.
    Cohere,
    /// Hugging Face TEI's `/rerank`, which also understands Cohere's words.
    Tei,
}

impl Ranker {
    pub(crate) fn errors(self) -> Shape {
        match self {
            Self::Nim => Shape::OpenAi,
            Self::Cohere => Shape::Cohere,
            Self::Tei => Shape::HuggingFace,
        }
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<String>,
    #[serde(borrow)]
    query: Option<Text<'a>>,
    #[serde(borrow)]
    passages: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    documents: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    texts: Option<Vec<Text<'a>>>,
    top_n: Option<usize>,
    return_text: Option<bool>,
}

/// Text, or an object that holds it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
}

impl Text<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Object { text } => text,
        }
    }
}

/// What a ranking request wants.
pub(crate) struct RankAsk {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    ranker: Ranker,
    /// Place, score and, where it is to be repeated, text as JSON; the best first.
    ranks: Vec<(usize, f64, Option<String>)>,
}

impl RankAsk {
    pub(crate) fn read(call: &Call<'_>, ranker: Ranker) -> Result<Self, Refusal> {
        let body: Body<'_> = call.json()?;
        // What is asked in Cohere's words is answered in them.
        let ranker = if ranker == Ranker::Tei && body.documents.is_some() { Ranker::Cohere } else { ranker };
        let (field, passages) = match ranker {
            Ranker::Nim => ("passages", body.passages),
            Ranker::Cohere => ("documents", body.documents),
            Ranker::Tei => ("texts", body.texts),
        };
        let query = body.query.ok_or_else(|| Refusal::of("query", "a query is required"))?;
        let passages = passages.filter(|passages| !passages.is_empty());
        let passages = passages.ok_or_else(|| Refusal::of(field, format!("{field} must be a list of at least one")))?;
        let model = match (ranker, body.model) {
            (Ranker::Tei, None) => call.default_model.to_owned(),
            (_, model) => named(model)?,
        };
        let repeats = body.return_text.unwrap_or(false);
        let mut ranks: Vec<_> = passages
            .iter()
            .enumerate()
            .map(|(place, passage)| {
                let text = passage.text();
                let text_json = repeats.then(|| serde_json::Value::from(text).to_string());
                (place, score(query.text(), text), text_json)
            })
            .collect();
        ranks.sort_by(|one, other| other.1.total_cmp(&one.1));
        ranks.truncate(body.top_n.unwrap_or(usize::MAX));
        let pieces = std::iter::once(&query).chain(&passages).map(|text| Prompt::of_text(text.text()));
        Ok(Self { model, prompt_tokens: call.counter.count(&pieces.collect()), ranker, ranks })
    }

    /// The answer. `model` is a JSON string.
    pub(crate) fn whole(&self, id: u64, model: &str, with_usage: bool) -> Vec<u8> {
        let field = match self.ranker {
            Ranker::Nim => "logit",
            Ranker::Cohere => "relevance_score",
            Ranker::Tei => "score",
        };
        let ranks: Vec<String> = self
            .ranks
            .iter()
            .map(|(place, score, text)| {
                let text = text.as_ref().map_or_else(String::new, |text| format!(",\"text\":{text}"));
                filled(r#"{"index":@,"@":@@}"#, &[place, &field, score, &text])
            })
            .collect();
        let (ranks, tokens) = (ranks.join(","), self.prompt_tokens);
        let usage = if with_usage {
            filled(r#","usage":{"prompt_tokens":@,"total_tokens":@}"#, &[&tokens, &tokens])
        } else {
            String::new()
        };
        let answer = match self.ranker {
            Ranker::Nim => filled(r#"{"rankings":[@]@}"#, &[&ranks, &usage]),
            Ranker::Tei => filled("[@]", &[&ranks]),
            Ranker::Cohere => filled(
                r#"{"id":"@","model":@,"results":[@],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}@}"#,
                &[&format!("{id:016x}"), &model, &ranks, &usage],
            ),
        };
        answer.into_bytes()
    }
}

/// Between 0 and 1, in steps of a millionth.
fn score(query: &str, passage: &str) -> f64 {
    let hash = hash(query.bytes().chain([0]).chain(passage.bytes()));
    (hash % 1_000_001) as f64 / 1e6
}
