//! The shape of a phase's load: which timing strategy, with which options, at which rate.

use super::{phases::Scope, series::Series};
use crate::{
    config::LoadConfig,
    error::ConfigError,
    plan::{PhaseKind, Replay},
    values::{Count, Millis, Number, Seconds},
};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Strategies that send at a rate.
const OF_A_RATE: [&str; 3] = ["constant", "poisson", "gamma"];
const BURST: &str = "burst";
const CONCURRENCY: &str = "concurrency";
const FIXED_SCHEDULE: &str = "fixed_schedule";
const USER_CENTRIC: &str = "user_centric";

/// Factors by which times can be divided so that they stay apart and come about.
const SPEEDUPS: RangeInclusive<f64> = 1e-6..=1e6;

/// When things are sent.
pub(super) struct Shape {
    /// Name of the timing component.
    pub(super) strategy: String,
    /// Its options that flags stand for.
    pub(super) options: Map<String, Value>,
    /// Arrivals per second.
    pub(super) rate: Option<f64>,
    /// The series of rates.
    pub(super) series: Option<Series>,
    /// How the data's own times are followed.
    pub(super) replay: Replay,
}

/// What says when things are sent.
enum Source<'a> {
    Fixed,
    Users(f64),
    Series(&'a std::path::Path),
    Rate(f64),
    Burst,
    Nothing,
}

impl Shape {
    /// The shape that `load` says.
    pub(super) fn of(load: &LoadConfig, scope: &Scope<'_>) -> Result<Self, ConfigError> {
        let mut shape =
            Self { strategy: String::new(), options: Map::new(), rate: None, series: None, replay: Replay::default() };
        let source = source(load, scope)?;
        if load.num_users.is_some() && !matches!(source, Source::Users(_)) {
            return scope.refuse("--num-users needs the rate of all of them; add --user-centric-rate");
        }
        if !matches!(source, Source::Rate(_) | Source::Series(_)) {
            refuse_of_rates(load, scope, &source)?;
        }
        match source {
            Source::Fixed => {
                shape.strategy = FIXED_SCHEDULE.to_owned();
                shape.replay = replay(load, scope)?;
            }
            Source::Users(rate) => {
                let Some(Count(users)) = load.num_users else {
                    return scope.refuse("--user-centric-rate needs the number of users; add --num-users");
                };
                shape.strategy = USER_CENTRIC.to_owned();
                shape.rate = Some(rate);
                shape.options.insert("users".to_owned(), users.into());
            }
            Source::Series(path) => {
                let series = Series::read(path)?;
                shape.strategy = pattern_of_a_rate(load, scope, true)?;
                shape.rate = Some(series.mean());
                shape.options.insert("series".to_owned(), series.to_json());
                shape.series = Some(series);
                if load.request_rate_ramp_duration.is_some() {
                    return scope.refuse(format!(
                        "{} has no place beside --request-rate-series, which says the rate at any time; leave one out",
                        scope.flag("request-rate-ramp-duration")
                    ));
                }
            }
            Source::Rate(rate) => {
                shape.strategy = pattern_of_a_rate(load, scope, load.request_rate_ramp_duration.is_some())?;
                shape.rate = Some(rate);
                if let Some(ramp) = load.request_rate_ramp_duration {
                    shape.options.insert("ramp_s".to_owned(), scope.ramp("request-rate-ramp-duration", ramp)?.0.into());
                }
            }
            Source::Burst => {
                shape.strategy = BURST.to_owned();
                shape.options.extend(burst(load, scope)?);
            }
            Source::Nothing => {
                shape.strategy = load.arrival_pattern.clone().unwrap_or_else(|| CONCURRENCY.to_owned());
                if let (Some(ramp), CONCURRENCY) = (load.concurrency_ramp_duration, shape.strategy.as_str()) {
                    let ramp = scope.ramp("concurrency-ramp-duration", ramp)?;
                    shape.options.insert("ramp_s".to_owned(), ramp.0.into());
                }
            }
        }
        if let Some(Number(smoothness)) = load.arrival_smoothness {
            shape.options.insert("smoothness".to_owned(), smoothness.into());
        }
        Ok(shape)
    }

    /// Whether the strategy keeps slots filled.
    pub(super) fn is_closed_loop(&self) -> bool {
        self.strategy == CONCURRENCY
    }

    /// The users, if there are any.
    pub(super) fn users(&self) -> Option<u64> {
        self.options.get("users").and_then(Value::as_u64)
    }

    /// Whether everything is sent at once.
    pub(super) fn is_one_burst(&self) -> bool {
        self.strategy == BURST && self.options.is_empty()
    }
}

/// What says when things are sent; one thing only may.
fn source<'a>(load: &'a LoadConfig, scope: &Scope<'_>) -> Result<Source<'a>, ConfigError> {
    let pattern = load.arrival_pattern.as_deref();
    let fixed = fixed(load);
    if let Some(flag) = fixed
        && (load.no_fixed_schedule == Some(true) || load.fixed_schedule == Some(false))
    {
        return scope
            .refuse(format!("{flag} is of a fixed schedule and --no-fixed-schedule asks for none; leave one out"));
    }
    let endless = load.request_rate == Some(Number(f64::INFINITY));
    let burst = match load {
        LoadConfig { burst_size: Some(_), .. } => Some("--burst-size".to_owned()),
        LoadConfig { burst_interval: Some(_), .. } => Some("--burst-interval".to_owned()),
        _ if pattern == Some(BURST) && !endless => Some(format!("{} burst", scope.flag("arrival-pattern"))),
        _ => None,
    };
    let rate = load.request_rate.map(|rate| format!("{} {rate}", scope.flag("request-rate")));
    let mut named = [
        fixed.map(str::to_owned),
        load.user_centric_rate.map(|_| "--user-centric-rate".to_owned()),
        load.request_rate_series.as_ref().map(|_| "--request-rate-series".to_owned()),
        rate,
        burst,
    ]
    .into_iter()
    .flatten();
    if let (Some(one), Some(other)) = (named.next(), named.next()) {
        return scope.refuse(format!("{one} and {other} both say when to send; leave one out"));
    }
    if let Some(flag) = fixed.filter(|_| load.fixed_schedule != Some(true))
        && load.concurrency.is_some()
    {
        let concurrency = scope.flag("concurrency");
        return scope.refuse(format!(
            "{flag} is of a fixed schedule, and {concurrency} alone asks for none; add --fixed-schedule, or leave one out"
        ));
    }
    if fixed.is_some() {
        return Ok(Source::Fixed);
    }
    if let Some(rate) = load.user_centric_rate {
        return Ok(Source::Users(positive(rate, "--user-centric-rate", scope)?));
    }
    if let Some(path) = &load.request_rate_series {
        return Ok(Source::Series(path));
    }
    if endless {
        return match pattern {
            None | Some(BURST) => Ok(Source::Burst),
            Some(pattern) => scope.refuse(format!(
                "{} inf sends everything at once and has no pattern; leave {} {pattern} out",
                scope.flag("request-rate"),
                scope.flag("arrival-pattern"),
            )),
        };
    }
    if let Some(rate) = load.request_rate {
        return Ok(Source::Rate(positive(rate, &scope.flag("request-rate"), scope)?));
    }
    if pattern == Some(BURST) || load.burst_size.is_some() || load.burst_interval.is_some() {
        return Ok(Source::Burst);
    }
    Ok(Source::Nothing)
}

/// The flag that asks for the data's own times, if there is one: --fixed-schedule, or one that is of such loads alone.
fn fixed(load: &LoadConfig) -> Option<&'static str> {
    [
        ("--fixed-schedule", load.fixed_schedule == Some(true)),
        ("--fixed-schedule-auto-offset", load.fixed_schedule_auto_offset.is_some()),
        ("--fixed-schedule-start-offset", load.fixed_schedule_start_offset.is_some()),
        ("--fixed-schedule-end-offset", load.fixed_schedule_end_offset.is_some()),
        ("--fixed-schedule-speedup", load.fixed_schedule_speedup.is_some()),
    ]
    .into_iter()
    .find_map(|(flag, is_typed)| is_typed.then_some(flag))
}

fn positive(Number(rate): Number, flag: &str, scope: &Scope<'_>) -> Result<f64, ConfigError> {
    if rate.is_finite() && rate > 0.0 {
        return Ok(rate);
    }
    scope.refuse(format!("{flag} {rate} is not a rate; give a number above 0, or leave it out for a fixed concurrency"))
}

/// Refuses what only loads with a rate have.
fn refuse_of_rates(load: &LoadConfig, scope: &Scope<'_>, source: &Source<'_>) -> Result<(), ConfigError> {
    let pattern_flag = scope.flag("arrival-pattern");
    let clocked = match source {
        Source::Fixed => Some("a fixed schedule"),
        Source::Users(_) => Some("--user-centric-rate"),
        _ => None,
    };
    if let (Some(what), Some(pattern)) = (clocked, &load.arrival_pattern) {
        return scope.refuse(format!(
            "{pattern_flag} {pattern} has no place beside {what}, which says when to send; leave one out"
        ));
    }
    match load.arrival_pattern.as_deref() {
        Some(pattern) if OF_A_RATE.contains(&pattern) => {
            return scope.refuse(format!("{pattern_flag} {pattern} needs a rate; add {}", scope.flag("request-rate")));
        }
        Some(FIXED_SCHEDULE) => {
            return scope
                .refuse(format!("{pattern_flag} {FIXED_SCHEDULE} has a flag of its own; write --fixed-schedule"));
        }
        Some(USER_CENTRIC) => {
            return scope.refuse(format!(
                "{pattern_flag} {USER_CENTRIC} has flags of its own; write --user-centric-rate and --num-users"
            ));
        }
        Some(BURST) if load.burst_size.is_none() && load.burst_interval.is_none() => {}
        Some(pattern) if pattern != BURST && matches!(source, Source::Burst) => {
            return scope.refuse(format!("--burst-size is of bursts; leave {pattern_flag} {pattern} out"));
        }
        _ => {}
    }
    for (flag, is_typed) in [
        ("--arrival-smoothness".to_owned(), load.arrival_smoothness.is_some()),
        (scope.flag("request-rate-ramp-duration"), load.request_rate_ramp_duration.is_some()),
    ] {
        if is_typed {
            return scope.refuse(format!("{flag} needs a rate; add {}, or leave it out", scope.flag("request-rate")));
        }
    }
    Ok(())
}

/// The pattern of a load with a rate; one of ours where something is asked that a plugin's may not know.
fn pattern_of_a_rate(load: &LoadConfig, scope: &Scope<'_>, must_be_ours: bool) -> Result<String, ConfigError> {
    let flag = scope.flag("arrival-pattern");
    let pattern = match (&load.arrival_pattern, load.arrival_smoothness) {
        (None, None) => return Ok("poisson".to_owned()),
        (None, Some(_)) => "gamma".to_owned(),
        (Some(pattern), _) => pattern.clone(),
    };
    if [CONCURRENCY, BURST, FIXED_SCHEDULE, USER_CENTRIC].contains(&pattern.as_str()) {
        return scope.refuse(format!("{flag} {pattern} has no rate; leave it out, or the rate"));
    }
    if must_be_ours && !OF_A_RATE.contains(&pattern.as_str()) {
        let options = "--request-rate-series and --request-rate-ramp-duration";
        return scope
            .refuse(format!("{flag} {pattern} may know nothing of {options}; choose one of {}", OF_A_RATE.join(", ")));
    }
    if let Some(Number(smoothness)) = load.arrival_smoothness {
        if pattern != "gamma" {
            return scope.refuse(format!(
                "--arrival-smoothness shapes gamma and nothing else; leave it or {flag} {pattern} out"
            ));
        }
        if !(smoothness.is_finite() && smoothness > 0.0) {
            return scope.refuse(format!("--arrival-smoothness {smoothness} is not a shape; give a number above 0"));
        }
    }
    Ok(pattern)
}

fn burst(load: &LoadConfig, scope: &Scope<'_>) -> Result<Map<String, Value>, ConfigError> {
    match (load.burst_size, load.burst_interval) {
        (None, None) => Ok(Map::new()),
        (Some(_), None) => scope.refuse("--burst-size needs the time from one burst to the next; add --burst-interval"),
        (None, Some(_)) => scope.refuse("--burst-interval needs the number of requests of a burst; add --burst-size"),
        (Some(_), Some(Seconds(interval))) if !(interval.is_finite() && interval > 0.0) => {
            scope.refuse(format!("--burst-interval {interval} does not keep bursts apart; give a time above 0"))
        }
        (Some(Count(size)), Some(Seconds(interval))) => {
            Ok(Map::from_iter([("size".to_owned(), size.into()), ("interval_s".to_owned(), interval.into())]))
        }
    }
}

fn replay(load: &LoadConfig, scope: &Scope<'_>) -> Result<Replay, ConfigError> {
    let flag = fixed(load).unwrap_or("--fixed-schedule");
    if scope.kind == PhaseKind::Warmup {
        return scope.refuse(format!("a warm-up has no fixed schedule; leave {flag} out of it"));
    }
    if !scope.has_data {
        return scope.refuse(format!("{flag} needs data with times of its own; add --input-file"));
    }
    let start = load.fixed_schedule_start_offset;
    if load.fixed_schedule_auto_offset == Some(true) && start.is_some() {
        return scope.refuse(
            "--fixed-schedule-auto-offset and --fixed-schedule-start-offset both say where to begin; leave one out",
        );
    }
    let (start_ns, end_ns) =
        (start.map_or(0, Millis::as_ns), load.fixed_schedule_end_offset.map_or(u64::MAX, Millis::as_ns));
    if start_ns > end_ns {
        return scope
            .refuse("--fixed-schedule-start-offset is after --fixed-schedule-end-offset; give an earlier start");
    }
    let Number(speedup) = load.fixed_schedule_speedup.unwrap_or(Number(1.0));
    if !SPEEDUPS.contains(&speedup) {
        let (least, most) = (SPEEDUPS.start(), SPEEDUPS.end());
        return scope.refuse(format!("--fixed-schedule-speedup {speedup} is not a factor; give {least} to {most}"));
    }
    let zero_ns = match (start, load.fixed_schedule_auto_offset) {
        (Some(_), _) => Some(start_ns),
        (None, Some(false)) => Some(0),
        (None, _) => None,
    };
    Ok(Replay { zero_ns, start_ns, end_ns, speedup })
}

#[cfg(test)]
mod tests {
    use crate::{
        plan::{PhasePlan, Replay},
        testing::{file, plan, refused},
    };
    use serde_json::{Value, json};

    fn phase(flags: &str) -> PhasePlan {
        plan(flags).unwrap().phases.remove(0)
    }

    #[test]
    fn flags_choose_the_strategy_and_its_options() {
        for (flags, strategy, rate, options) in [
            ("", "concurrency", None, json!({})),
            ("--concurrency 4 --concurrency-ramp-duration 3s", "concurrency", None, json!({"ramp_s": 3.0})),
            ("--request-rate 5", "poisson", Some(5.0), json!({})),
            ("--request-rate 5 --request-rate-mode constant", "constant", Some(5.0), json!({})),
            ("--request-rate 5 --request-rate-ramp-duration 1m", "poisson", Some(5.0), json!({"ramp_s": 60.0})),
            ("--request-rate 5 --arrival-smoothness 2", "gamma", Some(5.0), json!({"smoothness": 2.0})),
            ("--request-rate 5 --burstiness 0.5", "gamma", Some(5.0), json!({"smoothness": 0.5})),
            (
                "--request-rate 5 --vllm-burstiness 1 --arrival-pattern gamma",
                "gamma",
                Some(5.0),
                json!({"smoothness": 1.0}),
            ),
            ("--request-rate 5 --arrival-pattern acme", "acme", Some(5.0), json!({})),
            ("--arrival-pattern acme", "acme", None, json!({})),
            ("--arrival-pattern concurrency", "concurrency", None, json!({})),
            ("--request-rate inf --request-count 9", "burst", None, json!({})),
            ("--arrival-pattern burst --request-count 9", "burst", None, json!({})),
            ("--request-rate inf --num-conversations 9", "burst", None, json!({"size": 9})),
            ("--burst-size 50 --burst-interval 500ms", "burst", None, json!({"size": 50, "interval_s": 0.5})),
            (
                "--user-centric-rate 2 --num-users 4 --session-turns-mean 3",
                "user_centric",
                Some(2.0),
                json!({"users": 4}),
            ),
            ("--input-file x --fixed-schedule", "fixed_schedule", None, json!({})),
            ("--input-file x --replay-speedup 2", "fixed_schedule", None, json!({})),
        ] {
            let phase = phase(flags);
            assert_eq!((phase.strategy.as_str(), phase.rate), (strategy, rate), "{flags}");
            assert_eq!(Value::Object(phase.strategy_options), options, "{flags}");
        }
    }

    #[test]
    fn a_series_of_rates_goes_to_the_strategy_with_its_mean_as_the_rate() {
        let series = file("series.json", "[[0, 10], [10, 30]]");
        let phase = phase(&format!("--request-rate-series {}", series.path().display()));
        assert_eq!((phase.strategy.as_str(), phase.rate), ("poisson", Some(20.0)));
        assert_eq!(phase.strategy_options["series"], json!([[0.0, 10.0], [10.0, 30.0]]));
    }

    #[test]
    fn offsets_and_speed_say_how_the_datas_times_are_followed() {
        const MS: u64 = 1_000_000;
        let replay = |flags: &str| phase(&format!("--input-file x --fixed-schedule {flags}")).replay;
        assert_eq!(replay(""), Replay::default());
        assert_eq!(replay("--fixed-schedule-auto-offset=false").zero_ns, Some(0));
        assert_eq!(
            replay("--fixed-schedule-start-offset 500 --fixed-schedule-end-offset 2s --synthesis-speedup-ratio 4"),
            Replay { zero_ns: Some(500 * MS), start_ns: 500 * MS, end_ns: 2_000 * MS, speedup: 4.0 }
        );
    }

    #[test]
    fn loads_that_contradict_themselves_are_refused_with_the_way_out() {
        refused(&[
            ("--request-rate 0", &["--request-rate 0", "above 0"]),
            ("--request-rate nan", &["--request-rate NaN"]),
            ("--user-centric-rate=-1 --num-users 2", &["--user-centric-rate -1"]),
            ("--arrival-pattern poisson", &["add --request-rate"]),
            ("--arrival-pattern fixed_schedule", &["write --fixed-schedule"]),
            ("--arrival-pattern user_centric", &["--user-centric-rate", "--num-users"]),
            ("--arrival-smoothness 2", &["--arrival-smoothness", "add --request-rate"]),
            ("--request-rate 5 --arrival-smoothness 0", &["--arrival-smoothness 0"]),
            ("--request-rate 5 --arrival-pattern poisson --burstiness 2", &["--arrival-smoothness", "poisson out"]),
            ("--request-rate 5 --arrival-pattern concurrency", &["concurrency has no rate"]),
            ("--request-rate 5 --arrival-pattern acme --request-rate-ramp-duration 3", &["acme", "choose one of"]),
            ("--request-rate-ramp-duration 3", &["--request-rate-ramp-duration", "add --request-rate"]),
            ("--request-rate 5 --request-rate-ramp-duration inf", &["--request-rate-ramp-duration inf"]),
            ("--request-rate inf --arrival-pattern constant", &["leave --arrival-pattern constant out"]),
            ("--request-rate inf --burst-size 4", &["--request-rate inf", "--burst-size", "leave one out"]),
            ("--request-rate 5 --burst-size 4", &["--request-rate 5", "--burst-size"]),
            ("--burst-size 4", &["add --burst-interval"]),
            ("--burst-interval 4", &["add --burst-size"]),
            ("--burst-size 4 --burst-interval 0", &["--burst-interval 0"]),
            ("--burst-size 4 --burst-interval 1 --arrival-pattern acme", &["leave --arrival-pattern acme out"]),
            ("--request-rate 5 --request-rate-series x", &["--request-rate-series", "--request-rate 5"]),
            (
                "--user-centric-rate 5 --num-users 2 --request-rate-series x",
                &["--user-centric-rate", "--request-rate-series"],
            ),
            ("--user-centric-rate 5", &["add --num-users"]),
            ("--num-users 5", &["add --user-centric-rate"]),
            ("--user-centric-rate 5 --num-users 2 --arrival-pattern gamma", &["gamma", "--user-centric-rate"]),
            ("--fixed-schedule", &["add --input-file"]),
            ("--input-file x --fixed-schedule --request-rate 4", &["--fixed-schedule", "--request-rate 4"]),
            ("--input-file x --fixed-schedule --no-fixed-schedule", &["--no-fixed-schedule", "leave one out"]),
            ("--input-file x --fixed-schedule-end-offset 4 --no-fixed-schedule", &["--fixed-schedule-end-offset"]),
            ("--input-file x --fixed-schedule --arrival-pattern constant", &["constant", "a fixed schedule"]),
            (
                "--input-file x --fixed-schedule --fixed-schedule-start-offset 9 --fixed-schedule-end-offset 5",
                &["--fixed-schedule-start-offset is after"],
            ),
            (
                "--input-file x --fixed-schedule-auto-offset --fixed-schedule-start-offset 9",
                &["--fixed-schedule-auto-offset", "leave one out"],
            ),
            ("--input-file x --fixed-schedule --fixed-schedule-speedup 0", &["--fixed-schedule-speedup 0"]),
            ("--input-file x --replay-speedup 1e7", &["--fixed-schedule-speedup 10000000", "to 1000000"]),
            (
                "--input-file x --replay-speedup 2 --concurrency 4",
                &["--fixed-schedule-speedup", "add --fixed-schedule,"],
            ),
            (
                "--input-file x --fixed-schedule-end-offset 4 --concurrency 4",
                &["--fixed-schedule-end-offset", "--concurrency", "add --fixed-schedule,"],
            ),
            ("--fixed-schedule-end-offset 4", &["--fixed-schedule-end-offset needs data"]),
        ]);
        let series = file("series.json", "[[0, 10], [10, 30]]");
        let with = format!("--request-rate-series {} --request-rate-ramp-duration 4", series.path().display());
        refused(&[(&with, &["--request-rate-ramp-duration", "leave one out"])]);
    }
}
