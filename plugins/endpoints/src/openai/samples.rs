//! Answers made up for tests: events and bodies that are usual in most ways, and now and then odd in one.

use proptest::{collection::vec, prelude::*, sample::select};

/// How often a member is there: usual ones nearly always, odd ones hardly ever.
const USUAL: f64 = 0.85;
const ODD: f64 = 0.02;

/// An event of a stream, or a whole body.
pub(super) fn answer() -> BoxedStrategy<String> {
    let choice = prop_oneof![
        choice("delta", message()),
        choice("message", message()),
        choice("text", null_or(string())),
        choice("message", anything()),
    ];
    let number = prop_oneof![2 => Just(0..1_usize), 10 => Just(1..2), 2 => Just(2..4)];
    let choices = number.prop_flat_map(move |n| list(choice.clone().boxed(), n)).boxed();
    let objects = ["\"chat.completion.chunk\"", "\"chat.completion\"", "\"text_completion\"", "\"chat.completion.\""];
    let answer = object(vec![
        ("id", USUAL, string()),
        ("object", USUAL, prop_oneof![4 => one_of(&objects), 1 => string()].boxed()),
        ("created", USUAL, scalar()),
        ("model", USUAL, string()),
        ("choices", 0.98, choices.clone()),
        ("choices", ODD, choices),
        ("usage", 0.7, null_or(usage())),
        ("usage", ODD, usage()),
        ("error", 0.2, prop_oneof![8 => one_of(&["null"]), 1 => anything()].boxed()),
        ("timings", 0.3, anything()),
        ("metadata", 0.3, anything()),
        ("message", ODD, string()),
        ("usageMetadata", ODD, anything()),
        ("meta", ODD, object(vec![("tokens", USUAL, usage())])),
        ("cho\\u0069ces", ODD, anything()),
    ]);
    let rest = prop_oneof![20 => one_of(&["", "\n"]), 1 => one_of(&["}", "{}", ",", "x", "\0"])];
    (answer, rest).prop_map(|(answer, rest)| answer + &rest).boxed()
}

fn choice(key: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    object(vec![
        ("index", USUAL, count()),
        ("index", ODD, count()),
        (key, 0.98, value),
        ("delta", ODD, message()),
        ("message", ODD, message()),
        ("text", ODD, null_or(string())),
        ("finish_reason", USUAL, null_or(one_of(&["\"stop\"", "\"\"", "\"length\""]))),
        ("logprobs", USUAL, prop_oneof![2 => one_of(&["null"]), 1 => anything()].boxed()),
        ("matched_stop", 0.3, anything()),
    ])
}

fn message() -> BoxedStrategy<String> {
    let text = || null_or(string());
    object(vec![
        ("role", USUAL, one_of(&["\"assistant\""])),
        ("content", USUAL, text()),
        ("content", ODD, prop_oneof![text(), one_of(&[r#"[{"type":"text","text":"part"}]"#])].boxed()),
        ("reasoning_content", 0.3, text()),
        ("reasoning", 0.3, text()),
        ("refusal", 0.3, text()),
        ("annotations", 0.3, anything()),
        ("tool_calls", 0.2, one_of(&["null", "[]", "[]", "[]", r#"[{"function":{"name":"f","arguments":"{}"}}]"#])),
    ])
}

fn usage() -> BoxedStrategy<String> {
    let details = |key| null_or(object(vec![(key, USUAL, count()), ("audio_tokens", 0.5, anything())]));
    object(vec![
        ("prompt_tokens", USUAL, count()),
        ("prompt_tokens", ODD, count()),
        ("completion_tokens", USUAL, count()),
        ("total_tokens", USUAL, count()),
        ("prompt_tokens_details", 0.5, details("cached_tokens")),
        ("completion_tokens_details", 0.5, details("reasoning_tokens")),
        ("reasoning_tokens", 0.2, count()),
        ("queue_time", 0.3, anything()),
        ("input_tokens", ODD, count()),
        ("cache_creation_input_tokens", ODD, count()),
        ("prompt_cache_hit_tokens", ODD, count()),
        ("tokens", ODD, object(vec![("input_tokens", USUAL, count())])),
    ])
}

fn null_or(strategy: BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop_oneof![1 => Just("null".to_owned()), 4 => strategy].boxed()
}

fn one_of(texts: &[&'static str]) -> BoxedStrategy<String> {
    select(texts.to_vec()).prop_map(str::to_owned).boxed()
}

fn count() -> BoxedStrategy<String> {
    prop_oneof![40 => (0..1_000_000_000_u32).prop_map(|n| n.to_string()), 1 => scalar()].boxed()
}

/// A string as JSON, in one of the spellings that writers of JSON choose between.
fn string() -> BoxedStrategy<String> {
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
    let usual = (vec(pieces, 0..6), any::<bool>()).prop_map(|(pieces, ascii)| {
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
    });
    let odd = one_of(&[
        r#""\ud83d""#,
        r#""\ude42""#,
        r#""\ude42\ud83d""#,
        r#""\uD83D\uDE42\/\b\f""#,
        r#""\ud83d\u0041""#,
        r#""\ud83dx""#,
        r#""\u12g4""#,
        r#""\x""#,
    ]);
    prop_oneof![200 => usual, 1 => odd].boxed()
}

/// A value without members, nearly always a plain one.
fn scalar() -> BoxedStrategy<String> {
    let plain = ["null", "true", "false", "0", "-7", "1795293149", "0.418", "-1.1920928955078125e-07", "3E+2"];
    let odd = ["1e400", "1e-400", "01", "-", "1.", ".5", "+1", "1e", "123456789012345678901", "nul", "NaN"];
    prop_oneof![100 => one_of(&plain), 100 => string(), 1 => one_of(&odd)].boxed()
}

/// A value of any kind and depth.
fn anything() -> BoxedStrategy<String> {
    let odd = one_of(&["[1,]", "[,1]", "{\"a\":1,}", "{\"a\"}", "{1:1}", "[1 2]", "{]", "[}"]);
    let leaf = prop_oneof![100 => scalar(), 1 => odd, 1 => (1..100_usize).prop_map(deep)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let members = ["tokens", "usage", "error", "content", "\\u0061"].map(|key| (key, 0.4, inner.clone())).to_vec();
        prop_oneof![list(inner, 0..4), object(members)]
    })
    .boxed()
}

/// Objects and arrays within each other, `pairs` of them.
fn deep(pairs: usize) -> String {
    format!("{}1{}", "[{\"a\":".repeat(pairs), "}]".repeat(pairs))
}

/// An array in any of the usual layouts.
fn list(item: BoxedStrategy<String>, number: std::ops::Range<usize>) -> BoxedStrategy<String> {
    let layout = select(vec![("", ""), ("", ""), (" ", ""), ("\n\t", "\r\n")]);
    (vec(item, number), layout)
        .prop_map(|(items, (before, after))| {
            let items = items.iter().map(|item| format!("{before}{item}{after}"));
            format!("[{}{before}]", items.collect::<Vec<_>>().join(","))
        })
        .boxed()
}

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
