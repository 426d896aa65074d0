//! The terminal the user looks at.

use inferometer_abi::documents::Terminal;
use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _, stdout},
};

/// Width and colour of standard output; 100 columns and no colour where it is not a terminal.
pub(crate) fn stdout_terminal() -> Terminal {
    let Some(width) = stdout_width() else { return Terminal::default() };
    Terminal { width, color: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) }
}

/// Columns of standard output, if it is a terminal.
pub(crate) fn stdout_width() -> Option<u16> {
    if !stdout().is_terminal() {
        return None;
    }
    let width = rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| size.ws_col);
    Some(if width == 0 { Terminal::default().width } else { width })
}

/// Prints a line to standard output. A reader that has gone, as `head` does, has read what it wanted.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}
