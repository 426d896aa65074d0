//! Requests of all sorts, for an endpoint to encode.

use super::said::Exchange;
use crate::law::{HOSTILE, survives};
use inferometer_plugin_sdk::{
    RSlice, RStr,
    api::Endpoint,
    types::{Error, Message, Outgoing, Part, PartKind, Request, request_flags},
};

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Which of [`MATERIALS`] a plain question is made of. An endpoint that cannot put all plain questions of one material is
    /// of no use.
    pub(super) material: Option<usize>,
    pub(super) raw_body: Option<&'static [u8]>,
}

/// What plain questions are made of: APIs differ in what they ask about.
pub(super) const MATERIALS: [&str; 5] =
    ["a text", "a text and an image", "a text and a sound", "a query and passages", WHOLE_BODY];

/// The material of endpoints for servers of any kind.
pub(super) const WHOLE_BODY: &str = "a whole body";

pub(super) type Encoded = (Case, Result<Exchange, Error>);

/// Lets the endpoint encode every request.
pub(super) fn encode_all(endpoint: &dyn Endpoint) -> Vec<Encoded> {
    with_all(|all| all.iter().map(|(case, request)| encode(endpoint, case, request)).collect())
}

/// The same in the opposite order.
pub(super) fn encode_all_backwards(endpoint: &dyn Endpoint) -> Vec<Encoded> {
    with_all(|all| all.iter().rev().map(|(case, request)| encode(endpoint, case, request)).collect())
}

fn encode(endpoint: &dyn Endpoint, case: &Case, request: &Request<'_>) -> Encoded {
    let mut out = Outgoing::default();
    let law = "a request is encoded or refused without a panic";
    let encoded = survives(law, || format!("the request '{}'", case.name), || endpoint.encode(request, &mut out));
    (*case, encoded.map(|()| Exchange::of(&out)))
}

const RAW: &[u8] = b"{\"anything\": [1, 2.50, \"\xc3\xa9\"]}\n";
const NO_JSON: &[u8] = b"\x00\xff no JSON at all";

fn with_all<R>(use_them: impl FnOnce(&[(Case, Request<'_>)]) -> R) -> R {
    let text = [Part::text("Say \"hello\"\n to 漢字.")];
    let several = [Part::text("One."), Part::text("Two.")];
    let hostile = HOSTILE.map(Part::text);
    let part = |kind, mime: &'static str, data: &'static str| Part {
        kind,
        flags: 0,
        name: RStr::empty(),
        mime: mime.into(),
        data: data.into(),
    };
    let image = part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA==");
    let sound = part(PartKind::AUDIO, "audio/wav", "AA==");
    let called = |name: &'static str, text| Part { name: name.into(), ..Part::text(text) };
    let media = [
        Part::text("See"),
        image,
        sound,
        part(PartKind::AUDIO, "", "http://host/sound"),
        part(PartKind::VIDEO, "", "http://host/film"),
    ];
    let (picture, speech) = ([text[0], image], [text[0], sound]);
    let ranking = [called("query", "Which?"), called("passages", "This."), called("passages", "That \"one\".")];
    let unknown = [part(PartKind(4_000_000_000), "\u{0}", "?")];
    let says = |role: &'static str, parts| Message {
        role: RStr::from(role),
        parts: RSlice::from_slice(parts),
        extra_json: "".into(),
    };
    let question = [says("user", &text)];
    let odd = [says("", &hostile), says("user", &[])];
    let (media, unknown) = ([says("user", &media)], [says("user", &unknown)]);
    let extras = [r#"{"tool_calls":[{"id":"1"}]}"#, "[]", "{", "null"]
        .map(|extra| Message { extra_json: extra.into(), ..says("assistant", &text) });

    let case = |name| Case { name, material: None, raw_body: None };
    let raw = |name, body| Case { raw_body: Some(body), ..case(name) };
    let ask = Request::new("model", &question);
    let materials = [&text[..], &picture, &speech, &ranking, &text];
    let asked = materials.map(|parts| [says("user", parts)]);
    let earlier = [says("system", &text), says("user", &several), says("assistant", &text)];
    let conversations = asked.map(|[last]| [earlier[0], earlier[1], earlier[2], last]);
    let mut all = Vec::new();
    for (material, name) in MATERIALS.into_iter().enumerate() {
        let raw_body = (name == WHOLE_BODY).then_some(RAW);
        let plain = |name| Case { name, material: Some(material), raw_body };
        let whole = raw_body.map_or(RSlice::EMPTY, RSlice::from_slice);
        let ask = Request { raw_body: whole, ..Request::new("model", &asked[material]) };
        all.extend([
            (plain("a question"), ask),
            (plain("a question, to be streamed"), Request { flags: request_flags::STREAM, ..ask }),
            (plain("a question with a limit"), Request { max_tokens: 7, ..ask }),
            (
                plain("a question with a limit by its older name"),
                Request {
                    max_tokens: u32::MAX,
                    flags: request_flags::LEGACY_MAX_TOKENS | request_flags::STREAM,
                    ..ask
                },
            ),
            (
                plain("a question with extras"),
                Request {
                    extra_json: r#"{"temperature": 0.10, "stop": ["é"], "stream": true, "model": "o"}"#.into(),
                    ..ask
                },
            ),
            (plain("a question of empty extras"), Request { extra_json: "{}".into(), ..ask }),
            (plain("a conversation"), Request { turn: 3, messages: conversations[material].as_slice().into(), ..ask }),
        ]);
    }
    all.extend([
        (case("flags that no one knows"), Request { flags: u32::MAX, ..ask }),
        (case("no messages"), Request::new("model", &[])),
        (case("messages of no role, no part and hostile strings"), Request::new(HOSTILE[3], &odd)),
        (case("a model of a hostile name"), Request::new(HOSTILE[1], &question)),
        (case("images, audio and video"), Request::new("model", &media)),
        (case("a part of an unknown kind"), Request::new("model", &unknown)),
        (case("a message with extras"), Request::new("model", &extras[..1])),
        (case("messages with extras that are no objects"), Request::new("model", &extras)),
        (case("extras that are a list"), Request { extra_json: "[1]".into(), ..ask }),
        (case("extras that are cut short"), Request { extra_json: "{\"a\":".into(), ..ask }),
        (case("extras with a key twice"), Request { extra_json: "{\"a\":1,\"a\":2}".into(), ..ask }),
        (
            raw("a whole body beside extras", RAW),
            Request { raw_body: RAW.into(), extra_json: "{\"a\":1}".into(), ..ask },
        ),
        (raw("a whole body that is no JSON", NO_JSON), Request { raw_body: NO_JSON.into(), ..ask }),
    ]);
    use_them(&all)
}
