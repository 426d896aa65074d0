//! Chat templates: the text that a server makes of messages and tools before its model sees them.
//!
//! They are read from a Hugging Face folder and rendered as `transformers` renders them, but for two things: where Python
//! fails over a null, as in a loop over the content of a message that has only tool calls, null is taken as empty; and a
//! very large or small number in a list that a template prints without `tojson` may be spelled otherwise. What servers do
//! to a request before that is in `served`. No template travels in the program.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use regex::Regex;
use serde_json::Value as Json;

use crate::error::TemplateError;
use crate::{python, served};

const CONFIG: &str = "tokenizer_config.json";
const FILE: &str = "chat_template.jinja";
/// Where the templates lie that are not the default one.
const FOLDER: &str = "additional_chat_templates";
/// The older place, for models that take more than text.
const LEGACY: &str = "chat_template.json";

const DEFAULT: &str = "default";
/// The template that is meant when tools are given, where there is one of that name.
const TOOL_USE: &str = "tool_use";

/// What one rendering may cost, in instructions of the engine: far above any conversation, and over within seconds.
const FUEL: u64 = 50_000_000;

/// What the template is to make a text of. The parts are JSON as it goes over the wire, since the order of keys and the
/// form of numbers are seen in the text.
#[derive(Clone, Copy, Debug)]
pub struct Chat<'a> {
    /// The messages: a list of objects.
    pub messages: &'a str,
    /// The tools: a list of objects, in the form that the template expects, which is OpenAI's.
    pub tools: Option<&'a str>,
    /// Further variables of the template, an object: what requests carry as `chat_template_kwargs`.
    pub variables: Option<&'a str>,
    /// Whether the text ends where the answer is to begin, as for a request.
    pub add_generation_prompt: bool,
    /// Whether the messages are those of a request, with which servers do two things before a template sees them, and
    /// `transformers` does not: the arguments of tool calls, which a request carries as JSON text, become objects; and a
    /// content of text parts alone becomes one text with a line for each, unless the template goes through parts itself.
    pub served: bool,
    /// The time that a template is told that asks for it, in UTC; the present where absent.
    pub now: Option<SystemTime>,
}

impl<'a> Chat<'a> {
    /// These messages and nothing else, as `transformers` treats them, with the answer to follow.
    pub fn new(messages: &'a str) -> Self {
        Self { messages, tools: None, variables: None, add_generation_prompt: true, served: false, now: None }
    }
}

/// The chat template of a model, or its several named ones. Cheap to clone.
#[derive(Clone)]
pub struct ChatTemplate(Arc<Inner>);

struct Inner {
    /// Where the templates came from, for messages.
    origin: String,
    environment: Environment<'static>,
    /// The special tokens that templates name, such as `bos_token`.
    special: Vec<(String, String)>,
}

impl ChatTemplate {
    /// Reads the templates of a Hugging Face folder: `chat_template.jinja` and the files in
    /// `additional_chat_templates`, else those in `tokenizer_config.json`, else `chat_template.json`.
    ///
    /// # Errors
    /// When there is none, a file cannot be read, or a template is not valid.
    pub fn from_folder(folder: &Path) -> Result<Self, TemplateError> {
        let config = read_json(folder, CONFIG)?;
        let origin = folder.display().to_string();
        let mut templates = files(folder)?;
        if templates.is_empty() {
            templates = in_config(&config);
        }
        if templates.is_empty() {
            templates = in_config(&read_json(folder, LEGACY)?);
        }
        if templates.is_empty() {
            return Err(TemplateError::Missing { tokenizer: origin });
        }
        Self::build(origin, templates, special_tokens(&config))
    }

    fn build(
        origin: String,
        templates: Vec<(String, String)>,
        special: Vec<(String, String)>,
    ) -> Result<Self, TemplateError> {
        let mut environment = environment();
        for (name, source) in templates {
            environment.add_template_owned(name.clone(), plain_source(&source)).map_err(|error| {
                TemplateError::Invalid { template: full_name(&origin, &name), reason: described(&error) }
            })?;
        }
        Ok(Self(Arc::new(Inner { origin, environment, special })))
    }

    /// The text that a model is given for `chat`.
    ///
    /// # Errors
    /// When the messages, tools or variables are not what they have to be, or the template refuses them.
    pub fn render(&self, chat: &Chat<'_>) -> Result<String, TemplateError> {
        let tools = chat.tools.map(|tools| objects("tools", tools)).transpose()?;
        let name = if tools.is_some() && self.has(TOOL_USE) { TOOL_USE } else { DEFAULT };
        let refused = |reason| TemplateError::Refused { template: full_name(&self.0.origin, name), reason };
        let template =
            self.0.environment.get_template(name).map_err(|_| {
                refused(format!("there are templates of several names, and none of them is '{DEFAULT}'"))
            })?;

        let mut messages = objects("messages", chat.messages)?;
        if chat.served {
            let takes_parts = served::takes_parts(template.source());
            messages.iter_mut().for_each(|message| *message = served::as_served(message, takes_parts));
        }
        let messages: Vec<Value> = messages.into_iter().map(with_reasoning).collect();
        let mut context: Vec<(String, Value)> = Vec::new();
        context.extend(self.0.special.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))));
        if let Some(variables) = chat.variables {
            context.extend(variables_of(variables)?);
        }
        let now = chat.now.unwrap_or_else(SystemTime::now);
        context.extend([
            ("messages".to_owned(), Value::from(messages)),
            ("tools".to_owned(), tools.map_or(Value::from(()), Value::from)),
            ("documents".to_owned(), Value::from(())),
            ("add_generation_prompt".to_owned(), Value::from(chat.add_generation_prompt)),
            ("strftime_now".to_owned(), Value::from_function(move |format: &str| python::strftime(now, format))),
        ]);
        template.render(Value::from_pairs(context)).map_err(|error| refused(described(&error)))
    }

    fn has(&self, name: &str) -> bool {
        self.0.environment.get_template(name).is_ok()
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("origin", &self.0.origin).finish_non_exhaustive()
    }
}

/// The engine with what `transformers` adds to it.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("only the treatment of blanks is not the default"));
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", |value: &Value, options: Kwargs| python::tojson(value, &options));
    // As Jinja has them: what is null is neither, and a text is both.
    environment.add_test("iterable", |value: &Value| !is_scalar(value) || value.is_undefined());
    environment.add_test("sequence", |value: &Value| {
        !is_scalar(value) && value.kind() != ValueKind::Iterable || value.is_undefined()
    });
    environment.add_function("raise_exception", |message: &str| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
    });
    environment
}

/// Whether the value has no items.
fn is_scalar(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// The template without `{% generation %}`, a tag that `transformers` adds to mark what the model wrote, and that
/// changes no text.
fn plain_source(source: &str) -> String {
    let opening = Regex::new(r"\{%([-+]?)\s*generation\s*([-+]?)%\}").expect("the pattern is valid");
    let closing = Regex::new(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}").expect("the pattern is valid");
    let source = opening.replace_all(source, "{%$1 if true $2%}");
    closing.replace_all(&source, "{%$1 endif $2%}").into_owned()
}

/// The templates that are files of their own, by name.
fn files(folder: &Path) -> Result<Vec<(String, String)>, TemplateError> {
    let mut templates = Vec::new();
    let file = folder.join(FILE);
    if file.is_file() {
        templates.push((DEFAULT.to_owned(), read(&file)?));
    }
    let additional = folder.join(FOLDER);
    let listed = std::fs::read_dir(&additional).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "jinja")) {
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
            templates.push((name.to_owned(), read(path)?));
        }
    }
    Ok(templates)
}

/// The templates that a configuration holds: one text, or a list of named ones.
fn in_config(config: &Json) -> Vec<(String, String)> {
    match &config["chat_template"] {
        Json::String(source) => vec![(DEFAULT.to_owned(), source.clone())],
        Json::Array(named) => named
            .iter()
            .filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), entry["template"].as_str()?.to_owned())))
            .collect(),
        _ => Vec::new(),
    }
}

/// The special tokens that a configuration names, as text or as an object with the text as `content`.
fn special_tokens(config: &Json) -> Vec<(String, String)> {
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
        .into_iter()
        .filter_map(|name| {
            let token = &config[name];
            let spelled = token.as_str().or_else(|| token["content"].as_str())?;
            Some((name.to_owned(), spelled.to_owned()))
        })
        .collect()
}

fn read(file: &Path) -> Result<String, TemplateError> {
    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

/// The JSON in that file of the folder, or null where there is no such file.
fn read_json(folder: &Path, name: &str) -> Result<Json, TemplateError> {
    let file = folder.join(name);
    if !file.is_file() {
        return Ok(Json::Null);
    }
    serde_json::from_str(&read(&file)?).map_err(|error| unreadable(&file, &error))
}

fn unreadable(file: &Path, error: &dyn fmt::Display) -> TemplateError {
    TemplateError::Unreadable { path: file.to_owned(), reason: error.to_string() }
}

/// The template's name in messages: where it is from, and which of several it is.
fn full_name(origin: &str, name: &str) -> String {
    if name == DEFAULT { origin.to_owned() } else { format!("{origin} ({name})") }
}

/// The engine's words, with those of what caused it, and the line.
fn described(error: &Error) -> String {
    let mut reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(line) = error.line() {
        reason.push_str(&format!(" (line {line})"));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    reason
}

/// A list of objects, read from JSON with the order of keys kept.
fn objects(part: &'static str, json: &str) -> Result<Vec<Value>, TemplateError> {
    let bad = |reason: String| TemplateError::BadInput { part, reason };
    let value: Value = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
    let values: Vec<Value> = match value.kind() {
        ValueKind::Seq => value.try_iter().map_err(|error| bad(error.to_string()))?.collect(),
        kind => return Err(bad(format!("a list of objects is needed, and this is a {kind}"))),
    };
    match values.iter().find(|value| value.kind() != ValueKind::Map) {
        Some(other) => Err(bad(format!("a list of objects is needed, and it holds a {}", other.kind()))),
        None => Ok(values),
    }
}

fn variables_of(json: &str) -> Result<Vec<(String, Value)>, TemplateError> {
    let bad = |reason: String| TemplateError::BadInput { part: "variables", reason };
    let value: Value = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
    if value.kind() != ValueKind::Map {
        return Err(bad(format!("an object is needed, and this is a {}", value.kind())));
    }
    Ok(entries(&value).map(|(key, item)| (key.to_string(), item)).collect())
}

fn entries(map: &Value) -> impl Iterator<Item = (Value, Value)> + '_ {
    map.try_iter().into_iter().flatten().map(|key| {
        let item = map.get_item(&key).unwrap_or_default();
        (key, item)
    })
}

/// The message with its reasoning under every name that templates know it by.
fn with_reasoning(message: Value) -> Value {
    let named = |name: &str| message.get_attr(name).ok().filter(|value| !value.is_none() && !value.is_undefined());
    let Some(reasoning) = ["reasoning_content", "thinking", "reasoning"].into_iter().find_map(named) else {
        return message;
    };
    let first = std::iter::once((Value::from("thinking"), reasoning.clone()));
    Value::from_pairs(first.chain(entries(&message)).chain([(Value::from("reasoning_content"), reasoning)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"[{"role": "user", "content": "Hello"}]"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        folder
    }

    fn from_files(files: &[(&str, &str)]) -> Result<ChatTemplate, TemplateError> {
        ChatTemplate::from_folder(folder(files).path())
    }

    fn from_source(source: &str) -> Result<ChatTemplate, TemplateError> {
        ChatTemplate::build("acme".to_owned(), vec![(DEFAULT.to_owned(), source.to_owned())], Vec::new())
    }

    fn rendered(source: &str, messages: &str) -> Result<String, TemplateError> {
        from_source(source).unwrap().render(&Chat::new(messages))
    }

    #[test]
    fn a_template_in_the_configuration_is_told_of_the_special_tokens() {
        let template = from_files(&[(
            CONFIG,
            r#"{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": null,
                "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ unk_token }}"}"#,
        )])
        .unwrap();
        assert_eq!(template.render(&Chat::new(HELLO)).unwrap(), "<s>Hello</s>");
    }

    #[test]
    fn of_several_named_templates_the_one_for_tools_is_taken_when_there_are_tools() {
        let named = r#"{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools[0].name }}"}]}"#;
        let additional = [(FILE, "plain"), ("additional_chat_templates/tool_use.jinja", "{{ tools[0].name }}")];
        for template in [from_files(&[(CONFIG, named)]), from_files(&additional)] {
            let template = template.unwrap();
            assert_eq!(template.render(&Chat::new(HELLO)).unwrap(), "plain");
            let chat = Chat { tools: Some(r#"[{"name": "search"}]"#), ..Chat::new(HELLO) };
            assert_eq!(template.render(&chat).unwrap(), "search");
        }
        let nameless = from_files(&[(CONFIG, r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#)]).unwrap();
        let error = nameless.render(&Chat::new(HELLO)).unwrap_err().to_string();
        assert!(error.contains("none of them is 'default'"), "{error}");
    }

    #[test]
    fn a_file_of_its_own_goes_before_the_configuration_and_the_older_place_comes_last() {
        let config = (CONFIG, r#"{"bos_token": "<s>", "chat_template": "in the configuration"}"#);
        let legacy = (LEGACY, r#"{"chat_template": "in the older place"}"#);
        let text = |files: &[(&str, &str)]| from_files(files).unwrap().render(&Chat::new(HELLO)).unwrap();
        assert_eq!(text(&[config, legacy, (FILE, "{{ bos_token }}in a file\n")]), "<s>in a file");
        assert_eq!(text(&[config, legacy]), "in the configuration");
        assert_eq!(text(&[legacy]), "in the older place");
    }

    #[test]
    fn what_is_missing_or_broken_is_named_with_the_reason() {
        let error = from_files(&[(CONFIG, r#"{"bos_token": "<s>"}"#)]).unwrap_err().to_string();
        assert!(error.contains("no chat template"), "{error}");
        let error = from_files(&[(CONFIG, "{")]).unwrap_err().to_string();
        assert!(error.contains(CONFIG) && error.contains("EOF"), "{error}");
        let error = from_source("a\n{% if %}").unwrap_err().to_string();
        assert!(error.starts_with("the chat template of 'acme' is not valid: ") && error.contains("line 2"), "{error}");
        let error = rendered("a\n{{ raise_exception('No system role!') }}", HELLO).unwrap_err().to_string();
        assert_eq!(error, "the chat template of 'acme' refuses these messages: No system role! (line 2)");
        let error = rendered("{{ messages[0].no.content }}", HELLO).unwrap_err().to_string();
        assert!(error.contains("undefined value"), "{error}");
        for (messages, said) in [("{}", "a list of objects"), ("[1]", "holds a number"), ("[", "EOF")] {
            let error = rendered("x", messages).unwrap_err().to_string();
            assert!(error.starts_with("the messages for a chat template are wrong") && error.contains(said), "{error}");
        }
        let chat = Chat { variables: Some("[]"), ..Chat::new(HELLO) };
        let error = from_source("x").unwrap().render(&chat).unwrap_err().to_string();
        assert!(error.contains("an object is needed"), "{error}");
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let endless =
            "{% for a in range(90000) %}{% for b in range(90000) %}{% set c = a * b %}{% endfor %}{% endfor %}";
        assert!(matches!(rendered(endless, HELLO), Err(TemplateError::Refused { .. })));
        let deep = "{% macro dig(n) %}{{ dig(n + 1) }}{% endmacro %}{{ dig(0) }}";
        assert!(matches!(rendered(deep, HELLO), Err(TemplateError::Refused { .. })));
    }

    #[test]
    fn blanks_and_tags_are_treated_as_transformers_does() {
        let source = "{% for m in messages %}\n  {% generation %}\n  {{ m.content }}\n  {%- endgeneration %}\n{% endfor %}\nend\n";
        assert_eq!(rendered(source, HELLO).unwrap(), "  Helloend");
    }

    #[test]
    fn variables_of_the_request_reach_the_template_and_cannot_replace_the_messages() {
        let template =
            from_source("{{ enable_thinking }} {{ messages[0].content }}{% if add_generation_prompt %}>{% endif %}")
                .unwrap();
        let chat = Chat { variables: Some(r#"{"enable_thinking": false, "messages": []}"#), ..Chat::new(HELLO) };
        assert_eq!(template.render(&chat).unwrap(), "False Hello>");
        let chat = Chat { add_generation_prompt: false, ..chat };
        assert_eq!(template.render(&chat).unwrap(), "False Hello");
    }

    #[test]
    fn messages_of_a_request_are_treated_as_servers_treat_them() {
        let source = "{{ messages[0].content }} {{ messages[0].tool_calls[0].function.arguments | tojson }}";
        let messages = r#"[{"content": [{"type": "text", "text": "a"}],
            "tool_calls": [{"function": {"arguments": "{\"x\": 1}"}}]}]"#;
        let template = from_source(source).unwrap();
        let chat = Chat { served: true, ..Chat::new(messages) };
        assert_eq!(template.render(&chat).unwrap(), r#"a {"x": 1}"#);
        let chat = Chat { served: false, ..chat };
        assert_eq!(template.render(&chat).unwrap(), r#"[{'type': 'text', 'text': 'a'}] "{\"x\": 1}""#);
    }

    #[test]
    fn reasoning_is_found_under_all_its_names() {
        let source = "{{ messages[0].thinking }} {{ messages[0].reasoning_content }}";
        for name in ["thinking", "reasoning_content", "reasoning"] {
            let messages = format!(r#"[{{"role": "assistant", "{name}": "so"}}]"#);
            assert_eq!(rendered(source, &messages).unwrap(), "so so");
        }
    }
}
