//! [`Pool`]: the data set made ready: every turn encoded into the bytes that will be sent, before the load begins.

use crate::EngineError;
use inferometer_abi::{
    RSlice, RStr, RVec,
    api::{DatasetLoader, Endpoint, SessionSink, TextTools, Timetable},
    types::{Error, ErrorKind, Outgoing, Part, PartKind, Request, Turn, TurnTime, request_flags},
};
use inferometer_model::{
    config::ModelSelection,
    plan::{Plan, ServerPlan},
};
use inferometer_tokens::seed_for;

/// Most sessions of a data set, and most turns of all of them together: they are kept in memory.
const MOST_SESSIONS: u64 = 10_000_000;
const MOST_TURNS: u64 = 10_000_000;
/// Most turns of one session; a loader that goes beyond it never comes to an end.
const MOST_TURNS_OF_SESSION: u64 = 100_000;

/// One session, ready to be sent.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) turns: Vec<Ready>,
}

/// One turn, ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) outgoing: Outgoing,
    /// Its text, for counting tokens after the load.
    pub(crate) prompt: String,
    pub(crate) max_tokens: u32,
    pub(crate) time: TurnTime,
}

/// The sessions of a run.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) sessions: Vec<Session>,
}

impl Pool {
    /// Takes every session from `loader` and encodes it.
    pub(crate) fn prepare(
        plan: &Plan,
        count: u64,
        loader: &dyn DatasetLoader,
        endpoint: &dyn Endpoint,
        text: &dyn TextTools,
    ) -> Result<Self, EngineError> {
        let of_loader = |error| EngineError::component(&plan.data.loader)(error);
        let refused = |text: String| Err(of_loader(Error::config(text)));
        if count == 0 {
            return refused("the data set holds no request; give one with at least one session".to_owned());
        }
        if count > MOST_SESSIONS {
            return refused(format!(
                "the data set has {count} sessions, and they are kept in memory; give one of at most {MOST_SESSIONS}"
            ));
        }
        let mut sessions = Vec::new();
        let mut turns = 0;
        for index in 0..count {
            let session = Session::default();
            let mut encoder = Encoder { plan, endpoint, index, turns: &mut turns, session, refused: None };
            loader.session(index, text, &mut encoder).map_err(|error| of_loader(placed("session", index, &error)))?;
            let mut session = encoder.finish()?;
            if session.turns.is_empty() {
                return refused(format!("session {index} of the data set holds no request"));
            }
            if session.name.is_empty() {
                session.name = format!("session_{index:06}");
            }
            sessions.push(session);
        }
        Ok(Self { sessions })
    }
}

impl Timetable for Pool {
    fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }

    fn turns(&self, session: u64) -> u32 {
        self.sessions.get(session as usize).map_or(0, |session| session.turns.len() as u32)
    }

    fn time(&self, session: u64, turn: u32) -> TurnTime {
        let session = self.sessions.get(session as usize);
        session.and_then(|session| session.turns.get(turn as usize)).map_or(TurnTime::NONE, |turn| turn.time)
    }
}

/// Encodes the turns of one session as the loader gives them.
struct Encoder<'a> {
    plan: &'a Plan,
    endpoint: &'a dyn Endpoint,
    /// Number of the session.
    index: u64,
    /// Turns encoded so far, over all sessions: models are shared out by it.
    turns: &'a mut u64,
    session: Session,
    /// Why a turn was not taken. The loader cannot be told, so all further ones are passed over.
    refused: Option<EngineError>,
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
}

impl Encoder<'_> {
    /// The session, if all of its turns were taken.
    fn finish(self) -> Result<Session, EngineError> {
        self.refused.map_or(Ok(self.session), Err)
    }

    fn take(&mut self, turn: &Turn<'_>) -> Result<(), EngineError> {
        let too_many = |what: &str, most: u64| {
            let text = format!("{what} has more than {most} turns, and they are kept in memory; give a smaller one");
            EngineError::component(&self.plan.data.loader)(Error::config(text))
        };
        if self.session.turns.len() as u64 == MOST_TURNS_OF_SESSION {
            return Err(too_many(&format!("session {} of the data set", self.index), MOST_TURNS_OF_SESSION));
        }
        if *self.turns == MOST_TURNS {
            return Err(too_many("the data set", MOST_TURNS));
        }
        let server = &self.plan.server;
        let extra = merged_extra(server, turn.extra_json.as_str());
        let model = if turn.model.is_empty() { self.model() } else { turn.model.as_str() };
        let request = Request {
            model: model.into(),
            messages: turn.messages,
            extra_json: RStr::from(extra.as_str()),
            raw_body: turn.raw_body,
            max_tokens: turn.max_tokens,
            turn: self.session.turns.len() as u32,
            flags: if server.streaming { request_flags::STREAM } else { 0 }
                | if server.legacy_max_tokens { request_flags::LEGACY_MAX_TOKENS } else { 0 },
            pad: 0,
            reserved: [0; 6],
        };
        let mut outgoing = Outgoing::default();
        let encoded = self.endpoint.encode(&request, &mut outgoing);
        *self.turns += 1;
        encoded.map_err(|error| {
            EngineError::component(&self.plan.server.endpoint)(placed("encode", self.index, &error))
        })?;
        let (prompt, max_tokens, time) = (prompt_text(turn), turn.max_tokens, turn.time);
        self.session.turns.push(Ready { outgoing, prompt, max_tokens, time });
        Ok(())
    }

    fn model(&self) -> &str {
        let models = &self.plan.models;
        let drawn = match self.plan.model_selection {
            ModelSelection::RoundRobin => *self.turns,
            ModelSelection::Random => seed_for(self.plan.seed, "model", *self.turns),
        };
        &models[(drawn % models.len() as u64) as usize]
    }
}

/// The error, with the session it came in; of a panic also the call, which is the author's concern.
fn placed(call: &str, session: u64, error: &Error) -> Error {
    let call = if error.kind == ErrorKind::PANICKED { format!("{call}, ") } else { String::new() };
    Error::new(error.kind, format!("{call}session {session}: {}", error.message))
}

/// The run's extra fields with the turn's own over them, as JSON text; empty if there are none.
fn merged_extra(server: &ServerPlan, turn: &str) -> String {
    let mut extra = server.extra.clone();
    if let Ok(serde_json::Value::Object(own)) = serde_json::from_str(turn) {
        extra.extend(own);
    }
    if extra.is_empty() { String::new() } else { serde_json::Value::Object(extra).to_string() }
}

/// All text of the turn, pieces joined by blanks, as AIPerf counts it.
fn prompt_text(turn: &Turn<'_>) -> String {
    let texts = turn.messages.iter().flat_map(|message| text_parts(message.parts));
    texts.map(|part| part.data.as_str()).collect::<Vec<_>>().join(" ")
}

fn text_parts<'a>(parts: RSlice<'a, Part<'a>>) -> impl Iterator<Item = &'a Part<'a>> {
    parts.as_slice().iter().filter(|part| part.kind == PartKind::TEXT)
}

/// The body as bytes.
pub(crate) fn body(outgoing: &Outgoing) -> &[u8] {
    RVec::as_slice(&outgoing.body)
}
