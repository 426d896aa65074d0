//! [`Voice`]: text that comes in pieces, as it reads. An endpoint may hand over JSON-escaped text, and a piece of that may
//! end in the middle of a character.

use crate::reading::unescape;

/// Text as far as it has come.
#[derive(Default)]
pub(super) struct Voice {
    said: String,
    /// The escaped end of what has come that is no whole character yet.
    pending: Vec<u8>,
}

impl Voice {
    /// Takes a piece in, and returns what it adds.
    pub(super) fn push(&mut self, piece: &[u8], escaped: bool) -> &str {
        let from = self.said.len();
        if escaped {
            self.pending.extend_from_slice(piece);
            if !ends_in_half_a_pair(&self.pending) {
                self.flush();
            }
        } else {
            self.flush();
            self.said.push_str(&String::from_utf8_lossy(piece));
        }
        &self.said[from..]
    }

    /// What was said so far.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    fn flush(&mut self) {
        self.said.push_str(&unescape(&self.pending));
        self.pending.clear();
    }
}

/// Whether the text ends with the first of the two escapes (`\ud83d\ude00`) that make one character.
fn ends_in_half_a_pair(text: &[u8]) -> bool {
    let Some([b'\\', b'u', b'd' | b'D', second, _, _]) = text.last_chunk() else { return false };
    let backslashes = text[..text.len() - 5].iter().rev().take_while(|byte| **byte == b'\\').count();
    b"89abAB".contains(second) && backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_whose_escapes_come_in_two_pieces_is_said_once_it_is_whole() {
        let mut voice = Voice::default();
        assert_eq!(voice.push(br"a\n\ud83d", true), "");
        assert_eq!(voice.push(br"\ude00", true), "a\n😀");
        assert_eq!(voice.push(br"\\ud83d", true), r"\ud83d", "an escaped backslash and letters");
        assert_eq!(voice.push("é\"".as_bytes(), false), "é\"");
        assert_eq!(voice.said(), "a\n😀\\ud83dé\"");
    }

    #[test]
    fn half_a_character_that_never_becomes_whole_is_said_as_it_came() {
        let mut voice = Voice::default();
        assert_eq!(voice.push(br"\ud83d", true), "");
        assert_eq!(voice.push(b"x", true), r"\ud83dx");
    }
}
