//! Templates of bodies that settings name by a file: their text takes the place of the path, so that a bundle holds it.

use inferometer_model::values::key_values;
use serde_json::{Map, Value};
use std::fs;

/// The option that is a template, or the file of one.
const TEMPLATE: &str = "payload_template";

/// Puts the texts of templates in place of their files, wherever the settings name one.
pub(super) fn put_in(tables: &mut Map<String, Value>) {
    for item in items(tables, "extra-inputs") {
        let Ok(mut fields) = key_values(std::slice::from_ref(item)) else { continue };
        if fields.get_mut(TEMPLATE).is_some_and(inline) {
            *item = Value::Object(fields).to_string();
        }
    }
    for item in items(tables, "plugin-option") {
        if let Some((path, value)) = item.split_once('=')
            && path.rsplit('.').next() == Some(TEMPLATE)
        {
            let mut value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            if inline(&mut value) {
                *item = format!("{path}={value}");
            }
        }
    }
    let options = tables.get_mut("plugins").and_then(|plugins| plugins.get_mut("options")?.as_object_mut());
    for options in options.into_iter().flat_map(|options| options.values_mut()) {
        let _ = options.get_mut(TEMPLATE).map(inline);
    }
}

fn items<'a>(tables: &'a mut Map<String, Value>, setting: &str) -> impl Iterator<Item = &'a mut String> {
    let items = tables.get_mut(setting).and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(|item| if let Value::String(text) = item { Some(text) } else { None })
}

/// Puts the text in place of the file's path, if it is one; whether it was.
fn inline(value: &mut Value) -> bool {
    let is_template = |text: &str| text.contains(['{', '}', '\n']);
    let path = value.as_str().filter(|text| !is_template(text));
    let text = path.and_then(|path| fs::read_to_string(path).ok()).filter(|text| is_template(text));
    let found = text.is_some();
    if let Some(text) = text {
        *value = text.into();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_goes_in_as_text_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.j2");
        fs::write(&file, "{\"text\": {{ text|tojson }}}\n").unwrap();
        let path = file.to_str().unwrap();
        let Value::Object(mut tables) = json!({
            "extra-inputs": [format!("payload_template:{path},n:1"), "top_k:4", "payload_template:chat"],
            "plugin-option": [format!("template.payload_template={path}"), "acme.file=own.j2"],
            "plugins": {"options": {"template": {"payload_template": path, "response_field": "a"}}},
        }) else {
            unreachable!()
        };
        put_in(&mut tables);
        let text = "{\"text\": {{ text|tojson }}}\n";
        let extra = json!({ "payload_template": text, "n": 1 }).to_string();
        assert_eq!(
            Value::Object(tables),
            json!({
                "extra-inputs": [extra, "top_k:4", "payload_template:chat"],
                "plugin-option": [format!("template.payload_template={}", Value::from(text)), "acme.file=own.j2"],
                "plugins": {"options": {"template": {"payload_template": text, "response_field": "a"}}},
            })
        );
    }
}
