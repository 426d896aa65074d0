//! Rates over time, from the file that `--request-rate-series` names.

use crate::{
    error::{ConfigError, refuse},
    file::text,
};
use serde_json::{Value, json};
use std::path::Path;

/// Most points of a series; it goes to every worker.
const MOST_POINTS: usize = 100_000;

/// Largest time in seconds, and largest rate.
const MOST: f64 = 1e9;

/// Rates over time: straight lines between points.
#[derive(Debug, PartialEq)]
pub(super) struct Series(Vec<(f64, f64)>);

/// How points are written.
const FORMS: &str = "write [[0, 5], [60, 50]], or [{\"time\": 0, \"rate\": 5}, …]";

/// The time and the rate of a point as files have it: a pair, or an object of the two.
fn point(value: &Value) -> Option<(f64, f64)> {
    let (time, rate) = match value {
        Value::Array(pair) => match &pair[..] {
            [time, rate] => (time, rate),
            _ => return None,
        },
        Value::Object(named) => (named.get("time")?, named.get("rate")?),
        _ => return None,
    };
    Some((time.as_f64()?, rate.as_f64()?))
}

impl Series {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let wrong = |why: String| refuse(format!("--request-rate-series {shown}: {why}"));
        let text = match text::read(path) {
            Ok(text) => text,
            Err(why) => return wrong(format!("{why}; give a JSON file of rates")),
        };
        let values: Vec<Value> = match serde_json::from_str(&text) {
            Ok(values) => values,
            Err(e) => return wrong(format!("not a list of points: {}; {FORMS}", text::plain(&e))),
        };
        let mut points = Vec::with_capacity(values.len());
        for (number, value) in (1..).zip(&values) {
            match point(value) {
                Some(point) => points.push(point),
                None => {
                    let value = text::shown(value);
                    return wrong(format!("not a list of points: point {number} is {value}; {FORMS}"));
                }
            }
        }
        if points.len() < 2 || points.len() > MOST_POINTS {
            return wrong(format!("{} points are no series; give 2 to {MOST_POINTS}", points.len()));
        }
        for (number, (time, rate)) in points.iter().enumerate() {
            let before = number.checked_sub(1).map_or(-1.0, |before| points[before].0);
            if *time < 0.0 || *time <= before {
                return wrong(format!(
                    "point {} is at {time} s; times begin at 0 or later, and each comes after the one before",
                    number + 1
                ));
            }
            if !(0.0..=MOST).contains(rate) || *time > MOST {
                return wrong(format!(
                    "point {} has the time {time} and the rate {rate}; give both from 0 to {MOST}",
                    number + 1
                ));
            }
        }
        if points.iter().all(|(_, rate)| *rate == 0.0) {
            return wrong("all rates are 0, so nothing would be sent; give one above 0".to_owned());
        }
        Ok(Self(points))
    }

    /// The time of the last point, in seconds.
    pub(super) fn end_s(&self) -> f64 {
        self.0.last().map_or(0.0, |(time, _)| *time)
    }

    /// Whether the rate is 0 from the last point on.
    pub(super) fn runs_dry(&self) -> bool {
        self.0.last().is_some_and(|(_, rate)| *rate == 0.0)
    }

    /// Mean rate from the phase's begin to the last point; before the first point the rate is as at it.
    pub(super) fn mean(&self) -> f64 {
        let lead = self.0.first().map_or(0.0, |(time, rate)| time * rate);
        let area: f64 = self.0.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum();
        (lead + area) / self.end_s()
    }

    /// The points as an option of a timing strategy.
    pub(super) fn to_json(&self) -> Value {
        json!(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    fn read(text: &str) -> Result<Series, String> {
        Series::read(file("series.json", text).path()).map_err(|e| e.to_string())
    }

    #[test]
    fn points_are_pairs_or_named() {
        let series = read("[[0, 10], [10, 30], [20, 30]]").unwrap();
        assert_eq!(read(r#"[{"time": 0, "rate": 10}, {"time": 10, "rate": 30}, [20, 30]]"#), Ok(series));
    }

    #[test]
    fn the_mean_is_that_of_the_lines_between_the_points() {
        let series = read("[[10, 10], [20, 30], [30, 0]]").unwrap();
        assert_eq!((series.end_s(), series.mean(), series.runs_dry()), (30.0, (100.0 + 200.0 + 150.0) / 30.0, true));
    }

    #[test]
    fn what_is_no_series_is_refused_with_the_point() {
        for (text, expected) in [
            ("[[0, 1]]", "1 points are no series"),
            ("[[0, 1], [0, 2]]", "point 2 is at 0 s"),
            ("[[5, 1], [3, 2]]", "point 2 is at 3 s"),
            ("[[-1, 1], [3, 2]]", "point 1 is at -1 s"),
            ("[[0, 1], [3, -2]]", "the rate -2"),
            ("[[0, 0], [3, 0]]", "all rates are 0"),
            ("[[0, 1], [3, 1e300]]", "from 0 to"),
            ("{}", "[[0, 5], [60, 50]]"),
            (r#"[{"time": 0, "rate": "fast"}, [1, 1]]"#, "not a list of points"),
            ("[[0, 1e400], [1, 1]]", "not a list of points"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected) && error.contains("--request-rate-series"), "{error}");
        }
        for (path, expected) in [("/no/such/file", "there is no such file"), ("/", "that is a folder")] {
            let error = Series::read(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(&format!("{path}: {expected};")) && !error.contains("os error"), "{error}");
        }
    }
}
