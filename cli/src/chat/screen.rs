//! [`Screen`]: an answer as it comes, reasoning told from the rest, and the line of figures after it.

use crate::terminal::stdout_terminal;
use inferometer_engine::{Figures, Piece};
use std::{
    borrow::Cow,
    io::{Write as _, stdout},
};

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// What the piece before was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Text,
    Reasoning,
    Tool,
}

/// Standard output.
pub(super) struct Screen {
    color: bool,
    last: Kind,
    at_line_start: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { color: stdout_terminal().color, last: Kind::Nothing, at_line_start: true }
    }

    /// Shows a piece of an answer at once.
    pub(super) fn show(&mut self, piece: Piece<'_>) {
        let (kind, label, text) = match piece {
            Piece::Text(text) => (Kind::Text, "", text),
            Piece::Reasoning(text) => (Kind::Reasoning, "[reasoning] ", text),
            Piece::Tool(text) => (Kind::Tool, "[tool call] ", text),
        };
        if kind != self.last {
            self.end();
            self.last = kind;
            let is_dim = self.color && kind == Kind::Reasoning;
            self.write(if is_dim { DIM } else { label });
        }
        let text = visible(text);
        self.write(&text);
        self.at_line_start = text.ends_with('\n');
        let _ = stdout().flush();
    }

    /// The answer, or one kind of it, is over: what follows begins a line.
    pub(super) fn end(&mut self) {
        if self.color && self.last == Kind::Reasoning {
            self.write(PLAIN);
        }
        if self.last != Kind::Nothing && !self.at_line_start {
            self.write("\n");
        }
        (self.last, self.at_line_start) = (Kind::Nothing, true);
    }

    /// Says what is no part of an answer.
    pub(super) fn aside(&self, line: &str) {
        let (begin, end) = if self.color { (DIM, PLAIN) } else { ("", "") };
        self.write(&format!("{begin}{line}{end}\n"));
        let _ = stdout().flush();
    }

    /// A reader that has gone has read what it wanted.
    fn write(&self, text: &str) {
        let _ = stdout().write_all(text.as_bytes());
    }
}

/// `text` without characters by which a server could take hold of the terminal.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(is_harmful) {
        return Cow::Owned(text.replace(is_harmful, "\u{fffd}"));
    }
    Cow::Borrowed(text)
}

/// What was measured, in a line; what was not is left out.
pub(super) fn figures(figures: &Figures) -> Option<String> {
    let by = if figures.counted_here { " (counted here)" } else { "" };
    let parts = [
        figures.ttft_ms.map(|ms| format!("TTFT {} ms", digits(ms))),
        figures.tokens.map(|tokens| format!("{tokens} token{}{by}", if tokens == 1 { "" } else { "s" })),
        figures.tokens_per_second.map(|rate| format!("{} tokens/s", digits(rate))),
        figures.itl_ms.map(|ms| format!("ITL {} ms", digits(ms))),
        figures.latency_ms.map(|ms| format!("{} s", digits(ms / 1e3))),
    ];
    let shown: Vec<String> = parts.into_iter().flatten().collect();
    (!shown.is_empty()).then(|| shown.join(" · "))
}

/// A number in three digits, or more if it is larger.
fn digits(value: f64) -> String {
    let magnitude = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_left_out_of_the_line() {
        let all = Figures {
            ttft_ms: Some(41.04),
            latency_ms: Some(940.0),
            itl_ms: Some(15.83),
            tokens_per_second: Some(63.14),
            tokens: Some(57),
            counted_here: false,
            status: 200,
        };
        assert_eq!(figures(&all).unwrap(), "TTFT 41.0 ms · 57 tokens · 63.1 tokens/s · ITL 15.8 ms · 0.940 s");
        let few = Figures { latency_ms: Some(12_345.0), tokens: Some(1), counted_here: true, ..Figures::default() };
        assert_eq!(figures(&few).unwrap(), "1 token (counted here) · 12.3 s");
        assert_eq!(figures(&Figures::default()), None);
    }

    #[test]
    fn a_server_cannot_take_hold_of_the_terminal() {
        assert_eq!(visible("a\x1b[2J\tb\r\n\u{9b}x"), "a\u{fffd}[2J\tb\u{fffd}\n\u{fffd}x");
        assert_eq!(visible("plain é\n"), "plain é\n");
    }
}
