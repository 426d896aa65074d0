//! The machine that a benchmark runs on, and what else it does meanwhile. What a system does not tell stays empty.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::bench::results::Host;

/// What the machine says it is.
pub(super) fn describe() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    Host {
        cores: cores(),
        cpu: model.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}

/// The cores that programs may use.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The time that all cores together have worked since the machine was started.
pub(super) fn worked() -> Option<Duration> {
    worked_in(&fs::read_to_string("/proc/stat").ok()?)
}

/// The same from the text of `/proc/stat`, which counts in hundredths of a second (proc_stat(5)).
fn worked_in(stat: &str) -> Option<Duration> {
    let counts: Option<Vec<u64>> =
        stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(|count| count.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; time in guests is in user already.
    match counts?.as_slice() {
        [user, nice, system, _, _, irq, softirq, steal, ..] => {
            Some(Duration::from_millis((user + nice + system + irq + softirq + steal) * 10))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_everything_but_idleness() {
        let stat = "cpu  100 1 20 5000 300 2 3 4 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(worked_in(stat), Some(Duration::from_millis(1300)));
        assert_eq!(worked_in("cpu  1 2"), None);
        assert_eq!(worked_in(""), None);
    }
}
