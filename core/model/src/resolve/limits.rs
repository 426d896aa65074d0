//! When a phase ends, as typed or by default, and whether that suits its users.

use super::{phases::Scope, shape::Shape};
use crate::{
    config::LoadConfig,
    error::ConfigError,
    plan::{PhaseKind, PhasePlan, Stop},
    values::Seconds,
};

const DEFAULT_GRACE: Seconds = Seconds(30.0);
/// Less is over before the first request is on its way.
const SHORTEST_DURATION: Seconds = Seconds(0.001);
/// A rate without a count or a duration runs for about this long.
const DEFAULT_RATE_SECONDS: f64 = 10.0;

/// When the phase ends: as typed, or at a limit that is said.
pub(super) fn stop(
    phase: &PhasePlan,
    load: &LoadConfig,
    shape: &Shape,
    scope: &Scope<'_>,
    notes: &mut Vec<String>,
) -> Result<Stop, ConfigError> {
    let duration = load.benchmark_duration;
    if let Some(Seconds(short)) = duration.filter(|duration| duration.0 < SHORTEST_DURATION.0) {
        let flag = scope.flag("benchmark-duration");
        return scope.refuse(format!("{flag} {short} leaves no time to send anything; give a millisecond or more"));
    }
    if duration.is_none() && load.benchmark_grace_period.is_some() {
        return scope.refuse(format!(
            "{} is the time after a duration, and there is none; add {}",
            scope.flag("benchmark-grace-period"),
            scope.flag("benchmark-duration")
        ));
    }
    let grace = match scope.kind {
        PhaseKind::Warmup => Seconds(f64::INFINITY),
        PhaseKind::Profiling => DEFAULT_GRACE,
    };
    let mut stop = Stop {
        requests: load.request_count.map(|count| count.0),
        sessions: load.num_conversations.map(|count| count.0),
        duration_ns: duration.map(Seconds::as_ns),
        grace_ns: load.benchmark_grace_period.unwrap_or(grace).as_ns(),
    };
    if let Some(series) = shape.series.as_ref().filter(|series| series.runs_dry())
        && duration.is_none()
        && (stop.requests.is_some() || stop.sessions.is_some() || scope.has_file)
    {
        return scope.refuse(format!(
            "--request-rate-series ends at rate 0 after {} s, so what is left then would never be sent; end it with a \
             rate above 0, or add {}",
            series.end_s(),
            scope.flag("benchmark-duration")
        ));
    }
    if stop.requests.is_some() || stop.sessions.is_some() {
        return Ok(stop);
    }
    if shape.is_one_burst() && !scope.has_file {
        let asked = match load.request_rate {
            Some(rate) => format!("{} {rate}", scope.flag("request-rate")),
            None => format!("{} burst", scope.flag("arrival-pattern")),
        };
        return scope.refuse(format!(
            "{asked} sends a burst of all requests at once and needs their number; add {}",
            scope.flag("request-count")
        ));
    }
    let label = scope.label.map(|label| format!("phase '{label}': ")).unwrap_or_default();
    let mut say = |what: String| notes.push(format!("{label}no count given: {what}"));
    if let Some(Seconds(time)) = duration {
        if time.is_infinite() {
            say("until Ctrl-C".to_owned());
        }
        return Ok(stop);
    }
    if scope.kind == PhaseKind::Warmup {
        return scope
            .refuse("a warm-up needs an end of its own; give request-count, num-conversations or benchmark-duration");
    }
    if scope.has_file {
        say(scope.whole_file.clone());
    } else if let Some(series) = &shape.series {
        stop.duration_ns = Some(Seconds(series.end_s()).as_ns());
        say(format!("the {} s of the series of rates", series.end_s()));
    } else if let Some(rate) = phase.rate {
        let requests = ((rate * DEFAULT_RATE_SECONDS).ceil().max(10.0) as u64).max(shape.users().unwrap_or(0));
        stop.requests = Some(requests);
        say(format!("{requests} requests, about {DEFAULT_RATE_SECONDS} s at the rate asked"));
    } else {
        let requests = phase.concurrency.unwrap_or(1).saturating_mul(2);
        stop.requests = Some(requests);
        say(format!("2 × concurrency = {requests} requests"));
    }
    Ok(stop)
}

/// Refuses limits and sessions with which users cannot come back.
pub(super) fn check_users(users: u64, stop: &Stop, scope: &Scope<'_>) -> Result<(), ConfigError> {
    if scope.kind == PhaseKind::Warmup {
        return scope.refuse("a warm-up has no users; leave --user-centric-rate out of it");
    }
    if let Some(turns) = scope.turns
        && turns < 2.0
    {
        return scope.refuse(format!(
            "--user-centric-rate is about users who come back, and sessions have {turns} turn; give --session-turns-mean \
             2 or more"
        ));
    }
    for (setting, limit) in [("num-conversations", stop.sessions), ("request-count", stop.requests)] {
        if let Some(limit) = limit
            && limit < users
        {
            return scope.refuse(format!(
                "--{setting} {limit} leaves some of the {users} users nothing to do; give at least {users}, or fewer \
                 --num-users"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        plan::{PhasePlan, Stop},
        testing::{file, plan, refused},
    };

    const SECOND: u64 = 1_000_000_000;

    fn phase(flags: &str) -> PhasePlan {
        plan(flags).unwrap().phases.remove(0)
    }

    #[test]
    fn a_phase_ends_where_it_was_told_to_and_nowhere_else() {
        let stop = |flags: &str| phase(flags).stop;
        let grace_ns = 30 * SECOND;
        assert_eq!(stop("--num-requests 8"), Stop { requests: Some(8), grace_ns, ..Stop::default() });
        for flag in ["--num-conversations", "--num-sessions", "--conversation-num"] {
            assert_eq!(stop(&format!("{flag} 8")), Stop { sessions: Some(8), grace_ns, ..Stop::default() });
        }
        assert_eq!(
            stop("--benchmark-duration 1m --benchmark-grace-period inf"),
            Stop { duration_ns: Some(60 * SECOND), grace_ns: u64::MAX, ..Stop::default() }
        );
    }

    #[test]
    fn a_limit_that_is_not_given_is_chosen_and_said() {
        for (flags, requests, expected) in [
            ("--concurrency 16", Some(32), "32 requests"),
            ("--request-rate 20", Some(200), "about 10 s"),
            ("--request-rate 0.1", Some(10), "10 requests"),
            ("--user-centric-rate 1 --num-users 50 --session-turns-mean 2", Some(50), "50 requests"),
            ("--input-file x", None, "the file once"),
            ("--input-file x --request-rate 4", None, "the file once"),
            ("--input-file x --request-rate inf", None, "the file once"),
            ("--input-file x --custom-dataset-type random_pool", None, "100 sessions drawn"),
            ("--input-file x --custom-dataset-type random_pool --num-prompts 7", None, "7 sessions drawn"),
            ("--benchmark-duration inf", None, "until Ctrl-C"),
            ("--input-file x --benchmark-duration inf", None, "until Ctrl-C"),
        ] {
            let plan = plan(flags).unwrap();
            assert_eq!(plan.phases[0].stop.requests, requests, "{flags}");
            assert!(plan.notes[0].contains(expected), "{flags}: {:?}", plan.notes);
        }
        let series = file("series.json", "[[0, 10], [30, 0]]");
        let stop = phase(&format!("--request-rate-series {}", series.path().display())).stop;
        assert_eq!((stop.requests, stop.duration_ns), (None, Some(30 * SECOND)));
    }

    #[test]
    fn limits_that_cannot_be_are_refused_with_the_way_out() {
        refused(&[
            ("--benchmark-duration 0", &["--benchmark-duration 0"]),
            ("--benchmark-duration 500us", &["--benchmark-duration 0.0005", "a millisecond"]),
            ("--benchmark-grace-period 5", &["add --benchmark-duration"]),
            ("--request-rate inf", &["--request-rate inf", "add --request-count"]),
            ("--request-rate inf --benchmark-duration 5", &["--request-rate inf", "add --request-count"]),
            ("--arrival-pattern burst", &["--arrival-pattern burst", "add --request-count"]),
            ("--user-centric-rate 5 --num-users 5", &["--session-turns-mean 2"]),
            (
                "--user-centric-rate 5 --num-users 5 --session-turns-mean 2 --num-sessions 4",
                &["--num-conversations 4", "at least 5"],
            ),
            (
                "--user-centric-rate 5 --num-users 5 --session-turns-mean 2 --request-count 4",
                &["--request-count 4", "at least 5"],
            ),
        ]);
        let series = file("series.json", "[[0, 10], [30, 0]]");
        let with = format!("--request-rate-series {} --request-count 4", series.path().display());
        refused(&[(&with, &["ends at rate 0", "add --benchmark-duration"])]);
    }
}
