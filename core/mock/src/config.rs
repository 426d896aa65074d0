//! What the mock server is told to do: its options, their defaults and their limits.
//!
//! One definition: the doc comment of an option is its help text, and the library's defaults are the flags' own.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches as _};

use crate::MockError;
use crate::habits::{self, Habit, Habits};

/// Options of the mock server. `Default` gives what the flags give when none is typed.
#[derive(Args, Clone, Debug)]
pub struct MockConfig {
    /// Address or host name to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,

    /// Server threads; connections are dealt out to them in turn
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,

    /// Model to serve; may be given several times or parted by commas, any other model is answered with 404
    #[arg(long = "model", alias = "models", value_name = "NAME", value_delimiter = ',', default_value = "mock")]
    pub models: Vec<String>,

    /// Time from the complete request to the first token, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pub ttft_ms: f64,

    /// Time from token to token, in milliseconds; 0 sends all that is left at once
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pub itl_ms: f64,

    /// Spread of the TTFT and of every gap: the sigma of a lognormal factor with mean 1; 0 for none
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0)]
    pub jitter: f64,

    /// Tokens in each streamed content chunk; a chunk of n tokens comes n token times after the last
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub tokens_per_chunk: usize,

    /// Output length in tokens when the request names no maximum
    #[arg(long, value_name = "TOKENS", default_value_t = 64)]
    pub osl: usize,

    /// Fraction of requests answered with an HTTP error (see --error-status)
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub error_rate: f64,

    /// The status of those errors
    #[arg(long, value_name = "STATUS", default_value_t = 500)]
    pub error_status: u16,

    /// Fraction of answers cut by a TCP reset in the middle
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub reset_rate: f64,

    /// Fraction of answers that stop in the middle: streams end cleanly in HTTP but without a finish reason and
    /// DONE event, plain bodies stay short of their content-length
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub truncate_rate: f64,

    /// Fraction of answers with broken JSON: streams carry one broken data line, plain bodies end too early
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub malformed_rate: f64,

    /// Fraction of streams that send an error event inside their 200 answer, and end; videos fail
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub stream_error_rate: f64,

    /// Fraction of answers that pause in the middle (see --stall-ms), whatever else befalls them
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    pub stall_rate: f64,

    /// How long those pauses last, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000.0)]
    pub stall_ms: f64,

    /// Write answers in random pieces of at most this many bytes; 0 writes them whole
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub split: usize,

    /// Answer as some real servers do, against the usual way; may be given several times
    #[arg(long = "habit", value_name = "NAME", value_enum)]
    pub habits: Vec<Habit>,

    /// Never report usage, not even when asked
    #[arg(long)]
    pub ignore_usage: bool,

    /// Count prompts in words in place of o200k_base tokens: spares some microseconds a request, for load tests at
    /// this server's own limit
    #[arg(long)]
    pub count_words: bool,

    /// Close connections that have been idle for this many milliseconds, without notice; 0 for never
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pub idle_close_ms: f64,

    /// Close a connection after this many answers, without notice; 0 for never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_requests_per_connection: u64,

    /// Made-up GPUs, shown on /dcgm/metrics as NVIDIA's dcgm-exporter would show them; without any, that page is a 404
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpus: usize,

    /// Power that each of them draws at any time, in watts
    #[arg(long, value_name = "W", default_value_t = 100.0)]
    pub gpu_idle_watts: f64,

    /// Power that each of them draws on top of that while at least one request is being answered, in watts
    #[arg(long, value_name = "W", default_value_t = 200.0)]
    pub gpu_busy_watts: f64,

    /// Faults and jitter are drawn from this seed and the request's ordinal, so that a run can be repeated
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,

    /// Write what was really done for each request to this file, one JSON line per request
    #[arg(long, value_name = "FILE")]
    pub truth_log: Option<PathBuf>,

    /// Keep in that file also what was said: the body of each request and the text of its answer
    #[arg(long, requires = "truth_log")]
    pub truth_bodies: bool,

    /// Answer 401 to requests without this key, as a bearer token or in x-api-key, api-key or x-goog-api-key
    #[arg(long, alias = "require-key", value_name = "KEY")]
    pub api_key: Option<String>,
}

impl Default for MockConfig {
    fn default() -> Self {
        let command = Self::augment_args(Command::new("mock"));
        command
            .try_get_matches_from(["mock"])
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("every option has a default or may be left out")
    }
}

/// A day: longer pauses are a slip of the unit.
const MAX_MS: f64 = 86_400_000.0;
/// Beyond this the lognormal's mean lies outside any sample one could take.
const MAX_JITTER: f64 = 3.0;
/// More than any accelerator takes.
const MAX_WATTS: f64 = 10_000.0;
/// As many as the bus numbers that tell them apart.
const MAX_GPUS: usize = 256;
/// The longest answer, whether asked for or configured, in tokens.
pub(crate) const MAX_OUTPUT_TOKENS: usize = 1 << 20;

impl MockConfig {
    /// Refuses what cannot be served, naming the option, the value and what would do.
    pub(crate) fn check(&self) -> Result<(), MockError> {
        for (option, ms) in [
            ("--ttft-ms", self.ttft_ms),
            ("--itl-ms", self.itl_ms),
            ("--stall-ms", self.stall_ms),
            ("--idle-close-ms", self.idle_close_ms),
        ] {
            let wanted = "milliseconds from 0 to 86400000 (a day)";
            within(option, ms, MAX_MS, wanted)?;
        }
        within("--jitter", self.jitter, MAX_JITTER, "a sigma from 0 to 3")?;

        for (option, watts) in [("--gpu-idle-watts", self.gpu_idle_watts), ("--gpu-busy-watts", self.gpu_busy_watts)] {
            within(option, watts, MAX_WATTS, "watts from 0 to 10000")?;
        }

        let outcomes = [
            ("--error-rate", self.error_rate),
            ("--reset-rate", self.reset_rate),
            ("--truncate-rate", self.truncate_rate),
            ("--malformed-rate", self.malformed_rate),
            ("--stream-error-rate", self.stream_error_rate),
        ];
        for (option, rate) in outcomes.into_iter().chain([("--stall-rate", self.stall_rate)]) {
            within(option, rate, 1.0, "a fraction from 0 to 1 (0.05 for 5 %)")?;
        }
        let sum: f64 = outcomes.iter().map(|(_, rate)| rate).sum();
        // Ten rates of 0.1 add up to a hair more or less than 1.
        if sum > 1.0 + 1e-9 {
            return Err(MockError::TooManyFaults { sum });
        }

        for (option, count, most) in [
            ("--threads", self.threads, 1024),
            ("--tokens-per-chunk", self.tokens_per_chunk, 1024),
            ("--osl", self.osl, MAX_OUTPUT_TOKENS),
        ] {
            if !(1..=most).contains(&count) {
                return Err(refuse(option, &count, format!("a count from 1 to {most}")));
            }
        }
        if self.gpus > MAX_GPUS {
            return Err(refuse("--gpus", &self.gpus, format!("a count from 0 to {MAX_GPUS}")));
        }
        if !(400..=599).contains(&self.error_status) {
            return Err(refuse("--error-status", &self.error_status, "a status from 400 to 599".into()));
        }
        let habits: Habits = self.habits.iter().copied().collect();
        if let Some((one, other)) = habits.contradiction() {
            let wanted = format!("it without {}: they contradict each other", habits::name(other));
            return Err(refuse("--habit", &habits::name(one), wanted));
        }
        if self.models.is_empty() || self.models.iter().any(String::is_empty) {
            return Err(refuse("--model", &"", "at least one name, and no empty one".into()));
        }
        if let Some(twice) = (1..self.models.len()).find(|&i| self.models[..i].contains(&self.models[i])) {
            return Err(refuse("--model", &self.models[twice], "each name once".into()));
        }
        Ok(())
    }
}

fn within(option: &'static str, value: f64, most: f64, wanted: &str) -> Result<(), MockError> {
    if (0.0..=most).contains(&value) { Ok(()) } else { Err(refuse(option, &value, wanted.into())) }
}

fn refuse(option: &'static str, value: &impl ToString, wanted: String) -> MockError {
    MockError::Option { option, value: value.to_string(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted_and_inject_no_fault() {
        let config = MockConfig::default();
        config.check().unwrap();
        assert_eq!(config.models, ["mock"]);
        assert_eq!(config.osl, 64);
        assert_eq!(config.error_rate + config.reset_rate + config.stall_rate, 0.0);
    }

    #[test]
    fn values_outside_their_range_are_refused_by_name() {
        let refused = |change: fn(&mut MockConfig)| {
            let mut config = MockConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(|c| c.error_rate = 1.5).contains("--error-rate 1.5"));
        assert!(refused(|c| c.reset_rate = -0.1).contains("--reset-rate"));
        assert!(refused(|c| c.stall_rate = f64::NAN).contains("--stall-rate"));
        assert!(refused(|c| c.itl_ms = -1.0).contains("--itl-ms"));
        assert!(refused(|c| c.threads = 0).contains("--threads"));
        assert!(refused(|c| c.osl = usize::MAX).contains("--osl"));
        assert!(refused(|c| c.error_status = 200).contains("--error-status"));
        assert!(refused(|c| c.models.clear()).contains("--model"));
        assert!(refused(|c| c.models.push("mock".into())).contains("--model mock"));
        assert!(
            refused(|c| c.habits = vec![Habit::Cr, Habit::Crlf])
                .contains("--habit crlf cannot be used: give it without cr")
        );
        assert!(refused(|c| c.gpus = 257).contains("--gpus 257"));
        assert!(refused(|c| c.gpu_busy_watts = f64::INFINITY).contains("--gpu-busy-watts"));
    }

    #[test]
    fn rates_of_exclusive_faults_must_fit_into_one() {
        let mut config = MockConfig { error_rate: 0.5, reset_rate: 0.5, stall_rate: 1.0, ..MockConfig::default() };
        config.check().unwrap();
        config.truncate_rate = 0.1;
        assert!(matches!(config.check(), Err(MockError::TooManyFaults { .. })));
    }
}
