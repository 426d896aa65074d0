//! Counts the tokens of sessions whose data set does not say how long they are.

use inferometer_abi::{
    api::{SessionSink, TextTools},
    types::{Error, NO_COUNT, PartKind, Result, Turn, TurnTime, turn_flags},
};
use inferometer_tokens::{TextGenerator, Tokenizer};
use serde_json::Value;
use std::sync::OnceLock;

/// The tokenizer as data sets see it. What makes text is made when it is first asked for.
pub(super) struct Text {
    tokenizer: Tokenizer,
    generator: OnceLock<std::result::Result<TextGenerator, String>>,
}

impl Text {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, generator: OnceLock::new() }
    }

    /// What the tokenizer is called.
    pub(super) fn name(&self) -> &str {
        self.tokenizer.name()
    }
}

impl TextTools for Text {
    fn count(&self, text: &str) -> u64 {
        self.tokenizer.count(text).map_or(0, |count| count as u64)
    }

    fn text(&self, seed: u64, tokens: u64) -> Result<String> {
        let generator = self
            .generator
            .get_or_init(|| TextGenerator::new(&self.tokenizer).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(Error::config)?;
        generator.text(seed, usize::try_from(tokens).unwrap_or(usize::MAX)).map_err(Error::config)
    }
}

/// A session's turns with their counts.
pub(super) struct Counter<'a> {
    text: &'a dyn TextTools,
    pub(super) name: Option<String>,
    pub(super) turns: Vec<Counted>,
    /// Tokens of the messages so far.
    history: u64,
}

/// A turn with its counts; [`NO_COUNT`] is none.
#[derive(Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) time: TurnTime,
    pub(super) input_tokens: u32,
    pub(super) output_tokens: u32,
}

impl<'a> Counter<'a> {
    pub(super) fn new(text: &'a dyn TextTools) -> Self {
        Self { text, name: None, turns: Vec::new(), history: 0 }
    }

    /// Tokens of a body that is sent as it is: of the texts in it, which is what servers count.
    fn body(&self, body: &Value) -> u64 {
        match body {
            Value::String(text) => self.text.count(text),
            Value::Array(values) => values.iter().map(|value| self.body(value)).sum(),
            Value::Object(fields) => {
                let texts = fields.iter().filter(|(name, _)| TEXTS.contains(&name.as_str()));
                texts.map(|(_, value)| self.body(value)).sum()
            }
            _ => 0,
        }
    }
}

/// Fields of bodies that hold what a model reads.
const TEXTS: [&str; 13] = [
    "messages",
    "content",
    "text",
    "prompt",
    "input",
    "inputs",
    "system",
    "instructions",
    "query",
    "queries",
    "passages",
    "documents",
    "texts",
];

/// Fields of bodies that limit the answer.
const LIMITS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

impl SessionSink for Counter<'_> {
    fn name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        let parts = turn.messages.iter().flat_map(|message| message.parts.iter());
        let texts = parts.filter(|part| part.kind == PartKind::TEXT);
        let own: u64 = texts.map(|part| self.text.count(part.data.as_str())).sum();
        let mut output = (turn.max_tokens > 0).then_some(u64::from(turn.max_tokens));
        let input = if !turn.raw_body.is_empty() {
            let body: Option<Value> = serde_json::from_slice(turn.raw_body.as_slice()).ok();
            let limit = body.as_ref().and_then(|body| LIMITS.iter().find_map(|name| body[*name].as_u64()));
            output = output.or(limit);
            body.map(|body| self.body(&body))
        } else if turn.flags & turn_flags::STANDS_ALONE != 0 {
            Some(own)
        } else {
            self.history += own;
            Some(self.history)
        };
        let count = |tokens: Option<u64>| tokens.map_or(NO_COUNT, |n| u32::try_from(n).unwrap_or(NO_COUNT - 1));
        self.turns.push(Counted { time: turn.time, input_tokens: count(input), output_tokens: count(output) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::types::{Message, Part};

    /// A token a word.
    struct Words;

    impl TextTools for Words {
        fn count(&self, text: &str) -> u64 {
            text.split_whitespace().count() as u64
        }
        fn text(&self, _: u64, _: u64) -> Result<String> {
            Ok(String::new())
        }
    }

    fn counts(counter: &Counter<'_>) -> Vec<(u32, u32)> {
        counter.turns.iter().map(|turn| (turn.input_tokens, turn.output_tokens)).collect()
    }

    #[test]
    fn a_turn_holds_the_messages_before_it_unless_it_stands_alone() {
        let parts = [Part::text("one two"), Part::text("three")];
        let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
        let mut counter = Counter::new(&Words);
        counter.turn(&Turn { max_tokens: 9, ..Turn::new(&messages) });
        counter.turn(&Turn::new(&messages));
        counter.turn(&Turn { flags: turn_flags::STANDS_ALONE, ..Turn::new(&messages) });
        assert_eq!(counts(&counter), [(3, 9), (6, NO_COUNT), (3, NO_COUNT)]);
    }

    #[test]
    fn of_a_body_that_is_sent_as_it_is_the_texts_are_counted() {
        let body =
            br#"{"model":"a b","max_tokens":7,"messages":[{"role":"user","content":[{"type":"text","text":"x y"}]}]}"#;
        let mut counter = Counter::new(&Words);
        counter.turn(&Turn { raw_body: body.as_slice().into(), ..Turn::new(&[]) });
        counter.turn(&Turn { raw_body: b"not JSON".as_slice().into(), ..Turn::new(&[]) });
        assert_eq!(counts(&counter), [(2, 7), (NO_COUNT, NO_COUNT)]);
    }
}
