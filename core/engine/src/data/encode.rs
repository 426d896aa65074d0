//! From what a data set gives to what is sent: [`Session`]s, made of the loader's turns by the [`Terms`] of the run.

use super::messages::{Said, with_messages};
use crate::server::path_for;
use inferometer_abi::{
    RSlice, RStr,
    api::{DatasetLoader, Endpoint, SessionSink, TextTools},
    documents::{DatasetInfo, Length},
    random::{SplitMix64, mix},
    types::{
        Branch, Error, ErrorKind, Message, Outgoing, Request, Result, Turn, TurnTime, branch_flags, request_flags,
        turn_flags,
    },
};
use inferometer_model::{
    config::{CacheBust, ModelSelection, Replies},
    plan::Plan,
};
use inferometer_tokens::seed_for;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Most turns of one session; a loader that goes beyond it never comes to an end.
pub(super) const MOST_TURNS: usize = 100_000;
/// What a session takes besides its texts, in bytes, about.
const OVERHEAD: usize = 512;

/// One session, ready to be sent.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) turns: Vec<Ready>,
    /// Sessions that it begins.
    pub(crate) branches: Vec<Branch>,
}

/// One turn, as far as it is ready before it is sent.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The request; absent where it depends on what was said before or on the session's number.
    pub(crate) encoded: Option<Outgoing>,
    /// What the turn adds to the conversation; let go where nothing needs it.
    pub(crate) said: Vec<Arc<Said>>,
    /// Whether the request holds what was said before.
    pub(crate) builds: bool,
    pub(crate) model: Arc<str>,
    /// Fields merged over the body, as JSON.
    pub(crate) extra: Arc<str>,
    pub(crate) max_tokens: u32,
    pub(crate) time: TurnTime,
}

impl Ready {
    /// What the turn adds to a conversation whose replies are `live`: the recorded reply to the turn before is left out then.
    pub(crate) fn news(&self, live: bool) -> &[Arc<Said>] {
        let replies = if live { self.said.iter().take_while(|said| said.is("assistant")).count() } else { 0 };
        &self.said[replies..]
    }

    /// All text of the turn, pieces joined by blanks, as AIPerf counts it; nothing where its messages were let go.
    pub(crate) fn prompt(&self) -> Option<String> {
        let texts: Vec<&str> = self.said.iter().flat_map(|said| said.texts()).collect();
        (!self.said.is_empty()).then(|| texts.join(" "))
    }
}

impl Session {
    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let turn = |turn: &Ready| {
            let encoded = turn.encoded.as_ref().map_or(0, |outgoing| outgoing.body.len());
            let said: usize = turn.said.iter().map(|said| said.bytes()).sum();
            encoded + turn.extra.len() + said + size_of::<Ready>()
        };
        self.turns.iter().map(turn).sum::<usize>() + OVERHEAD
    }
}

/// How a run's requests are made of its data.
pub(crate) struct Terms {
    models: Vec<Arc<str>>,
    model_selection: ModelSelection,
    seed: u64,
    extra: Map<String, Value>,
    /// The run's extra fields as JSON; empty: none.
    extra_json: Arc<str>,
    pub(super) flags: u32,
    /// The endpoint's own path.
    path: String,
    pub(super) system: Option<String>,
    pub(super) user_context_tokens: Option<u64>,
    pub(crate) cache_bust: CacheBust,
    delay_ratio: f64,
    ignores_times: bool,
    /// Sessions that no other begins; those after them may begin with what was said in another.
    sessions: u64,
    branches: u64,
    /// Number of servers.
    servers: u64,
    output: Option<Length>,
    /// Whether replies of the server go into the history, and not those of the data set.
    pub(crate) live: bool,
}

impl Terms {
    /// The terms of `plan` for a data set that says `info` of itself, and an endpoint whose own path is `path`.
    ///
    /// # Errors
    /// When the system message that is asked for cannot be made.
    pub(crate) fn new(plan: &Plan, info: &DatasetInfo, path: String, text: &dyn TextTools) -> Result<Self> {
        let (data, server) = (&plan.data, &plan.server);
        let made = data.shared_system_tokens.map(|tokens| text.text(seed_for(plan.seed, "system-prompt", 0), tokens));
        let extra_json = json(&server.extra);
        Ok(Self {
            models: plan.models.iter().map(|model| model.as_str().into()).collect(),
            model_selection: plan.model_selection,
            seed: plan.seed,
            extra: server.extra.clone(),
            extra_json,
            flags: if server.streaming { request_flags::STREAM } else { 0 }
                | if server.legacy_max_tokens { request_flags::LEGACY_MAX_TOKENS } else { 0 }
                | if server.chunk_usage { request_flags::CHUNK_USAGE } else { 0 },
            path,
            system: made.transpose()?.or_else(|| data.system_prompt.clone()),
            user_context_tokens: data.user_context_tokens,
            cache_bust: data.cache_bust,
            delay_ratio: data.delay_ratio,
            ignores_times: data.ignores_times,
            sessions: info.sessions,
            branches: info.branches,
            servers: server.urls.len().max(1) as u64,
            output: data.request.output_tokens,
            live: data.replies.map_or(!info.recorded_replies, |replies| replies == Replies::Live),
        })
    }

    /// A turn's times as the run takes them.
    pub(crate) fn time(&self, time: TurnTime) -> TurnTime {
        if self.ignores_times {
            return TurnTime::NONE;
        }
        TurnTime { delay_ns: (time.delay_ns as f64 * self.delay_ratio) as u64, ..time }
    }

    /// Makes session `entry` of the data set; with `keeps_text` the texts of all its messages are kept.
    ///
    /// # Errors
    /// The loader's or the endpoint's, with the session it came in.
    pub(crate) fn make(
        &self,
        entry: u64,
        loader: &dyn DatasetLoader,
        endpoint: &dyn Endpoint,
        text: &dyn TextTools,
        keeps_text: bool,
    ) -> Result<Session, Refused> {
        let session = Session::default();
        let mut encoder = Encoder { terms: self, endpoint, text, entry, session, refused: None };
        loader
            .session(entry, text, &mut encoder)
            .map_err(|error| Refused { by_endpoint: false, error: placed("session", entry, &error) })?;
        let mut session = encoder.finish()?;
        if session.turns.is_empty() {
            let error = Error::config(format!("session {entry} of the data set holds no request"));
            return Err(Refused { by_endpoint: false, error });
        }
        if session.name.is_empty() {
            session.name = format!("session_{entry:06}");
        }
        let forks = session.branches.iter().any(|branch| branch.flags & branch_flags::INHERITS != 0);
        let is_inherited = forks || entry >= self.sessions;
        let last = session.turns.iter().rposition(|turn| turn.builds).unwrap_or(0);
        for (number, turn) in session.turns.iter_mut().enumerate() {
            // The texts of a form are not found in its body.
            let is_form = turn.encoded.as_ref().is_some_and(|outgoing| outgoing.content_type.starts_with("multipart/"));
            let is_needed =
                turn.encoded.is_none() || is_form || turn.builds && (number < last || is_inherited) || keeps_text;
            if !is_needed {
                turn.said = Vec::new();
            }
        }
        Ok(session)
    }

    /// Encodes a request of `turn` that holds `said`.
    ///
    /// # Errors
    /// The endpoint's.
    pub(crate) fn encode(
        &self,
        endpoint: &dyn Endpoint,
        turn: &Ready,
        number: u32,
        said: &[Arc<Said>],
    ) -> Result<Outgoing> {
        with_messages(said, |messages| self.encode_as(endpoint, turn, number, messages, RSlice::EMPTY))
    }

    fn encode_as(
        &self,
        endpoint: &dyn Endpoint,
        turn: &Ready,
        number: u32,
        messages: RSlice<'_, Message<'_>>,
        raw_body: RSlice<'_, u8>,
    ) -> Result<Outgoing> {
        let request = Request {
            model: RStr::from(&*turn.model),
            messages,
            extra_json: RStr::from(&*turn.extra),
            raw_body,
            max_tokens: turn.max_tokens,
            turn: number,
            flags: self.flags,
            pad: 0,
            reserved: [0; 6],
        };
        let mut outgoing = Outgoing::default();
        endpoint.encode(&request, &mut outgoing)?;
        if outgoing.path.is_empty()
            && let Some(path) = path_for(&self.path, &turn.model)
        {
            outgoing.path = path.into();
        }
        Ok(outgoing)
    }

    /// The model that session `entry` asks.
    fn model(&self, entry: u64) -> Arc<str> {
        let drawn = match self.model_selection {
            // Sessions go from server to server: each of these is to be asked for every model.
            ModelSelection::RoundRobin => entry / self.servers,
            ModelSelection::Random => seed_for(self.seed, "model", entry),
        };
        Arc::clone(&self.models[(drawn % self.models.len() as u64) as usize])
    }

    /// Output tokens to ask for where the data set does not say.
    fn output_tokens(&self, entry: u64, turn: usize) -> u32 {
        let Some(Length { mean, stddev }) = self.output else { return 0 };
        let mut random = SplitMix64::new(mix(seed_for(self.seed, "output-tokens", entry) ^ turn as u64));
        loop {
            let tokens = (mean + if stddev == 0.0 { 0.0 } else { stddev * random.normal() }).round();
            if tokens >= 1.0 || stddev == 0.0 {
                return tokens.max(1.0) as u32;
            }
        }
    }

    /// Whether anything is put into what the data set gives.
    fn adds_text(&self) -> bool {
        self.system.is_some() || self.user_context_tokens.is_some() || self.cache_bust != CacheBust::None
    }

    /// What every session begins with, before the messages of its own first turn.
    fn preface(&self, entry: u64, said: &mut Vec<Arc<Said>>, text: &dyn TextTools) -> Result<()> {
        if let Some(system) = &self.system {
            match said.first_mut().filter(|first| first.is("system")) {
                Some(first) => Arc::make_mut(first).mark(&format!("{system}\n\n"), true),
                None => said.insert(0, Arc::new(Said::text("system", system))),
            }
        }
        if let Some(tokens) = self.user_context_tokens {
            let context = text.text(seed_for(self.seed, "user-context", entry), tokens)?;
            let after_system = usize::from(said.first().is_some_and(|first| first.is("system")));
            said.insert(after_system, Arc::new(Said::text("user", &context)));
        }
        Ok(())
    }

    /// What of a session's first turn stands also before a later one with which the session is begun: the system message
    /// and the context.
    pub(crate) fn preface_of<'a>(&self, first: &'a Ready) -> &'a [Arc<Said>] {
        let system = first.said.iter().take_while(|said| said.is("system")).count();
        let context = usize::from(self.user_context_tokens.is_some());
        first.said.get(..system + context).unwrap_or_default()
    }

    /// `said` with a mark that nothing else has, so that the server's cache does not know it.
    pub(crate) fn marked(&self, said: &[Arc<Said>], mark: &str) -> Vec<Arc<Said>> {
        let mut marked = said.to_vec();
        let (role, at_start) = match self.cache_bust {
            CacheBust::None => return marked,
            CacheBust::SystemStart => ("system", true),
            CacheBust::SystemEnd => ("system", false),
            CacheBust::FirstTurnStart => ("user", true),
            CacheBust::FirstTurnEnd => ("user", false),
        };
        let (before, after) = if at_start { ("", " ") } else { (" ", "") };
        match marked.iter_mut().find(|said| said.is(role)) {
            Some(said) => Arc::make_mut(said).mark(&format!("{before}{mark}{after}"), at_start),
            None => marked.insert(0, Arc::new(Said::text(role, mark))),
        }
        marked
    }
}

/// Why a session could not be made.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The endpoint refused it, and not the loader.
    pub(crate) by_endpoint: bool,
    pub(crate) error: Error,
}

/// Takes the turns of one session as the loader gives them.
struct Encoder<'a> {
    terms: &'a Terms,
    endpoint: &'a dyn Endpoint,
    text: &'a dyn TextTools,
    entry: u64,
    session: Session,
    /// Why a turn was not taken. The loader cannot be told, so all further ones are passed over.
    refused: Option<Refused>,
}

impl SessionSink for Encoder<'_> {
    fn name(&mut self, name: &str) {
        name.clone_into(&mut self.session.name);
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        if self.refused.is_none() {
            self.refused = self.take(turn).err();
        }
    }

    fn branch(&mut self, branch: &Branch) {
        let Branch { session, .. } = branch;
        if !(self.terms.sessions..self.terms.sessions + self.terms.branches).contains(session) || *session == self.entry
        {
            let text = format!(
                "session {} begins session {session}, which is not one of the data set's branches (DatasetInfo.branches)",
                self.entry
            );
            self.refused.get_or_insert(Refused { by_endpoint: false, error: Error::config(text) });
        }
        self.session.branches.push(*branch);
    }
}

impl Encoder<'_> {
    /// The session, if all of its turns were taken.
    fn finish(self) -> Result<Session, Refused> {
        self.refused.map_or(Ok(self.session), Err)
    }

    fn take(&mut self, turn: &Turn<'_>) -> Result<(), Refused> {
        let (terms, number) = (self.terms, self.session.turns.len());
        let of_data = |error| Refused { by_endpoint: false, error };
        if number == MOST_TURNS {
            let text = format!("session {} of the data set has more than {MOST_TURNS} turns", self.entry);
            return Err(of_data(Error::config(text)));
        }
        let is_raw = !turn.raw_body.is_empty();
        if is_raw && terms.adds_text() {
            return Err(of_data(Error::config(
                "the data set's bodies are sent as they are, so nothing can be put before them; leave out --system-prompt, \
                 --shared-system-prompt-length, --user-context-prompt-length and --cache-bust",
            )));
        }
        let alone = is_raw || turn.flags & turn_flags::STANDS_ALONE != 0;
        let mut said: Vec<Arc<Said>> = turn.messages.iter().map(|message| Arc::new(Said::of(message))).collect();
        if !is_raw && (alone || number == 0) {
            terms.preface(self.entry, &mut said, self.text).map_err(of_data)?;
        }
        let ready = Ready {
            encoded: None,
            said,
            builds: !alone,
            model: if turn.model.is_empty() { terms.model(self.entry) } else { turn.model.as_str().into() },
            extra: terms.merged_extra(turn.extra_json.as_str()),
            max_tokens: match turn.max_tokens {
                0 if !is_raw => terms.output_tokens(self.entry, number),
                given => given,
            },
            time: terms.time(turn.time),
        };
        // A raw body is sent as it is, without a mark; everything else waits for it if one is wanted.
        let waits = !is_raw && terms.cache_bust != CacheBust::None;
        let encoded = if (alone || number == 0) && !waits {
            let number = number as u32;
            let encoded = with_messages(&ready.said, |messages| {
                terms.encode_as(self.endpoint, &ready, number, messages, turn.raw_body)
            });
            let refuse = |error: Error| Refused { by_endpoint: true, error: placed("encode", self.entry, &error) };
            Some(encoded.map_err(refuse)?)
        } else {
            None
        };
        self.session.turns.push(Ready { encoded, ..ready });
        Ok(())
    }
}

impl Terms {
    /// The run's extra fields with the turn's own over them, as JSON text; empty if there are none.
    fn merged_extra(&self, turn: &str) -> Arc<str> {
        match serde_json::from_str(turn) {
            Ok(Value::Object(own)) if !own.is_empty() => {
                let mut extra = self.extra.clone();
                extra.extend(own);
                json(&extra)
            }
            _ => Arc::clone(&self.extra_json),
        }
    }
}

/// Fields as JSON text; empty if there are none.
fn json(fields: &Map<String, Value>) -> Arc<str> {
    if fields.is_empty() { "".into() } else { Value::Object(fields.clone()).to_string().into() }
}

/// The error, with the session it came in; of a panic also the call, which is the author's concern.
fn placed(call: &str, session: u64, error: &Error) -> Error {
    let call = if error.kind == ErrorKind::PANICKED { format!("{call}, ") } else { String::new() };
    Error::new(error.kind, format!("{call}session {session}: {}", error.message))
}
