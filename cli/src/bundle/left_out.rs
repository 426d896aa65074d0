//! What is never put into a bundle: keys, headers, whatever else looks like a secret, and the files of certificates and keys.

use super::manifest::LeftOut;
use inferometer_model::secret::{shown_option, shown_text};
use serde_json::{Map, Value};

/// Settings whose text is not looked at: what is sent to the model is data, and paths are replaced.
const TEXTS: [&str; 6] =
    ["system-prompt", "input-file", "system-prompt-file", "request-rate-series", "image-source", "tokenizer"];
/// Settings of which an item is left out alone; of others the whole goes, as a list without one means another thing.
const ONE_BY_ONE: [&str; 2] = ["extra-inputs", "plugin-option"];
/// Settings that name files of the machine: what a bundle names must not be read where it is run.
const FILES: [&str; 4] = ["api-key-file", "ca-certificate", "client-certificate", "client-key"];
/// What stands in shown text in place of a secret.
const HIDDEN: &str = "<redacted>";

/// Takes all secrets out of the settings.
pub(super) fn take_secrets(tables: &mut Map<String, Value>) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    let note = |setting: &str, shown: String| LeftOut { setting: setting.to_owned(), shown };
    if tables.remove("api-key").is_some() {
        left_out.push(note("api-key", String::new()));
    }
    for setting in FILES {
        if let Some(Value::String(path)) = tables.remove(setting) {
            left_out.push(note(setting, path));
        }
    }
    for header in items(tables.remove("header").unwrap_or_default()) {
        left_out.extend(header_names(&header).into_iter().map(|name| note("header", name)));
    }
    for (setting, value) in tables.iter_mut().filter(|(setting, _)| !TEXTS.contains(&setting.as_str())) {
        let secret = |text: &Value| text.as_str().and_then(|text| shown_secret(setting, text));
        match value {
            Value::Array(items) if ONE_BY_ONE.contains(&setting.as_str()) => {
                left_out.extend(items.iter().filter_map(secret).map(|shown| note(setting, shown)));
                items.retain(|item| secret(item).is_none());
            }
            Value::Array(items) if items.iter().any(|item| secret(item).is_some()) => {
                let shown = |item: &Value| secret(item).or_else(|| item.as_str().map(str::to_owned));
                left_out.extend(items.iter().filter_map(shown).map(|shown| note(setting, shown)));
                *value = Value::Null;
            }
            Value::String(_) => {
                if let Some(shown) = secret(value) {
                    left_out.push(note(setting, shown));
                    *value = Value::Null;
                }
            }
            _ => {}
        }
    }
    left_out.extend(of_plugins(tables));
    tables.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()));
    left_out
}

/// A setting that names a file which no bundle holds, among `tables`.
pub(super) fn of_files(tables: &Map<String, Value>) -> Option<&'static str> {
    FILES.into_iter().find(|name| tables.get(*name).is_some_and(|value| !value.is_null()))
}

impl LeftOut {
    /// Whether it is a secret, and no file.
    pub(super) fn is_secret(&self) -> bool {
        !FILES.contains(&self.setting.as_str())
    }
}

/// Options of plugins from a configuration file.
fn of_plugins(tables: &mut Map<String, Value>) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    let options = tables.get_mut("plugins").and_then(|plugins| plugins.get_mut("options")?.as_object_mut());
    for (component, options) in options.into_iter().flatten() {
        let Some(options) = options.as_object_mut() else { continue };
        options.retain(|key, value| {
            let typed =
                format!("{component}.{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let secret = shown_secret("plugin-option", &typed);
            let stays = secret.is_none();
            left_out.extend(secret.map(|shown| LeftOut { setting: "plugin-option".to_owned(), shown }));
            stays
        });
    }
    left_out
}

/// What may be seen of the setting, if it holds a secret.
fn shown_secret(setting: &str, text: &str) -> Option<String> {
    let shown = if setting == "plugin-option" { shown_option(text) } else { shown_text(text) };
    if shown.contains(HIDDEN) && !text.contains(HIDDEN) {
        return Some(shown);
    }
    // Of what follows a URL's question mark only the server knows which is secret.
    let query = text.find("://").and_then(|at| Some(at + text[at..].find('?')?));
    query.map(|at| format!("{}?{HIDDEN}", &text[..at]))
}

/// The names of `Name: value`, or of a JSON object of several.
fn header_names(text: &str) -> Vec<String> {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(several) => several.into_iter().map(|(name, _)| name).collect(),
        Err(_) => vec![text.split(':').next().unwrap_or_default().trim().to_owned()],
    }
}

fn items(value: Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_secret_stays_and_all_else_does() {
        let Value::Object(mut tables) = json!({
            "model": ["m"],
            "api-key": "sk-1",
            "api-key-file": "/home/me/key",
            "ca-certificate": "ca.pem",
            "header": ["X-Team: sk-1", "{\"X-Key\": \"sk-1\"}"],
            "extra-inputs": ["top_k:4", "api_key:sk-1,a:1"],
            "plugin-option": ["acme.size=3", "acme.api_token=sk-1", "p.headers={\"X\": \"sk-1\"}"],
            "url": ["http://h:1", "http://h:2/v1?key=sk-1"],
            "server-metrics": ["http://bob:sk-1@h/metrics"],
            "gpu-telemetry": ["http://h/metrics?sig=sk-1"],
            "endpoint": "/v1?token=sk-1",
            "system-prompt": "the token: none of it",
            "plugins": {"options": {"acme": {"password": "sk-1", "size": 3, "headers": {"X": "sk-1"}}}},
        }) else {
            unreachable!()
        };
        let left_out = take_secrets(&mut tables);
        let kept = Value::Object(tables);
        assert!(!kept.to_string().contains("sk-1"), "{kept}");
        assert!(left_out.iter().all(|one| !one.shown.contains("sk-1")), "{left_out:?}");
        assert_eq!(
            kept,
            json!({
                "model": ["m"],
                "extra-inputs": ["top_k:4"],
                "plugin-option": ["acme.size=3"],
                "system-prompt": "the token: none of it",
                "plugins": {"options": {"acme": {"size": 3}}},
            })
        );
        let named = |setting: &str| -> Vec<&str> {
            left_out.iter().filter(|one| one.setting == setting).map(|one| one.shown.as_str()).collect()
        };
        assert_eq!(named("api-key"), [""]);
        assert_eq!((named("api-key-file"), named("ca-certificate")), (vec!["/home/me/key"], vec!["ca.pem"]));
        assert_eq!(named("header"), ["X-Team", "X-Key"]);
        assert_eq!(named("url"), ["http://h:1", "http://h:2/v1?key=<redacted>"]);
        assert_eq!(named("gpu-telemetry"), ["http://h/metrics?sig=<redacted>"]);
        assert_eq!(named("plugin-option").len(), 4);
    }
}
