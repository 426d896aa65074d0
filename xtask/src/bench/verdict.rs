//! What the program itself said of its runs: whether its figures may be believed, and how far they may be off.

use serde::{Deserialize, Serialize};

use crate::bench::results::Side;

/// The verdict on one run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Verdict {
    pub(super) state: String,
    #[serde(flatten)]
    pub(super) bounds: Bounds,
}

/// How far off it says that 99 of 100 requests are at most; nothing where it cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Bounds {
    pub(super) ttft_error_ms: Option<f64>,
    pub(super) itl_error_pct: Option<f64>,
}

/// The verdicts on some runs in one line; none if there are none.
pub(super) fn line(verdicts: &[Verdict]) -> Option<String> {
    let alike = verdicts.chunk_by(|one, next| one.state == next.state).map(|alike| match alike {
        [one] => one.state.clone(),
        _ => format!("{} × {}", alike.len(), alike[0].state),
    });
    let states = alike.collect::<Vec<_>>().join(", ");
    let bound = |name: &str, unit: &str, of: fn(&Bounds) -> Option<f64>| {
        let known = Side::new(verdicts.iter().filter_map(|verdict| of(&verdict.bounds)).collect())?;
        Some(format!(" · {name} within {}", known.text(unit)))
    };
    let ttft = bound("TTFT", " ms", |bounds| bounds.ttft_error_ms).unwrap_or_default();
    let itl = bound("ITL", " %", |bounds| bounds.itl_error_pct).unwrap_or_default();
    (!verdicts.is_empty()).then(|| format!("verdict: {states}{ttft}{itl}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(state: &str, ttft_error_ms: Option<f64>, itl_error_pct: Option<f64>) -> Verdict {
        Verdict { state: state.to_owned(), bounds: Bounds { ttft_error_ms, itl_error_pct } }
    }

    #[test]
    fn a_line_holds_each_state_in_turn_and_the_bounds_of_all() {
        let degraded = verdict("degraded", Some(0.6), Some(2.0));
        let verdicts = [verdict("valid", Some(0.3), Some(1.0)), verdict("valid", Some(0.4), None), degraded];
        let expected =
            "verdict: 2 × valid, degraded · TTFT within 0.400 ms (0.300–0.600) · ITL within 1.50 % (1.00–2.00)";
        assert_eq!(line(&verdicts).unwrap(), expected);
    }

    #[test]
    fn a_bound_that_nobody_knows_is_left_out() {
        assert_eq!(line(&[verdict("valid", Some(0.5), None)]).unwrap(), "verdict: valid · TTFT within 0.500 ms");
        assert_eq!(line(&[verdict("invalid", None, None)]).unwrap(), "verdict: invalid");
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn a_verdict_is_kept_flat_with_what_is_unknown_as_such() {
        let kept = serde_json::to_value(verdict("valid", Some(0.5), None)).unwrap();
        assert_eq!(kept, serde_json::json!({ "state": "valid", "ttft_error_ms": 0.5, "itl_error_pct": null }));
        assert_eq!(serde_json::from_value::<Verdict>(kept).unwrap(), verdict("valid", Some(0.5), None));
    }
}
