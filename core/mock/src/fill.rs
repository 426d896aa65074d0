//! JSON by example: a sample of what is sent, with a mark for each value.
//!
//! Written out rather than serialised, so that keys stand in the order in which real servers send them. Nothing is
//! escaped: a value that is text must be JSON already, or free of what JSON escapes.

use std::fmt::Display;
use std::io::Write as _;

/// Where a value goes.
const MARK: char = '@';

/// Appends the sample with its marks replaced in turn.
pub(crate) fn fill(out: &mut Vec<u8>, sample: &str, values: &[&dyn Display]) {
    let mut values = values.iter();
    let mut pieces = sample.split(MARK);
    out.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let value = values.next().expect("a sample has as many values as marks");
        write!(out, "{value}").expect("a vector takes any bytes");
        out.extend_from_slice(piece.as_bytes());
    }
    debug_assert!(values.next().is_none(), "a value too many for {sample}");
}

/// The sample with its marks replaced in turn.
pub(crate) fn filled(sample: &str, values: &[&dyn Display]) -> String {
    let mut out = Vec::with_capacity(sample.len() + 64);
    fill(&mut out, sample, values);
    String::from_utf8(out).expect("samples and values are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_in_turn_and_values_are_left_alone() {
        assert_eq!(filled(r#"{"a":@,"b":"@"}"#, &[&1, &"x@y"]), r#"{"a":1,"b":"x@y"}"#);
        assert_eq!(filled("plain", &[]), "plain");
    }
}
