//! The models that a server lists, and what to say of one that is not among them.

use serde_json::Value;
use std::cmp::Reverse;

/// Where servers list their models.
pub(super) const MODELS: &str = "/v1/models";
/// Models that are named at most.
const MOST_NAMED: usize = 5;

/// The names in a list of models in OpenAI's shape, aliases after them; `None`: it is no such list.
pub(super) fn listed(body: &[u8]) -> Option<Vec<String>> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let entries = json.get("data")?.as_array()?;
    let named = entries.iter().filter_map(|entry| entry.get("id")?.as_str());
    let aliases =
        entries.iter().filter_map(|entry| entry.get("aliases")?.as_array()).flatten().filter_map(Value::as_str);
    let mut names: Vec<String> = Vec::new();
    for name in named.chain(aliases) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

/// What to say of `model`, which is not among those that are `listed`: the nearest of these first.
pub(super) fn absent(model: &str, listed: &[String]) -> String {
    let mut names: Vec<&str> = listed.iter().map(String::as_str).collect();
    names.sort_by_cached_key(|name| Reverse((likeness(model, name) * 1e6) as u64));
    let shown: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("'{name}'")).collect();
    let more = match names.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it does not have the model '{model}'; it has {}{more}: check --model", shown.join(", "))
}

/// How alike two names are, from 0 to 1, with or without what stands before their last slash.
fn likeness(one: &str, other: &str) -> f64 {
    let alike = |one: &str, other: &str| strsim::jaro_winkler(&one.to_lowercase(), &other.to_lowercase());
    let bare = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    alike(one, other).max(alike(&bare(one), &bare(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_model_comes_first_whoever_is_said_to_have_made_it() {
        let listed: Vec<String> =
            ["whisper-1", "phi-4", "meta-llama/Llama-3.1-8B", "bge-m3", "qwen3", "a", "b"].map(String::from).into();
        let text = absent("llama-3.1-8b", &listed);
        assert!(text.contains("it has 'meta-llama/Llama-3.1-8B', "), "{text}");
        assert!(text.contains(" and 2 more: check --model"), "{text}");
    }

    #[test]
    fn a_list_is_told_from_everything_else() {
        let names = |body: &str| listed(body.as_bytes());
        assert_eq!(names(r#"{"data":[{"id":"m","aliases":["n","m"]}]}"#), Some(vec!["m".into(), "n".into()]));
        assert_eq!(names(r#"{"object":"list","data":[]}"#), Some(vec![]));
        for other in ["", "<html>", "[]", r#"{"data":{}}"#, r#"{"models":[]}"#] {
            assert_eq!(names(other), None, "{other}");
        }
    }
}
