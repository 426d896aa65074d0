//! [`Report`]: all that is said of a trace.

use crate::{Arrivals, Conversations, Lengths, Prefix, Trace, arrivals::seconds, schedule::Schedule};
use serde::Serialize;

/// All that is said of a trace. What its data do not tell is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Number of sessions.
    pub sessions: u64,
    /// Number of requests: the turns of all sessions.
    pub requests: u64,
    /// Seconds from the first request to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_s: Option<f64>,
    /// How requests come; absent without times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// Tokens of the prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Lengths>,
    /// Tokens of the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Lengths>,
    /// Mean input tokens over mean output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_output_ratio: Option<f64>,
    /// Mean rate times mean input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_input_tokens_per_s: Option<f64>,
    /// Mean rate times mean output tokens: what a server has to keep up with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_output_tokens_per_s: Option<f64>,
    /// How much of the prompts a server has seen before; absent where the data set does not name blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// Sessions of several turns; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversations: Option<Conversations>,
}

/// Makes the report of a trace. Hits are those of a cache of `cache_blocks` blocks, or of an unlimited one.
pub fn analyze(trace: &Trace, cache_blocks: Option<u64>) -> Report {
    let schedule = Schedule::of(trace);
    let span_ns = schedule.times_ns().next().zip(schedule.times_ns().last()).map(|(first, last)| last - first);
    let arrivals = Arrivals::of(&schedule);
    let input_tokens = Lengths::of(trace.turns().iter().filter_map(|turn| turn.input()));
    let output_tokens = Lengths::of(trace.turns().iter().filter_map(|turn| turn.output()));
    let mean = |lengths: &Option<Lengths>| lengths.as_ref().map(|lengths| lengths.spread.mean);
    let (input, output) = (mean(&input_tokens), mean(&output_tokens));
    let rate = arrivals.as_ref().map(|arrivals| arrivals.mean_rate);
    let offered = |tokens: Option<f64>| rate.zip(tokens).map(|(rate, tokens)| rate * tokens);
    let (prefix, found) = Prefix::of(trace, &schedule, cache_blocks).unzip();
    Report {
        sessions: trace.sessions() as u64,
        requests: trace.requests() as u64,
        span_s: span_ns.map(seconds),
        arrivals,
        input_output_ratio: input.zip(output).filter(|(_, output)| *output > 0.0).map(|(input, output)| input / output),
        offered_input_tokens_per_s: offered(input),
        offered_output_tokens_per_s: offered(output),
        input_tokens,
        output_tokens,
        prefix,
        conversations: Conversations::of(trace, &found.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::{trace, turn};
    use inferometer_abi::types::{NO_COUNT, TurnTime};

    #[test]
    fn what_is_not_in_the_data_is_absent() {
        let mut bare = Trace::default();
        bare.begin_session();
        turn(&mut bare, TurnTime::NONE, NO_COUNT, NO_COUNT, &[]);
        let report = serde_json::to_string(&analyze(&bare, None)).unwrap();
        assert_eq!(report, r#"{"sessions":1,"requests":1}"#);
    }

    #[test]
    fn tokens_a_second_are_the_rate_times_their_mean() {
        let report = analyze(&trace(&[(0, 100, 10, &[]), (500, 200, 30, &[]), (1000, 300, 20, &[])]), None);
        assert_eq!((report.span_s, report.input_output_ratio), (Some(1.0), Some(10.0)));
        assert_eq!(report.offered_input_tokens_per_s, Some(400.0));
        assert_eq!(report.offered_output_tokens_per_s, Some(40.0));
    }

    #[test]
    fn a_report_has_its_units_in_its_names_and_an_order_that_stays() {
        let report =
            serde_json::to_string(&analyze(&trace(&[(0, 10, 1, &[1]), (1000, 10, 1, &[1])]), Some(7))).unwrap();
        let names =
            ["sessions", "span_s", "mean_rate_per_s", "gaps_s", "input_tokens", "cache_blocks", "reuse_distance_s"];
        let places: Vec<_> = names.map(|name| report.find(&format!("\"{name}\"")).expect(name)).into();
        assert!(places.is_sorted(), "{report}");
    }
}
