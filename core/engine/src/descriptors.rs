//! Whether this process may open as many descriptors as its load needs: each connection takes one.
//!
//! Known before the load where there is a limit to the requests in flight. Where there is none, connections beyond the
//! system's limit fail, and say so.

use inferometer_model::{ConfigError, plan::PhasePlan};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a worker is allowed for besides its connections: of its runtime, its timer, its files.
const PER_WORKER: u64 = 8;
/// Descriptors that a collector is allowed for: of its runtime, its connection, its files.
const PER_COLLECTOR: u64 = 8;
/// Descriptors for whatever else is opened in passing, such as files.
const OTHERS: u64 = 8;
/// Descriptors that are open already, where the system does not list them.
const OPEN: u64 = 8;
/// Where it lists them.
const LIST: &str = "/dev/fd";

/// Raises the limit of this process as far as it may.
///
/// # Errors
/// When that is not enough for `phases`: how many are needed, how many are allowed, and how to get more.
pub(crate) fn provide<'a>(
    phases: impl Iterator<Item = &'a PhasePlan>,
    workers: u64,
    collectors: u64,
) -> Result<(), ConfigError> {
    let open = std::fs::read_dir(LIST).map_or(OPEN, |list| list.count() as u64);
    let others = open + workers * PER_WORKER + collectors * PER_COLLECTOR + OTHERS;
    let connections = phases.filter_map(connections).max().unwrap_or(1);
    let needed = connections.saturating_add(others);
    match raise(needed) {
        Some(limit) if limit < needed => Err(too_few(connections, others, needed, limit)),
        _ => Ok(()),
    }
}

/// Most connections that a phase can have at once, where that is known.
fn connections(phase: &PhasePlan) -> Option<u64> {
    phase.concurrency.map(|slots| slots.min(phase.stop.requests.unwrap_or(u64::MAX)))
}

/// Raises the limit to all that is allowed; the limit, if there is one.
fn raise(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let to = |current| setrlimit(Resource::Nofile, Rlimit { current, ..limit }).is_ok();
    // A system may allow less than it says it does.
    let _ = to(limit.maximum) || limit.current.is_some_and(|current| current < needed) && to(Some(needed));
    getrlimit(Resource::Nofile).current
}

fn too_few(connections: u64, others: u64, needed: u64, limit: u64) -> ConfigError {
    ConfigError::new(format!(
        "up to {connections} connections at once, and {others} for the program itself, need {needed} file descriptors, and \
         this process is allowed {limit}; raise the limit (`ulimit -n {needed}`, LimitNOFILE={needed} in a systemd unit, \
         --ulimit nofile={needed} for a container), or give a smaller --concurrency"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_model::plan::{PhaseKind, Stop};

    fn phase(concurrency: Option<u64>, requests: Option<u64>) -> PhasePlan {
        let stop = Stop { requests, ..Stop::default() };
        PhasePlan { concurrency, ..PhasePlan::new("", PhaseKind::Profiling, "", stop) }
    }

    #[test]
    fn a_load_needs_a_connection_for_each_request_that_may_be_in_flight() {
        assert_eq!(connections(&phase(Some(1000), None)), Some(1000));
        assert_eq!(connections(&phase(Some(1000), Some(10))), Some(10));
        assert_eq!(connections(&phase(None, Some(10))), None);
    }

    #[test]
    fn what_is_allowed_is_had_without_asking_for_it_and_more_is_refused_with_the_remedy() {
        assert!(provide([&phase(Some(1), None), &phase(None, None)].into_iter(), 1, 1).is_ok());
        let limit = getrlimit(Resource::Nofile);
        if limit.maximum.is_some() {
            assert_eq!(limit.current, limit.maximum);
            let error = provide([&phase(Some(u64::MAX), None)].into_iter(), 1, 1).unwrap_err().to_string();
            assert!(error.contains("ulimit -n") && error.contains("--concurrency"), "{error}");
        }
        let error = too_few(1000, 24, 1024, 64).to_string();
        assert!(error.contains("1000 connections") && error.contains("allowed 64"), "{error}");
    }
}
