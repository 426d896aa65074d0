//! How a file begins: the fields of its first record, as far as they are within reach, or its header.

use crate::{
    conversation::shortened,
    lines::{self, BYTE_ORDER_MARK},
};
use inferometer_plugin_sdk::types::{Error, Result};
use std::io::Read;

/// How much of a file is looked at. What is told apart by a field that comes later has to be said by the user.
const REACH: u64 = 4 << 20;

/// The beginning of a file.
#[derive(Clone)]
pub(super) struct Beginning {
    form: Form,
    fields: Vec<(String, String)>,
    /// The names of the columns, if there are some.
    columns: Vec<String>,
    start: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// An object: a line, or a whole document.
    Object,
    /// An array of objects.
    Array,
    /// Columns with a header, or nothing that is known.
    Other,
}

/// Reads how `file` begins.
///
/// # Errors
/// When it cannot be opened or read, or is not text.
pub(super) fn of(file: &str) -> Result<Beginning> {
    let mut bytes = Vec::new();
    let read = lines::contents(file)?.take(REACH).read_to_end(&mut bytes);
    read.map_err(|e| lines::unfinished(file, &e))?;
    // A character may be cut by the end of what is looked at.
    let is_cut = |e: &std::str::Utf8Error| e.error_len().is_none() && bytes.len() as u64 == REACH;
    if bytes.contains(&0) || std::str::from_utf8(&bytes).is_err_and(|e| !is_cut(&e)) {
        let reason = "is not text; give a file of JSON or CSV, saved as UTF-8";
        return Err(Error::config(format!("{file}: {reason}")));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Beginning::new(text.trim_start_matches(BYTE_ORDER_MARK).trim_start()))
}

impl Beginning {
    fn new(text: &str) -> Self {
        let in_array = text.strip_prefix('[').map(str::trim_start);
        let record = in_array.unwrap_or(text);
        let form = match in_array {
            _ if !record.starts_with('{') => Form::Other,
            Some(_) => Form::Array,
            None => Form::Object,
        };
        let first_line = text.lines().next().unwrap_or_default();
        let columns = if form == Form::Other { first_line.split(',').collect() } else { Vec::new() };
        let columns = columns.into_iter().map(|column| column.trim().trim_matches('"').to_owned());
        Self { form, fields: fields(record), columns: columns.collect(), start: shortened(first_line) }
    }

    /// Whether the file holds objects one after another, or is one.
    pub(super) fn is_object(&self) -> bool {
        self.form == Form::Object
    }

    /// The same as if the objects of the array that the file holds stood one after another; nothing if it holds none.
    pub(super) fn without_array(&self) -> Option<Self> {
        (self.form == Form::Array).then(|| Self { form: Form::Object, ..self.clone() })
    }

    /// Whether the file holds objects, one after another or in an array.
    pub(super) fn has_objects(&self) -> bool {
        self.form != Form::Other
    }

    /// Whether the first record has this field, and it is not null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field) != "null" && !self.value(field).is_empty()
    }

    pub(super) fn has_all(&self, fields: &[&str]) -> bool {
        fields.iter().all(|field| self.has(field))
    }

    pub(super) fn has_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.has(field))
    }

    /// The JSON of a field of the first record; its beginning, where the rest is out of reach, and nothing if there is none.
    pub(super) fn value(&self, field: &str) -> &str {
        self.fields.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
    }

    /// Whether the first item of a list is an object with this field.
    pub(super) fn first_item_has(&self, list: &str, field: &str) -> bool {
        let items = self.value(list).trim_start_matches('[').trim_start();
        fields(items).iter().any(|(name, _)| name == field)
    }

    /// Whether the file has columns, and these among them.
    pub(super) fn has_columns(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.columns.iter().any(|column| column.eq_ignore_ascii_case(name)))
    }

    /// What the record says it is.
    pub(super) fn named_type(&self) -> Option<String> {
        serde_json::from_str(self.value("type")).ok()
    }

    /// What was found, for messages.
    pub(super) fn described(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        let names = shortened(&names.join(", "));
        match self.form {
            Form::Object => format!("an object with the fields {names}"),
            Form::Array => format!("an array of objects with the fields {names}"),
            Form::Other if self.start.is_empty() => "a file that begins with nothing".to_owned(),
            Form::Other => format!("what begins with `{}`", self.start),
        }
    }
}

/// Names and JSON of the fields of the object that `text` begins with, also where it breaks off.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else { return fields };
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        if !rest.starts_with('"') {
            return fields;
        }
        let (name, after) = rest.split_at(value_end(rest));
        let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else { return fields };
        let (value, after) = value.split_at(value_end(value));
        let Ok(name) = serde_json::from_str(name) else { return fields };
        fields.push((name, value.trim_end().to_owned()));
        rest = after;
    }
}

/// Where the JSON value that `text` begins with ends; at the end of the text, if it breaks off.
fn value_end(text: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_u64, false, false);
    for (n, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return n + 1;
                }
            }
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return n,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return n + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_json() {
        let found = fields("{ \"a\" : \"x\\\"}\", \"b\":[1,{\"c\":2}],\n \"d\" : null , \"e\": -1.5}\n{\"f\": 1}");
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("a", "\"x\\\"}\""), ("b", "[1,{\"c\":2}]"), ("d", "null"), ("e", "-1.5")]);
    }

    #[test]
    fn a_record_that_breaks_off_gives_what_is_there() {
        let whole = "{\"a\": [1, {\"b\": \"c\"}], \"d\": \"e\"}";
        for length in 0..whole.len() {
            let found = Beginning::new(&whole[..length]);
            assert_eq!(found.has("a"), length > 6, "{length}");
            assert!(!found.first_item_has("a", "b"), "the first item is a number");
        }
        assert!(Beginning::new(whole).has_all(&["a", "d"]));
    }

    #[test]
    fn null_counts_as_not_given() {
        let found = Beginning::new("{\"a\": null, \"b\": 0}");
        assert!(!found.has("a") && found.has("b"));
    }
}
