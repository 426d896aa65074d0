//! How truly a client says when tokens came, in two ways: by its stamps, which are the kernel's in the program's figures,
//! and as a plain read would have it, later by as long as what came had waited to be read. The arrival error is of
//! receiving alone; TTFT holds sending and the server's own delays as well. Where a wait is not known, nor is the plain
//! figure.

use crate::bench::records::{Seen, Truth, ms};
use crate::bench::stats;
use crate::bench::trial::Trial;

fn plain_ttft_ms(seen: &Seen) -> Option<f64> {
    Some(seen.ttft_ms? + seen.first_lag_ms?)
}

/// How much later than the truth a plain read says that the first token came, in milliseconds.
fn plain_ttft_error_ms((seen, truth): &(Seen, Truth)) -> Option<f64> {
    Some(plain_ttft_ms(seen)? - truth.ttft_ms()?)
}

/// How far a plain read is off in a request's ITL, either way, in percent.
fn plain_itl_error_pct((seen, truth): &(Seen, Truth)) -> Option<f64> {
    let later_ms = seen.last_lag_ms? - seen.first_lag_ms?;
    let true_ms = truth.itl_ms()?;
    // There are two tokens at least, or there were no ITL.
    let itl_ms = seen.itl_ms? + later_ms / (truth.tokens - 1) as f64;
    Some((itl_ms / true_ms - 1.0).abs() * 100.0)
}

/// How long after the server wrote the first token the client says it came, in milliseconds.
fn arrival_error_ms((seen, truth): &(Seen, Truth)) -> Option<f64> {
    Some(ms(truth.first_ns?, seen.first_ns?))
}

/// The same by a plain read.
fn plain_arrival_error_ms(pair: &(Seen, Truth)) -> Option<f64> {
    Some(arrival_error_ms(pair)? + pair.0.first_lag_ms?)
}

/// A quantile over the requests of a trial of which it is known.
fn quantile(trial: &Trial, of: fn(&(Seen, Truth)) -> Option<f64>, q: f64) -> Option<f64> {
    stats::quantile(&trial.joined.iter().filter_map(of).collect::<Vec<_>>(), q)
}

pub(super) fn plain_ttft_error_p50(trial: &Trial) -> Option<f64> {
    quantile(trial, plain_ttft_error_ms, 0.5)
}

pub(super) fn plain_ttft_error_p99(trial: &Trial) -> Option<f64> {
    quantile(trial, plain_ttft_error_ms, 0.99)
}

pub(super) fn plain_itl_error_p99(trial: &Trial) -> Option<f64> {
    quantile(trial, plain_itl_error_pct, 0.99)
}

pub(super) fn arrival_error_p50(trial: &Trial) -> Option<f64> {
    quantile(trial, arrival_error_ms, 0.5)
}

pub(super) fn arrival_error_p99(trial: &Trial) -> Option<f64> {
    quantile(trial, arrival_error_ms, 0.99)
}

pub(super) fn plain_arrival_error_p50(trial: &Trial) -> Option<f64> {
    quantile(trial, plain_arrival_error_ms, 0.5)
}

pub(super) fn plain_arrival_error_p99(trial: &Trial) -> Option<f64> {
    quantile(trial, plain_arrival_error_ms, 0.99)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five tokens 10 ms apart, the first 50 ms after the request; seen 0.25 ms late by the stamps, and read later still.
    fn pair() -> (Seen, Truth) {
        let truth = serde_json::json!({
            "path": "/v1/chat/completions", "outcome": "ok", "tokens": 5,
            "received_ns": 1_000_000, "first_ns": 51_000_000, "last_ns": 91_000_000, "ended_ns": 92_000_000,
        });
        let seen = Seen {
            first_ns: Some(51_250_000),
            ttft_ms: Some(50.5),
            itl_ms: Some(10.0),
            first_lag_ms: Some(0.75),
            last_lag_ms: Some(2.75),
            ..Seen::default()
        };
        (seen, serde_json::from_value(truth).unwrap())
    }

    #[test]
    fn a_plain_read_says_that_tokens_came_when_they_were_read() {
        let pair = pair();
        assert_eq!(plain_ttft_error_ms(&pair), Some(1.25));
        assert_eq!((arrival_error_ms(&pair), plain_arrival_error_ms(&pair)), (Some(0.25), Some(1.0)));
    }

    #[test]
    fn the_difference_of_the_waits_is_spread_over_the_gaps_between_tokens() {
        let (mut seen, truth) = pair();
        // 2 ms more over 4 gaps of 10 ms.
        let near = |error: Option<f64>| (error.unwrap() - 5.0).abs() < 1e-9;
        assert!(near(plain_itl_error_pct(&(seen.clone(), truth.clone()))));
        (seen.first_lag_ms, seen.last_lag_ms) = (Some(2.0), Some(0.0));
        assert!(near(plain_itl_error_pct(&(seen, truth))));
    }

    #[test]
    fn what_waited_for_an_unknown_time_has_no_plain_figure() {
        let (mut seen, truth) = pair();
        seen.last_lag_ms = None;
        let pair = (seen.clone(), truth.clone());
        assert_eq!((plain_itl_error_pct(&pair), plain_ttft_error_ms(&pair)), (None, Some(1.25)));
        seen.first_lag_ms = None;
        let pair = (seen, truth);
        assert_eq!((plain_ttft_error_ms(&pair), plain_arrival_error_ms(&pair)), (None, None));
        assert_eq!(arrival_error_ms(&pair), Some(0.25));
    }

    #[test]
    fn a_single_token_has_no_inter_token_latency_to_be_off_in() {
        let (seen, mut truth) = pair();
        truth.tokens = 1;
        assert_eq!(plain_itl_error_pct(&(seen, truth)), None);
    }
}
