//! The warm-up of the `--warmup-…` flags: the load it is for, with its own end and what they change.

use super::phases::{Scope, phase};
use crate::{
    config::{LoadConfig, RawConfig, WarmupConfig},
    error::{ConfigError, refuse},
    plan::{PhaseKind, PhasePlan, ServerPlan},
    values::Count,
};

/// The warm-up before `phases`, if flags ask for one.
pub(super) fn warmup(
    config: &RawConfig,
    server: &ServerPlan,
    phases: &[PhasePlan],
    notes: &mut Vec<String>,
) -> Result<Option<PhasePlan>, ConfigError> {
    let settings = &config.warmup;
    if let Some(flag) = typed(settings)
        && phases.iter().any(|phase| phase.kind == PhaseKind::Warmup)
    {
        return refuse(format!(
            "{flag} adds a warm-up and the file has a phase of kind \"warmup\"; leave one of them out"
        ));
    }
    if settings.warmup_request_count.or(settings.num_warmup_sessions).is_none() && settings.warmup_duration.is_none() {
        return match typed(settings) {
            Some(flag) => refuse(format!(
                "{flag} is of a warm-up, and none is asked for; add --warmup-request-count, --num-warmup-sessions or \
                 --warmup-duration"
            )),
            None => Ok(None),
        };
    }
    // Of a file's phases, the first is what the warm-up is for.
    let of = config.phase.first().map_or(&config.load, |first| &first.load);
    let mut scope = Scope::new(config, server, PhaseKind::Warmup, None);
    scope.is_of_warmup_flags = true;
    let name = (1_u64..)
        .map(|n| if n == 1 { "warmup".to_owned() } else { format!("warmup-{n}") })
        .find(|name| phases.iter().all(|phase| phase.name != *name))
        .unwrap_or_default();
    phase(&name, &load(of, settings), &scope, notes).map(Some)
}

/// The first setting of a warm-up that was typed: those that ask for one come last.
fn typed(settings: &WarmupConfig) -> Option<&'static str> {
    let WarmupConfig {
        warmup_request_count,
        warmup_duration,
        num_warmup_sessions,
        warmup_concurrency,
        warmup_prefill_concurrency,
        warmup_request_rate,
        warmup_arrival_pattern,
        warmup_concurrency_ramp_duration,
        warmup_prefill_concurrency_ramp_duration,
        warmup_request_rate_ramp_duration,
        warmup_grace_period,
    } = settings;
    [
        ("--warmup-concurrency", warmup_concurrency.is_some()),
        ("--warmup-prefill-concurrency", warmup_prefill_concurrency.is_some()),
        ("--warmup-request-rate", warmup_request_rate.is_some()),
        ("--warmup-arrival-pattern", warmup_arrival_pattern.is_some()),
        ("--warmup-concurrency-ramp-duration", warmup_concurrency_ramp_duration.is_some()),
        ("--warmup-prefill-concurrency-ramp-duration", warmup_prefill_concurrency_ramp_duration.is_some()),
        ("--warmup-request-rate-ramp-duration", warmup_request_rate_ramp_duration.is_some()),
        ("--warmup-grace-period", warmup_grace_period.is_some()),
        ("--warmup-request-count", warmup_request_count.is_some()),
        ("--warmup-duration", warmup_duration.is_some()),
        ("--num-warmup-sessions", num_warmup_sessions.is_some()),
    ]
    .into_iter()
    .find_map(|(flag, is_typed)| is_typed.then_some(flag))
}

/// The load of the warm-up before `load`.
fn load(load: &LoadConfig, settings: &WarmupConfig) -> LoadConfig {
    let mut warm = LoadConfig {
        // Each has its own end, and a warm-up breaks nothing off.
        request_count: settings.warmup_request_count,
        num_conversations: settings.num_warmup_sessions,
        benchmark_duration: settings.warmup_duration,
        benchmark_grace_period: settings.warmup_grace_period,
        request_cancellation_rate: None,
        request_cancellation_delay: None,
        // Users and the data's own times are for what is measured.
        user_centric_rate: None,
        num_users: None,
        fixed_schedule: None,
        fixed_schedule_auto_offset: None,
        fixed_schedule_start_offset: None,
        fixed_schedule_end_offset: None,
        fixed_schedule_speedup: None,
        ..load.clone()
    };
    if settings.warmup_request_rate.is_some() {
        warm.request_rate = settings.warmup_request_rate;
        warm.request_rate_series = None;
        (warm.burst_size, warm.burst_interval) = (None, None);
        warm.arrival_pattern = warm.arrival_pattern.filter(|pattern| pattern != "burst" && pattern != "concurrency");
    }
    if let Some(pattern) = &settings.warmup_arrival_pattern {
        warm.arrival_smoothness = warm.arrival_smoothness.filter(|_| pattern == "gamma");
        if pattern != "burst" {
            (warm.burst_size, warm.burst_interval) = (None, None);
        }
        warm.arrival_pattern = Some(pattern.clone());
    }
    warm.concurrency = settings.warmup_concurrency.or(warm.concurrency);
    if let (Some(Count(slots)), Some(Count(prefill))) = (warm.concurrency, warm.prefill_concurrency) {
        warm.prefill_concurrency = Some(Count(prefill.min(slots)));
    }
    warm.prefill_concurrency = settings.warmup_prefill_concurrency.or(warm.prefill_concurrency);
    warm.concurrency_ramp_duration = settings.warmup_concurrency_ramp_duration.or(warm.concurrency_ramp_duration);
    warm.prefill_concurrency_ramp_duration =
        settings.warmup_prefill_concurrency_ramp_duration.or(warm.prefill_concurrency_ramp_duration);
    warm.request_rate_ramp_duration = settings.warmup_request_rate_ramp_duration.or(warm.request_rate_ramp_duration);
    let has_bursts = warm.burst_size.is_some() || warm.arrival_pattern.as_deref() == Some("burst");
    let has_clock = warm.request_rate.is_some() || warm.request_rate_series.is_some() || has_bursts;
    if !has_clock {
        // The load that it is for has its arrivals from what the warm-up does not have.
        warm.on_overload = None;
    }
    warm
}

#[cfg(test)]
mod tests {
    use crate::{
        plan::{PhaseKind, PhasePlan, Stop},
        testing::{file, plan, refused},
    };

    const SECOND: u64 = 1_000_000_000;

    fn warmup(flags: &str) -> PhasePlan {
        let mut phases = plan(flags).unwrap().phases;
        assert_eq!(
            phases.iter().map(|phase| phase.kind).collect::<Vec<_>>(),
            [PhaseKind::Warmup, PhaseKind::Profiling]
        );
        phases.remove(0)
    }

    #[test]
    fn each_trigger_adds_a_warmup_in_front_with_its_own_end_and_endless_grace() {
        let grace_ns = u64::MAX;
        for flag in ["--warmup-request-count", "--num-warmup-requests", "--num-warmups"] {
            let stop = warmup(&format!("{flag} 3 --request-count 8")).stop;
            assert_eq!(stop, Stop { requests: Some(3), grace_ns, ..Stop::default() });
        }
        let sessions = warmup("--num-warmup-sessions 3 --benchmark-duration 8").stop;
        assert_eq!(sessions, Stop { sessions: Some(3), grace_ns, ..Stop::default() });
        let duration = warmup("--warmup-duration 3 --num-conversations 8").stop;
        assert_eq!(duration, Stop { duration_ns: Some(3 * SECOND), grace_ns, ..Stop::default() });
        let grace = warmup("--warmup-duration 3 --warmup-grace-period 1").stop;
        assert_eq!(grace.grace_ns, SECOND);
    }

    #[test]
    fn it_has_the_loads_settings_but_for_its_own() {
        let flags = "--warmup-duration 1 --streaming --concurrency 8 --prefill-concurrency 4 --request-rate 50 \
                     --request-rate-ramp-duration 2 --arrival-smoothness 2 --request-cancellation-rate 5 --on-overload drop";
        let mut phases = plan(flags).unwrap().phases;
        let profiling = phases.remove(1);
        let inherited = phases.remove(0);
        let same = |phase: &PhasePlan| {
            let PhasePlan { strategy, strategy_options, concurrency, prefill_concurrency, rate, on_overload, .. } =
                phase;
            format!("{strategy} {strategy_options:?} {concurrency:?} {prefill_concurrency:?} {rate:?} {on_overload:?}")
        };
        assert_eq!(same(&inherited), same(&profiling));
        assert_eq!((inherited.cancellation, profiling.cancellation.is_some()), (None, true));

        let own = warmup(&format!(
            "{flags} --warmup-concurrency 2 --warmup-request-rate 5 --warmup-arrival-pattern constant \
             --warmup-request-rate-ramp-duration 4 --warmup-concurrency-ramp-duration 3 --warmup-prefill-concurrency 1 \
             --warmup-prefill-concurrency-ramp-duration 6"
        ));
        assert_eq!((own.strategy.as_str(), own.rate, own.concurrency), ("constant", Some(5.0), Some(2)));
        assert_eq!(serde_json::to_value(&own.strategy_options).unwrap(), serde_json::json!({"ramp_s": 4.0}));
        assert_eq!((own.prefill_concurrency, own.concurrency_ramp_ns), (Some(1), 3 * SECOND));
        assert_eq!(own.prefill_ramp_ns, 6 * SECOND);
    }

    #[test]
    fn an_inherited_prefill_limit_stays_within_the_slots() {
        let flags =
            "--warmup-request-count 1 --streaming --concurrency 8 --prefill-concurrency 4 --warmup-concurrency 2";
        assert_eq!(warmup(flags).prefill_concurrency, Some(2));
    }

    #[test]
    fn it_is_never_of_users_or_of_the_datas_own_times() {
        for flags in [
            "--input-file x --fixed-schedule --fixed-schedule-speedup 2 --concurrency 8",
            "--user-centric-rate 5 --num-users 5 --session-turns-mean 2 --concurrency 8",
            "--input-file x --fixed-schedule --concurrency 8 --on-overload drop",
        ] {
            let phase = warmup(&format!("--warmup-request-count 1 {flags}"));
            assert_eq!(
                (phase.strategy.as_str(), phase.rate, phase.concurrency),
                ("concurrency", None, Some(8)),
                "{flags}"
            );
        }
        assert!(!warmup("--warmup-request-count 1 --input-file x").is_open_to_times);
    }

    #[test]
    fn a_rate_of_its_own_takes_the_place_of_a_series_and_of_bursts() {
        let series = file("series.json", "[[0, 10], [10, 30]]");
        for flags in [
            format!("--request-rate-series {}", series.path().display()),
            "--burst-size 4 --burst-interval 1".to_owned(),
            "--arrival-pattern burst --request-count 4".to_owned(),
            "--request-rate inf --request-count 4".to_owned(),
        ] {
            let phase = warmup(&format!("--warmup-request-count 4 --warmup-request-rate 7 {flags}"));
            assert_eq!((phase.strategy.as_str(), phase.rate), ("poisson", Some(7.0)), "{flags}");
            assert!(phase.strategy_options.is_empty(), "{flags}");
        }
    }

    #[test]
    fn settings_of_a_warmup_that_is_not_asked_for_are_refused() {
        for flag in [
            "--warmup-concurrency 4",
            "--warmup-prefill-concurrency 4",
            "--warmup-request-rate 4",
            "--warmup-arrival-pattern constant",
            "--warmup-concurrency-ramp-duration 4",
            "--warmup-prefill-concurrency-ramp-duration 4",
            "--warmup-request-rate-ramp-duration 4",
            "--warmup-grace-period 4",
        ] {
            let name = flag.split(' ').next().unwrap();
            refused(&[(flag, &[name, "add --warmup-request-count, --num-warmup-sessions or --warmup-duration"])]);
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_named_by_its_own_flags() {
        refused(&[
            ("--warmup-request-count 0", &["--warmup-request-count 0"]),
            ("--num-warmup-sessions 0", &["--num-warmup-sessions 0"]),
            ("--warmup-duration 0", &["--warmup-duration 0"]),
            ("--warmup-request-count 4 --warmup-grace-period 4", &["--warmup-grace-period", "add --warmup-duration"]),
            ("--warmup-request-count 4 --warmup-concurrency 0", &["--warmup-concurrency 0"]),
            ("--warmup-request-count 4 --warmup-request-rate 0", &["--warmup-request-rate 0"]),
            ("--warmup-request-count 4 --warmup-arrival-pattern gamma", &["add --warmup-request-rate"]),
            ("--warmup-request-count 4 --warmup-request-rate-ramp-duration 4", &["add --warmup-request-rate"]),
            (
                "--streaming --warmup-request-count 4 --warmup-prefill-concurrency 4",
                &["--warmup-prefill-concurrency 4", "raise --warmup-concurrency"],
            ),
        ]);
    }
}
