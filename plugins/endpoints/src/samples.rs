//! JSON made up for tests: usual in most ways, and now and then odd in one.

use proptest::{collection::vec, prelude::*, sample::select};

/// How often a member is there: usual ones nearly always, odd ones hardly ever.
pub(crate) const USUAL: f64 = 0.85;
pub(crate) const ODD: f64 = 0.02;

/// What servers report of token counts.
pub(crate) fn usage() -> BoxedStrategy<String> {
    let details =
        |key| null_or(object(vec![(key, USUAL, count()), ("audio_tokens", 0.5, count()), ("other", 0.5, anything())]));
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
        ("output_tokens", ODD, count()),
        ("promptTokenCount", ODD, count()),
        ("thoughtsTokenCount", ODD, count()),
        ("tokens", ODD, object(vec![("input_tokens", USUAL, count())])),
    ])
}

/// Null, now and then.
pub(crate) fn null_or(strategy: BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop_oneof![1 => Just("null".to_owned()), 4 => strategy].boxed()
}

/// One of some texts.
pub(crate) fn one_of(texts: &[&'static str]) -> BoxedStrategy<String> {
    select(texts.to_vec()).prop_map(str::to_owned).boxed()
}

/// A token count, nearly always.
pub(crate) fn count() -> BoxedStrategy<String> {
    prop_oneof![40 => (0..1_000_000_000_u32).prop_map(|n| n.to_string()), 1 => scalar()].boxed()
}

/// A string as JSON, in one of the spellings that writers of JSON choose between.
pub(crate) fn string() -> BoxedStrategy<String> {
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
pub(crate) fn scalar() -> BoxedStrategy<String> {
    let plain = ["null", "true", "false", "0", "-7", "1795293149", "0.418", "-1.1920928955078125e-07", "3E+2"];
    let odd = ["1e400", "1e-400", "01", "-", "1.", ".5", "+1", "1e", "123456789012345678901", "nul", "NaN"];
    prop_oneof![100 => one_of(&plain), 100 => string(), 1 => one_of(&odd)].boxed()
}

/// A value of any kind and depth.
pub(crate) fn anything() -> BoxedStrategy<String> {
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
pub(crate) fn list(item: BoxedStrategy<String>, number: std::ops::Range<usize>) -> BoxedStrategy<String> {
    let layout = select(vec![("", ""), ("", ""), (" ", ""), ("\n\t", "\r\n")]);
    (vec(item, number), layout)
        .prop_map(|(items, (before, after))| {
            let items = items.iter().map(|item| format!("{before}{item}{after}"));
            format!("[{}{before}]", items.collect::<Vec<_>>().join(","))
        })
        .boxed()
}

/// An object of some of `members` in any order and any of the usual layouts.
pub(crate) fn object(members: Vec<(&'static str, f64, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
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
