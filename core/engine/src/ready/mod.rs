//! Waiting until the servers are ready, before any load: asked over the load's own path, so that what is found out holds
//! for the load. Nothing here is measured.
//!
//! What an answer means is decided in [`verdict`]: some answers are mended by waiting, and others never are, which end the
//! wait at once and say what to change.

mod models;
mod paths;
mod verdict;

use crate::{
    EngineError,
    dialogue::{Heard, Line, Page, Piece, quoted},
};
use inferometer_abi::types::{Message, NO_COUNT, Outgoing, Part, Request};
use inferometer_host::Registry;
use inferometer_model::{
    Failure, FailureKind, Row,
    config::ReadyMode,
    plan::{Plan, ReadyPlan},
    secret::shown_url,
};
use models::MODELS;
use std::time::{Duration, Instant};
use url::Url;
use verdict::State;

/// Shortest time between two attempts.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Longest time that a page may take, and the shortest that is left to a request for tokens: the first one of a server may
/// have a model to load.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Tokens that are asked for. One would do, but some servers refuse to make so few.
const TOKENS: u32 = 16;

/// Waits until every server of the plan is ready for every model. `say` is told once for each server what is waited for.
///
/// # Errors
/// When one is not in time, or refuses for a reason that waiting does not mend.
pub(crate) async fn wait(
    plan: &Plan,
    ready: ReadyPlan,
    line: &Line<'_>,
    registry: &Registry,
    say: &mut dyn FnMut(&str),
) -> Result<(), EngineError> {
    for (to, url) in plan.server.urls.iter().enumerate() {
        let site = Site { plan, line, registry, to, url };
        let mut wait = Wait { ready, url: shown_url(url), said: false, say };
        if matches!(ready.mode, ReadyMode::Models | ReadyMode::Both) {
            wait.until(async |_| site.lists().await).await?;
        }
        if matches!(ready.mode, ReadyMode::Inference | ReadyMode::Both) {
            for model in &plan.models {
                let outgoing = site.request(model)?;
                wait.until(async |left| site.answers(model, &outgoing, left).await).await?;
            }
        }
    }
    Ok(())
}

/// The wait for one server.
struct Wait<'a> {
    ready: ReadyPlan,
    url: String,
    said: bool,
    say: &'a mut dyn FnMut(&str),
}

impl Wait<'_> {
    /// Asks again and again; `ask` is told how much time is left.
    async fn until(&mut self, ask: impl AsyncFn(Duration) -> State) -> Result<(), EngineError> {
        let begun = Instant::now();
        let patience = Duration::from_nanos(self.ready.timeout_ns);
        let shown = humantime::format_duration(patience);
        loop {
            let url = &self.url;
            let state = match ask(patience.saturating_sub(begun.elapsed())).await {
                State::Ready => return Ok(()),
                State::Never(why) => return Err(EngineError::NotReady(format!("{url}: {why}"))),
                State::NotYet(why) => why,
            };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(EngineError::NotReady(format!(
                    "{url} was not ready within {shown}: {state}; start the server, or raise --wait-for-model-timeout"
                )));
            }
            if !self.said {
                (self.say)(&format!("waiting up to {shown} for {url}: {state}"));
                self.said = true;
            }
            let interval = Duration::from_nanos(self.ready.interval_ns).max(SHORTEST_INTERVAL);
            tokio::time::sleep(interval.min(left)).await;
        }
    }
}

/// One server, and how it is asked.
struct Site<'a> {
    plan: &'a Plan,
    line: &'a Line<'a>,
    registry: &'a Registry,
    /// Its number.
    to: usize,
    url: &'a Url,
}

impl Site<'_> {
    /// Whether it lists the models.
    async fn lists(&self) -> State {
        let page = match self.page("GET", MODELS).await {
            Ok(page) => page,
            Err(failure) => return self.broken(&failure),
        };
        if page.status == 404 {
            return self.has_no_list().await;
        }
        if !page.is_good() {
            return self.refused(&page, "GET", MODELS);
        }
        match models::listed(&page.body) {
            None => State::Never(format!(
                "what it answers to GET {MODELS} is no list of models ({}); check --url, or use --wait-for-model-mode \
                 inference",
                self.hidden(page.words())
            )),
            Some(listed) if listed.is_empty() => State::NotYet(format!("it lists no model at {MODELS}")),
            Some(listed) => match self.plan.models.iter().find(|model| !listed.contains(model)) {
                None => State::Ready,
                Some(absent) => State::Never(models::absent(absent, &listed)),
            },
        }
    }

    /// The request that tells whether it answers for `model`.
    fn request(&self, model: &str) -> Result<Outgoing, EngineError> {
        let parts = [Part::text("Hello")];
        let messages = [Message { role: "user".into(), parts: (&parts[..]).into(), extra_json: "".into() }];
        let extra = &self.plan.server.extra;
        let extra = if extra.is_empty() { String::new() } else { serde_json::Value::Object(extra.clone()).to_string() };
        let request = Request {
            max_tokens: TOKENS,
            flags: self.line.flags(),
            extra_json: extra.as_str().into(),
            ..Request::new(model, &messages)
        };
        self.line.encode(&request).map_err(|error| {
            let text = format!(
                "{}; a plain text is what --wait-for-model-mode inference asks with: use --wait-for-model-mode models",
                error.message
            );
            EngineError::component(&self.plan.server.endpoint)(inferometer_abi::types::Error::new(error.kind, text))
        })
    }

    /// Whether it answers a request for `model`, with `left` of the time.
    async fn answers(&self, model: &str, outgoing: &Outgoing, left: Duration) -> State {
        let (mut row, mut heard) = (Row::EMPTY, Heard::default());
        let (limit, mut deaf) = (left.max(ATTEMPT), |_: Piece<'_>| ());
        let asking = self.line.ask(self.to, outgoing, &mut row, &mut heard, &mut deaf);
        let ended = tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(late(limit)));
        let Err(failure) = ended else { return State::Ready };
        let page = &heard.page;
        let path = self.path(outgoing);
        match failure.kind {
            FailureKind::HttpStatus | FailureKind::ContextOverflow => match page.status {
                _ if page.is_about(model) => self.has_no_model(model, page).await,
                404 => self.has_no_path(&path, model).await,
                _ => self.refused(page, "POST", &path),
            },
            // It thought, and had no token left to say anything; or it said it with an empty text.
            FailureKind::NoContent if heard.ended || row.usage_completion != NO_COUNT => State::Ready,
            FailureKind::NoContent | FailureKind::Malformed if page.is_good() => State::Never(format!(
                "the endpoint '{}' cannot read its answer to POST {path}: {}; it begins with `{}`: check --endpoint-type \
                 and --endpoint",
                self.plan.server.endpoint,
                self.hidden(failure.message.into_owned()),
                self.hidden(quoted(&page.body)),
            )),
            _ => self.broken(&failure),
        }
    }

    /// The path of a request, as it is seen by the server.
    fn path(&self, outgoing: &Outgoing) -> String {
        let given = if outgoing.path.is_empty() { &self.line.way.speaker.path } else { outgoing.path.as_str() };
        let joined = crate::base::join(self.url, given);
        joined.split('?').next().unwrap_or_default().to_owned()
    }

    /// What is at `path` of the server, a whole URL or below the one that the user gave.
    async fn page(&self, method: &str, path: &str) -> Result<Page, Failure> {
        let asking = self.line.fetch(self.to, method, path);
        tokio::time::timeout(ATTEMPT, asking).await.unwrap_or_else(|_| Err(late(ATTEMPT)))
    }

    /// What the server says, without what only it should see.
    fn hidden(&self, words: String) -> String {
        self.line.way.server.hidden(words)
    }
}

fn late(limit: Duration) -> Failure {
    Failure::new(FailureKind::Timeout, format!("no whole answer within {limit:?}"))
}
