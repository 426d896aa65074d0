//! [`Input`]: lines from a person at a terminal, who may edit them, or from anything else.

use crate::Failure;
use inferometer_model::ExitCode;
use rustyline::{DefaultEditor, error::ReadlineError};
use std::io::{BufRead as _, IsTerminal as _, stdin, stdout};

const PROMPT: &str = "> ";

/// Where lines come from.
pub(super) enum Input {
    Terminal(Box<DefaultEditor>),
    Pipe,
}

/// What came.
pub(super) enum Line {
    Text(String),
    /// Ctrl-C.
    Interrupted,
    End,
}

impl Input {
    /// Standard input; lines can be edited where a person sees them.
    pub(super) fn open() -> Result<Self, Failure> {
        if stdin().is_terminal() && stdout().is_terminal() {
            return DefaultEditor::new().map(Box::new).map(Self::Terminal).map_err(refused);
        }
        Ok(Self::Pipe)
    }

    /// Whether there is a person at the other end.
    pub(super) fn is_interactive(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next line, without its end.
    pub(super) fn next(&mut self) -> Result<Line, Failure> {
        let editor = match self {
            Self::Terminal(editor) => editor,
            Self::Pipe => return piped(),
        };
        match editor.readline(PROMPT) {
            Ok(line) => {
                // A line that is not remembered can still be sent.
                let _ = editor.add_history_entry(&line);
                Ok(Line::Text(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(refused(error)),
        }
    }
}

fn piped() -> Result<Line, Failure> {
    let mut line = Vec::new();
    if stdin().lock().read_until(b'\n', &mut line).map_err(refused)? == 0 {
        return Ok(Line::End);
    }
    Ok(Line::Text(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()))
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Internal, format!("reading what is typed: {error}"))
}
