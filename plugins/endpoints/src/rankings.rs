//! The endpoints of rankings: `nim-rankings`, `cohere-rankings` and `hf-tei-rankings`.
//!
//! A turn holds a query and passages, as texts of those names. Where no text is named a query, the first without a name is
//! the query and the others are passages.

use crate::{
    body::{self, json, list},
    parts::Parts,
    reading::{Whole, failure, unexpected},
    speaks::{self, speaks},
    turns::strings,
    usage,
};
use inferometer_plugin_sdk::{
    RVec,
    documents::EndpointInfo,
    types::{Delta, PartKind, Request, Result, delta_flags},
};
use serde_json::Value;

/// Names of a query.
pub(crate) const QUERY: &[&str] = &["query", "queries"];
/// Names of passages.
pub(crate) const PASSAGES: &[&str] = &["passages", "passage", "documents", "texts"];

speaks! {
    /// Speaks `/v1/ranking` of NVIDIA's NIMs.
    NimRankings, "nim-rankings", "Rankings of passages by a query, as NVIDIA's NIMs give them (/v1/ranking).",
    info: ranks("/v1/ranking"),
    encode: |request: &Request<'_>, out| body::encode(request, out, |body| {
        let Ranking { query, passages } = Ranking::of(request, "nim-rankings")?;
        body.member("model", json(request.model.as_str()))?;
        body.member("query", |out| strings(out, &[("text", query)]))?;
        body.member("passages", |out| list(out, &passages, |out, text| strings(out, &[("text", text)]))).map(drop)
    }),
    answers: Whole(read),
}

speaks! {
    /// Speaks `/v2/rerank` of Cohere, which other servers offer as well.
    CohereRankings, "cohere-rankings", "Cohere's rankings of documents by a query (/v2/rerank).",
    info: ranks("/v2/rerank"),
    encode: |request: &Request<'_>, out| body::encode(request, out, |body| {
        let Ranking { query, passages } = Ranking::of(request, "cohere-rankings")?;
        body.member("model", json(request.model.as_str()))?;
        body.member("query", json(query))?;
        body.member("documents", json(&passages)).map(drop)
    }),
    answers: Whole(read),
}

speaks! {
    /// Speaks `/rerank` of Hugging Face's Text Embeddings Inference.
    HfTeiRankings, "hf-tei-rankings",
    "Rankings of texts by a query, as Hugging Face's Text Embeddings Inference gives them (/rerank).",
    info: ranks("/rerank"),
    encode: |request: &Request<'_>, out| body::encode(request, out, |body| {
        let Ranking { query, passages } = Ranking::of(request, "hf-tei-rankings")?;
        body.member("query", json(query))?;
        body.member("texts", json(&passages)).map(drop)
    }),
    answers: Whole(read),
}

fn ranks(path: &str) -> EndpointInfo {
    EndpointInfo { ranks: true, ..speaks::whole(path) }
}

/// What a turn wants ranked.
struct Ranking<'a> {
    query: &'a str,
    passages: Vec<&'a str>,
}

impl<'a> Ranking<'a> {
    fn of(request: &Request<'a>, endpoint: &'static str) -> Result<Self> {
        const LACKS: &str = "a query and passages (texts named `query` and `passages`, or several texts of which the first \
                             is the query)";
        let parts = Parts::of(request, endpoint).only(&[PartKind::TEXT], "text")?;
        let mut unnamed = parts.named(&[""]);
        let query = parts.named(QUERY).next().or_else(|| unnamed.next()).ok_or_else(|| parts.lacks(LACKS))?;
        let passages: Vec<&str> = parts.named(PASSAGES).chain(unnamed).collect();
        if passages.is_empty() { Err(parts.lacks(LACKS)) } else { Ok(Self { query, passages }) }
    }
}

/// Keys of the list in an answer, which may be a list itself.
const LISTS: [&str; 2] = ["rankings", "results"];
/// Keys of a score.
const SCORES: [&str; 3] = ["logit", "relevance_score", "score"];

/// Says what an answer holds: the whole ranking counts as one piece of content.
fn read(body: &[u8], scratch: &mut RVec<u8>) -> Result<Delta> {
    const EXPECTED: &str = "a ranking";
    let answer: Value = serde_json::from_slice(body).map_err(|e| unexpected(EXPECTED, &e.to_string(), body))?;
    let ranked = answer.as_array().or_else(|| LISTS.iter().find_map(|key| answer.get(key)?.as_array()));
    if let Some(delta) = failure(&answer, ranked.is_some(), scratch) {
        return Ok(delta);
    }
    let ranked = ranked.ok_or_else(|| unexpected(EXPECTED, "no list of `rankings` or `results`", body))?;
    if ranked.is_empty() {
        return Err(unexpected(EXPECTED, "its list is empty", body));
    }
    let has_score = |item: &Value| SCORES.iter().any(|key| item.get(key).is_some_and(Value::is_number));
    if let Some(number) = ranked.iter().position(|item| !has_score(item)) {
        let found = format!("item {number} has no score (`{}`)", SCORES.join("`, `"));
        return Err(unexpected(EXPECTED, &found, body));
    }
    let mut delta = Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY };
    usage::read(&answer, &mut delta);
    Ok(delta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, named, read as read_with, refused};
    use inferometer_plugin_sdk::{
        api::Endpoint,
        types::{ErrorKind, Part},
    };

    #[test]
    fn a_query_and_passages_are_written_as_each_api_has_them() {
        let parts = [named("passages", "p"), named("query", "q"), named("passages", "r")];
        let all: [(&dyn Endpoint, &str); 3] = [
            (&NimRankings, r#"{"model":"m","query":{"text":"q"},"passages":[{"text":"p"},{"text":"r"}],"k":1}"#),
            (&CohereRankings, r#"{"model":"m","query":"q","documents":["p","r"],"k":1}"#),
            (&HfTeiRankings, r#"{"query":"q","texts":["p","r"],"k":1}"#),
        ];
        for (endpoint, expected) in all {
            assert_eq!(body(endpoint, &parts, r#"{"k":1}"#).unwrap(), expected);
        }
    }

    #[test]
    fn of_texts_without_names_the_first_is_the_query() {
        let parts = [Part::text("q"), Part::text("p")];
        assert_eq!(body(&HfTeiRankings, &parts, "").unwrap(), r#"{"query":"q","texts":["p"]}"#);
        let parts = [Part::text("p"), named("query", "q"), Part::text("r")];
        assert_eq!(body(&HfTeiRankings, &parts, "").unwrap(), r#"{"query":"q","texts":["p","r"]}"#);
    }

    #[test]
    fn a_turn_without_passages_or_without_a_query_is_refused_in_words() {
        for parts in [&[Part::text("q")][..], &[named("query", "q")], &[named("passages", "p")], &[]] {
            let error = body(&NimRankings, parts, "").unwrap_err();
            assert_eq!(error.kind, ErrorKind::CONFIG);
            assert!(error.message.contains("`passages`") && error.message.contains("`nim-rankings`"), "{error}");
        }
    }

    #[test]
    fn the_answers_of_all_three_are_rankings_and_their_usage_is_read() {
        for (answer, tokens) in [
            (r#"{"rankings":[{"index":1,"logit":-1.5}],"usage":{"prompt_tokens":9}}"#, Some(9)),
            (r#"{"results":[{"index":0,"relevance_score":0.9}],"meta":{"tokens":{"input_tokens":8}}}"#, Some(8)),
            (r#"{"results":[{"index":0,"document":{"text":"d"},"relevance_score":0.9}]}"#, None),
            (r#"[{"index":0,"score":0.9}]"#, None),
        ] {
            let delta = read_with(&NimRankings, "", answer.as_bytes()).unwrap().deltas[0];
            let told = (delta.prompt_tokens != u32::MAX).then_some(delta.prompt_tokens);
            assert!(delta.has_content() && told == tokens, "{answer}: {delta:?}");
        }
    }

    #[test]
    fn what_is_no_ranking_is_refused_with_what_was_found() {
        for (answer, found) in [
            (r#"{"rankings":[]}"#, "its list is empty"),
            (r#"{"results":[{"index":0}]}"#, "item 0 has no score"),
            (r#"{"data":[]}"#, "no list of `rankings` or `results`"),
            ("7", "no list of"),
            ("<html>", "`<html>`"),
        ] {
            let message = refused(&NimRankings, answer);
            assert!(message.contains(found), "{message}");
        }
    }
}
