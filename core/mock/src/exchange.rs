//! One inference request and its answer: pacing, faults, and the account of what was done.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::faults::{Fate, Fault};
use crate::framing;
use crate::habits::Habit;
use crate::http::{HTML, Head, JSON, Length, Request};
use crate::outlet::{BATCH, Outlet};
use crate::refusal::{Refusal, Shape};
use crate::server::{Shared, Thread, Voice};
use crate::telemetry::{Gpus, Spans};
use crate::tell::Teller;
use crate::truth::{Outcome, Record};
use crate::words;

/// Chunks of content for each write, where that is the habit.
const COALESCED: usize = 4;

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
}

/// A request being answered. However that ends, dropping it settles the account.
pub(crate) struct Exchange {
    thread: Rc<Thread>,
    received: Instant,
    /// The connection is to be closed.
    close: bool,
    /// Choices in the answer.
    choices: usize,
    fate: Fate,
    /// The place of the model that answers, once there is one.
    model: Option<usize>,
    /// When the first content was handed to the kernel.
    first: Option<Instant>,
    /// Aborted until something else is known.
    record: Record,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let shared = &self.thread.shared;
        let ended = shared.gpus.as_ref().map_or_else(Instant::now, Gpus::end);
        let since_received = |at: Instant| at.saturating_duration_since(self.received);
        let spans = Spans { first: self.first.map(since_received), end: since_received(ended) };
        shared.telemetry.end(&self.record, self.model, &spans);
        if let Some(log) = &self.thread.truth {
            self.record.ended_ns = shared.clock.ns(ended);
            if shared.config.truth_bodies {
                self.record.text = Some(words::slice(0, self.record.tokens / self.choices));
            }
            // A log that can no longer be written says so when the server is stopped.
            let _ = log.send(std::mem::take(&mut self.record));
        }
    }
}

impl Exchange {
    /// Begins the account of a request that was completely read just now, from a client at `port`.
    pub(crate) fn begin(thread: &Rc<Thread>, request: &Request, body: &[u8], port: u16) -> Self {
        let shared = &thread.shared;
        let received = shared.gpus.as_ref().map_or_else(Instant::now, Gpus::begin);
        shared.telemetry.begin();
        let mut record = Record::default();
        if thread.truth.is_some() {
            record.x_request_id.clone_from(&request.request_id);
            record.path.clone_from(&request.path);
            record.received_ns = shared.clock.ns(received);
            record.port = port;
            record.body = shared.config.truth_bodies.then(|| String::from_utf8_lossy(body).into_owned());
        }
        Self {
            thread: Rc::clone(thread),
            received,
            close: request.close || shared.habits.until_close(),
            choices: 1,
            fate: Fate::roll(&shared.config, shared.next_ordinal()),
            model: None,
            first: None,
            record,
        }
    }

    /// The random part of the answer's id.
    pub(crate) fn id(&self) -> u64 {
        self.fate.id
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.thread.shared
    }

    /// Lets this model answer the request.
    pub(crate) fn admit(&mut self, voice: &Voice, prompt_tokens: u64, choices: usize) {
        self.choices = choices;
        self.thread.shared.telemetry.admit(voice.index);
        self.model = Some(voice.index);
        self.record.prompt_tokens = prompt_tokens;
        if self.thread.truth.is_some() {
            self.record.model = Some(voice.name.clone());
        }
    }

    /// The error that the dice want in place of an answer.
    pub(crate) fn injected_error(&self) -> Option<Refusal> {
        let status = self.thread.shared.config.error_status;
        (self.fate.fault == Some(Fault::Status)).then(|| Refusal::new(status, "an error, as configured"))
    }

    /// Whether the dice want an error inside an answer that began well.
    pub(crate) fn errs_in_mid_stream(&self) -> bool {
        self.fate.fault == Some(Fault::StreamError)
    }

    /// When the last of so many tokens is due.
    pub(crate) fn due(&mut self, tokens: usize) -> Instant {
        let shared = Arc::clone(self.shared());
        let config = &shared.config;
        let mut due = self.received + self.fate.duration(config.ttft_ms);
        if config.itl_ms > 0.0 {
            for _ in 1..tokens {
                due += self.fate.duration(config.itl_ms);
            }
        }
        due
    }

    /// Notes when what was asked for is ready, where that is after the answer.
    pub(crate) fn ready_at(&mut self, at: Instant) {
        self.record.ready_ns = Some(self.thread.shared.clock.ns(at));
    }

    /// Answers with an error.
    pub(crate) async fn refuse(
        mut self,
        refusal: &Refusal,
        errors: Shape,
        request: &Request,
        mut outlet: Outlet<'_>,
    ) -> io::Result<After> {
        let (content_type, body) = if self.thread.shared.habits.has(Habit::HtmlErrors) {
            (HTML, refusal.html())
        } else {
            (JSON, refusal.body(errors))
        };
        self.head(refusal.status, content_type, Length::Known(body.len()), "", request, &mut outlet);
        outlet.buf.extend_from_slice(&body);
        outlet.flush(&mut self.fate).await?;
        self.record.outcome = Outcome::Error;
        Ok(self.after())
    }

    /// Answers with a stream of events.
    pub(crate) async fn stream(
        mut self,
        mut teller: impl Teller,
        finish: &'static str,
        request: &Request,
        mut outlet: Outlet<'_>,
    ) -> io::Result<After> {
        let shared = Arc::clone(self.shared());
        let (config, habits) = (&shared.config, shared.habits);
        let steps = teller.steps();
        // Drawn whether needed or not, so that a fault shifts no later draw.
        let (fault_at, stall_at) = (self.fate.position(steps), self.fate.position(steps));
        let mut waiting = Unwritten::default();

        let length = if habits.until_close() { Length::UntilClose } else { Length::Chunked };
        self.head(200, teller.content_type(), length, shared.body_headers, request, &mut outlet);
        teller.open(outlet.buf);
        // Deadlines are sums from the start: being late for one moves no other.
        let mut reached = self.received;
        let mut due = self.received + self.fate.duration(config.ttft_ms);
        for step in 0..=steps {
            let weight = teller.weight(step);
            if step > 0 && weight > 0 {
                due += self.fate.duration(config.itl_ms * weight as f64);
            }
            if self.fate.stalls && step == stall_at {
                due += millis(config.stall_ms);
            }
            // Without delays the clock is not even asked.
            if due > reached {
                if due > Instant::now() {
                    let held = habits.has(Habit::LateHead) && step == 0
                        || habits.has(Habit::Coalesce) && waiting.chunks < COALESCED;
                    if !held {
                        self.write(&mut outlet, &mut waiting).await?;
                    }
                    outlet.pause(due).await?;
                }
                reached = due;
            }
            if step == fault_at {
                match self.fate.fault {
                    Some(Fault::Reset) => {
                        self.write(&mut outlet, &mut waiting).await?;
                        return self.reset(&outlet);
                    }
                    Some(Fault::Truncate) => {
                        teller.end(outlet.buf);
                        return self.end(Outcome::Truncated, &mut outlet, &mut waiting).await;
                    }
                    Some(Fault::StreamError) => {
                        teller.error(&Refusal::new(500, "an error in mid-stream, as configured"), outlet.buf);
                        teller.end(outlet.buf);
                        return self.end(Outcome::StreamError, &mut outlet, &mut waiting).await;
                    }
                    Some(Fault::Malformed) => teller.broken(step, outlet.buf),
                    Some(Fault::Status) | None => {}
                }
            }
            if weight > 0 {
                let said = teller.say(step, outlet.buf);
                waiting.chunks += said.chunks;
                waiting.tokens += said.tokens;
                if outlet.buf.len() >= BATCH {
                    self.write(&mut outlet, &mut waiting).await?;
                }
            }
        }
        teller.close(outlet.buf);
        teller.end(outlet.buf);
        let outcome = match self.fate.fault {
            Some(Fault::Malformed) => Outcome::Malformed,
            _ => Outcome::Ok,
        };
        let after = self.end(outcome, &mut outlet, &mut waiting).await?;
        self.record.finish_reason = Some(finish);
        Ok(after)
    }

    /// Answers with one body, when a stream of its tokens would have ended.
    pub(crate) async fn plain(mut self, whole: Whole, request: &Request, mut outlet: Outlet<'_>) -> io::Result<After> {
        let shared = Arc::clone(self.shared());
        let (config, habits) = (&shared.config, shared.habits);
        let Whole { mut body, content_type, tokens, finish, at_once } = whole;
        if !at_once {
            let due = self.due(tokens);
            if due > self.received {
                outlet.pause(due).await?;
            }
        }

        let fault = self.fate.fault;
        if fault == Some(Fault::Malformed) {
            body.truncate(body.len() / 2);
        }
        let mut extra = "";
        if !habits.is_empty() {
            body = framing::whole(body, habits);
            extra = shared.body_headers;
        }
        let length = if habits.until_close() {
            Length::UntilClose
        } else if habits.always_chunked() {
            Length::Chunked
        } else {
            Length::Known(body.len())
        };
        self.head(200, content_type, length, extra, request, &mut outlet);
        let mut waiting = Unwritten::default();
        if self.fate.stalls {
            outlet.buf.extend_from_slice(&body[..body.len() / 2]);
            self.write(&mut outlet, &mut waiting).await?;
            outlet.pause(Instant::now() + millis(config.stall_ms)).await?;
            body.drain(..body.len() / 2);
        }
        if let Some(Fault::Reset | Fault::Truncate) = fault {
            outlet.buf.extend_from_slice(&body[..body.len() / 2]);
            self.write(&mut outlet, &mut waiting).await?;
            if fault == Some(Fault::Reset) {
                return self.reset(&outlet);
            }
            self.record.outcome = Outcome::Truncated;
            return Ok(After::Close);
        }
        outlet.buf.extend_from_slice(&body);
        waiting.chunks += 1;
        waiting.tokens += tokens * self.choices;
        let outcome = match fault {
            Some(Fault::Malformed) => Outcome::Malformed,
            _ => Outcome::Ok,
        };
        let after = self.end(outcome, &mut outlet, &mut waiting).await?;
        self.record.finish_reason = Some(finish);
        Ok(after)
    }

    /// Writes the last of an answer.
    async fn end(&mut self, outcome: Outcome, outlet: &mut Outlet<'_>, waiting: &mut Unwritten) -> io::Result<After> {
        self.write(outlet, waiting).await?;
        self.record.outcome = outcome;
        Ok(self.after())
    }

    fn reset(&mut self, outlet: &Outlet<'_>) -> io::Result<After> {
        outlet.reset_on_close()?;
        self.record.outcome = Outcome::Reset;
        Ok(After::Close)
    }

    fn head(
        &mut self,
        status: u16,
        content_type: &str,
        length: Length,
        extra: &str,
        request: &Request,
        outlet: &mut Outlet<'_>,
    ) {
        self.record.status = Some(status);
        let request_id = request.request_id.as_deref();
        let head = Head { status, content_type, length, request_id, close: self.close, extra };
        head.write(self.thread.shared.habits, outlet.buf);
    }

    /// Writes what the outlet holds, and accounts for the content in it.
    async fn write(&mut self, outlet: &mut Outlet<'_>, waiting: &mut Unwritten) -> io::Result<()> {
        let at = outlet.flush(&mut self.fate).await?;
        let Unwritten { chunks, tokens } = std::mem::take(waiting);
        self.record.tokens += tokens;
        self.record.chunks += chunks;
        if chunks == 0 {
            return Ok(());
        }
        self.first.get_or_insert(at);
        if self.thread.truth.is_some() {
            let ns = self.thread.shared.clock.ns(at);
            self.record.first_ns.get_or_insert(ns);
            self.record.last_ns = Some(ns);
            self.record.written_ns.extend(std::iter::repeat_n(ns, chunks));
        }
        Ok(())
    }

    fn after(&self) -> After {
        if self.close { After::Close } else { After::Keep }
    }
}

/// An answer of one body.
pub(crate) struct Whole {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    /// Output tokens of each choice.
    pub(crate) tokens: usize,
    /// Why they ended.
    pub(crate) finish: &'static str,
    /// It waits for nothing.
    pub(crate) at_once: bool,
}

impl Whole {
    /// JSON without output tokens.
    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self { body, content_type: JSON, tokens: 0, finish: "stop", at_once: false }
    }
}

/// Content that was rendered and not yet handed to the kernel.
#[derive(Default)]
struct Unwritten {
    chunks: usize,
    tokens: usize,
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1e3)
}
