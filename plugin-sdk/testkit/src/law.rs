//! How a broken law is told: the law, what it was tried on, and what was seen.

use inferometer_plugin_sdk::{
    random::SplitMix64,
    types::{Error, ErrorKind},
};
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Panics with the law's name unless it holds.
macro_rules! holds {
    ($law:expr, $holds:expr, $($seen:tt)+) => {
        assert!($holds, "broken law: {}\n  {}", $law, format_args!($($seen)+))
    };
}
pub(crate) use holds;

/// An error that says what kind it is.
pub(crate) trait Kinded: Display {
    fn kind(&self) -> ErrorKind;
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// [`ErrorKind`] as an error.
pub(crate) struct Bare(pub(crate) ErrorKind);

impl Display for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Kinded for Bare {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

/// Makes a call that may fail but not panic, here or behind the wire, where a panic comes back as an error.
pub(crate) fn survives<R, E: Kinded>(
    law: &str,
    input: impl Fn() -> String,
    call: impl FnOnce() -> Result<R, E>,
) -> Result<R, E> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Err(error)) if error.kind() == ErrorKind::PANICKED => {
            panic!("broken law: {law}\n  it panicked on {}: {error}", input())
        }
        Ok(result) => result,
        Err(_) => panic!("broken law: {law}\n  it panicked on {}; the panic's own message is above", input()),
    }
}

/// The beginning of `bytes`, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 400;
    let dots = if bytes.len() > MOST { "…" } else { "" };
    format!("`{}{dots}`", bytes[..bytes.len().min(MOST)].escape_ascii())
}

/// Strings that a server, a data set or a user may bring.
pub(crate) const HOSTILE: [&str; 12] = [
    "",
    "\"quoted\" \\back\\ 'single' `tick`",
    "line\r\nbreak\n\ttab",
    "nul\0 bell\u{7} escape\u{1b}[2J\u{1b}]0;title\u{7}",
    "c1 control \u{9b}31m and delete \u{7f}",
    "right to left \u{202e}gnp.exe and zero\u{200b}width \u{feff}",
    "é 漢字 🦀 e\u{301} \u{10ffff}",
    "../../../etc/passwd",
    "/etc/passwd",
    "=1+1,\"; DROP TABLE\",<script>",
    "{\"json\": [1, 2",
    "\u{2028}\u{2029}%s%n{}{0}",
];

/// Numbers for tests: the same at every run.
pub(crate) fn random() -> SplitMix64 {
    SplitMix64::new(0x1AB5)
}

/// Between 0 and `bound − 1`.
pub(crate) fn below(random: &mut SplitMix64, bound: usize) -> usize {
    random.below(bound.max(1) as u64) as usize
}
