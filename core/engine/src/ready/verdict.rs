//! What an answer says of a server: that it is ready, that waiting may help, or that it never will, and what to do then.

use super::{
    Site,
    models::{self, MODELS},
};
use crate::{dialogue::Page, refusal::shown_place};
use inferometer_model::{Failure, FailureKind, plan::ServerPlan};
use serde_json::Value;

/// How ready a server is.
#[derive(Debug)]
pub(super) enum State {
    Ready,
    /// Waiting may help.
    NotYet(String),
    /// Waiting does not help.
    Never(String),
}

impl Page {
    /// Whether a refusal is about the model that was asked for, and not about the request or its path.
    pub(super) fn is_about(&self, model: &str) -> bool {
        if !matches!(self.status, 400 | 404 | 422) {
            return false;
        }
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let says = |pointer: &str, word: &str| json.pointer(pointer).and_then(Value::as_str) == Some(word);
        if says("/error/code", "model_not_found") || says("/error/param", "model") || says("/param", "model") {
            return true;
        }
        let words = self.words();
        let lower = words.to_lowercase();
        let unknown = [
            "not found",
            "not exist",
            "does not have",
            "unknown",
            "no such",
            "invalid model",
            "not supported",
            "not available",
            "not loaded",
        ];
        words.contains(model) && lower.contains("model") && unknown.iter().any(|word| lower.contains(word))
    }
}

impl Site<'_> {
    /// No whole answer came.
    pub(super) fn broken(&self, failure: &Failure) -> State {
        let words = self.hidden(failure.message.to_string());
        match failure.kind {
            FailureKind::Connect if words.contains("refused") => State::NotYet("nothing listens there".to_owned()),
            FailureKind::Connect => State::NotYet(format!("no connection ({words})")),
            FailureKind::Tls => State::Never(format!("no TLS with it: {words}")),
            FailureKind::Malformed => State::Never(format!(
                "what answers there cannot be understood ({words}); check the port of --url, and that it begins with \
                 http:// or https:// as the server wants it"
            )),
            FailureKind::Plugin => State::Never(words),
            _ => State::NotYet(words),
        }
    }

    /// It refused what was asked at `path`, whatever the model and the path are.
    pub(super) fn refused(&self, page: &Page, method: &str, path: &str) -> State {
        let (status, words) = (page.status, self.hidden(page.words()));
        match status {
            401 | 403 => State::Never(key(&self.plan.server, status, method, path, &words)),
            300..=399 => State::Never(format!(
                "{method} {path} is answered with {status}, which sends to {}; redirects are not followed: give that \
                 place with --url or --endpoint",
                self.hidden(page.location.as_deref().map_or("no place".to_owned(), shown_place))
            )),
            400 if words.to_lowercase().contains("https") => {
                State::Never(format!("it does not speak plain HTTP ({words}); write https:// in --url"))
            }
            405 => State::Never(format!(
                "{path} is there and does not take {method} (405: {words}); check --endpoint and --endpoint-type"
            )),
            408 | 425 | 429 | 500 | 502..=504 | 506..=599 => {
                State::NotYet(format!("{status} for {method} {path}: {words}"))
            }
            _ if method == "GET" => State::Never(format!(
                "{status} for {method} {path}: {words}; check --url, or use --wait-for-model-mode inference"
            )),
            _ => State::Never(format!(
                "it refuses a request of one short text, {status} for {method} {path}: {words}; check --endpoint-type, \
                 --endpoint and --extra-inputs"
            )),
        }
    }

    /// It has no list of models.
    pub(super) async fn has_no_list(&self) -> State {
        match self.sign_of_life().await {
            Some(sign) if sign.lies_above => State::Never(self.lies_above(&sign.path)),
            Some(_) => State::Never(format!(
                "it lists no models (404 for GET {MODELS}), which is what --wait-for-model-mode models asks; use \
                 --wait-for-model-mode inference"
            )),
            None => State::NotYet(format!(
                "404 for GET {MODELS} and for GET /health (a server without them: --wait-for-model-mode inference)"
            )),
        }
    }

    /// There is nothing at `path`, where requests for `model` go.
    pub(super) async fn has_no_path(&self, path: &str, model: &str) -> State {
        let Some(sign) = self.sign_of_life().await else {
            return State::NotYet(format!("404 for POST {path}, and for GET {MODELS} and /health"));
        };
        if sign.lies_above {
            return State::Never(self.lies_above(&sign.path));
        }
        let known = self.known_paths(path, model).await;
        let instead = if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) };
        State::Never(format!(
            "there is nothing at {path} (404 for POST, while GET {} is answered){instead}: check --endpoint and \
             --endpoint-type",
            sign.path
        ))
    }

    fn lies_above(&self, sign: &str) -> String {
        format!(
            "there is nothing below {} of --url, while GET {sign} is answered: leave the path out, or correct it",
            self.url.path()
        )
    }

    /// It says that it does not have `model`.
    pub(super) async fn has_no_model(&self, model: &str, page: &Page) -> State {
        let words = self.hidden(page.words());
        let list = self.page("GET", MODELS).await.ok().filter(Page::is_good);
        match list.and_then(|list| models::listed(&list.body)) {
            None => {
                State::Never(format!("it does not have the model '{model}' ({}: {words}); check --model", page.status))
            }
            Some(listed) if listed.is_empty() => State::NotYet(format!("it lists no model yet ({words})")),
            Some(listed) if listed.iter().any(|name| name == model) => State::NotYet(format!(
                "it lists the model '{model}' and does not answer for it ({}: {words})",
                page.status
            )),
            Some(listed) => State::Never(models::absent(model, &listed)),
        }
    }
}

/// What to say of a key that is missing or wrong.
fn key(server: &ServerPlan, status: u16, method: &str, path: &str, words: &str) -> String {
    let is_keylike =
        |name: &str| ["authorization", "key", "token"].iter().any(|part| name.to_lowercase().contains(part));
    let by_header = server.headers.iter().find(|(name, _)| is_keylike(name));
    match (&server.api_key, by_header) {
        (None, None) => format!(
            "it wants a key, and none was given ({status} for {method} {path}: {words}); give it with --api-key, \
             INFEROMETER_API_KEY or --api-key-file"
        ),
        (None, Some((name, _))) => {
            format!("it does not take the key of the header {name} ({status} for {method} {path}: {words}); check it")
        }
        (Some(_), _) => format!(
            "it does not take the key ({status} for {method} {path}: {words}); check --api-key, INFEROMETER_API_KEY or \
             --api-key-file"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_about(status: u16, body: &str) -> bool {
        Page { status, body: body.into(), location: None }.is_about("m-1")
    }

    #[test]
    fn a_refusal_of_the_model_is_told_from_one_of_the_path_or_the_request() {
        assert!(is_about(404, r#"{"error":{"message":"The model `m-1` does not exist.","param":"model"}}"#));
        assert!(is_about(404, r#"{"error":"model 'm-1' not found"}"#));
        assert!(is_about(400, r#"{"error":{"code":"model_not_found","message":"no"}}"#));
        assert!(!is_about(404, r#"{"detail":"Not Found"}"#));
        assert!(!is_about(404, "there is nothing at /v1/x"));
        assert!(!is_about(400, r#"{"error":{"message":"This model's maximum context length is 8"}}"#));
        assert!(!is_about(503, r#"{"error":"model 'm-1' not found"}"#));
    }

    #[test]
    fn the_query_of_a_redirect_is_not_shown() {
        assert_eq!(shown_place("https://h/login?token=abc"), "https://h/login?token=<redacted>");
        assert_eq!(shown_place("/login?token=abc"), "/login");
    }
}
