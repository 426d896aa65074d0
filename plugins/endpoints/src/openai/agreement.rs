//! The law of the two ways to read an event: what the fast one takes, it reads exactly as the thorough one does.

use super::{Dialect, chunk, on_event, parse};
use inferometer_plugin_sdk::{
    RVec,
    types::{Delta, ErrorKind, Event, Span, delta_flags},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

const DIALECTS: [Dialect; 2] = [Dialect::Chat, Dialect::Completions];

/// A delta with its texts instead of spans.
#[derive(Debug, PartialEq)]
struct Told {
    texts: [String; 4],
    counts: [u32; 4],
    choice: u32,
    events: u32,
}

fn told(delta: &Delta, data: &[u8], scratch: &[u8]) -> Told {
    let within = if delta.flags & delta_flags::SCRATCH == 0 { data } else { scratch };
    let text = |span: Span| {
        let text = String::from_utf8_lossy(span.of(within).unwrap());
        match delta.flags & delta_flags::ESCAPED {
            0 => text.into_owned(),
            _ => serde_json::from_str(&format!("\"{text}\"")).unwrap(),
        }
    };
    Told {
        texts: [delta.text, delta.reasoning, delta.tool, delta.error].map(text),
        counts: [delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens, delta.reasoning_tokens],
        choice: delta.choice,
        events: delta.flags & !(delta_flags::ESCAPED | delta_flags::SCRATCH),
    }
}

fn scanned(dialect: Dialect, data: &[u8]) -> Option<Delta> {
    let mut delta = Delta::EMPTY;
    chunk::scan(dialect, data, &mut delta).map(|()| delta)
}

/// What both ways say of `data`; `None` where the fast one declines.
fn both(dialect: Dialect, data: &[u8]) -> Option<(Told, Option<Told>)> {
    let fast = scanned(dialect, data)?;
    let mut scratch = RVec::new();
    let found = parse::parse(dialect, data, &mut scratch);
    Some((told(&fast, data, &[]), found.map(|found| told(&found.delta, data, &scratch))))
}

fn read(name: &str, data: &[u8]) -> Result<Told, ErrorKind> {
    let event = Event::new(data).named(name);
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    on_event(Dialect::Chat, &event, &mut delta, &mut scratch)?;
    Ok(told(&delta, data, &scratch))
}

/// A string as JSON, in one of the spellings that writers of JSON choose between.
fn string() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "a",
        " word",
        "\"",
        "\\",
        "\n",
        "\u{1}",
        "\"content\":",
        "}],",
        "{",
        "é",
        "日本",
        "🙂",
        "0123456789abcdef",
        "/",
    ]);
    (vec(pieces, 0..6), any::<bool>()).prop_map(|(pieces, ascii)| {
        let json = serde_json::to_string(&pieces.concat()).unwrap();
        if !ascii {
            return json;
        }
        let mut units = [0; 2];
        let escape = |c: char| match c.is_ascii() {
            true => c.to_string(),
            false => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        json.chars().map(escape).collect()
    })
}

fn one_of(texts: &[&'static str]) -> BoxedStrategy<String> {
    select(texts.to_vec()).prop_map(str::to_owned).boxed()
}

/// A value without members: nearly always one that the scan passes over.
fn scalar() -> BoxedStrategy<String> {
    let odd = one_of(&["1e3", "01", "[]", "{}", "[1, 2]"]);
    prop_oneof![20 => one_of(&["null", "true", "0", "-7", "1795293149", "0.418"]), 20 => string(), 1 => odd].boxed()
}

/// How often a member is there: usual ones nearly always, odd ones hardly ever.
const USUAL: f64 = 0.85;
const ODD: f64 = 0.02;

/// An object of some of `members` in any order and any of the usual layouts.
fn object(members: Vec<(&'static str, f64, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
    let member = |(key, share, value): (_, _, BoxedStrategy<String>)| {
        (prop::bool::weighted(share), value).prop_map(move |(is_there, value)| is_there.then_some((key, value)))
    };
    let members: Vec<_> = members.into_iter().map(member).collect();
    let layout = select(vec![("", ""), ("", ""), (" ", " "), ("", " "), ("\n  ", "")]);
    (members.prop_shuffle(), layout)
        .prop_map(|(members, (before, after))| {
            let members = members.iter().flatten().map(|(key, value)| format!("{before}\"{key}\":{after}{value}"));
            format!("{{{}{before}}}", members.collect::<Vec<_>>().join(","))
        })
        .boxed()
}

fn null_or(strategy: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop_oneof![1 => Just("null".to_owned()), 4 => strategy].boxed()
}

fn count() -> BoxedStrategy<String> {
    prop_oneof![20 => (0..1_000_000_000_u32).prop_map(|n| n.to_string()), 1 => scalar()].boxed()
}

fn message() -> BoxedStrategy<String> {
    let text = || null_or(string());
    object(vec![
        ("role", USUAL, one_of(&["\"assistant\""])),
        ("content", USUAL, text()),
        ("content", ODD, text()),
        ("reasoning_content", 0.3, text()),
        ("reasoning", 0.3, text()),
        ("refusal", ODD, text()),
        ("tool_calls", 0.2, one_of(&["null", "[]", "[]", r#"[{"function":{"name":"f","arguments":"{}"}}]"#])),
    ])
}

fn usage() -> BoxedStrategy<String> {
    let details = |key| null_or(object(vec![(key, USUAL, count()), ("audio_tokens", 0.5, scalar())]));
    object(vec![
        ("prompt_tokens", USUAL, count()),
        ("prompt_tokens", ODD, count()),
        ("completion_tokens", USUAL, count()),
        ("total_tokens", USUAL, count()),
        ("prompt_tokens_details", 0.5, details("cached_tokens")),
        ("completion_tokens_details", 0.5, details("reasoning_tokens")),
        ("input_tokens", ODD, count()),
    ])
}

/// An event of a stream, usual in most ways.
fn chunk_text() -> impl Strategy<Value = String> {
    let reason = null_or(one_of(&["\"stop\"", "\"\"", "\"length\""]));
    let choice = move |delta, text| {
        object(vec![
            ("index", USUAL, count()),
            ("index", ODD, count()),
            ("delta", delta, message()),
            ("text", text, null_or(string())),
            ("finish_reason", USUAL, reason.clone()),
            ("logprobs", USUAL, scalar()),
            ("message", ODD, prop_oneof![scalar(), message()].boxed()),
        ])
    };
    let choice = prop_oneof![choice(1.0, ODD), choice(ODD, 1.0)];
    let number = prop_oneof![2 => Just(0..1_usize), 10 => Just(1..2), 1 => Just(2..3)];
    let choices =
        number.prop_flat_map(move |n| vec(choice.clone(), n)).prop_map(|list| format!("[{}]", list.join(",")));
    let choices = choices.boxed();
    object(vec![
        ("id", USUAL, string().boxed()),
        ("object", USUAL, prop_oneof![one_of(&["\"chat.completion.chunk\""]), string()].boxed()),
        ("created", USUAL, scalar()),
        ("model", USUAL, string().boxed()),
        ("choices", 0.98, choices.clone()),
        ("choices", ODD, choices),
        ("usage", 0.5, null_or(usage())),
        ("error", 0.2, prop_oneof![8 => one_of(&["null"]), 1 => string()].boxed()),
        ("message", ODD, string().boxed()),
        ("cho\\u0069ces", ODD, scalar()),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_scan_takes_it_reads_as_the_parser_does(text in chunk_text()) {
        for dialect in DIALECTS {
            if let Some((fast, thorough)) = both(dialect, text.as_bytes()) {
                prop_assert_eq!(Some(fast), thorough);
            }
        }
    }

    #[test]
    fn the_scan_takes_nothing_that_a_parser_refuses(
        text in chunk_text(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<bool>(),
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        for dialect in DIALECTS {
            if let Some((fast, thorough)) = both(dialect, &bytes) {
                prop_assert_eq!(Some(fast), thorough);
            }
        }
        let is_object = serde_json::from_slice::<Value>(&bytes).is_ok_and(|v| v.is_object());
        prop_assert_eq!(read("", &bytes).is_ok(), is_object || bytes.trim_ascii().is_empty());
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read("", &bytes);
        let _ = read("error", &bytes);
    }
}

#[test]
fn usual_chunks_are_taken_by_the_scan() {
    let taken = |text: &str| scanned(Dialect::Chat, text.as_bytes()).is_some();
    for text in [
        r#"{"choices":[{"index":0,"delta":{"content":"a \"b\" \u00e9 é"},"finish_reason":null}],"usage":null}"#,
        r#"{"id": "x", "choices": [{"delta": {"role": "assistant", "content": null}, "index": 0}]} "#,
        r#"{"choices":[{"index":1,"delta":{"reasoning_content":"hm","tool_calls":[]},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}}"#,
    ] {
        assert!(taken(text), "{text}");
    }
    for text in [
        r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"\ud83d\ude42"}}]}"#,
        r#"{"choices":[],"error":"overloaded"}"#,
        r#"{"object":"error","message":"overloaded"}"#,
    ] {
        assert!(!taken(text), "{text}");
    }
}

#[test]
fn look_alikes_inside_strings_are_text() {
    let text = r#"{\"choices\":[{\"delta\":{\"content\":\"no\"}}],\"usage\":{\"prompt_tokens\":1}}"#;
    let event = format!(r#"{{"id":"{text}","choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let read = read("", event.as_bytes()).unwrap();
    assert_eq!(read.texts[0], text.replace('\\', ""));
    assert_eq!(read.counts, [u32::MAX; 4]);
}

#[test]
fn tool_calls_are_told_by_name_and_arguments() {
    let event = br#"{"choices":[{"delta":{"content":null,"tool_calls":[{"index":0,"id":"c","function":
        {"name":"find","arguments":"{\"q\""}},{"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#;
    let read = read("", event).unwrap();
    assert_eq!(read.texts[2], r#"find{"q":1}"#);
    assert_eq!(read.events, delta_flags::FINISH);
}

#[test]
fn errors_are_told_in_every_shape() {
    for (name, data, message) in [
        ("", r#"{"error":{"message":"too long","code":400}}"#, "too long"),
        ("", r#"{"error":"too long","choices":[]}"#, "too long"),
        ("", r#"{"error":{"code":400}}"#, r#"{"code":400}"#),
        ("", r#"{"object":"error","message":"too long","code":400}"#, "too long"),
        ("error", r#"{"error":{"message":"too long"}}"#, "too long"),
        ("error", r#"{"message":"too long"}"#, "too long"),
        ("error", r#"{"detail":"too long"}"#, r#"{"detail":"too long"}"#),
        ("error", "too long", "too long"),
        ("error", "", ""),
    ] {
        let read = read(name, data.as_bytes()).unwrap();
        assert_eq!(read.events, delta_flags::ERROR, "{data}");
        assert_eq!(read.texts[3], message, "{data}");
    }
    assert_eq!(read("", br#"{"error":null,"choices":[]}"#).unwrap().events, 0);
}

#[test]
fn the_terminator_signs_of_life_and_nonsense_are_told_apart() {
    assert_eq!(read("", b" [DONE]\n").unwrap().events, delta_flags::DONE);
    assert_eq!(read("", b" ").unwrap().events, 0);
    assert_eq!(read("", br#"{"type":"ping"}"#).unwrap().events, 0);
    for data in ["{", "[1]", "null", "\"text\"", r#"{"choices":[}"#, "[DONE"] {
        assert_eq!(read("", data.as_bytes()), Err(ErrorKind::MALFORMED), "{data}");
    }
}
