//! From the settings of a load to a [`PhasePlan`]: names, slots, and what is broken off.

use super::{limits, shape::Shape, warmup};
use crate::{
    config::{LoadConfig, RawConfig},
    error::{ConfigError, refuse},
    plan::{Cancellation, PhaseKind, PhasePlan, ServerPlan, Stop},
    values::{Count, Number, Seconds},
};

/// What a phase is a part of, for checks and messages.
pub(super) struct Scope<'a> {
    /// The phase's name, where there are others that may be meant.
    pub(super) label: Option<&'a str>,
    /// Whether it is measured.
    pub(super) kind: PhaseKind,
    /// Whether it is the warm-up of the `--warmup-…` flags.
    pub(super) is_of_warmup_flags: bool,
    /// Whether the data may have times of its own.
    pub(super) has_data: bool,
    /// Whether the data comes from a file.
    pub(super) has_file: bool,
    /// What the file once is, in words.
    pub(super) whole_file: String,
    /// Turns of a made-up session; absent: the data says.
    pub(super) turns: Option<f64>,
    /// Whether answers are streamed.
    pub(super) is_streaming: bool,
    /// Whether the data's times are passed over.
    pub(super) ignores_times: bool,
}

impl<'a> Scope<'a> {
    /// That of a phase of `kind`.
    pub(super) fn new(config: &RawConfig, server: &ServerPlan, kind: PhaseKind, label: Option<&'a str>) -> Self {
        let has_file = config.data.input_file.is_some();
        let has_data = has_file || config.data.custom_dataset_type.as_ref().is_some_and(|kind| kind != "synthetic");
        Self {
            label,
            kind,
            is_of_warmup_flags: false,
            has_data,
            has_file,
            whole_file: whole_file(config),
            turns: (!has_data).then(|| config.synthetic.session_turns_mean.map_or(1.0, |turns| turns.0)),
            is_streaming: server.streaming,
            ignores_times: config.trace.ignore_trace_delays.unwrap_or_default(),
        }
    }

    /// How the setting `name` is written as a flag.
    pub(super) fn flag(&self, name: &str) -> String {
        match name {
            _ if !self.is_of_warmup_flags => format!("--{name}"),
            "num-conversations" => "--num-warmup-sessions".to_owned(),
            name => format!("--warmup-{}", name.strip_prefix("benchmark-").unwrap_or(name)),
        }
    }

    /// An error of this phase.
    pub(super) fn refuse<T>(&self, text: impl Into<String>) -> Result<T, ConfigError> {
        match self.label {
            Some(label) => refuse(format!("phase '{label}': {}", text.into())),
            None => refuse(text),
        }
    }

    /// A time in which something grows.
    pub(super) fn ramp(&self, name: &str, ramp: Seconds) -> Result<Seconds, ConfigError> {
        if ramp.0.is_finite() {
            return Ok(ramp);
        }
        self.refuse(format!("{} {} would never end; give a time", self.flag(name), ramp.0))
    }
}

/// What is sent where a file is used once, in words: a pool is drawn from, as often as was said or a hundred times.
fn whole_file(config: &RawConfig) -> String {
    match config.data.custom_dataset_type.as_deref() {
        Some("random_pool") => {
            let sessions = config.data.num_dataset_entries.map_or(super::data::DEFAULT_POOL, |count| count.0);
            format!("{sessions} sessions drawn from the pools")
        }
        _ => "the file once".to_owned(),
    }
}

/// All phases, in order.
pub(super) fn phases(
    config: &RawConfig,
    server: &ServerPlan,
    notes: &mut Vec<String>,
) -> Result<Vec<PhasePlan>, ConfigError> {
    let mut phases = Vec::new();
    if config.phase.is_empty() {
        let scope = Scope::new(config, server, PhaseKind::Profiling, None);
        phases.push(phase("profiling", &config.load, &scope, notes)?);
    } else {
        for (name, settings) in names(config)?.iter().zip(&config.phase) {
            let scope = Scope::new(config, server, settings.kind, Some(name));
            phases.push(phase(name, &settings.load, &scope, notes)?);
        }
    }
    if let Some(warmup) = warmup::warmup(config, server, &phases, notes)? {
        phases.insert(0, warmup);
    }
    Ok(phases)
}

/// The phases' names: those given, and one for each of the others.
fn names(config: &RawConfig) -> Result<Vec<String>, ConfigError> {
    if config.phase.iter().all(|phase| phase.kind == PhaseKind::Warmup) {
        return refuse("all phases are warm-ups, so nothing is measured; add a phase of kind \"profiling\"");
    }
    if config.phase.last().is_some_and(|phase| phase.kind == PhaseKind::Warmup) {
        return refuse("the last phase is a warm-up with nothing to warm up for; put it before another");
    }
    let mut names: Vec<String> = Vec::new();
    let given = |name: &String| config.phase.iter().any(|phase| phase.name.as_ref() == Some(name));
    for phase in &config.phase {
        let name = match &phase.name {
            Some(name) if name.trim().is_empty() => {
                return refuse("a phase has an empty name; leave it out, or fill it");
            }
            Some(name) if names.contains(name) => {
                return refuse(format!("two phases are called '{name}'; give each a name of its own"));
            }
            Some(name) => name.clone(),
            None => {
                let kind = phase.kind.as_str();
                let mut made_up = (1_u64..).map(|n| if n == 1 { kind.to_owned() } else { format!("{kind}-{n}") });
                made_up.find(|name| !names.contains(name) && !given(name)).unwrap_or_default()
            }
        };
        names.push(name);
    }
    Ok(names)
}

/// The phase that `load` says.
pub(super) fn phase(
    name: &str,
    load: &LoadConfig,
    scope: &Scope<'_>,
    notes: &mut Vec<String>,
) -> Result<PhasePlan, ConfigError> {
    for (setting, count) in [
        ("concurrency", load.concurrency),
        ("prefill-concurrency", load.prefill_concurrency),
        ("request-count", load.request_count),
        ("num-conversations", load.num_conversations),
        ("num-users", load.num_users),
        ("burst-size", load.burst_size),
    ] {
        if count == Some(Count(0)) {
            let flag = scope.flag(setting);
            return scope.refuse(format!("{flag} 0 asks for nothing; give at least 1, or leave it out"));
        }
    }
    let shape = Shape::of(load, scope)?;
    let stop = Stop::default();
    let concurrency = load.concurrency.map(|count| count.0).or(shape.is_closed_loop().then_some(1));
    let mut phase = PhasePlan {
        strategy_options: shape.options.clone(),
        is_open_to_times: is_open_to_times(load, scope),
        concurrency,
        rate: shape.rate,
        replay: shape.replay,
        cancellation: cancellation(load, scope)?,
        ..PhasePlan::new(name, scope.kind, &shape.strategy, stop)
    };
    slots(&mut phase, load, scope)?;
    phase.stop = limits::stop(&phase, load, &shape, scope, notes)?;
    if let (true, None, Some(sessions)) = (shape.is_one_burst(), phase.stop.requests, phase.stop.sessions) {
        // A burst is of so many arrivals, and each begins a session.
        phase.strategy_options.insert("size".to_owned(), sessions.into());
    }
    if let Some(users) = shape.users() {
        limits::check_users(users, &phase.stop, scope)?;
    }
    Ok(phase)
}

/// Whether nothing was typed of when to send.
fn is_open_to_times(load: &LoadConfig, scope: &Scope<'_>) -> bool {
    let is_shaped = load.concurrency.is_some()
        || load.request_rate.is_some()
        || load.arrival_pattern.is_some()
        || load.arrival_smoothness.is_some()
        || load.request_rate_series.is_some()
        || load.user_centric_rate.is_some()
        || load.burst_size.is_some()
        || load.fixed_schedule.is_some()
        || load.fixed_schedule_auto_offset.is_some()
        || load.fixed_schedule_start_offset.is_some()
        || load.fixed_schedule_end_offset.is_some()
        || load.fixed_schedule_speedup.is_some()
        || load.no_fixed_schedule.is_some();
    scope.has_file && scope.kind == PhaseKind::Profiling && !scope.ignores_times && !is_shaped
}

/// Fills in what slots are held for, how they grow, and what becomes of arrivals that find none.
fn slots(phase: &mut PhasePlan, load: &LoadConfig, scope: &Scope<'_>) -> Result<(), ConfigError> {
    let concurrency = scope.flag("concurrency");
    if phase.concurrency.is_none() && load.concurrency_unit.is_some() {
        return scope
            .refuse(format!("--concurrency-unit says what a slot is held for, and there are none; add {concurrency}"));
    }
    phase.concurrency_unit = load.concurrency_unit.unwrap_or_default();
    if let Some(on_overload) = load.on_overload {
        if !phase.is_open_loop() || phase.concurrency.is_none() {
            return scope.refuse(format!(
                "--on-overload is for arrivals at a rate that find no slot; add {} and {concurrency}, or leave it out",
                scope.flag("request-rate")
            ));
        }
        phase.on_overload = on_overload;
    }
    if let Some(ramp) = load.concurrency_ramp_duration {
        if load.concurrency.is_none() {
            let flag = scope.flag("concurrency-ramp-duration");
            return scope.refuse(format!("{flag} needs slots that can grow; add {concurrency}"));
        }
        phase.concurrency_ramp_ns = scope.ramp("concurrency-ramp-duration", ramp)?.as_ns();
    }
    let flag = scope.flag("prefill-concurrency");
    phase.prefill_concurrency = load.prefill_concurrency.map(|count| count.0);
    if let Some(prefill) = phase.prefill_concurrency {
        if !scope.is_streaming {
            return scope.refuse(format!("{flag} needs answers whose first token is seen; add --streaming"));
        }
        if let Some(slots) = phase.concurrency
            && prefill > slots
        {
            return scope.refuse(format!(
                "{flag} {prefill} is more than the {slots} that may be in flight; lower it, or raise {concurrency}"
            ));
        }
    }
    if let Some(ramp) = load.prefill_concurrency_ramp_duration {
        let name = "prefill-concurrency-ramp-duration";
        if phase.prefill_concurrency.is_none() {
            return scope.refuse(format!("{} needs slots that can grow; add {flag}", scope.flag(name)));
        }
        phase.prefill_ramp_ns = scope.ramp(name, ramp)?.as_ns();
    }
    Ok(())
}

fn cancellation(load: &LoadConfig, scope: &Scope<'_>) -> Result<Option<Cancellation>, ConfigError> {
    let Some(Number(percent)) = load.request_cancellation_rate else {
        return match load.request_cancellation_delay {
            Some(_) => scope.refuse("--request-cancellation-delay needs a share; add --request-cancellation-rate"),
            None => Ok(None),
        };
    };
    if scope.kind == PhaseKind::Warmup {
        return scope.refuse("a warm-up breaks no request off; leave --request-cancellation-rate out of it");
    }
    if !(0.0..=100.0).contains(&percent) {
        return scope.refuse(format!("--request-cancellation-rate {percent} is not a percentage; give 0 to 100"));
    }
    let delay = load.request_cancellation_delay.unwrap_or(Seconds(0.0));
    if !delay.0.is_finite() {
        return scope.refuse("--request-cancellation-delay inf would break nothing off; give a time");
    }
    Ok((percent > 0.0).then(|| Cancellation { share: percent / 100.0, delay_ns: delay.as_ns() }))
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{ConcurrencyUnit, OnOverload},
        plan::{Cancellation, PhasePlan},
        testing::{plan, refused},
    };

    const SECOND: u64 = 1_000_000_000;

    fn phase(flags: &str) -> PhasePlan {
        plan(flags).unwrap().phases.remove(0)
    }

    #[test]
    fn slots_are_of_sessions_unless_said_otherwise() {
        assert_eq!(phase("").concurrency, Some(1));
        assert_eq!(phase("--request-rate 5").concurrency, None);
        assert_eq!(phase("--max-concurrency 4").concurrency_unit, ConcurrencyUnit::Sessions);
        assert_eq!(phase("--concurrency 4 --concurrency-unit requests").concurrency_unit, ConcurrencyUnit::Requests);
    }

    #[test]
    fn arrivals_of_a_clock_may_be_dropped_where_slots_are_limited() {
        let overload = |flags: &str| phase(flags).on_overload;
        assert_eq!(overload("--request-rate 5 --concurrency 4"), OnOverload::Queue);
        assert_eq!(overload("--request-rate 5 --concurrency 4 --on-overload drop"), OnOverload::Drop);
        assert_eq!(overload("--burst-size 5 --burst-interval 1 --concurrency 4 --on-overload drop"), OnOverload::Drop);
    }

    #[test]
    fn slots_grow_in_the_time_given() {
        let phase = phase(
            "--streaming --concurrency 8 --concurrency-ramp-duration 2 --prefill-concurrency 3 \
             --prefill-concurrency-ramp-duration 500ms",
        );
        assert_eq!((phase.concurrency_ramp_ns, phase.prefill_ramp_ns), (2 * SECOND, SECOND / 2));
        assert_eq!(phase.prefill_concurrency, Some(3));
    }

    #[test]
    fn a_share_of_the_requests_is_broken_off() {
        let cancellation = |flags: &str| phase(flags).cancellation;
        assert_eq!(
            cancellation("--request-cancellation-rate 25 --request-cancellation-delay 0.5"),
            Some(Cancellation { share: 0.25, delay_ns: SECOND / 2 })
        );
        assert_eq!(cancellation("--request-cancellation-rate 5").unwrap().delay_ns, 0);
        assert_eq!(cancellation("--request-cancellation-rate 0"), None);
    }

    #[test]
    fn only_a_load_of_which_nothing_was_said_is_open_to_the_datas_times() {
        for (flags, is_open) in [
            ("--input-file x", true),
            ("--input-file x --request-count 5", true),
            ("--input-file x --streaming --prefill-concurrency 1", true),
            ("", false),
            ("--input-file x --concurrency 1", false),
            ("--input-file x --request-rate 5", false),
            ("--input-file x --arrival-pattern acme", false),
            ("--input-file x --burst-size 5 --burst-interval 5", false),
            ("--input-file x --user-centric-rate 5 --num-users 5", false),
            ("--input-file x --no-fixed-schedule", false),
            ("--input-file x --fixed-schedule", false),
            ("--input-file x --ignore-trace-delays", false),
        ] {
            assert_eq!(phase(flags).is_open_to_times, is_open, "{flags}");
        }
    }

    #[test]
    fn limits_and_slots_that_cannot_be_are_refused_with_the_way_out() {
        refused(&[
            ("--concurrency 0", &["--concurrency 0", "at least 1"]),
            ("--num-conversations 0", &["--num-conversations 0"]),
            ("--request-count 0", &["--request-count 0"]),
            ("--request-rate 5 --concurrency-unit requests", &["--concurrency-unit", "add --concurrency"]),
            ("--on-overload drop --concurrency 4", &["--on-overload", "--request-rate"]),
            ("--on-overload queue --request-rate 4", &["--on-overload", "--concurrency"]),
            ("--concurrency-ramp-duration 4", &["add --concurrency"]),
            ("--concurrency 4 --concurrency-ramp-duration inf", &["--concurrency-ramp-duration inf"]),
            ("--concurrency 4 --prefill-concurrency 2", &["add --streaming"]),
            (
                "--streaming --concurrency 4 --prefill-concurrency 5",
                &["--prefill-concurrency 5", "raise --concurrency"],
            ),
            ("--streaming --prefill-concurrency-ramp-duration 5", &["add --prefill-concurrency"]),
            ("--request-cancellation-delay 5", &["add --request-cancellation-rate"]),
            ("--request-cancellation-rate 101", &["--request-cancellation-rate 101", "0 to 100"]),
            ("--request-cancellation-rate 1 --request-cancellation-delay inf", &["--request-cancellation-delay inf"]),
        ]);
    }
}
