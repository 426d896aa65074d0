//! One line of the file: what its keys mean, and what is wrong with them.

use super::media::{self, MEDIA, Medium};
use inferometer_plugin_sdk::types::{PartKind, TurnTime};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};
use std::fmt;

/// The keys of a line.
const KEYS: [&str; 16] = [
    "text",
    "texts",
    "image",
    "images",
    "audio",
    "audios",
    "video",
    "videos",
    "role",
    "session_id",
    "output_length",
    "model",
    "extra",
    "timestamp",
    "delay",
    "type",
];

/// A request as its line gives it; what was not given is empty.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) parts: Vec<RowPart>,
    pub(super) role: String,
    pub(super) session_id: String,
    pub(super) model: String,
    pub(super) extra_json: String,
    /// 0: not given.
    pub(super) max_tokens: u32,
    pub(super) time: TurnTime,
}

/// One piece of the message.
#[derive(Debug, PartialEq)]
pub(super) struct RowPart {
    pub(super) kind: PartKind,
    pub(super) name: String,
    pub(super) mime: String,
    pub(super) data: String,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Problem {
    /// The key it is about; empty for the line as a whole.
    field: String,
    reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.field.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.field, self.reason)
    }
}

fn problem(field: impl Into<String>, reason: impl Into<String>) -> Problem {
    Problem { field: field.into(), reason: reason.into() }
}

/// Reads a line.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn parse(line: &str) -> Result<Row, Problem> {
    let fields: Fields<'_> = serde_json::from_str(line).map_err(|e| {
        let reason = reason(&e);
        if e.is_data() {
            return problem("", reason);
        }
        problem("", format!("not JSON, of which every line holds one object: {reason} at column {}", e.column()))
    })?;
    fields.refuse_unknown()?;
    fields.refuse_other_type()?;
    fields.refuse_both("timestamp", "delay")?;

    let mut parts = Vec::new();
    for medium in &MEDIA {
        fields.refuse_both(medium.one, medium.many)?;
        fields.parts_of(medium, &mut parts)?;
    }
    if parts.is_empty() {
        return Err(problem("", "says nothing to send; give `text`, `texts`, or an image, audio or video"));
    }
    Ok(Row {
        parts,
        role: fields.word("role")?,
        session_id: fields.word("session_id")?,
        model: fields.word("model")?,
        extra_json: fields.extra()?,
        max_tokens: fields.output_length()?,
        time: TurnTime {
            timestamp_ns: fields.milliseconds("timestamp")?.unwrap_or(TurnTime::NONE.timestamp_ns),
            delay_ns: fields.milliseconds("delay")?.unwrap_or(TurnTime::NONE.delay_ns),
        },
    })
}

/// The fields of an object, not yet read; a null counts as not given.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one object per line")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(String, &RawValue)> = Vec::with_capacity(4);
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if fields.iter().any(|(other, _)| *other == key) {
                        return Err(A::Error::custom(format_args!("`{key}` is given twice; keep one")));
                    }
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Fields<'_> {
    fn raw(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(k, _)| k == key)?;
        Some(value.get()).filter(|json| *json != "null")
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Problem> {
        self.raw(key).map(|json| from_json(key, json)).transpose()
    }

    fn refuse_unknown(&self) -> Result<(), Problem> {
        let Some((key, _)) = self.0.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) else { return Ok(()) };
        if key == "image_uuids" {
            return Err(problem(key, "not supported: images are sent whole each time; leave it out"));
        }
        let nearest = KEYS.into_iter().min_by_key(|known| strsim::osa_distance(known, key));
        let similar = nearest.filter(|known| strsim::osa_distance(known, key) <= 1 + known.len() / 4);
        let remedy = match similar {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("the keys are {}", KEYS.join(", ")),
        };
        Err(problem(shortened(key), format!("unknown key; {remedy}")))
    }

    fn refuse_other_type(&self) -> Result<(), Problem> {
        match self.read::<String>("type")? {
            Some(other) if other != "single_turn" => Err(problem(
                "type",
                format!("`{}` is not what this data set reads; choose the one of that name", shortened(&other)),
            )),
            _ => Ok(()),
        }
    }

    fn refuse_both(&self, one: &str, other: &str) -> Result<(), Problem> {
        if self.raw(one).is_some() && self.raw(other).is_some() {
            return Err(problem(one, format!("given together with `{other}`; keep one of the two")));
        }
        Ok(())
    }

    /// A string that is not empty, or nothing.
    fn word(&self, key: &str) -> Result<String, Problem> {
        match self.read::<String>(key)? {
            Some(word) if word.is_empty() => Err(problem(key, "is empty; leave it out, or give a value")),
            word => Ok(word.unwrap_or_default()),
        }
    }

    fn parts_of(&self, medium: &Medium, parts: &mut Vec<RowPart>) -> Result<(), Problem> {
        if let Some(content) = self.read::<String>(medium.one)? {
            parts.push(part(medium, medium.one, "", &content)?);
        }
        let Some(list) = self.raw(medium.many) else { return Ok(()) };
        let items: Vec<&RawValue> = borrowed_from_json(medium.many, list)?;
        if items.is_empty() {
            return Err(problem(medium.many, "is an empty list; leave it out, or give an item"));
        }
        for (n, item) in items.iter().enumerate() {
            let field = format!("{}[{n}]", medium.many);
            let json = item.get();
            if json.starts_with('{') {
                let named: Named = from_json(&field, json)?;
                if named.contents.is_empty() {
                    return Err(problem(field, "its `contents` are an empty list; give a string"));
                }
                for content in &named.contents {
                    parts.push(part(medium, &field, &named.name, content)?);
                }
            } else {
                let content: String = from_json(&field, json)?;
                parts.push(part(medium, &field, "", &content)?);
            }
        }
        Ok(())
    }

    /// The object as it is written; empty when it is not given, or says nothing.
    fn extra(&self) -> Result<String, Problem> {
        let Some(json) = self.raw("extra") else { return Ok(String::new()) };
        let object: Map<String, Value> = from_json("extra", json)?;
        Ok(if object.is_empty() { String::new() } else { json.to_owned() })
    }

    fn output_length(&self) -> Result<u32, Problem> {
        match self.read::<u32>("output_length")? {
            Some(0) => Err(problem("output_length", "0 tokens; give 1 or more, or leave it out")),
            length => Ok(length.unwrap_or(0)),
        }
    }

    /// A time in milliseconds as nanoseconds.
    fn milliseconds(&self, key: &str) -> Result<Option<u64>, Problem> {
        const NS: u64 = 1_000_000;
        let Some(number) = self.read::<Number>(key)? else { return Ok(None) };
        // A 64-bit fraction would lose the nanoseconds of a time since 1970: whole numbers stay whole.
        let ns = match (number.as_u64(), number.as_f64()) {
            (Some(ms), _) => ms.checked_mul(NS),
            (None, Some(ms)) => {
                let ns = (ms * NS as f64).round();
                (ns >= 0.0 && ns < u64::MAX as f64).then_some(ns as u64)
            }
            (None, None) => None,
        };
        let ns = ns.filter(|ns| *ns < TurnTime::NONE.timestamp_ns);
        ns.map(Some).ok_or_else(|| {
            problem(
                key,
                format!("{number} is no time; give milliseconds, from 0 to {}", TurnTime::NONE.timestamp_ns / NS),
            )
        })
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

fn part(medium: &Medium, field: &str, name: &str, content: &str) -> Result<RowPart, Problem> {
    let (mime, data) = media::read(medium, content).map_err(|reason| problem(field, reason))?;
    Ok(RowPart { kind: medium.kind, name: name.to_owned(), mime: mime.to_owned(), data: data.to_owned() })
}

fn from_json<T: DeserializeOwned>(field: &str, json: &str) -> Result<T, Problem> {
    borrowed_from_json(field, json)
}

fn borrowed_from_json<'a, T: Deserialize<'a>>(field: &str, json: &'a str) -> Result<T, Problem> {
    serde_json::from_str(json).map_err(|e| problem(field, reason(&e)))
}

/// What is wrong, without the place: it would be counted from the beginning of a value, not of the line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    // An error quotes the value it is about, which may be a whole book.
    if text.len() > 300 { format!("{}…", text.chars().take(200).collect::<String>()) } else { text.to_owned() }
}

/// The beginning of what may be long.
pub(super) fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(60).collect();
    if chars.next().is_some() { start + "…" } else { start }
}
