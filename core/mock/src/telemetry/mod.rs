//! What the server says about itself while it runs: its own counters, those that vLLM would show, and made-up GPUs.
//!
//! Every figure follows from the truth log: a request is counted once, when it is over, from the record that the log
//! gets. Collectors and exporters of telemetry are tested against these pages. When requests begin and end is decided
//! elsewhere.

mod gpus;
mod histogram;
mod page;
mod vllm;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) use gpus::Gpus;

use crate::truth::{Outcome, Record};
use page::Page;
use vllm::Engine;

/// Counters of all threads. They are independent of each other, so relaxed ordering is enough.
pub(crate) struct Telemetry {
    requests: [AtomicU64; Outcome::ALL.len()],
    running: AtomicU64,
    /// One for each model, in the order of the configuration.
    engines: Vec<Engine>,
}

/// How long the parts of an answer took, on the server's own clock and from the complete request on.
pub(crate) struct Spans {
    /// To the first content; none if there was none.
    pub(crate) first: Option<Duration>,
    /// To the end of the answer, however it came.
    pub(crate) end: Duration,
}

impl Telemetry {
    pub(crate) fn new(models: &[String]) -> Self {
        Self {
            requests: Default::default(),
            running: AtomicU64::new(0),
            engines: models.iter().map(|model| Engine::new(model)).collect(),
        }
    }

    /// A request was read.
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    /// It is for this model.
    pub(crate) fn admit(&self, model: usize) {
        self.engines[model].begin();
    }

    /// It is over. `model` is the one that it was admitted to, if it ever was.
    pub(crate) fn end(&self, record: &Record, model: Option<usize>, spans: &Spans) {
        if let Some(model) = model {
            self.engines[model].end(record, spans);
        }
        self.requests[record.outcome as usize].fetch_add(1, Relaxed);
        self.running.fetch_sub(1, Relaxed);
    }

    /// The page of the server's own counters and vLLM's.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut page = Page::default();
        page.family("mock_requests_total", "counter", "Inference requests that ended, by outcome.");
        for (outcome, name) in Outcome::ALL {
            let count = self.requests[outcome as usize].load(Relaxed);
            page.sample(format_args!("mock_requests_total{{outcome=\"{name}\"}}"), count);
        }
        let sum = |of: fn(&Engine) -> u64| self.engines.iter().map(of).sum();
        for (name, kind, help, value) in [
            ("mock_requests_running", "gauge", "Inference requests being answered now.", self.running.load(Relaxed)),
            ("mock_prompt_tokens_total", "counter", "Input tokens read.", sum(Engine::prompt_tokens)),
            ("mock_generation_tokens_total", "counter", "Output tokens sent.", sum(Engine::generation_tokens)),
        ] {
            page.family(name, kind, help);
            page.sample(format_args!("{name}"), value);
        }
        vllm::render(&self.engines, &mut page);
        page.into_bytes()
    }
}
