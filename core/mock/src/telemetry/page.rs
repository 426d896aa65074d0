//! A page of metrics in Prometheus' text format, version 0.0.4. What is on it is not decided here.

use std::fmt::{self, Write as _};

/// A page while it is written.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Announces a metric. All its samples have to follow, before the next one is announced.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds one sample: its name, with the labels in braces if it has any, and its value.
    pub(super) fn sample(&mut self, series: fmt::Arguments<'_>, value: impl fmt::Display) {
        self.push(format_args!("{series} {value}\n"));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes any text");
    }
}

/// Text as it has to stand between the quotes of a label's value.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
