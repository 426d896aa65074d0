//! Goldens: real answers of a server, and what they hold.

use super::{Asked, Next};
use serde::Deserialize;

/// One answer of a server, streamed or whole, and what an endpoint has to find in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Its name, for messages.
    pub name: String,
    /// The events of a streamed answer, in order.
    #[serde(default)]
    pub events: Vec<GoldenEvent>,
    /// The body of a whole answer.
    #[serde(default)]
    pub body: Option<String>,
    /// The exchange that a whole answer ended.
    #[serde(default)]
    pub asked: Asked,
    /// What the answer holds, all events taken together.
    pub expect: Expected,
}

/// One event of a streamed answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenEvent {
    /// The SSE `event:` name, or empty.
    #[serde(default)]
    pub event: String,
    /// The data, as it came.
    pub data: String,
    /// Whether most events of a stream look like this, so that reading it must not allocate.
    #[serde(default)]
    pub usual: bool,
}

/// What an answer holds. What is left out is empty, absent or false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// The text of the answer.
    pub text: String,
    /// Reasoning text.
    pub reasoning: String,
    /// Text of tool calls.
    pub tool: String,
    /// Whether there is content that is no text, such as an image.
    pub content: bool,
    /// The message of the error it reports, if it reports one.
    pub error: Option<String>,
    /// Usage: tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Usage: tokens of the answer.
    pub completion_tokens: Option<u32>,
    /// Usage: prompt tokens found in the server's cache.
    pub cached_tokens: Option<u32>,
    /// Usage: tokens spent on reasoning.
    pub reasoning_tokens: Option<u32>,
    /// Usage: prompt tokens written to the server's cache.
    pub cache_write_tokens: Option<u32>,
    /// Usage: prompt tokens that the server's cache did not have.
    pub cache_miss_tokens: Option<u32>,
    /// Usage: prompt tokens that are audio.
    pub prompt_audio_tokens: Option<u32>,
    /// Usage: answer tokens that are audio.
    pub completion_audio_tokens: Option<u32>,
    /// Usage: tokens of the caller's prediction that the answer has.
    pub accepted_prediction_tokens: Option<u32>,
    /// Usage: tokens of the caller's prediction that the answer does not have.
    pub rejected_prediction_tokens: Option<u32>,
    /// Usage: prompt tokens that tools were told or answered with.
    pub tool_prompt_tokens: Option<u32>,
    /// Usage: all tokens, as the server adds them up.
    pub total_tokens: Option<u32>,
    /// Whether a finish reason is given.
    pub finished: bool,
    /// Whether the stream's terminator comes.
    pub done: bool,
    /// The exchange that has to follow a whole answer.
    pub next: Option<Next>,
}

impl Golden {
    /// A streamed answer, without events so far.
    #[must_use]
    pub fn stream(name: &str, expect: Expected) -> Self {
        Self { name: name.to_owned(), events: Vec::new(), body: None, asked: Asked::default(), expect }
    }

    /// A whole answer.
    #[must_use]
    pub fn body(name: &str, body: &str, expect: Expected) -> Self {
        Self { body: Some(body.to_owned()), ..Self::stream(name, expect) }
    }

    /// The same answer, to a later exchange of its request: to what was asked under `path` with `state`.
    #[must_use]
    pub fn asked(mut self, path: &str, state: u64) -> Self {
        self.asked = Asked { number: 1, path: path.to_owned(), state, ..self.asked };
        self
    }

    /// The same answer with a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.asked = self.asked.with(name, value);
        self
    }

    /// The same stream with a further event.
    #[must_use]
    pub fn event(mut self, data: &str) -> Self {
        self.events.push(GoldenEvent { data: data.to_owned(), ..GoldenEvent::default() });
        self
    }

    /// The same stream with a further event, which is of the shape that most events have.
    #[must_use]
    pub fn usual(mut self, data: &str) -> Self {
        self.events.push(GoldenEvent { data: data.to_owned(), usual: true, ..GoldenEvent::default() });
        self
    }

    /// Goldens from a JSON list of objects with the fields of this type.
    ///
    /// # Errors
    /// Says where `json` is no such list.
    pub fn list(json: &str) -> serde_json::Result<Vec<Self>> {
        serde_json::from_str(json)
    }
}
