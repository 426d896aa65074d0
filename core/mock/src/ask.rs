//! What a generation request wants, whichever API it came by.

use serde::Deserialize;

use crate::config::MAX_OUTPUT_TOKENS;
use crate::framing::Kind;
use crate::http::Request;
use crate::prompt::{Counter, Prompt};
use crate::refusal::Refusal;

/// The most choices that one request may ask for.
const MAX_CHOICES: u64 = 128;

/// A request on its way to what answers it.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) body: &'a [u8],
    /// The model that the path names.
    pub(crate) model: Option<&'a str>,
    /// Whether the path asks for a stream.
    pub(crate) stream: bool,
    pub(crate) counter: &'a Counter,
    /// The model that answers where an API need not name one.
    pub(crate) default_model: &'a str,
    /// The output length when the request names none.
    pub(crate) osl: usize,
}

impl<'a> Call<'a> {
    /// The body as JSON. Unknown fields are ignored.
    pub(crate) fn json<T: Deserialize<'a>>(&self) -> Result<T, Refusal> {
        parse(self.body)
    }

    /// A request of this model for at most so many tokens, in one choice and no stream. `limit` is the field that the
    /// maximum stood in.
    pub(crate) fn ask(
        &self,
        model: String,
        prompt: &Prompt<'_>,
        asked: Option<u64>,
        limit: &'static str,
    ) -> Result<Ask, Refusal> {
        let tokens = match asked {
            None => self.osl,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|tokens| (1..=MAX_OUTPUT_TOKENS).contains(tokens))
                .ok_or_else(|| {
                    let message = format!("the maximum must be from 1 to {MAX_OUTPUT_TOKENS} tokens, not {asked}");
                    Refusal::of(limit, message)
                })?,
        };
        Ok(Ask {
            model,
            tokens,
            prompt_tokens: self.counter.count(prompt),
            stream: self.stream,
            include_usage: false,
            finish: if asked.is_some() { "length" } else { "stop" },
            choices: 1,
            kind: Kind::Events,
            bare: false,
        })
    }
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, format!("the body cannot be used: {error}")))
}

pub(crate) fn named(model: Option<String>) -> Result<String, Refusal> {
    model.ok_or_else(|| Refusal::of("model", "a model is required"))
}

/// The number of choices; `name` is the field that it stood in.
pub(crate) fn choices(asked: Option<u64>, name: &'static str) -> Result<usize, Refusal> {
    let asked = asked.unwrap_or(1);
    if (1..=MAX_CHOICES).contains(&asked) {
        Ok(asked as usize)
    } else {
        Err(Refusal::of(name, format!("{name} must be from 1 to {MAX_CHOICES}, not {asked}")))
    }
}

/// What a generation request wants.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) model: String,
    /// Output tokens of each choice.
    pub(crate) tokens: usize,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: bool,
    /// Streams whose usage is told on request only: whether it was requested.
    pub(crate) include_usage: bool,
    /// `length` when the request set the maximum, `stop` when the mock's own length ended the answer.
    pub(crate) finish: &'static str,
    pub(crate) choices: usize,
    /// How a stream parts its events.
    pub(crate) kind: Kind,
    /// The plain answer is the text alone, without JSON round it.
    pub(crate) bare: bool,
}
