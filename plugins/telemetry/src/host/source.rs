//! Files of `/proc` that are read again and again, and what becomes of numbers that are read again and again.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

/// Shares of a shorter time than this, in nanoseconds, would be noise: the kernel counts most of its times in hundredths
/// of a second.
pub(super) const SHORTEST_NS: u64 = 100_000_000;

/// A file of the kernel's making, kept open; its text is made anew at each reading.
pub(super) struct Source {
    file: File,
    text: Text,
}

/// Room for a file's text, used again.
#[derive(Default)]
pub(super) struct Text(Vec<u8>);

impl Source {
    /// Opens the file at `path`, which may still refuse to be read.
    pub(super) fn open(path: &Path) -> Option<Self> {
        Some(Self { file: File::open(path).ok()?, text: Text::default() })
    }

    /// What it says now.
    pub(super) fn read(&mut self) -> Option<Cow<'_, str>> {
        self.file.rewind().ok()?;
        self.text.of(&mut self.file)
    }
}

impl Text {
    /// All that `file` says from where it is.
    pub(super) fn of(&mut self, file: &mut File) -> Option<Cow<'_, str>> {
        const STEP: usize = 4096;
        let mut length = 0;
        loop {
            if self.0.len() < length + STEP {
                self.0.resize(length + STEP, 0);
            }
            // Such files are given out in pieces, so that a short piece need not be the last one.
            match file.read(&mut self.0[length..]) {
                Ok(0) => return Some(String::from_utf8_lossy(&self.0[..length])),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

/// The number after `name` at the start of a line: `MemTotal:  8033036 kB`, `throttled_usec 70`.
pub(super) fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next()? == name { words.next()?.parse().ok() } else { None }
    })
}

/// What was read last, for what is known only from one reading to the next.
pub(super) struct Last<T>(Option<(u64, T)>);

// By hand, because deriving asks the same of `T`.
impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Last<T> {
    /// Puts `current` in the place of what was read last, and gives that with the nanoseconds that lie between. None at
    /// first; and none, with nothing put anywhere, when next to no time has passed.
    pub(super) fn replace(&mut self, at_ns: u64, current: T) -> Option<(T, f64)> {
        let elapsed_ns = self.0.as_ref().map(|(last_ns, _)| at_ns.saturating_sub(*last_ns));
        if elapsed_ns.is_some_and(|elapsed_ns| elapsed_ns < SHORTEST_NS) {
            return None;
        }
        let (_, last) = self.0.replace((at_ns, current))?;
        Some((last, elapsed_ns? as f64))
    }
}

/// A count that only grows, whatever its source does: one that starts anew is taken to go on from where it was.
#[derive(Default)]
pub(super) struct Growing {
    last: u64,
    before: u64,
}

impl Growing {
    /// The count, when the source says `now`.
    pub(super) fn at(&mut self, now: u64) -> f64 {
        if now < self.last {
            self.before += self.last;
        }
        self.last = now;
        (self.before + now) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_compared_with_what_was_read_a_sensible_time_ago() {
        let mut last = Last::default();
        assert_eq!(last.replace(5, 'a'), None);
        assert_eq!(last.replace(5, 'b'), None);
        assert_eq!(last.replace(4 + SHORTEST_NS, 'c'), None);
        assert_eq!(last.replace(5 + SHORTEST_NS, 'd'), Some(('a', SHORTEST_NS as f64)));
        assert_eq!(last.replace(5 + 3 * SHORTEST_NS, 'e'), Some(('d', 2.0 * SHORTEST_NS as f64)));
    }

    #[test]
    fn a_count_that_starts_anew_goes_on_from_where_it_was() {
        let mut growing = Growing::default();
        assert_eq!([7, 9, 9, 2, 3].map(|now| growing.at(now)), [7.0, 9.0, 9.0, 11.0, 12.0]);
    }

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let text = "SwapTotal: 1 kB\nTotal: 22 kB\nBroken:\nOdd: many kB\n";
        assert_eq!(number(text, "Total:"), Some(22));
        assert_eq!(["Swap", "Broken:", "Odd:"].map(|name| number(text, name)), [None; 3]);
    }

    #[test]
    fn a_file_longer_than_a_page_is_read_whole_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let long = "line of text\n".repeat(2_000);
        std::fs::write(&path, &long).unwrap();
        let mut source = Source::open(&path).unwrap();
        assert_eq!(source.read().as_deref(), Some(&*long));
        std::fs::write(&path, "short").unwrap();
        assert_eq!(source.read().as_deref(), Some("short"));
    }
}
