//! The fields of one JSON object of a file: what is read of them, and what is wrong with them.

use inferometer_plugin_sdk::types::TurnTime;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};
use std::{collections::HashSet, fmt};

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The field it is about; empty for the record as a whole.
    field: String,
    reason: String,
    /// Lines from the record's first one to the place.
    pub(super) lines: u64,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), lines: 0 }
    }

    /// The same, of an object that is found at `place` of the record.
    #[must_use]
    pub(crate) fn within(mut self, place: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        self.field = format!("{place}{dot}{}", self.field);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.field.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", visible(&self.field), visible(&self.reason))
    }
}

/// The fields of an object, not yet read; a null counts as not given.
pub(crate) struct Fields<'a>(Vec<(String, &'a RawValue)>);

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
                    fields.push((key, value));
                }
                if let Some(key) = given_twice(&fields) {
                    return Err(A::Error::custom(format_args!("`{key}` is given twice; keep one")));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

fn given_twice<'f>(fields: &'f [(String, &RawValue)]) -> Option<&'f str> {
    let mut keys = fields.iter().map(|(key, _)| key.as_str());
    if fields.len() > 16 {
        let mut seen = HashSet::with_capacity(fields.len());
        return keys.find(|key| !seen.insert(*key));
    }
    keys.enumerate().find(|(n, key)| fields[..*n].iter().any(|(earlier, _)| earlier == key)).map(|(_, key)| key)
}

impl<'a> Fields<'a> {
    /// Reads a whole record.
    ///
    /// # Errors
    /// When it is no JSON, or not an object, or names a field twice.
    pub(crate) fn parse(record: &'a str) -> Result<Self, Problem> {
        if record.trim_start().starts_with('[') {
            let begins = shortened(record.trim());
            return Err(Problem::new(
                "",
                format!("`{begins}` is no object; write one object per line, without a list around them"),
            ));
        }
        // A line's end is no part of it: what breaks off breaks off on its own line.
        serde_json::from_str(record.trim_end()).map_err(|e| {
            let reason = reason(&e);
            if e.is_data() {
                return Problem::new("", reason);
            }
            let lines = (e.line() as u64).saturating_sub(1);
            let reason = format!("not JSON, of which every line holds one object: {reason} at column {}", e.column());
            Problem { lines, ..Problem::new("", reason) }
        })
    }

    /// Reads the object that stands at `place` of a record.
    ///
    /// # Errors
    /// When it is none, or names a field twice.
    pub(crate) fn nested(place: &str, json: &'a str) -> Result<Self, Problem> {
        if !json.starts_with('{') {
            return Err(Problem::new(place, format!("`{}` is no object; give one in braces", shortened(json))));
        }
        borrowed_from_json(place, json)
    }

    /// Names and values in the order of the file, nulls with them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.get()))
    }

    /// The JSON of a field.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(k, _)| k == key)?;
        Some(value.get()).filter(|json| *json != "null")
    }

    /// The value of a field.
    ///
    /// # Errors
    /// When it is of another kind.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Problem> {
        self.raw(key).map(|json| from_json(key, json)).transpose()
    }

    /// # Errors
    /// When there is a field whose name is none of `known`; it says which was meant.
    pub(crate) fn refuse_unknown(&self, known: &[&str]) -> Result<(), Problem> {
        let Some((key, _)) = self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) else { return Ok(()) };
        if key == "image_uuids" {
            return Err(Problem::new(key, "not supported: images are sent whole each time; leave it out"));
        }
        let remedy = match nearest(key, known) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        Err(Problem::new(shortened(key), format!("unknown key; {remedy}")))
    }

    /// # Errors
    /// When a `type` is given that is not `own`.
    pub(crate) fn refuse_other_type(&self, own: &str) -> Result<(), Problem> {
        match self.read::<String>("type")? {
            Some(other) if other != own => Err(Problem::new(
                "type",
                format!("`{}` is not what this data set reads; choose the one of that name", shortened(&other)),
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When both are given.
    pub(crate) fn refuse_both(&self, one: &str, other: &str) -> Result<(), Problem> {
        if self.raw(one).is_some() && self.raw(other).is_some() {
            return Err(Problem::new(one, format!("given together with `{other}`; keep one of the two")));
        }
        Ok(())
    }

    /// The JSON of a field that has to be there.
    ///
    /// # Errors
    /// When it is not; a field that is called nearly so is named.
    pub(crate) fn needed(&self, key: &str) -> Result<&'a str, Problem> {
        self.raw(key).ok_or_else(|| {
            let keys: Vec<&str> = self.0.iter().map(|(key, _)| key.as_str()).filter(|other| *other != key).collect();
            let typo = nearest_of(key, &keys).map_or(String::new(), |typo| format!("; is `{}` it?", shortened(typo)));
            Problem::new(key, format!("missing{typo}"))
        })
    }

    /// A string that is not empty, or nothing.
    ///
    /// # Errors
    /// When it is empty, or no string.
    pub(crate) fn word(&self, key: &str) -> Result<String, Problem> {
        match self.read::<String>(key)? {
            Some(word) if word.is_empty() => Err(Problem::new(key, "is empty; leave it out, or give a value")),
            word => Ok(word.unwrap_or_default()),
        }
    }

    /// The items of a list that has to be there and to hold something.
    ///
    /// # Errors
    /// When it is not there, no list, or empty.
    pub(crate) fn items(&self, key: &str) -> Result<Vec<&'a RawValue>, Problem> {
        let items: Vec<&RawValue> = borrowed_from_json(key, self.needed(key)?)?;
        if items.is_empty() {
            return Err(Problem::new(key, "is an empty list; give an item"));
        }
        Ok(items)
    }

    /// An object as it is written; empty when it is not given, or says nothing.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn object(&self, key: &str) -> Result<String, Problem> {
        let Some(json) = self.raw(key) else { return Ok(String::new()) };
        let object: Map<String, Value> = from_json(key, json)?;
        Ok(if object.is_empty() { String::new() } else { json.to_owned() })
    }

    /// A number of tokens; 0: not given.
    ///
    /// # Errors
    /// When it is 0, or no such number.
    pub(crate) fn tokens(&self, key: &str) -> Result<u32, Problem> {
        match self.read::<u32>(key)? {
            Some(0) => Err(Problem::new(key, "0 tokens; give 1 or more, or leave it out")),
            length => Ok(length.unwrap_or(0)),
        }
    }

    /// A time in milliseconds as nanoseconds.
    ///
    /// # Errors
    /// When it is no number, below 0, or later than can be said.
    pub(crate) fn milliseconds(&self, key: &str) -> Result<Option<u64>, Problem> {
        self.time(key, 1_000_000, "milliseconds")
    }

    /// A time in seconds as nanoseconds.
    ///
    /// # Errors
    /// As for [`Fields::milliseconds`].
    pub(crate) fn seconds(&self, key: &str) -> Result<Option<u64>, Problem> {
        self.time(key, 1_000_000_000, "seconds")
    }

    fn time(&self, key: &str, unit_ns: u64, unit: &str) -> Result<Option<u64>, Problem> {
        let Some(number) = self.read::<Number>(key)? else { return Ok(None) };
        // A 64-bit fraction would lose the nanoseconds of a time since 1970: whole numbers stay whole.
        let ns = match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => whole.checked_mul(unit_ns),
            (None, Some(fraction)) => {
                let ns = (fraction * unit_ns as f64).round();
                (ns >= 0.0 && ns < u64::MAX as f64).then_some(ns as u64)
            }
            (None, None) => None,
        };
        let ns = ns.filter(|ns| *ns < TurnTime::NONE.timestamp_ns);
        ns.map(Some).ok_or_else(|| {
            let most = TurnTime::NONE.timestamp_ns / unit_ns;
            Problem::new(key, format!("{number} is no time; give {unit}, from 0 to {most}"))
        })
    }
}

/// The known name that `key` is likely to have been meant for.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let nearest = known.iter().min_by_key(|known| strsim::osa_distance(known, key))?;
    (strsim::osa_distance(nearest, key) <= 1 + nearest.len() / 4).then_some(nearest)
}

/// The name among `given` that is likely to have been meant for `known`.
fn nearest_of<'k>(known: &str, given: &[&'k str]) -> Option<&'k str> {
    let short: Vec<&str> = given.iter().copied().filter(|given| given.len() < 64).collect();
    let nearest = short.into_iter().min_by_key(|given| strsim::osa_distance(given, known))?;
    (strsim::osa_distance(nearest, known) <= 1 + known.len() / 4).then_some(nearest)
}

pub(crate) fn from_json<T: DeserializeOwned>(field: &str, json: &str) -> Result<T, Problem> {
    borrowed_from_json(field, json)
}

pub(crate) fn borrowed_from_json<'a, T: Deserialize<'a>>(field: &str, json: &'a str) -> Result<T, Problem> {
    serde_json::from_str(json).map_err(|e| Problem::new(field, reason(&e)))
}

/// What is wrong, in words that name no type of this program and without the place: it would be counted from the
/// beginning of a value, not of the line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|start| text.strip_prefix(start));
    let said = match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            format!("{} stands where {} belongs", found_in_words(found), expected_in_words(expected))
        }
        None => match text.strip_prefix("EOF while parsing ") {
            Some("a value") => "it ends where a value belongs".to_owned(),
            Some(what) => format!("it ends inside {what}"),
            None => text.to_owned(),
        },
    };
    // An error quotes the value it is about, which may be a whole book.
    if said.len() > 300 { format!("{}…", said.chars().take(200).collect::<String>()) } else { said }
}

fn found_in_words(found: &str) -> &str {
    match found {
        "map" => "an object",
        "sequence" => "a list",
        value => ["string ", "integer ", "floating point ", "boolean "]
            .iter()
            .find_map(|kind| value.strip_prefix(kind))
            .unwrap_or(value),
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 on",
        "a sequence" => "a list",
        "a map" => "an object",
        "a JSON number" => "a number",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    }
}

/// The beginning of what may be long; characters that a terminal would obey are written out.
pub(crate) fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let start = visible(&chars.by_ref().take(60).collect::<String>());
    if chars.next().is_some() { start + "…" } else { start }
}

/// The text with characters that a terminal would obey written out.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// One JSON object of several members, each a name and JSON; empty without any.
pub(crate) fn object_of<'m>(members: impl IntoIterator<Item = (&'m str, &'m str)>) -> String {
    let mut json = String::new();
    for (key, value) in members {
        json.push(if json.is_empty() { '{' } else { ',' });
        json += &Value::from(key).to_string();
        json.push(':');
        json += value;
    }
    if !json.is_empty() {
        json.push('}');
    }
    json
}
