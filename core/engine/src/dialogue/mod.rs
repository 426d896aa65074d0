//! [`Dialogue`]: one request at a time, outside any load, over the path that the load takes: the same client, head, key,
//! endpoint and definitions of what is measured. For talking to a server and for finding out whether it is there; many
//! requests at once are the workers' task.

mod line;
mod listener;
mod voice;

pub(crate) use line::{Ids, Line};
pub(crate) use listener::{Heard, Page, quoted};

use crate::{Control, EngineError, endpoint::Spoken, exchanges::Way, ready, server::Server, speaker::Speaker};
use inferometer_abi::types::{ABSENT_NS, Message, NO_COUNT, Outcome, Part, Request};
use inferometer_host::Registry;
use inferometer_metrics::{Options, TokenSource, catalogue, values};
use inferometer_model::{Clock, Failure, FailureKind, Row, plan::Plan};
use inferometer_net::Client;
use inferometer_tokens::{Tokenizer, TokenizerRequest, seed_for};
use serde_json::Value;
use tokio::{runtime::Runtime, task::LocalSet};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Who said it: `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
    pub text: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The model.
    pub model: &'a str,
    /// The conversation so far, what is to be answered last.
    pub messages: &'a [Utterance],
    /// Most output tokens; 0: no limit is sent.
    pub max_tokens: u32,
}

/// A piece of an answer, as it comes in. None is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text of the answer.
    Text(&'a str),
    /// Reasoning.
    Reasoning(&'a str),
    /// Text of a tool call.
    Tool(&'a str),
}

impl Piece<'_> {
    fn is_empty(&self) -> bool {
        let (Self::Text(text) | Self::Reasoning(text) | Self::Tool(text)) = self;
        text.is_empty()
    }
}

/// What became of a question.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer's text as far as it came, tool calls included.
    pub text: String,
    /// The reasoning as far as it came.
    pub reasoning: String,
    /// Whether it had content that is no text.
    pub has_other: bool,
    /// What was measured of it.
    pub figures: Figures,
    /// How it failed, if it did; `cancelled`: it was stopped.
    pub failure: Option<Failure>,
}

/// What was measured of one request, by the definitions of the load's metrics. What is absent was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Time to first token, in milliseconds.
    pub ttft_ms: Option<f64>,
    /// From the beginning to the whole answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Time per token after the first event, in milliseconds.
    pub itl_ms: Option<f64>,
    /// Tokens of a stream per second after the first, of any other answer per second of its latency.
    pub tokens_per_second: Option<f64>,
    /// Tokens of the answer, reasoning included.
    pub tokens: Option<u64>,
    /// Whether the tokens were counted by the local tokenizer, for want of the server's count.
    pub counted_here: bool,
    /// HTTP status; 0: none was received.
    pub status: u16,
}

/// A line to the first server of a plan, on which one request is made at a time.
pub struct Dialogue {
    plan: Plan,
    runtime: Runtime,
    local: LocalSet,
    server: Server,
    client: Client,
    speaker: Speaker,
    clock: Clock,
    ids: Ids,
    tokenizer: Tokenizer,
    extra_json: String,
    options: Options,
}

impl Dialogue {
    /// Makes everything ready, and sends nothing. It streams if `plan` asks for it and the endpoint can.
    ///
    /// # Errors
    /// Whatever the user has to mend before a request can be sent.
    pub fn new(mut plan: Plan, registry: &Registry) -> Result<Self, EngineError> {
        let Spoken { endpoint, info, .. } = Spoken::new(&mut plan, registry)?;
        plan.server.streaming &= info.streams;
        let resolved = inferometer_tokens::resolve(&TokenizerRequest {
            name: plan.tokenizer.name.clone(),
            model: plan.models.first().cloned().unwrap_or_default(),
            revision: plan.tokenizer.revision.clone(),
        })?;
        let (server, clock) = (Server::new(&plan.server, &info, true)?, Clock::start());
        let extra = &plan.server.extra;
        Ok(Self {
            runtime: runtime()?,
            local: LocalSet::new(),
            client: server.client(clock),
            server,
            speaker: Speaker::new(&plan.server, endpoint),
            clock,
            ids: Ids::new(seed_for(plan.seed, "dialogue", 0)),
            tokenizer: resolved.tokenizer,
            extra_json: if extra.is_empty() { String::new() } else { Value::Object(extra.clone()).to_string() },
            options: Options {
                streaming: plan.server.streaming,
                produces_tokens: info.produces_tokens,
                tokenizes_input: info.tokenizes_input,
                token_source: TokenSource::ServerFirst,
                open_loop: false,
                slos: None,
            },
            plan,
        })
    }

    /// Whether answers are streamed.
    pub fn streams(&self) -> bool {
        self.plan.server.streaming
    }

    /// Whether answers are text, and not embeddings, ranks, images or videos.
    pub fn produces_text(&self) -> bool {
        self.options.produces_tokens
    }

    /// Waits until the servers are ready, where the plan asks for it. `say` is told once what is waited for.
    ///
    /// # Errors
    /// When one is not in time, or refuses for a reason that waiting does not mend.
    pub fn wait_until_ready(&self, registry: &Registry, say: &mut dyn FnMut(&str)) -> Result<(), EngineError> {
        let Some(ready) = self.plan.server.ready else { return Ok(()) };
        let line = self.line();
        self.local.block_on(&self.runtime, ready::wait(&self.plan, ready, &line, registry, say))
    }

    /// Asks, hands each piece of the answer to `hear` as it comes, and returns when it is over or `control` is stopped.
    pub fn ask(&self, question: Question<'_>, control: &Control, hear: &mut dyn FnMut(Piece<'_>)) -> Answered {
        let line = self.line();
        let parts: Vec<[Part<'_>; 1]> = question.messages.iter().map(|said| [Part::text(&said.text)]).collect();
        let messages: Vec<Message<'_>> = question
            .messages
            .iter()
            .zip(&parts)
            .map(|(said, parts)| Message {
                role: said.role.into(),
                parts: parts.as_slice().into(),
                extra_json: "".into(),
            })
            .collect();
        let request = Request {
            extra_json: self.extra_json.as_str().into(),
            max_tokens: question.max_tokens,
            turn: question.messages.iter().filter(|said| said.role == "assistant").count() as u32,
            flags: line.flags(),
            ..Request::new(question.model, &messages)
        };
        let mut row = Row { requested_output: question.max_tokens, ..Row::EMPTY };
        let mut heard = Heard::default();
        let ended = match line.encode(&request) {
            Err(error) => Err(Failure::new(FailureKind::Plugin, error.message.to_string())),
            Ok(outgoing) => {
                let mut stop = control.stopped();
                let limit = self.plan.server.connection.request_timeout;
                let asking = async {
                    tokio::select! {
                        ended = tokio::time::timeout(limit, line.ask(0, &outgoing, &mut row, &mut heard, hear)) => {
                            ended.unwrap_or_else(|_| {
                                Err(Failure::new(FailureKind::Timeout, format!("no whole answer after {limit:?}")))
                            })
                        }
                        _ = stop.wait_for(|stopped| *stopped) => {
                            Err(Failure::new(FailureKind::Cancelled, "stopped before the answer was complete"))
                        }
                    }
                };
                self.local.block_on(&self.runtime, asking)
            }
        };
        let figures = self.figures(&mut row, &heard, ended.is_ok());
        Answered {
            text: heard.text.said().to_owned(),
            reasoning: heard.reasoning.said().to_owned(),
            has_other: heard.other,
            figures,
            failure: ended.err().map(|failure| self.server.hide(failure)),
        }
    }

    fn line(&self) -> Line<'_> {
        Line {
            way: Way { server: &self.server, client: &self.client, speaker: &self.speaker, clock: self.clock },
            plan: &self.plan.server,
            ids: &self.ids,
        }
    }

    /// What was measured, tokens counted here where the server said nothing of them. Of a failure that is no more than
    /// the status.
    fn figures(&self, row: &mut Row, heard: &Heard, is_ok: bool) -> Figures {
        if !is_ok {
            return Figures { status: row.status, ..Figures::default() };
        }
        row.outcome = Outcome::OK;
        let (text, reasoning) = (heard.text.said(), heard.reasoning.said());
        let counted_here = row.usage_completion == NO_COUNT && !(text.is_empty() && reasoning.is_empty());
        if counted_here {
            let count = |text: &str| self.tokenizer.count(text).map_or(NO_COUNT, |count| count as u32);
            let (first_text, first_reasoning) = heard.first.unwrap_or_default();
            (row.local_output, row.local_reasoning) = (count(text), count(reasoning));
            row.local_first = count(&text[..first_text]).saturating_add(count(&reasoning[..first_reasoning]));
        }
        if row.last_byte == ABSENT_NS {
            row.last_byte = row.last;
        }
        let mut measured = Vec::new();
        values(&self.options, row, &mut measured);
        let metrics = catalogue(&self.options);
        let of = |tag: &str| {
            let at = metrics.iter().position(|metric| metric.tag == tag)?;
            measured.get(at).copied().filter(|value| value.is_finite())
        };
        Figures {
            ttft_ms: of("time_to_first_token"),
            latency_ms: of("request_latency"),
            itl_ms: of("inter_token_latency"),
            tokens_per_second: of(match self.options.streaming {
                true => "output_token_throughput_per_user",
                false => "e2e_output_token_throughput",
            }),
            tokens: of("output_sequence_length").map(|tokens| tokens as u64),
            counted_here,
            status: row.status,
        }
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> Result<Runtime, EngineError> {
    let system = |source| EngineError::System { what: "starting a runtime", source };
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)
}
