//! [`Slos`]: service-level objectives, as typed after `--goodput`, and whether a request met them.

use crate::{
    Options,
    context::Context,
    definitions::{DEFINITIONS, Definition, Scope},
};
use inferometer_model::Row;

/// The names that vLLM's benchmark uses, and the tags they stand for.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("ttft", "time_to_first_token"),
    ("tpot", "inter_token_latency"),
    ("itl", "inter_token_latency"),
    ("e2el", "request_latency"),
];

/// What a request has to meet to be good: bounds on its metrics.
#[derive(Clone, Debug)]
pub struct Slos(Vec<Slo>);

#[derive(Clone, Copy)]
struct Slo {
    definition: &'static Definition,
    bound: f64,
}

/// Why objectives cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SloError {
    /// There are none.
    #[error("no objective is given: write tag:value, for example time_to_first_token:200 inter_token_latency:20")]
    Empty,
    /// One is not of the form `tag:value`.
    #[error("{item:?} is not an objective: write tag:value, for example time_to_first_token:200")]
    Malformed {
        /// What was typed.
        item: String,
    },
    /// A metric does not exist, or is not one of single successful requests.
    #[error(
        "there is no metric {tag:?} to set an objective for: did you mean {nearest:?}? The metrics are {}, or for short \
         ttft, tpot, itl, e2el", .usable.join(", ")
    )]
    UnknownTag {
        /// What was typed.
        tag: String,
        /// The known tag that is most like it.
        nearest: &'static str,
        /// All tags that objectives can be set for.
        usable: Vec<&'static str>,
    },
    /// A bound is not a positive finite number.
    #[error("the objective for {tag} is {value:?}, which is not a positive number: give it in {unit}")]
    BadValue {
        /// The metric.
        tag: &'static str,
        /// What was typed.
        value: String,
        /// The unit of the metric.
        unit: &'static str,
    },
    /// A metric has two objectives.
    #[error("{tag} has two objectives: keep one of them")]
    Duplicate {
        /// The metric.
        tag: &'static str,
    },
    /// A metric does not exist in this run, so that no request could be good.
    #[error("{tag} is not measured in this run, so no request could meet its objective: it needs {need}")]
    NotMeasured {
        /// The metric.
        tag: &'static str,
        /// What the run lacks.
        need: &'static str,
    },
}

impl Slos {
    /// Reads `tag:value` pairs that blanks or commas part. A tag is that of a per-request metric or one of vLLM's short
    /// names (`ttft`, `tpot`, `itl`, `e2el`); a value is in the unit the metric is shown in.
    ///
    /// # Errors
    /// When there is no pair, or one is malformed, names an unknown metric or one that is already there, or has a value
    /// that is not a positive finite number.
    pub fn parse(text: &str) -> Result<Self, SloError> {
        let mut slos: Vec<Slo> = Vec::new();
        for item in text.split([',', ' ', '\t', '\r', '\n']).filter(|item| !item.is_empty()) {
            let malformed = || SloError::Malformed { item: item.to_owned() };
            let (tag, value) = item.split_once(':').ok_or_else(malformed)?;
            if tag.is_empty() || value.is_empty() {
                return Err(malformed());
            }
            let definition = find(tag)?;
            let (tag, unit) = (definition.tag, definition.unit);
            let bound = value.parse().ok().filter(|bound: &f64| bound.is_finite() && *bound > 0.0);
            let bound = bound.ok_or_else(|| SloError::BadValue { tag, value: value.to_owned(), unit })?;
            if slos.iter().any(|slo| slo.definition.tag == tag) {
                return Err(SloError::Duplicate { tag });
            }
            slos.push(Slo { definition, bound });
        }
        if slos.is_empty() { Err(SloError::Empty) } else { Ok(Self(slos)) }
    }

    /// Whether a run measures what the objectives are about.
    ///
    /// # Errors
    /// When it does not: no request could be good then.
    pub fn check(&self, options: &Options) -> Result<(), SloError> {
        for Slo { definition, .. } in &self.0 {
            if let Some(need) = definition.unmet(options) {
                return Err(SloError::NotMeasured { tag: definition.tag, need: need.words() });
            }
        }
        Ok(())
    }

    /// Whether a request met all of them. One that did not succeed, or of which a metric is not known, did not.
    pub(crate) fn met(&self, options: &Options, row: &Row) -> bool {
        let view = if options.open_loop { Context::intended } else { Context::service };
        let context = view(options, row);
        self.0.iter().all(|Slo { definition, bound }| {
            definition.unmet(options).is_none()
                && definition
                    .of(&context)
                    .is_some_and(|value| if definition.larger_is_better { value >= *bound } else { value <= *bound })
        })
    }
}

impl std::fmt::Debug for Slo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.definition.tag, self.bound)
    }
}

/// The metrics that objectives can be set for: those that every success has a value of.
fn usable() -> impl Iterator<Item = &'static Definition> {
    DEFINITIONS.iter().filter(|definition| definition.scope != Scope::Failure)
}

fn find(name: &str) -> Result<&'static Definition, SloError> {
    let full = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, tag)| tag);
    usable().find(|definition| definition.tag == full).ok_or_else(|| {
        let names = SHORT_NAMES.iter().map(|&(short, _)| short).chain(usable().map(|definition| definition.tag));
        let likeness = names.map(|known| (strsim::jaro_winkler(name, known), known));
        // Of equals the first, so that the message is always the same.
        let nearest = likeness.reduce(|best, next| if next.0 > best.0 { next } else { best });
        SloError::UnknownTag {
            tag: name.to_owned(),
            nearest: nearest.expect("there are short names").1,
            usable: usable().map(|definition| definition.tag).collect(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn slos(text: &str) -> Slos {
        Slos::parse(text).unwrap()
    }

    #[test]
    fn objectives_are_parted_by_blanks_or_commas() {
        let expected = "Slos([time_to_first_token:200, inter_token_latency:12.5])";
        for text in ["time_to_first_token:200 inter_token_latency:12.5", "ttft:200,tpot:12.5", " ttft:200 , itl:12.5\n"]
        {
            assert_eq!(format!("{:?}", slos(text)), expected);
        }
    }

    #[test]
    fn an_unknown_tag_is_refused_with_the_nearest_and_all_others() {
        let message = Slos::parse("time_to_first_tokn:50").unwrap_err().to_string();
        assert!(message.contains("\"time_to_first_tokn\""), "{message}");
        assert!(message.contains("did you mean \"time_to_first_token\""), "{message}");
        assert!(message.contains("request_latency, decode_duration"), "{message}");
        assert!(!message.contains("error_isl"), "{message}");
        assert!(matches!(Slos::parse("ttff:50"), Err(SloError::UnknownTag { nearest: "ttft", .. })));
    }

    #[test]
    fn bounds_are_positive_numbers() {
        for value in ["0", "-1", "nan", "inf", "1e999", "50ms", "x"] {
            let error = Slos::parse(&format!("ttft:{value}")).unwrap_err();
            let expected = SloError::BadValue { tag: "time_to_first_token", value: value.to_owned(), unit: "ms" };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in ["ttft", "ttft:", ":5", "ttft 200"] {
            assert!(matches!(Slos::parse(text), Err(SloError::Malformed { .. })), "{text}");
        }
        assert_eq!(Slos::parse(" , ").unwrap_err(), SloError::Empty);
        assert_eq!(Slos::parse("itl:1 tpot:2").unwrap_err(), SloError::Duplicate { tag: "inter_token_latency" });
    }

    #[test]
    fn objectives_that_a_run_cannot_measure_are_refused_before_it() {
        let plain = Options { streaming: false, ..streaming() };
        assert_eq!(
            slos("e2el:5 ttft:5").check(&plain),
            Err(SloError::NotMeasured { tag: "time_to_first_token", need: "streaming" })
        );
        assert_eq!(slos("e2el:5 ttft:5").check(&streaming()), Ok(()));
    }

    #[test]
    fn a_bound_itself_is_still_good_in_either_direction() {
        let row = answered();
        // First content after 40 ms, three more tokens in 60 ms: 20 ms a token, 50 tokens a second.
        assert!(slos("ttft:40 itl:20 output_token_throughput_per_user:50").met(&streaming(), &row));
        assert!(!slos("ttft:39.9").met(&streaming(), &row));
        assert!(!slos("output_token_throughput_per_user:50.1").met(&streaming(), &row));
    }

    #[test]
    fn a_request_without_the_metric_or_without_success_is_not_good() {
        let one_event = Row { events: 1, ..answered() };
        assert!(!slos("itl:1000").met(&streaming(), &one_event));
        assert!(!slos("e2el:1000").met(&streaming(), &failed()));
    }

    #[test]
    fn open_loop_runs_are_judged_from_the_time_the_schedule_wanted() {
        let row = Row { intended: 0, permitted: 50 * MS, first: 60 * MS, last: 70 * MS, ..answered() };
        let open = Options { open_loop: true, ..streaming() };
        assert!(slos("ttft:10 e2el:20").met(&streaming(), &row));
        assert!(!slos("ttft:59").met(&open, &row));
        assert!(slos("ttft:60 e2el:70").met(&open, &row));
    }
}
