//! The server's counters, and the page that shows them to a Prometheus scraper.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::truth::{Outcome, Record};

/// Counters of all threads. They are independent of each other, so relaxed ordering is enough.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: [AtomicU64; Outcome::ALL.len()],
    running: AtomicI64,
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
}

impl Metrics {
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, record: &Record, prompt_tokens: u64) {
        self.running.fetch_sub(1, Relaxed);
        self.requests[record.outcome as usize].fetch_add(1, Relaxed);
        self.prompt_tokens.fetch_add(prompt_tokens, Relaxed);
        self.generation_tokens.fetch_add(record.tokens as u64, Relaxed);
    }

    /// The page in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut page = String::from(
            "# HELP mock_requests_total Inference requests that ended, by outcome.\n# TYPE mock_requests_total counter\n",
        );
        for (outcome, name) in Outcome::ALL {
            let count = self.requests[outcome as usize].load(Relaxed);
            push(&mut page, format_args!("mock_requests_total{{outcome=\"{name}\"}} {count}\n"));
        }
        for (name, kind, help, value) in [
            ("mock_requests_running", "gauge", "Inference requests being answered now.", self.running.load(Relaxed)),
            ("mock_prompt_tokens_total", "counter", "Input tokens read.", self.prompt_tokens.load(Relaxed) as i64),
            (
                "mock_generation_tokens_total",
                "counter",
                "Output tokens sent.",
                self.generation_tokens.load(Relaxed) as i64,
            ),
        ] {
            push(&mut page, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        }
        page
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes any text");
}
