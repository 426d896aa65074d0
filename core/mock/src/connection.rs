//! One connection: request after request, each handed to what answers it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::ask::Call;
use crate::exchange::{After, Exchange};
use crate::http::{ReadError, Reader, Request};
use crate::outlet::{BATCH, Outlet};
use crate::pages::{self, Page, authorize};
use crate::refusal::{Refusal, Shape};
use crate::reply::reply;
use crate::routes::{self, Route, Wish};
use crate::server::{Shared, Thread, Voice};

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
                if let Some(page) = pages::find(&request, &thread.shared) {
                    page.write(&mut stream, &mut out, &request).await
                } else {
                    let outlet = Outlet::new(&mut stream, &thread.timers, &mut out, config.split);
                    let mut exchange = Exchange::begin(&thread, &request, reader.body(), port);
                    let wanted = admit(&mut exchange, &request, reader.body(), &thread.shared);
                    reply(exchange, wanted, &request, outlet).await
                }
            }
            Err(ReadError::Refused { status, message }) => {
                let page = Page::refusal(&Refusal::new(status, message));
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

/// What a request wants and from whom, noted in its account; or how it is refused.
fn admit<'a>(
    exchange: &mut Exchange,
    request: &Request,
    body: &[u8],
    shared: &'a Shared,
) -> Result<(Wish, &'a Voice), (Refusal, Shape)> {
    let route = routes::find(&request.path);
    let errors = route.as_ref().map_or(Shape::OpenAi, |route| route.kind.errors());
    let wanted = accept(exchange, route, request, shared).and_then(|route| wish(&route, request, body, shared));
    let (wish, voice) = wanted.map_err(|refusal| (refusal, errors))?;
    exchange.admit(voice, wish.prompt_tokens(), wish.choices());
    Ok((wish, voice))
}

/// Lets a request in, before its body is looked at.
fn accept<'a>(
    exchange: &Exchange,
    route: Option<Route<'a>>,
    request: &Request,
    shared: &Shared,
) -> Result<Route<'a>, Refusal> {
    let path = &request.path;
    let Some(route) = route else {
        if path == "/v1/models" {
            authorize(request, shared)?;
            return Err(Refusal::new(405, "use GET on /v1/models"));
        }
        return Err(Refusal::new(404, format!("there is nothing at {path}")));
    };
    authorize(request, shared)?;
    if request.method != "POST" {
        return Err(Refusal::new(405, format!("use POST on {path}")));
    }
    match exchange.injected_error() {
        Some(injected) => Err(injected),
        None => Ok(route),
    }
}

/// What the request wants, and from whom.
fn wish<'a>(
    route: &Route<'_>,
    request: &Request,
    body: &[u8],
    shared: &'a Shared,
) -> Result<(Wish, &'a Voice), Refusal> {
    let call = Call {
        request,
        body,
        model: route.model,
        stream: route.stream,
        counter: &shared.counter,
        default_model: &shared.voices[0].name,
        osl: shared.config.osl,
    };
    let wish = route.kind.read(&call)?;
    let model = wish.model();
    let voice = shared.voices.iter().find(|voice| voice.name == model);
    let voice = voice.ok_or_else(|| Refusal::unknown_model(model))?;
    Ok((wish, voice))
}
