//! Text that came from elsewhere, made fit for a terminal.

/// `text` in one line of at most `limit` characters, without anything that a terminal would act upon.
///
/// White space becomes single blanks. Control characters (and with them every escape sequence) and the characters that
/// reorder or hide text become a replacement character. Reads no further than it has to.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() {
            blank = length > 0;
            continue;
        }
        if length + usize::from(blank) >= limit {
            out.pop();
            out.push('…');
            break;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
            length += 1;
        }
        out.push(if is_shown_as_itself(c) { c } else { '\u{FFFD}' });
        length += 1;
    }
    out
}

fn is_shown_as_itself(c: char) -> bool {
    let reorders_or_hides =
        matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    !c.is_control() && !reorders_or_hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_would_act_upon_passes() {
        let cleaned = clean("\u{1b}[31mred\u{1b}[0m\u{7} \u{9b}2J\r\n\tnext\u{202e}line", 100);
        assert_eq!(cleaned, "\u{FFFD}[31mred\u{FFFD}[0m\u{FFFD} \u{FFFD}2J next\u{FFFD}line");
    }

    #[test]
    fn long_text_is_cut_by_characters_and_says_so() {
        assert_eq!(clean(&"é".repeat(1_000_000), 5), "éééé…");
        assert_eq!(clean("12345", 5), "12345");
        assert_eq!(clean("12345  \n", 5), "12345");
        assert_eq!(clean("1234 5", 5), "123…");
    }
}
