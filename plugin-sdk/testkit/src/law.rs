//! What a law is, and how a broken one is told: the law, what it was tried on, and what was seen.

use inferometer_plugin_sdk::{
    random::SplitMix64,
    types::{Error, ErrorKind},
};
use std::{
    any::Any,
    fmt::{Arguments, Debug, Display},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

/// What makes a component anew at each call.
pub type Make<'a, T> = &'a dyn Fn() -> Box<T>;

/// A law and a component to try it on.
pub struct Law<'a> {
    words: &'static str,
    holds: Box<dyn FnOnce() + 'a>,
}

impl<'a> Law<'a> {
    pub(crate) fn new(words: &'static str, holds: impl FnOnce() + 'a) -> Self {
        Self { words, holds: Box::new(holds) }
    }

    /// What has to be so.
    #[must_use]
    pub fn words(&self) -> &'static str {
        self.words
    }

    /// Sees to it that the law holds.
    ///
    /// # Panics
    /// When it is broken.
    pub fn enforce(self) {
        (self.holds)();
    }

    /// Finds out whether the law holds, for a report instead of a test. The panic's message is still printed.
    ///
    /// # Errors
    /// What the component was given and what it did, in one line.
    pub fn tried(self) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(self.holds)).map_err(|panic| {
            let text = text_of(&*panic);
            let told = text.strip_prefix(BROKEN).unwrap_or(&text);
            let (law, seen) = told.split_once('\n').unwrap_or(("", told));
            let seen = seen.split_whitespace().collect::<Vec<_>>().join(" ");
            if law.is_empty() || law == self.words { seen } else { format!("{law}: {seen}") }
        })
    }
}

/// What a panic says.
fn text_of(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked without a word").to_owned()
}

/// Tries something on two threads at a time.
pub(crate) fn on_two_threads(tried: impl Fn() + Sync) {
    thread::scope(|scope| {
        for thread in [scope.spawn(&tried), scope.spawn(&tried)] {
            // A scope would put a panic of its own in the place of this one.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// What the message of a broken law begins with.
const BROKEN: &str = "broken law: ";

/// Panics because `law` is broken, with what was `seen`.
#[track_caller]
pub(crate) fn broken(law: &str, seen: Arguments<'_>) -> ! {
    panic!("{BROKEN}{law}\n  {seen}")
}

/// Panics with the law's name unless it holds.
macro_rules! holds {
    ($law:expr, $holds:expr, $($seen:tt)+) => {
        match $holds {
            true => {}
            false => $crate::law::broken($law, format_args!($($seen)+)),
        }
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
            broken(law, format_args!("it panicked on {}: {error}", input()))
        }
        Ok(result) => result,
        Err(_) => broken(law, format_args!("it panicked on {}; the panic's own message is above", input())),
    }
}

/// Bytes that are told as text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&excerpt(&self.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn law(seen: &'static str) -> Law<'static> {
        Law::new("seven is seen", move || on_two_threads(|| holds!("seven is seen", seen == "7", "{seen}\n  instead")))
    }

    #[test]
    fn a_law_that_is_kept_says_nothing() {
        assert_eq!(law("7").tried(), Ok(()));
    }

    #[test]
    fn a_broken_law_is_told_in_one_line_even_from_another_thread() {
        assert_eq!(law("8").tried(), Err("8 instead".to_owned()));
        let other = Law::new("seven is seen", || holds!("eight is seen", false, "9"));
        assert_eq!(other.tried(), Err("eight is seen: 9".to_owned()));
        assert_eq!(Law::new("", || panic!("no more")).tried(), Err("no more".to_owned()));
    }

    #[test]
    #[should_panic(expected = "broken law: seven is seen\n  8")]
    fn a_broken_law_that_is_enforced_panics_with_what_was_seen() {
        law("8").enforce();
    }
}
