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
    /// An endpoint that cannot put this one is of no use.
    pub(super) is_plain: bool,
    pub(super) raw_body: Option<&'static [u8]>,
}

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
    let media = [
        Part::text("See"),
        part(PartKind::IMAGE, "image/png", "data:image/png;base64,AA=="),
        part(PartKind::AUDIO, "audio/wav", "AA=="),
        part(PartKind::AUDIO, "", "http://host/sound"),
        part(PartKind::VIDEO, "", "http://host/film"),
    ];
    let unknown = [part(PartKind(4_000_000_000), "\u{0}", "?")];
    let says = |role: &'static str, parts| Message {
        role: RStr::from(role),
        parts: RSlice::from_slice(parts),
        extra_json: "".into(),
    };
    let question = [says("user", &text)];
    let history = [says("system", &text), says("user", &several), says("assistant", &text), says("user", &text)];
    let odd = [says("", &hostile), says("user", &[])];
    let (media, unknown) = ([says("user", &media)], [says("user", &unknown)]);
    let extras = [r#"{"tool_calls":[{"id":"1"}]}"#, "[]", "{", "null"]
        .map(|extra| Message { extra_json: extra.into(), ..says("assistant", &text) });

    let case = |name| Case { name, is_plain: false, raw_body: None };
    let plain = |name| Case { is_plain: true, ..case(name) };
    let raw = |name, body| Case { raw_body: Some(body), ..case(name) };
    let ask = Request::new("model", &question);
    use_them(&[
        (plain("a question"), ask),
        (plain("a question, to be streamed"), Request { flags: request_flags::STREAM, ..ask }),
        (plain("a question with a limit"), Request { max_tokens: 7, ..ask }),
        (
            plain("a question with a limit by its older name"),
            Request { max_tokens: u32::MAX, flags: request_flags::LEGACY_MAX_TOKENS | request_flags::STREAM, ..ask },
        ),
        (
            plain("a question with extras"),
            Request {
                extra_json: r#"{"temperature": 0.10, "stop": ["é"], "stream": true, "model": "o"}"#.into(),
                ..ask
            },
        ),
        (plain("a question of empty extras"), Request { extra_json: "{}".into(), ..ask }),
        (plain("a conversation"), Request { turn: 3, messages: history.as_slice().into(), ..ask }),
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
        (raw("a whole body", RAW), Request { raw_body: RAW.into(), ..ask }),
        (
            raw("a whole body beside extras", RAW),
            Request { raw_body: RAW.into(), extra_json: "{\"a\":1}".into(), ..ask },
        ),
        (raw("a whole body that is no JSON", NO_JSON), Request { raw_body: NO_JSON.into(), ..ask }),
    ])
}
