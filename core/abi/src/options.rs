//! The options of a component as its schema describes them, for lists and for messages.
//!
//! A schema is JSON Schema as text, made by the SDK from the author's type. What is read here is what people need to
//! know; whether given options fit is for the author's type alone to say.

use serde_json::{Map, Value};

/// References followed in a row; a schema that has more refers to itself.
const DEEPEST: usize = 8;

/// One option of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionInfo {
    /// What it is called.
    pub name: String,
    /// What it takes, in words: `text`, `a whole number from 0 to 255`, `one of: eu, us`.
    pub takes: String,
    /// Whether text will do, so that a value that reads as JSON needs quotes.
    pub is_text: bool,
    /// Its value when none is given, if the schema says so.
    pub default: Option<Value>,
    /// Whether it has to be given.
    pub required: bool,
    /// What it is for; empty if the author says nothing.
    pub description: String,
}

/// Whether what goes by `name` is a secret: names that end in `key`, `token`, `secret`, `password` or `authorization`.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "secret", "password", "authorization"].iter().any(|end| name.ends_with(end))
}

/// The options that a schema describes, in its order; none if it describes none or is no schema.
pub fn options(schema: &str) -> Vec<OptionInfo> {
    let Ok(root) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let reader = Reader { root: &root };
    let object = reader.resolved(&root);
    let required = object["required"].as_array().map_or(&[][..], Vec::as_slice);
    let properties = object["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| OptionInfo {
            name: name.clone(),
            takes: reader.takes(schema, DEEPEST),
            is_text: reader.is_text(schema),
            default: schema.get("default").filter(|value| !value.is_null()).cloned(),
            required: required.iter().any(|one| one == name),
            description: one_line(schema["description"].as_str().unwrap_or_default()),
        })
        .collect()
}

struct Reader<'a> {
    root: &'a Value,
}

impl<'a> Reader<'a> {
    /// What `schema` refers to, or itself.
    fn resolved(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEEPEST {
            let target = schema["$ref"].as_str().and_then(|to| self.root.pointer(to.strip_prefix('#')?));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn takes(&self, schema: &'a Value, depth: usize) -> String {
        const ANYTHING: &str = "any value";
        let Some(schema) = self.resolved(schema).as_object().filter(|_| depth > 0) else {
            return ANYTHING.to_owned();
        };
        let mut values = Vec::new();
        if self.choices(schema, &mut values) && !values.is_empty() {
            return format!("one of: {}", values.join(", "));
        }
        if let Some(ways) = ways(schema) {
            let mut words: Vec<_> = ways.map(|way| self.takes(way, depth - 1)).collect();
            words.dedup();
            return words.join(", or ");
        }
        let words: Vec<_> = kinds(schema).map(|kind| self.kind(kind, schema, depth)).collect();
        if words.is_empty() { ANYTHING.to_owned() } else { words.join(" or ") }
    }

    fn kind(&self, kind: &str, schema: &'a Map<String, Value>, depth: usize) -> String {
        match kind {
            "string" => "text".to_owned(),
            "integer" => format!("a whole number{}", range(schema)),
            "number" => format!("a number{}", range(schema)),
            "boolean" => "true or false".to_owned(),
            "array" => match schema.get("items") {
                Some(items) => format!("a list, each {}", self.takes(items, depth - 1)),
                None => "a list".to_owned(),
            },
            "object" => "a table".to_owned(),
            other => other.to_owned(),
        }
    }

    /// Gathers the values of a schema that lists them; false if it does not.
    fn choices(&self, schema: &'a Map<String, Value>, values: &mut Vec<String>) -> bool {
        if let Some(one) = schema.get("const") {
            values.push(word(one));
        } else if let Some(Value::Array(all)) = schema.get("enum") {
            values.extend(all.iter().filter(|value| !value.is_null()).map(word));
        } else if let Some(mut ways) = ways(schema) {
            return ways.all(|way| way.as_object().is_some_and(|way| self.choices(way, values)));
        } else {
            return false;
        }
        true
    }

    fn is_text(&self, schema: &'a Value) -> bool {
        let Some(schema) = self.resolved(schema).as_object() else { return false };
        kinds(schema).any(|kind| kind == "string")
            || ways(schema).is_some_and(|mut ways| ways.any(|way| kinds_of(way).any(|kind| kind == "string")))
    }
}

/// The alternatives of a schema, but for none.
fn ways(schema: &Map<String, Value>) -> Option<impl Iterator<Item = &Value>> {
    let ways = schema.get("anyOf").or(schema.get("oneOf")).or(schema.get("allOf"))?.as_array()?;
    Some(ways.iter().filter(|way| way["type"] != "null"))
}

/// The JSON types of a schema, but for null, which stands for an option that is not given.
fn kinds(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null")
}

fn kinds_of(schema: &Value) -> impl Iterator<Item = &str> {
    schema.as_object().into_iter().flat_map(kinds)
}

fn range(schema: &Map<String, Value>) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

/// Text without its quotes, anything else as JSON.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Line breaks of a comment are where its lines were full.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn takes(schema: Value) -> String {
        let schema = json!({"properties": {"it": schema}, "$defs": {"Text": {"type": "string"}}});
        options(&schema.to_string()).remove(0).takes
    }

    #[test]
    fn what_an_option_takes_is_said_in_words() {
        for (schema, words) in [
            (json!({"type": "string"}), "text"),
            (json!({"type": ["string", "null"]}), "text"),
            (json!({"type": "boolean"}), "true or false"),
            (json!({"type": "number"}), "a number"),
            (json!({"type": "integer", "minimum": 0}), "a whole number of at least 0"),
            (json!({"type": "integer", "minimum": 0, "maximum": 255}), "a whole number from 0 to 255"),
            (json!({"type": ["integer", "string"]}), "a whole number or text"),
            (json!({"type": "array", "items": {"type": "string"}}), "a list, each text"),
            (json!({"type": "object"}), "a table"),
            (json!({"enum": ["eu", "us", null]}), "one of: eu, us"),
            (json!({"anyOf": [{"oneOf": [{"const": "eu"}, {"const": "us"}]}, {"type": "null"}]}), "one of: eu, us"),
            (json!({"anyOf": [{"$ref": "#/$defs/Text"}, {"type": "number"}]}), "text, or a number"),
            (json!({"$ref": "#/$defs/Gone"}), "any value"),
            (json!({"$ref": "#/properties/it"}), "any value"),
            (json!(true), "any value"),
        ] {
            assert_eq!(takes(schema.clone()), words, "{schema}");
        }
    }

    #[test]
    fn an_option_is_read_with_its_default_its_description_and_whether_it_is_needed() {
        let schema = json!({
            "properties": {
                "region": {"type": "string", "default": "eu", "description": "Where the\nserver is."},
                "token": {"type": "string"},
                "limit": {"type": ["integer", "null"], "default": null}
            },
            "required": ["token"]
        });
        let mut read = options(&schema.to_string());
        read.sort_by(|a, b| a.name.cmp(&b.name));
        let [limit, region, token] = &read[..] else { panic!("{read:?}") };
        assert_eq!((limit.default.clone(), limit.required, limit.is_text), (None, false, false));
        assert_eq!(region.default, Some(json!("eu")));
        assert_eq!((region.description.as_str(), region.is_text), ("Where the server is.", true));
        assert!(token.required && !region.required);
    }

    #[test]
    fn what_is_no_schema_has_no_options() {
        for text in ["", "{}", "7", "[]", "true", r#"{"properties": 3, "required": 4}"#] {
            assert_eq!(options(text), [], "{text}");
        }
    }
}
