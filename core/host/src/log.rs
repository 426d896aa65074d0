//! What plugin libraries have to say to the user: handed to a sink, or kept until someone asks.

use inferometer_abi::RStr;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Lines kept while there is no sink. The first ones are kept, for they hold the causes.
const KEPT: usize = 1000;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Something worth knowing.
    Information,
    /// Of use to authors only.
    Debugging,
}

impl Level {
    fn from_wire(level: u32) -> Self {
        match level {
            0 | 1 => Self::Error,
            2 => Self::Warning,
            3 => Self::Information,
            _ => Self::Debugging,
        }
    }
}

/// One line that a library said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Who said it, in the library's words.
    pub target: String,
    /// What it said.
    pub message: String,
}

struct Log {
    sink: Option<fn(Level, &str, &str)>,
    kept: Vec<LogLine>,
    lost: u64,
}

static LOG: Mutex<Log> = Mutex::new(Log { sink: None, kept: Vec::new(), lost: 0 });

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands every further line of every library to `sink`: its level, who said it, and what. It is called on whichever
/// thread the library spoke from. Lines said before are left to [`drain_log`].
pub fn set_log(sink: fn(Level, &str, &str)) {
    log().sink = Some(sink);
}

/// Takes the lines kept so far, in the order in which they were said; a last line counts those that found no room.
pub fn drain_log() -> Vec<LogLine> {
    let mut log = log();
    let mut lines = std::mem::take(&mut log.kept);
    let lost = std::mem::take(&mut log.lost);
    if lost > 0 {
        let message = format!("{lost} further lines of plugins were not kept");
        lines.push(LogLine { level: Level::Warning, target: "host".to_owned(), message });
    }
    lines
}

fn take(level: Level, target: &str, message: &str) {
    let mut log = log();
    if let Some(sink) = log.sink {
        // The sink may log in turn, so it is called with the lock released.
        drop(log);
        sink(level, target, message);
    } else if log.kept.len() < KEPT {
        log.kept.push(LogLine { level, target: target.to_owned(), message: message.to_owned() });
    } else {
        log.lost += 1;
    }
}

/// The function that libraries are lent. A panic of the sink must not run into the library.
pub(crate) extern "C" fn receive(level: u32, target: RStr<'_>, message: RStr<'_>) {
    let said = catch_unwind(AssertUnwindSafe(|| take(Level::from_wire(level), target.as_str(), message.as_str())));
    if let Err(panic) = said {
        // The payload's own drop may panic as well.
        std::mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static HEARD: AtomicU32 = AtomicU32::new(0);

    /// One test, because the log is the whole process's.
    #[test]
    fn lines_are_kept_in_order_up_to_a_bound_and_then_go_to_the_sink() {
        receive(1, "acme".into(), "first".into());
        for _ in 0..KEPT + 4 {
            receive(3, "acme".into(), "again".into());
        }
        let lines = drain_log();
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!(lines[0], LogLine { level: Level::Error, target: "acme".to_owned(), message: "first".to_owned() });
        assert_eq!(lines[KEPT].message, "5 further lines of plugins were not kept");
        assert!(drain_log().is_empty());

        set_log(|_, _, message| {
            HEARD.fetch_add(1, Relaxed);
            assert_ne!(message, "panic");
        });
        receive(2, "acme".into(), "heard".into());
        receive(2, "acme".into(), "panic".into());
        assert_eq!(HEARD.load(Relaxed), 2);
        assert!(drain_log().is_empty());
    }
}
