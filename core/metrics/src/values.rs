//! The metrics of single requests: what there is in a run, and what each is for one row.

use crate::{
    Options,
    context::Context,
    definitions::{Definition, Scope, definitions},
};
use inferometer_abi::documents::MetricInfo;
use inferometer_abi::types::Outcome;
use inferometer_model::Row;

/// The metrics that each request of a run has a value of, in the order in which they are shown.
pub fn catalogue(options: &Options) -> Vec<MetricInfo> {
    recorded(options).map(Definition::info).collect()
}

/// Puts the values of `row` into `out`, in the order of [`catalogue`], in the units shown; NaN where there is none.
///
/// A failed request has only `error_isl` and `error_duration`; one that was cancelled or dropped has no values at all.
pub fn values(options: &Options, row: &Row, out: &mut Vec<f64>) {
    out.clear();
    let context = Context::service(options, row);
    out.extend(recorded(options).map(|definition| definition.of(&context).unwrap_or(f64::NAN)));
}

fn recorded(options: &Options) -> impl Iterator<Item = &'static Definition> {
    definitions(options).filter(|definition| definition.scope != Scope::Summary)
}

impl Definition {
    /// What it is called and measured in.
    pub(crate) fn info(&self) -> MetricInfo {
        MetricInfo {
            tag: self.tag.to_owned(),
            header: self.header.to_owned(),
            unit: self.unit.to_owned(),
            larger_is_better: self.larger_is_better,
        }
    }

    /// Its value for one request, if that ended in the way this metric is about and the value is known.
    pub(crate) fn of(&self, context: &Context<'_>) -> Option<f64> {
        let concerned = match context.row().outcome {
            Outcome::OK => self.scope != Scope::Failure,
            Outcome::CANCELLED | Outcome::DROPPED => false,
            _ => self.scope == Scope::Failure,
        };
        if concerned { (self.value)(context) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenSource, testing::*};

    fn named(options: &Options, row: &Row) -> Vec<(String, f64)> {
        let mut out = vec![9.9; 3];
        values(options, row, &mut out);
        let catalogue = catalogue(options);
        assert_eq!(catalogue.len(), out.len());
        catalogue.into_iter().map(|info| info.tag).zip(out).filter(|(_, value)| !value.is_nan()).collect()
    }

    #[test]
    fn the_main_metrics_come_first() {
        let tags: Vec<_> = catalogue(&streaming()).into_iter().map(|info| info.tag).collect();
        let first = ["time_to_first_token", "time_to_second_token", "time_to_first_output_token", "request_latency"];
        assert_eq!(tags[..4], first);
        assert!(tags.iter().all(|tag| !tag.starts_with("intended")), "{tags:?}");
    }

    #[test]
    fn values_are_in_the_units_that_are_shown() {
        let values = named(&streaming(), &answered());
        let value = |tag: &str| values.iter().find(|(name, _)| name == tag).unwrap().1;
        assert_eq!(value("time_to_first_token"), 40.0);
        assert_eq!(value("time_to_second_token"), 20.0);
        assert_eq!(value("time_to_first_output_token"), 60.0);
        assert_eq!(value("inter_token_latency"), 20.0);
        assert_eq!(value("output_token_throughput_per_user"), 50.0);
        assert_eq!(value("e2e_output_token_throughput"), 40.0);
        assert_eq!(value("prefill_throughput_per_user"), 2500.0);
        assert_eq!(value("http_req_data_sent"), 0.5);
        assert_eq!(value("http_req_total"), 101.0);
    }

    #[test]
    fn receive_lags_are_shown_where_the_system_tells_them() {
        let lagging = Row { first_lag: 2_500_000, last_lag: 0, ..answered() };
        let of = |options: &Options, row: &Row| -> Vec<_> {
            named(options, row).into_iter().filter(|(tag, _)| tag.ends_with("receive_lag")).collect()
        };
        let (first, last) = (("first_receive_lag".to_owned(), 2.5), ("last_receive_lag".to_owned(), 0.0));
        assert_eq!(of(&streaming(), &lagging), [first, last.clone()]);
        assert_eq!(of(&Options { streaming: false, ..streaming() }, &lagging), [last]);
        assert_eq!(of(&streaming(), &answered()), []);
    }

    #[test]
    fn open_loop_runs_have_both_views() {
        let values = named(&Options { open_loop: true, ..streaming() }, &answered());
        assert!(values.contains(&("request_latency".to_owned(), 100.0)));
        assert!(values.contains(&("intended_latency".to_owned(), 102.0)));
        assert!(values.contains(&("intended_time_to_first_token".to_owned(), 42.0)));
    }

    #[test]
    fn failures_have_only_what_is_about_failures() {
        let expected = [("error_isl".to_owned(), 100.0), ("error_duration".to_owned(), 101.0)];
        assert_eq!(named(&streaming(), &failed()), expected);
        assert_eq!(named(&streaming(), &Row { outcome: Outcome::CANCELLED, ..answered() }), []);
    }

    #[test]
    fn counting_at_the_server_alone_leaves_nothing_to_compare() {
        let options = Options { token_source: TokenSource::ServerOnly, ..streaming() };
        assert!(catalogue(&options).iter().all(|info| !info.tag.starts_with("usage") || !info.tag.ends_with("pct")));
    }
}
