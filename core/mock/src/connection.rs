//! One connection: request after request, each handed to what answers it.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::embeddings;
use crate::exchange::{After, Exchange};
use crate::http::{Head, JSON, METRICS, ReadError, Reader, Request};
use crate::openai::{self, Api, Ask, Refusal};
use crate::outlet::{BATCH, Outlet};
use crate::server::{Shared, Thread, Voice};
use crate::sse::Script;

/// Serves a connection until either side has had enough.
pub(crate) async fn serve(mut stream: TcpStream, thread: Rc<Thread>) {
    let config = &thread.shared.config;
    let mut reader = Reader::default();
    let mut out = Vec::with_capacity(2 * BATCH);
    let port = stream.peer_addr().map_or(0, |peer| peer.port());
    let mut answers = 0;
    while begins(&mut reader, &mut stream, &thread).await {
        let after = match reader.request(&mut stream).await {
            Ok(request) => {
                if let Some(page) = page(&request, &thread.shared) {
                    page.write(&mut stream, &mut out, &request).await
                } else {
                    let outlet = Outlet::new(&mut stream, &thread.timers, &mut out, config.split);
                    let exchange = Exchange::begin(&thread, &request, reader.body(), port);
                    answer(exchange, &request, reader.body(), outlet, &thread.shared).await
                }
            }
            Err(ReadError::Refused { status, message }) => {
                let page = Page { status, content_type: JSON, body: Refusal::new(status, message).body() };
                let unread = Request { close: true, ..Request::default() };
                page.write(&mut stream, &mut out, &unread).await
            }
            Err(ReadError::Gone) => return,
        };
        answers += 1;
        if !matches!(after, Ok(After::Keep)) || answers == config.max_requests_per_connection {
            return;
        }
    }
}

/// Waits for the next request to begin; false when the connection is to be closed instead.
async fn begins(reader: &mut Reader, stream: &mut TcpStream, thread: &Thread) -> bool {
    let idle_ms = thread.shared.config.idle_close_ms;
    if idle_ms == 0.0 {
        return reader.wait(stream).await.unwrap_or(false);
    }
    let until = Instant::now() + Duration::from_secs_f64(idle_ms / 1e3);
    tokio::select! {
        biased;
        begun = reader.wait(stream) => begun.unwrap_or(false),
        () = thread.timers.sleep_until(until) => false,
    }
}

/// An answer that is no load: it has no fate, and is neither counted nor logged.
struct Page {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Page {
    async fn write(&self, stream: &mut TcpStream, out: &mut Vec<u8>, request: &Request) -> io::Result<After> {
        out.clear();
        let head = Head {
            status: self.status,
            content_type: self.content_type,
            length: Some(self.body.len()),
            request_id: request.request_id.as_deref(),
            close: request.close,
        };
        head.write(out);
        out.extend_from_slice(&self.body);
        stream.write_all(out).await?;
        Ok(if request.close { After::Close } else { After::Keep })
    }
}

fn page(request: &Request, shared: &Shared) -> Option<Page> {
    if request.method != "GET" {
        return None;
    }
    let (content_type, body) = match request.path.as_str() {
        "/health" => (JSON, b"{\"status\":\"ok\"}".to_vec()),
        "/metrics" => (METRICS, shared.telemetry.render()),
        "/dcgm/metrics" => match &shared.gpus {
            Some(gpus) => (METRICS, gpus.render()),
            // Whoever looks for GPUs where there are none is no load either.
            None => {
                let refusal = Refusal::new(404, "this server has no GPUs: start it with --gpus to make some up");
                return Some(Page { status: 404, content_type: JSON, body: refusal.body() });
            }
        },
        "/v1/models" if authorize(request, shared).is_ok() => (JSON, openai::models(&shared.config.models)),
        _ => return None,
    };
    Some(Page { status: 200, content_type, body })
}

/// What a request that can be served gets, and from whom.
struct Work<'a> {
    voice: &'a Voice,
    prompt_tokens: u64,
    answer: Answer<'a>,
}

enum Answer<'a> {
    Stream(&'a Script, Ask),
    /// A body, the output tokens in it, and why they ended.
    Plain(Vec<u8>, usize, &'static str),
}

async fn answer(
    mut exchange: Exchange,
    request: &Request,
    body: &[u8],
    outlet: Outlet<'_>,
    shared: &Shared,
) -> io::Result<After> {
    let work = match work(&exchange, request, body, shared) {
        Ok(work) => work,
        Err(refusal) => return exchange.refuse(&refusal, request, outlet).await,
    };
    exchange.admit(work.voice, work.prompt_tokens);
    match work.answer {
        Answer::Stream(script, ask) => exchange.stream(script, &ask, request, outlet).await,
        Answer::Plain(body, tokens, finish) => exchange.plain(body, tokens, finish, request, outlet).await,
    }
}

fn work<'a>(exchange: &Exchange, request: &Request, body: &[u8], shared: &'a Shared) -> Result<Work<'a>, Refusal> {
    let api = match request.path.as_str() {
        "/v1/chat/completions" => Some(Api::Chat),
        "/v1/completions" => Some(Api::Completions),
        "/v1/embeddings" => None,
        "/v1/models" => {
            authorize(request, shared)?;
            return Err(Refusal::new(405, "use GET on /v1/models"));
        }
        path => return Err(Refusal::new(404, format!("there is nothing at {path}"))),
    };
    authorize(request, shared)?;
    if request.method != "POST" {
        return Err(Refusal::new(405, format!("use POST on {}", request.path)));
    }
    if let Some(injected) = exchange.injected_error() {
        return Err(injected);
    }
    let with_usage = !shared.config.ignore_usage;
    let Some(api) = api else {
        let ask = embeddings::Ask::parse(body, &shared.counter)?;
        let voice = voice(&ask.model, shared)?;
        let answer = Answer::Plain(ask.answer(&voice.json, with_usage), 0, "stop");
        return Ok(Work { voice, prompt_tokens: ask.prompt_tokens, answer });
    };
    let ask = Ask::parse(api, body, shared.config.osl, &shared.counter)?;
    let voice = voice(&ask.model, shared)?;
    let prompt_tokens = ask.prompt_tokens;
    let answer = if ask.stream {
        Answer::Stream(voice.script(api), ask)
    } else {
        let body = openai::plain(api, &ask, exchange.id(), &voice.json, with_usage);
        Answer::Plain(body, ask.tokens, ask.finish)
    };
    Ok(Work { voice, prompt_tokens, answer })
}

fn authorize(request: &Request, shared: &Shared) -> Result<(), Refusal> {
    let Some(key) = &shared.config.api_key else {
        return Ok(());
    };
    let given = request.authorization.as_deref().and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && given.trim() == key => Ok(()),
        _ => Err(Refusal::new(401, "the Authorization header does not carry this server's key")),
    }
}

fn voice<'a>(model: &str, shared: &'a Shared) -> Result<&'a Voice, Refusal> {
    let found = shared.voices.iter().find(|voice| voice.name == model);
    found.ok_or_else(|| Refusal::unknown_model(model))
}
