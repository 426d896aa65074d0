//! Exchanges in goldens: the one that an answer ended, and the one that has to follow.

use crate::law::HOSTILE;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The exchange that a whole answer ended. What is left out is as for the first exchange of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Its number within the request, from 0.
    pub number: u16,
    /// The path that was asked; empty: the endpoint's own.
    pub path: String,
    /// The state that the endpoint gave it.
    pub state: u64,
    /// Header fields of the answer, in whatever case. Without a `Content-Type` it is `application/json`.
    pub headers: BTreeMap<String, String>,
}

/// An exchange that has to follow. What is left out is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Next {
    /// Its method; empty: `POST`.
    pub method: String,
    /// Where it goes.
    pub path: String,
    /// Its content type.
    pub content_type: String,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// How long to wait before it, in nanoseconds.
    pub delay_ns: u64,
    /// The state that the endpoint gives it.
    pub state: u64,
}

impl Next {
    /// A `GET` of `path` at once, without a state.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), ..Self::default() }
    }
}

impl Asked {
    /// An exchange with one header field more.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|before, _| !before.eq_ignore_ascii_case(name));
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The header fields as a host gives them: their names in lower case, and a type among them.
    pub(super) fn fields(&self) -> BTreeMap<String, &str> {
        let mut fields = BTreeMap::from([("content-type".to_owned(), "application/json")]);
        fields.extend(self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())));
        fields
    }

    /// Exchanges that are `known`, and others like them whose answers have headers that no one expects, or that were never
    /// asked for.
    pub(super) fn odd(known: impl Iterator<Item = Self>) -> Vec<Self> {
        const VALUES: [&str; 8] = [
            "",
            "-1",
            "1e999",
            "18446744073709551616",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "http://elsewhere/7",
            "//elsewhere/../7?#",
            "video/mp4",
        ];
        const STATES: [u64; 6] = [0, 1, 2, 3, u32::MAX as u64, u64::MAX];
        let mut all: Vec<Self> = known.chain([Self::default()]).collect();
        for known in all.clone() {
            let values = VALUES.into_iter().chain(HOSTILE).map(|text| text.replace(|c: char| c.is_control(), " "));
            for (number, value) in values.enumerate() {
                let asked = ["retry-after", "location", "operation-location"].iter();
                let mut asked = asked.fold(known.clone(), |asked, name| asked.with(name, &value));
                match number % 4 {
                    0 => asked = asked.with("content-type", &value),
                    1 => asked.path = "/v1/jobs/7?x=%zz".to_owned(),
                    2 => asked.state = STATES[number / 4 % STATES.len()],
                    _ => asked.number = number as u16,
                }
                all.push(asked);
            }
        }
        all
    }
}
