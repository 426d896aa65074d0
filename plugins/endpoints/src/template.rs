//! The `template` endpoint: bodies that a template of the user's makes of a turn.
//!
//! Templates are Jinja's, without escaping for HTML: what goes into JSON goes through `tojson`. A template that comes from a
//! file is read when the endpoint is made, and at no other time.

mod variables;

#[cfg(test)]
mod tests;

use crate::{
    body::{Object, read_extras},
    found::Finder,
    raw,
};
use inferometer_plugin_sdk::{
    Component, RVec,
    api::Endpoint,
    documents::EndpointInfo,
    schemars::JsonSchema,
    serde::{Deserialize, de::IgnoredAny},
    types::{Answer, Delta, Error, ErrorKind, Event, Outgoing, Reply, Request, Result},
};
use minijinja::{AutoEscape, Environment, ErrorKind as TemplateErrorKind, UndefinedBehavior, Value};
use std::collections::BTreeSet;

const JSON: &str = "application/json";
/// The name of the template in its environment.
const NAME: &str = "payload_template";
/// Most steps of one rendering, so that a template which loops for ever is refused.
const FUEL: u64 = 20_000_000;

/// Templates that go by a name.
const BUILT_IN: [(&str, &str); 6] = [
    (
        "chat",
        r#"{"model": {{ model|tojson }}, "messages": {{ messages|tojson }}, "stream": {{ stream|tojson }}
           {%- if max_tokens %}, "max_tokens": {{ max_tokens }}{% endif %}}"#,
    ),
    (
        "completions",
        r#"{"model": {{ model|tojson }}, "prompt": {{ text|tojson }}, "stream": {{ stream|tojson }}
           {%- if max_tokens %}, "max_tokens": {{ max_tokens }}{% endif %}}"#,
    ),
    ("embeddings", r#"{"model": {{ model|tojson }}, "input": {{ texts|tojson }}}"#),
    (
        "generate",
        r#"{"inputs": {{ text|tojson }}
           {%- if max_tokens %}, "parameters": {"max_new_tokens": {{ max_tokens }}}{% endif %}}"#,
    ),
    ("nv-embedqa", r#"{"text": {{ texts|tojson }}}"#),
    ("rerank", r#"{"model": {{ model|tojson }}, "query": {{ query|tojson }}, "documents": {{ passages|tojson }}}"#),
];

/// Sends what a template makes of a turn.
pub struct Template {
    environment: Environment<'static>,
    /// The variables it uses.
    uses: BTreeSet<String>,
    content_type: String,
    finder: Finder,
}

inferometer_plugin_sdk::endpoint! {
    name: "template",
    summary: "Bodies that a Jinja template makes of a turn, sent to the path of --endpoint.",
    component: Template
}

/// What a user may set.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct TemplateOptions {
    /// The template of a body: chat, completions, embeddings, generate, nv-embedqa or rerank; a file; or the template
    /// itself, such as {"text": {{ texts|tojson }}}.
    payload_template: String,
    /// Where the text of an answer is, in JMESPath, such as data[0].text. Without it the usual shapes are tried.
    #[serde(default)]
    response_field: Option<String>,
    /// What a body is sent as. One that is not JSON is not checked.
    #[serde(default = "json")]
    payload_content_type: String,
}

fn json() -> String {
    JSON.to_owned()
}

impl Component for Template {
    type Options = TemplateOptions;

    fn create(options: TemplateOptions) -> Result<Self> {
        let TemplateOptions { payload_template, response_field, payload_content_type } = options;
        let mut environment = environment();
        let wrong = |error: &minijinja::Error| Error::config(format!("the payload_template is refused: {error}"));
        environment.add_template_owned(NAME, source(payload_template)?).map_err(|e| wrong(&e))?;
        let uses = environment.get_template(NAME).map_err(|e| wrong(&e))?.undeclared_variables(false);
        let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let uses: BTreeSet<String> = uses.into_iter().filter(|name| !globals.contains(name.as_str())).collect();
        let unknown: Vec<&str> =
            uses.iter().map(String::as_str).filter(|name| !variables::NAMES.contains(name)).collect();
        if !unknown.is_empty() {
            return Err(Error::config(format!(
                "the payload_template uses `{}`, which does not exist; there are: {}",
                unknown.join("`, `"),
                variables::NAMES.join(", ")
            )));
        }
        let is_header = |b: u8| b == b' ' || b.is_ascii_graphic();
        if payload_content_type.is_empty() || !payload_content_type.bytes().all(is_header) {
            return Err(Error::config("payload_content_type is no media type; give one such as text/plain"));
        }
        let finder = Finder::new(response_field.as_deref())?;
        Ok(Self { environment, uses, content_type: payload_content_type, finder })
    }
}

impl Endpoint for Template {
    fn info(&self) -> EndpointInfo {
        raw::info()
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        if self.content_type != JSON {
            out.content_type = self.content_type.as_str().into();
        }
        out.body.clear();
        if !request.raw_body.is_empty() {
            out.body.extend_from_slice(&request.raw_body);
            return Ok(());
        }
        let rendered = self.render(request)?;
        if !request.extra_json.is_empty() {
            return lay_over(&rendered, request.extra_json.as_str(), &mut out.body);
        }
        let is_json = self.content_type == JSON || self.content_type.starts_with("application/json;");
        if is_json && let Err(error) = serde_json::from_str::<IgnoredAny>(&rendered) {
            return Err(Error::config(format!(
                "the payload_template makes a body that is no JSON ({error}): `{}`; write texts as {{{{ text|tojson }}}}, \
                 or say what it is with payload_content_type",
                beginning(&rendered)
            )));
        }
        out.body.extend_from_slice(rendered.as_bytes());
        Ok(())
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        self.finder.on_event(event, out, scratch)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        self.finder.on_body(answer.body.as_slice(), out)
    }
}

impl Template {
    fn render(&self, request: &Request<'_>) -> Result<String> {
        let wrong = |why: String| Error::config(format!("the payload_template fails on a turn: {why}"));
        let values = variables::of(request, &self.uses)?;
        let missing: Vec<&str> =
            self.uses.iter().map(String::as_str).filter(|name| !values.iter().any(|(has, _)| has == name)).collect();
        let template = self.environment.get_template(NAME).map_err(|e| wrong(e.to_string()))?;
        template.render(Value::from_pairs(values)).map_err(|error| {
            wrong(match error.kind() {
                TemplateErrorKind::UndefinedError if !missing.is_empty() => {
                    format!("the turn gives no `{}` ({error})", missing.join("`, `"))
                }
                _ => error.to_string(),
            })
        })
    }
}

/// The source of the template that `given` names, lies at, or is.
fn source(given: String) -> Result<String> {
    if let Some((_, source)) = BUILT_IN.iter().find(|(name, _)| *name == given) {
        return Ok((*source).to_owned());
    }
    if ["{", "}", "\n"].iter().any(|sign| given.contains(sign)) {
        return Ok(given);
    }
    std::fs::read_to_string(&given).map_err(|error| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        Error::config(format!(
            "the payload_template `{given}` is none of {}, nor a file that can be read ({error}); give one of them, or the \
             template itself",
            names.join(", ")
        ))
    })
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // What is undefined may be asked for, and not written.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", |value: &Value| {
        if value.is_undefined() {
            return Err(minijinja::Error::from(TemplateErrorKind::UndefinedError));
        }
        serde_json::to_string(value).map_err(|error| {
            minijinja::Error::new(TemplateErrorKind::BadSerialization, format!("cannot be written as JSON: {error}"))
        })
    });
    environment
}

/// Lays extra fields over a body.
fn lay_over(rendered: &str, extras: &str, out: &mut RVec<u8>) -> Result<()> {
    let members = read_extras(rendered).map_err(|_| {
        Error::config(format!(
            "extra fields can be laid over a JSON object only, and the payload_template makes `{}`; leave them out, or put \
             them into the template",
            beginning(rendered)
        ))
    })?;
    let mut body = Object::open(out, extras)?;
    for member in &members {
        let write = |out: &mut RVec<u8>| {
            out.extend_from_slice(member.value.get().as_bytes());
            Ok(())
        };
        body.member(&member.key, write)?;
    }
    body.extras()?;
    body.close();
    Ok(())
}

fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}
