//! One inference request and its answer: pacing, faults, and the account of what was done.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::faults::{Fate, Fault};
use crate::http::{Head, JSON, Request, SSE};
use crate::openai::{Ask, Refusal};
use crate::outlet::{BATCH, Outlet};
use crate::server::{Thread, Voice};
use crate::sse::{self, END, Id, Script};
use crate::telemetry::{Gpus, Spans};
use crate::truth::{Outcome, Record};
use crate::words;

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
    /// The client asked for the connection to be closed.
    close: bool,
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
                self.record.text = Some(words::text(self.record.tokens));
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
            close: request.close,
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

    /// Lets this model answer the request.
    pub(crate) fn admit(&mut self, voice: &Voice, prompt_tokens: u64) {
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

    /// Answers with an error.
    pub(crate) async fn refuse(
        mut self,
        refusal: &Refusal,
        request: &Request,
        mut outlet: Outlet<'_>,
    ) -> io::Result<After> {
        let body = refusal.body();
        self.head(refusal.status, JSON, Some(body.len()), request, &mut outlet);
        outlet.buf.extend_from_slice(&body);
        outlet.flush(&mut self.fate).await?;
        self.record.outcome = Outcome::Error;
        Ok(self.after())
    }

    /// Answers a generation request with a stream of events.
    pub(crate) async fn stream(
        mut self,
        script: &Script,
        ask: &Ask,
        request: &Request,
        mut outlet: Outlet<'_>,
    ) -> io::Result<After> {
        let shared = Arc::clone(&self.thread.shared);
        let config = &shared.config;
        let id = Id::new(self.fate.id);
        let per_chunk = config.tokens_per_chunk;
        let chunks = ask.tokens.div_ceil(per_chunk);
        // Drawn whether needed or not, so that a fault shifts no later draw.
        let (fault_at, stall_at) = (self.fate.position(chunks), self.fate.position(chunks));
        let mut waiting = Unwritten::default();

        self.head(200, SSE, None, request, &mut outlet);
        script.open(id, outlet.buf);
        // Deadlines are sums from the start: being late for one moves no other.
        let mut reached = self.received;
        let mut due = self.received + self.fate.duration(config.ttft_ms);
        for chunk in 0..=chunks {
            let tokens = per_chunk.min(ask.tokens - ask.tokens.min(chunk * per_chunk));
            if chunk > 0 && tokens > 0 {
                due += self.fate.duration(config.itl_ms * tokens as f64);
            }
            if self.fate.stalls && chunk == stall_at {
                due += millis(config.stall_ms);
            }
            // Without delays the clock is not even asked.
            if due > reached {
                if due > Instant::now() {
                    self.write(&mut outlet, &mut waiting).await?;
                    outlet.pause(due).await?;
                }
                reached = due;
            }
            if chunk == fault_at {
                match self.fate.fault {
                    Some(Fault::Reset) => {
                        self.write(&mut outlet, &mut waiting).await?;
                        return self.reset(&outlet);
                    }
                    Some(Fault::Truncate) => return self.cut(Outcome::Truncated, &mut outlet, &mut waiting).await,
                    Some(Fault::StreamError) => {
                        sse::error(&Refusal::new(500, "an error in mid-stream, as configured").body(), outlet.buf);
                        return self.cut(Outcome::StreamError, &mut outlet, &mut waiting).await;
                    }
                    Some(Fault::Malformed) => script.broken(id, outlet.buf),
                    Some(Fault::Status) | None => {}
                }
            }
            if tokens > 0 {
                script.content(id, chunk, tokens, outlet.buf);
                waiting.add(tokens);
                if outlet.buf.len() >= BATCH {
                    self.write(&mut outlet, &mut waiting).await?;
                }
            }
        }
        script.finish(id, ask.finish, outlet.buf);
        if ask.include_usage && !config.ignore_usage {
            script.usage(id, ask.usage(), outlet.buf);
        }
        sse::done(outlet.buf);
        let outcome = match self.fate.fault {
            Some(Fault::Malformed) => Outcome::Malformed,
            _ => Outcome::Ok,
        };
        let after = self.cut(outcome, &mut outlet, &mut waiting).await?;
        self.record.finish_reason = Some(ask.finish);
        Ok(after)
    }

    /// Answers with one JSON body of `tokens` output tokens, when a stream of them would have ended.
    pub(crate) async fn plain(
        mut self,
        mut body: Vec<u8>,
        tokens: usize,
        finish: &'static str,
        request: &Request,
        mut outlet: Outlet<'_>,
    ) -> io::Result<After> {
        let shared = Arc::clone(&self.thread.shared);
        let config = &shared.config;
        let mut due = self.received + self.fate.duration(config.ttft_ms);
        if config.itl_ms > 0.0 {
            for _ in 1..tokens {
                due += self.fate.duration(config.itl_ms);
            }
        }
        if due > self.received {
            outlet.pause(due).await?;
        }

        let fault = self.fate.fault;
        let half = body.len() / 2;
        if fault == Some(Fault::Malformed) {
            body.truncate(half);
        }
        self.head(200, JSON, Some(body.len()), request, &mut outlet);
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
        waiting.add(tokens);
        self.write(&mut outlet, &mut waiting).await?;
        self.record.outcome = match fault {
            Some(Fault::Malformed) => Outcome::Malformed,
            _ => Outcome::Ok,
        };
        self.record.finish_reason = Some(finish);
        Ok(self.after())
    }

    /// Ends a stream's body, and with it the answer.
    async fn cut(&mut self, outcome: Outcome, outlet: &mut Outlet<'_>, waiting: &mut Unwritten) -> io::Result<After> {
        outlet.buf.extend_from_slice(END);
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
        length: Option<usize>,
        request: &Request,
        outlet: &mut Outlet<'_>,
    ) {
        self.record.status = Some(status);
        let head = Head { status, content_type, length, request_id: request.request_id.as_deref(), close: self.close };
        head.write(outlet.buf);
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

/// Content that was rendered and not yet handed to the kernel.
#[derive(Default)]
struct Unwritten {
    chunks: usize,
    tokens: usize,
}

impl Unwritten {
    fn add(&mut self, tokens: usize) {
        self.chunks += 1;
        self.tokens += tokens;
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1e3)
}
