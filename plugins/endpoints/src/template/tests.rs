//! Templates: what they may use, what they make, and what is said of those that cannot work.

use super::*;
use crate::testing::{body, named, read};
use inferometer_plugin_sdk::types::{ErrorKind, Part, PartKind};

fn create(template: &str) -> Result<Template> {
    Template::create(TemplateOptions {
        payload_template: template.to_owned(),
        response_field: None,
        payload_content_type: json(),
    })
}

fn made(template: &str, parts: &[Part<'_>], extra: &str) -> Result<String> {
    body(&create(template)?, parts, extra)
}

#[test]
fn texts_go_into_json_as_they_are() {
    let parts = [Part::text("<a> & \"b\"\n'é'"), Part::text("c")];
    assert_eq!(
        made(r#"{"t": {{ text|tojson }}, "all": {{ texts|tojson }}}"#, &parts, "").unwrap(),
        r#"{"t": "<a> & \"b\"\n'é'", "all": ["<a> & \"b\"\n'é'","c"]}"#
    );
}

#[test]
fn every_variable_is_there() {
    let part = |kind, data| Part { kind, ..Part::text(data) };
    let parts = [
        named("query", "q"),
        named("passages", "p"),
        part(PartKind::IMAGE, "i"),
        Part { mime: "wav".into(), ..part(PartKind::AUDIO, "a") },
        part(PartKind::VIDEO, "v"),
    ];
    for (expression, expected) in [
        ("text", r#""q""#),
        ("texts", r#"["q","p"]"#),
        ("image", r#""i""#),
        ("images", r#"["i"]"#),
        ("audio", r#""a""#),
        ("audios", r#"["a"]"#),
        ("video", r#""v""#),
        ("videos", r#"["v"]"#),
        ("query", r#""q""#),
        ("queries", r#"["q"]"#),
        ("passage", r#""p""#),
        ("passages", r#"["p"]"#),
        ("model", r#""m""#),
        ("max_tokens", "null"),
        ("stream", "false"),
        ("turn.images", r#"["i"]"#),
        ("turns[0].role", r#""user""#),
        ("messages[0].content[0]", r#"{"type":"text","text":"q"}"#),
    ] {
        let template = format!("[{{{{ {expression}|tojson }}}}]");
        assert_eq!(made(&template, &parts, "").unwrap(), format!("[{expected}]"), "{expression}");
    }
}

#[test]
fn the_templates_that_go_by_a_name_make_json() {
    let parts = [named("query", "q"), named("passages", "p")];
    for (name, _) in BUILT_IN {
        let body = made(name, &parts, "").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{name}: {body}");
    }
    assert_eq!(made("nv-embedqa", &parts, "").unwrap(), r#"{"text": ["q","p"]}"#);
}

#[test]
fn a_variable_that_does_not_exist_is_named_at_once() {
    let error = create("{{ prompt }}").err().unwrap();
    assert!(error.kind == ErrorKind::CONFIG && error.message.contains("`prompt`"), "{error}");
    assert!(error.message.contains("texts, image"), "{error}");
    assert!(create("{% for i in range(2) %}{{ i }}{% endfor %}").is_ok());
}

#[test]
fn a_variable_that_a_turn_does_not_give_is_named() {
    for template in [r#"{"i": {{ image|tojson }}}"#, "{{ image }}", "{{ image.x }}"] {
        let error = made(template, &[Part::text("a")], "").unwrap_err();
        assert!(error.message.contains("the turn gives no `image`"), "{error}");
    }
    let optional = r#"{"t": {{ text|tojson }}{% if image %}, "i": {{ image|tojson }}{% endif %}}"#;
    assert_eq!(made(optional, &[Part::text("a")], "").unwrap(), r#"{"t": "a"}"#);
}

#[test]
fn a_body_that_is_no_json_is_refused_unless_it_is_said_to_be_something_else() {
    let error = made("{{ text }}", &[Part::text("plain <words>")], "").unwrap_err();
    assert!(error.message.contains("`plain <words>`") && error.message.contains("tojson"), "{error}");
    let plain = Template::create(TemplateOptions {
        payload_template: "{{ text }}".into(),
        response_field: None,
        payload_content_type: "text/plain".into(),
    });
    let out = crate::testing::sent(&plain.unwrap(), &[Part::text("plain <words>")], "", 0).unwrap();
    assert_eq!((out.content_type.as_str(), out.body.as_slice()), ("text/plain", b"plain <words>".as_slice()));
}

#[test]
fn extras_are_laid_over_an_object_and_over_nothing_else() {
    let body = made(r#"{"t": {{ text|tojson }}, "n": 1.50}"#, &[Part::text("a")], r#"{"t":"b","k":2}"#).unwrap();
    assert_eq!(body, r#"{"t":"b","n":1.50,"k":2}"#);
    assert!(made("[{{ text|tojson }}]", &[Part::text("a")], r#"{"k":2}"#).unwrap_err().message.contains("laid over"));
}

#[test]
fn a_template_that_is_wrong_is_refused_in_words() {
    for (template, words) in [
        ("{{ text", "the payload_template is refused"),
        ("no-such-template", "is none of chat, completions"),
        ("/no/such/file.jinja", "nor a file"),
        ("{{ text|nofilter }}", "nofilter"),
    ] {
        let error = made(template, &[Part::text("a")], "").unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(made(endless, &[Part::text("a")], "").is_err());
}

#[test]
fn a_template_may_lie_in_a_file() {
    let file = std::env::temp_dir().join(format!("inferometer-template-{}.jinja", std::process::id()));
    std::fs::write(&file, r#"{"t": {{ text|tojson }}}"#).unwrap();
    let made = made(file.to_str().unwrap(), &[Part::text("a")], "");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(made.unwrap(), r#"{"t": "a"}"#);
}

#[test]
fn answers_are_read_by_the_expression() {
    let endpoint = Template::create(TemplateOptions {
        payload_template: "chat".into(),
        response_field: Some("a.b".into()),
        payload_content_type: json(),
    });
    let reply = read(&endpoint.unwrap(), "", br#"{"a":{"b":"hi"}}"#).unwrap();
    assert_eq!(reply.deltas[0].text.len, 2);
}
