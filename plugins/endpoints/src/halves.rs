//! JSON with halves of surrogate pairs in its texts.
//!
//! Writers whose strings are UTF-16 send them (`"\ud83d"`, and `"\ude00"` in the next event) where they cut an answer between
//! the two. By the grammar that is JSON, but no text, so parsers refuse it. Rather than lose the answer, the thorough ways
//! of reading take each half for U+FFFD, the sign of a character that could not be read; the fast ways decline it.

use crate::scan::code_unit;
use serde_json::Value;

/// Parses JSON.
///
/// # Errors
/// When it is none.
pub(crate) fn parse(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).or_else(|error| mended(text).map_or(Err(error), |text| serde_json::from_slice(&text)))
}

/// The text with U+FFFD in the place of each half without its other; `None` if there is none.
#[cold]
fn mended(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended = text.to_vec();
    let mut found = false;
    let mut at = 0;
    // In JSON there are backslashes in strings only, each before what it escapes.
    while let Some(next) = text[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match unit(&text[at..]) {
            Some(0xD800..0xDC00) if matches!(unit(&text[at + ESCAPE..]), Some(0xDC00..0xE000)) => 2 * ESCAPE,
            Some(0xD800..0xE000) => {
                mended[at..at + ESCAPE].copy_from_slice(br"\ufffd");
                found = true;
                ESCAPE
            }
            Some(_) => ESCAPE,
            None => 2.min(text.len() - at),
        };
    }
    found.then_some(mended)
}

/// The length of an escape of a code unit.
const ESCAPE: usize = r"\ufffd".len();

/// The code unit of the escape that `text` begins with.
fn unit(text: &[u8]) -> Option<u32> {
    code_unit(text.strip_prefix(br"\u")?).map(|(unit, _)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_without_its_other_is_a_sign_of_its_own_and_pairs_stay() {
        for (json, text) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\ude00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ude00\ud83d\n""#, "\u{fffd}\u{fffd}\n"),
            (r#""\\ud83d \uD83Dx""#, "\\ud83d \u{fffd}x"),
        ] {
            assert_eq!(parse(json.as_bytes()).unwrap(), text, "{json}");
        }
    }

    #[test]
    fn what_is_wrong_in_another_way_is_refused() {
        for json in [r#""\ud83"#, r#""\ud83d"#, r#""\ud83d\"#, r#"{"a":"\ud83d",}"#, r#""\udd3g""#, "\\", ""] {
            assert!(parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
