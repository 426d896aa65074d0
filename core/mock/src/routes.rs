//! What is served where: each path with the API that answers it, and what a request there wants.

use crate::ask::{Ask, Call};
use crate::dialects::{
    Api, Cohere, Dialect, Gemini, Messages, Ollama, OpenAi, Responses, Solido, Tgi, Transcription, Triton,
};
use crate::embeddings::EmbedAsk;
use crate::images::{ImageAsk, Retrieval};
use crate::rankings::{RankAsk, Ranker};
use crate::refusal::{Refusal, Shape};
use crate::videos::VideoAsk;

/// Who answers with text.
#[derive(Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) dialect: &'static dyn Dialect,
    /// For OpenAI's two, whose usual streams are copied.
    pub(crate) copied: Option<Api>,
}

/// What answers at a path.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text(Speaker),
    Embeddings,
    Ranking(Ranker),
    Images { edit: bool },
    Video,
    Retrieval,
}

/// A path that is served.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    pub(crate) kind: Kind,
    /// The model that the path names.
    pub(crate) model: Option<&'a str>,
    /// Whether the path asks for a stream.
    pub(crate) stream: bool,
}

/// Where models are named by the path: what goes before the name and behind it.
const NAMED: [(&str, &str, &dyn Dialect, bool); 6] = [
    ("/v1beta/models/", ":generateContent", &Gemini, false),
    ("/v1beta/models/", ":streamGenerateContent", &Gemini, true),
    ("/v1/models/", ":generateContent", &Gemini, false),
    ("/v1/models/", ":streamGenerateContent", &Gemini, true),
    ("/v2/models/", "/generate", &Triton, false),
    ("/v2/models/", "/generate_stream", &Triton, true),
];

fn text(dialect: &'static dyn Dialect) -> Kind {
    Kind::Text(Speaker { dialect, copied: None })
}

fn copied(dialect: &'static dyn Dialect, api: Api) -> Kind {
    Kind::Text(Speaker { dialect, copied: Some(api) })
}

/// The route of a path.
pub(crate) fn find(path: &str) -> Option<Route<'_>> {
    let (kind, stream) = match path {
        "/v1/chat/completions" => (copied(&OpenAi(Api::Chat), Api::Chat), false),
        "/v1/completions" => (copied(&OpenAi(Api::Completions), Api::Completions), false),
        "/v1/embeddings" => (Kind::Embeddings, false),
        "/v1/responses" => (text(&Responses), false),
        "/v1/messages" => (text(&Messages), false),
        "/v2/chat" => (text(&Cohere), false),
        "/api/chat" => (text(&Ollama::Chat), false),
        "/api/generate" => (text(&Ollama::Generate), false),
        "/generate" => (text(&Tgi), false),
        "/generate_stream" => (text(&Tgi), true),
        "/rag/api/prompt" => (text(&Solido), false),
        "/v1/audio/transcriptions" => (text(&Transcription), false),
        "/v1/ranking" => (Kind::Ranking(Ranker::Nim), false),
        "/v2/rerank" | "/v1/rerank" => (Kind::Ranking(Ranker::Cohere), false),
        "/rerank" => (Kind::Ranking(Ranker::Tei), false),
        "/v1/images/generations" => (Kind::Images { edit: false }, false),
        "/v1/images/edits" => (Kind::Images { edit: true }, false),
        "/v1/videos" => (Kind::Video, false),
        "/v1/infer" => (Kind::Retrieval, false),
        _ => {
            return NAMED.iter().find_map(|&(before, behind, dialect, stream)| {
                let model = path.strip_prefix(before)?.strip_suffix(behind)?;
                Some(Route { kind: text(dialect), model: Some(model), stream })
            });
        }
    };
    Some(Route { kind, model: None, stream })
}

/// What a request wants.
pub(crate) enum Wish {
    Text(Ask, Speaker),
    Embeddings(EmbedAsk),
    Ranking(RankAsk),
    Images(ImageAsk),
    Video(VideoAsk),
    Retrieval(Retrieval),
}

impl Kind {
    /// How errors look.
    pub(crate) fn errors(self) -> Shape {
        match self {
            Self::Text(speaker) => speaker.dialect.errors(),
            Self::Ranking(ranker) => ranker.errors(),
            _ => Shape::OpenAi,
        }
    }

    pub(crate) fn read(self, call: &Call<'_>) -> Result<Wish, Refusal> {
        Ok(match self {
            Self::Text(speaker) => Wish::Text(speaker.dialect.read(call)?, speaker),
            Self::Embeddings => Wish::Embeddings(EmbedAsk::read(call)?),
            Self::Ranking(ranker) => Wish::Ranking(RankAsk::read(call, ranker)?),
            Self::Images { edit } => Wish::Images(ImageAsk::read(call, edit)?),
            Self::Video => Wish::Video(VideoAsk::read(call)?),
            Self::Retrieval => Wish::Retrieval(Retrieval::read(call)?),
        })
    }
}

impl Wish {
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Text(ask, _) => &ask.model,
            Self::Embeddings(ask) => &ask.model,
            Self::Ranking(ask) => &ask.model,
            Self::Images(ask) => &ask.model,
            Self::Video(ask) => &ask.model,
            Self::Retrieval(ask) => &ask.model,
        }
    }

    pub(crate) fn prompt_tokens(&self) -> u64 {
        match self {
            Self::Text(ask, _) => ask.prompt_tokens,
            Self::Embeddings(ask) => ask.prompt_tokens,
            Self::Ranking(ask) => ask.prompt_tokens,
            Self::Images(ask) => ask.prompt_tokens,
            Self::Video(ask) => ask.prompt_tokens,
            Self::Retrieval(_) => 0,
        }
    }

    pub(crate) fn choices(&self) -> usize {
        if let Self::Text(ask, _) = self { ask.choices } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_models_and_ask_for_streams() {
        let gemini = find("/v1beta/models/org/name:streamGenerateContent").unwrap();
        assert_eq!((gemini.model, gemini.stream), (Some("org/name"), true));
        let triton = find("/v2/models/m/generate").unwrap();
        assert_eq!((triton.model, triton.stream), (Some("m"), false));
        assert!(find("/generate_stream").unwrap().stream);
        assert!(find("/v1/models").is_none() && find("/").is_none());
    }
}
