//! The page that the console exporter fills: lines and labelled entries, wrapped to the terminal, with or without colour.
//!
//! All text passes through here, and here it is cleaned: nothing that a server sent reaches the terminal as a command.

use crate::text::clean;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use inferometer_plugin_sdk::documents::Terminal;

/// Columns of the labels on the left.
const LABEL: usize = 10;

/// Most lines that one entry may take, which may be what a server said.
const ENTRY_LINES: usize = 4;
/// Most lines of what the program says itself: its remedies stand at the end.
const NOTE_LINES: usize = 8;

/// Columns that `table` takes.
pub(super) fn table_width(table: &Table) -> usize {
    let content = table.column_max_content_widths().into_iter().map(usize::from);
    content.zip(table.column_iter()).map(|(width, column)| width + usize::from(column.padding_width())).sum()
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Bold,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    /// The ANSI code that begins it.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

pub(super) struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    /// An empty page for `terminal`; one that is unreasonably narrow is taken to be 40 columns wide, and lines longer
    /// than 120 columns are not written, because nobody can read them.
    pub(super) fn new(terminal: &Terminal) -> Self {
        Self { text: String::new(), width: usize::from(terminal.width).clamp(40, 120), color: terminal.color }
    }

    /// Columns.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line of text, wrapped.
    pub(super) fn line(&mut self, tone: Tone, text: &str) {
        for line in wrapped(text, self.width, ENTRY_LINES) {
            self.paint(tone, &line);
            self.text.push('\n');
        }
    }

    /// Lines that are laid out already, with blanks that matter.
    pub(super) fn laid_out(&mut self, tone: Tone, line: &str) {
        self.paint(tone, line.trim_end());
        self.text.push('\n');
    }

    /// A table with a rule below its header.
    pub(super) fn table(&mut self, table: &Table) {
        for (i, line) in table.lines().enumerate() {
            self.laid_out(if i == 0 { Tone::Bold } else { Tone::Plain }, &line);
            if i == 0 {
                self.laid_out(Tone::Faint, &"─".repeat(table_width(table)));
            }
        }
    }

    /// A label and its text, wrapped beside it.
    pub(super) fn entry(&mut self, label: &str, tone: Tone, text: &str) {
        self.labelled(label, tone, text, ENTRY_LINES);
    }

    /// As [`Self::entry`], for what must be read to its end.
    pub(super) fn note(&mut self, label: &str, tone: Tone, text: &str) {
        self.labelled(label, tone, text, NOTE_LINES);
    }

    fn labelled(&mut self, label: &str, tone: Tone, text: &str, most_lines: usize) {
        let label = format!("{label:<LABEL$}");
        for (i, line) in wrapped(text, self.width - LABEL, most_lines).into_iter().enumerate() {
            if i == 0 && !label.trim().is_empty() {
                self.paint(Tone::Bold, &label);
            } else {
                self.text.push_str(&" ".repeat(LABEL));
            }
            self.paint(tone, &line);
            self.text.push('\n');
        }
    }

    /// The finished text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn paint(&mut self, tone: Tone, text: &str) {
        let code = if self.color { tone.code() } else { "" };
        self.text.push_str(code);
        self.text.push_str(text);
        if !code.is_empty() {
            self.text.push_str("\x1b[0m");
        }
    }
}

fn wrapped(text: &str, width: usize, most_lines: usize) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width as u16);
    table.add_row([clean(text, width * most_lines - width / 2)]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}
