//! [`Conversation`]: what was said so far, and to whom.

use inferometer_engine::Utterance;
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
};

const SYSTEM: &str = "system";
const USER: &str = "user";
const ASSISTANT: &str = "assistant";

/// A conversation: questions, each with its answer.
pub(super) struct Conversation {
    pub(super) model: String,
    system: Option<String>,
    said: Vec<Utterance>,
}

impl Conversation {
    /// One that begins, with `model`.
    pub(super) fn new(model: String, system: Option<String>) -> Self {
        Self { model, system: system.filter(|text| !text.is_empty()), said: Vec::new() }
    }

    /// All messages of a request that asks `question`.
    pub(super) fn asking(&self, question: &str) -> Vec<Utterance> {
        let of = |role, text: &str| Utterance { role, text: text.to_owned() };
        let system = self.system.iter().map(|text| of(SYSTEM, text));
        system.chain(self.said.iter().cloned()).chain([of(USER, question)]).collect()
    }

    /// `question` was answered with `reply`.
    pub(super) fn add(&mut self, question: &str, reply: String) {
        self.said.push(Utterance { role: USER, text: question.to_owned() });
        self.said.push(Utterance { role: ASSISTANT, text: reply });
    }

    /// Forgets what was said.
    pub(super) fn reset(&mut self) -> String {
        self.said.clear();
        "forgotten".to_owned()
    }

    /// Begins with `text` from now on, or with nothing.
    pub(super) fn instruct(&mut self, text: &str) -> String {
        self.system = Some(text.to_owned()).filter(|text| !text.is_empty());
        let what = if self.system.is_some() { "this" } else { "no" };
        format!("the conversation begins with {what} system message")
    }

    /// Turns to the model called `name`, if there is a name.
    pub(super) fn address(&mut self, name: &str) -> String {
        if !name.is_empty() {
            name.clone_into(&mut self.model);
        }
        format!("the model is {}", self.model)
    }

    /// Writes what was said to a new file, as a data set of one conversation.
    pub(super) fn save(&self, file: &str) -> Result<String, String> {
        if file.is_empty() {
            return Err("/save needs the name of a file".to_owned());
        }
        if self.said.is_empty() {
            return Err("nothing was answered yet, so there is nothing to save".to_owned());
        }
        let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut out| {
            let line = format!("{}\n", self.line());
            out.write_all(line.as_bytes())
        });
        match written {
            Ok(()) => {
                Ok(format!("{} turns are in {file}; send them with `profile --input-file {file}`", self.said.len() / 2))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(format!("{file} is there already; give another name"))
            }
            Err(error) => Err(format!("{file}: {error}")),
        }
    }

    /// The conversation in the form of `multi_turn` data sets.
    fn line(&self) -> Value {
        let row = |role: &str, text: &str| match role {
            USER => json!({ "text": text }),
            role => json!({ "role": role, "text": text }),
        };
        let system = self.system.iter().map(|text| row(SYSTEM, text));
        let turns: Vec<Value> = system.chain(self.said.iter().map(|said| row(said.role, &said.text))).collect();
        json!({ "session_id": "chat", "turns": turns })
    }
}
