//! One request as a row of fields: what they mean, and what is wrong with them.

use super::{
    Fields, Limit, NewMessage, NewPart, NewTurn, Problem, borrowed_from_json, from_json,
    media::{self, MEDIA, Medium},
};
use inferometer_plugin_sdk::types::TurnTime;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// The fields of a row; those of a line that is a whole session come after them.
pub(crate) const ROW_KEYS: [&str; 14] = [
    "text",
    "texts",
    "image",
    "images",
    "audio",
    "audios",
    "video",
    "videos",
    "role",
    "output_length",
    "model",
    "extra",
    "timestamp",
    "delay",
];

/// A request as its row gives it; what was not given is empty.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) parts: Vec<NewPart>,
    pub(crate) role: String,
    pub(crate) model: String,
    pub(crate) extra_json: String,
    /// 0: not given.
    pub(crate) max_tokens: u32,
    pub(crate) time: TurnTime,
}

impl Row {
    /// Its message; it is the user's unless it says otherwise.
    pub(crate) fn message(&mut self) -> NewMessage {
        let role = if self.role.is_empty() { "user".to_owned() } else { std::mem::take(&mut self.role) };
        NewMessage { role, parts: std::mem::take(&mut self.parts), extra_json: String::new() }
    }

    /// The turn that adds `messages` and is otherwise as the row says.
    pub(crate) fn turn(self, messages: Vec<NewMessage>) -> NewTurn<'static> {
        NewTurn {
            model: self.model,
            extra_json: self.extra_json,
            limit: Limit::Tokens(self.max_tokens),
            time: self.time,
            ..NewTurn::new(messages)
        }
    }
}

/// Reads the rows of one file.
pub(crate) struct Rows {
    /// Where pictures, sounds and films that are named by their paths lie.
    folder: PathBuf,
}

impl Rows {
    pub(crate) fn of(source: &str) -> Self {
        Self { folder: Path::new(source).parent().unwrap_or(Path::new("")).to_owned() }
    }

    /// Reads a row from its fields; others than [`ROW_KEYS`] are the caller's matter.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn read(&self, fields: &Fields<'_>) -> Result<Row, Problem> {
        fields.refuse_both("timestamp", "delay")?;
        let mut parts = Vec::new();
        for medium in &MEDIA {
            fields.refuse_both(medium.one, medium.many)?;
            self.parts_of(fields, medium, &mut parts)?;
        }
        if parts.is_empty() {
            return Err(Problem::new("", "says nothing to send; give `text`, `texts`, or an image, audio or video"));
        }
        Ok(Row {
            parts,
            role: fields.word("role")?,
            model: fields.word("model")?,
            extra_json: fields.object("extra")?,
            max_tokens: fields.tokens("output_length")?,
            time: TurnTime {
                timestamp_ns: fields.milliseconds("timestamp")?.unwrap_or(TurnTime::NONE.timestamp_ns),
                delay_ns: fields.milliseconds("delay")?.unwrap_or(TurnTime::NONE.delay_ns),
            },
        })
    }

    fn parts_of(&self, fields: &Fields<'_>, medium: &Medium, parts: &mut Vec<NewPart>) -> Result<(), Problem> {
        if let Some(content) = fields.read::<String>(medium.one)? {
            parts.push(self.part(medium, medium.one, "", &content)?);
        }
        let Some(list) = fields.raw(medium.many) else { return Ok(()) };
        let items: Vec<&RawValue> = borrowed_from_json(medium.many, list)?;
        if items.is_empty() {
            return Err(Problem::new(medium.many, "is an empty list; leave it out, or give an item"));
        }
        for (n, item) in items.iter().enumerate() {
            let field = format!("{}[{n}]", medium.many);
            let json = item.get();
            if json.starts_with('{') {
                let named: Named = from_json(&field, json)?;
                if named.contents.is_empty() {
                    return Err(Problem::new(field, "its `contents` are an empty list; give a string"));
                }
                for content in &named.contents {
                    parts.push(self.part(medium, &field, &named.name, content)?);
                }
            } else {
                let content: String = from_json(&field, json)?;
                parts.push(self.part(medium, &field, "", &content)?);
            }
        }
        Ok(())
    }

    fn part(&self, medium: &Medium, field: &str, name: &str, content: &str) -> Result<NewPart, Problem> {
        let (mime, data) = media::read(medium, content, &self.folder).map_err(|reason| Problem::new(field, reason))?;
        Ok(NewPart { kind: medium.kind, name: name.to_owned(), mime, data })
    }
}

/// Content with a name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default)]
    name: String,
    contents: Vec<String>,
}
