//! What of this process a library could change while it is opened: the working directory, how signals are taken, and the
//! standard streams.

use rustix::io::fcntl_getfd;
use std::{
    env, fs,
    io::{stderr, stdin, stdout},
    os::fd::AsFd as _,
    path::PathBuf,
};

/// The signals by which people and systems ask a program to end, with their numbers.
const ENDING: [(&str, u32); 2] = [("SIGINT", 2), ("SIGTERM", 15)];

/// How things stand at one moment.
pub(crate) struct State {
    folder: Option<PathBuf>,
    ignored: u64,
    caught: u64,
    open: [(&'static str, bool); 3],
}

impl State {
    /// How things stand now. Where the system does not tell of signals, none counts as ignored or caught.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            folder: env::current_dir().ok(),
            ignored: mask(&status, "SigIgn:"),
            caught: mask(&status, "SigCgt:"),
            open: [
                ("standard input", fcntl_getfd(stdin().as_fd()).is_ok()),
                ("standard output", fcntl_getfd(stdout().as_fd()).is_ok()),
                ("standard error", fcntl_getfd(stderr().as_fd()).is_ok()),
            ],
        }
    }

    /// What was done since, in words that go on from "it"; goes back to the working directory if that was left.
    pub(crate) fn since(&self) -> Vec<String> {
        let now = Self::now();
        let mut done = self.changed(&now);
        if let Some(folder) = self.folder.as_ref().filter(|folder| now.folder.as_ref() != Some(folder))
            && let Err(error) = env::set_current_dir(folder)
        {
            done.push(format!("left {}, to which there is no way back: {error}", folder.display()));
        }
        done
    }

    fn changed(&self, now: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        if now.folder != self.folder {
            let to = now.folder.as_ref().map_or_else(|| "nowhere".into(), |folder| folder.display().to_string());
            changed.push(format!("changed the working directory to {to}"));
        }
        for (signal, number) in ENDING {
            let bit = 1_u64 << (number - 1);
            if now.ignored & !self.ignored & bit != 0 {
                changed.push(format!("made the process ignore {signal}"));
            } else if now.caught & !self.caught & bit != 0 {
                changed.push(format!("took {signal} for itself"));
            }
        }
        let closed = self.open.iter().zip(now.open).filter(|((_, before), (_, now))| *before && !now);
        changed.extend(closed.map(|((stream, _), _)| format!("closed {stream}")));
        changed
    }
}

/// A set of signals as `/proc/PID/status` shows it: hexadecimal, the lowest bit for signal 1.
fn mask(status: &str, key: &str) -> u64 {
    let digits = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    u64::from_str_radix(digits.trim(), 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_and_what_was_so_before_is_not() {
        let state = |folder: &str, ignored, caught, open| State {
            folder: Some(folder.into()),
            ignored,
            caught,
            open: [("standard input", true), ("standard output", open), ("standard error", false)],
        };
        let before = state("/a", 0x2, 0, true);
        assert_eq!(before.changed(&state("/a", 0x2, 0, true)), Vec::<String>::new());
        assert_eq!(
            before.changed(&state("/", 0x4002, 0, false)),
            ["changed the working directory to /", "made the process ignore SIGTERM", "closed standard output"]
        );
        assert_eq!(before.changed(&state("/a", 0x2, 0x4000, true)), ["took SIGTERM for itself"]);
    }

    #[test]
    fn signals_are_read_as_the_system_shows_them() {
        let status = "Name:\tx\nSigIgn:\t0000000000001002\nSigCgt:\t0000000000004000\n";
        assert_eq!((mask(status, "SigIgn:"), mask(status, "SigCgt:")), (0x1002, 0x4000));
        assert_eq!(mask("", "SigIgn:"), 0);
    }
}
