//! Recorded agent runs, one message per line: `{"conversation_id", "turn", "role", "content", …}`.
//!
//! What the user or a tool says is sent; what the assistant said, tool calls included, is the recorded reply, which later
//! turns build on. Seconds that a tool took are the think time of the turn that brings its results.

use crate::conversation::{
    Builder, Contents, Cutter, Fields, Format, Limit, NewMessage, NewPart, NewTurn, Origin, Problem, Records,
    from_json, object_of, shortened,
};
use inferometer_plugin_sdk::types::{Result, TurnTime};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The fields of a line.
const KEYS: [&str; 15] = [
    "conversation_id",
    "turn",
    "role",
    "content",
    "name",
    "system",
    "tools",
    "tool_calls",
    "tool_call_id",
    "tool_results",
    "reasoning_content",
    "delay_seconds",
    "model",
    "max_tokens",
    "max_completion_tokens",
];

/// One message of a recorded run per line.
#[derive(Default)]
pub(crate) struct AgenticMessages;

impl Format for AgenticMessages {
    const NAME: &'static str = "agentic_messages";

    fn read(source: &str) -> Result<Contents> {
        let mut records = Records::lines(source)?;
        let mut builder = Builder::default();
        let mut runs: Vec<Run> = Vec::new();
        let mut by_id: HashMap<String, usize> = HashMap::new();
        while let Some((origin, record)) = records.next_record()? {
            let mut take = || -> Result<(), Problem> {
                let fields = Fields::parse(record)?;
                fields.refuse_unknown(&KEYS)?;
                let id: String = from_json("conversation_id", fields.needed("conversation_id")?)?;
                let number = *by_id.entry(id).or_insert_with_key(|id| {
                    builder.session(id);
                    runs.push(Run::new(origin));
                    runs.len() - 1
                });
                runs[number].take(&mut builder, number, &fields)
            };
            take().map_err(|problem| origin.error(source, &problem))?;
        }
        for (number, run) in runs.into_iter().enumerate() {
            let origin = run.origin;
            run.end(&mut builder, number).map_err(|problem| origin.error(source, &problem))?;
        }
        Ok(Contents { recorded_replies: true, ..Contents::new(builder.finish()) })
    }
}

/// A run as far as it was read.
struct Run {
    /// Its first line.
    origin: Origin,
    turn: Option<u64>,
    system: Option<String>,
    cutter: Cutter,
    /// What the turn that is being read asks for beside its messages.
    asked: Asked,
    is_empty: bool,
}

#[derive(Clone, Default)]
struct Asked {
    model: String,
    /// Tools as JSON, or empty.
    extra_json: String,
    max_tokens: u32,
    delay_ns: u64,
}

impl Run {
    fn new(origin: Origin) -> Self {
        Self { origin, turn: None, system: None, cutter: Cutter::default(), asked: Asked::default(), is_empty: true }
    }

    fn take(&mut self, builder: &mut Builder, session: usize, fields: &Fields<'_>) -> Result<(), Problem> {
        let turn = fields.read::<u64>("turn")?;
        if turn.is_some() && turn <= self.turn {
            let (turn, earlier) = (turn.unwrap_or(0), self.turn.unwrap_or(0));
            let reason = format!("{turn} comes after {earlier} of the same conversation; put its lines in order");
            return Err(Problem::new("turn", reason));
        }
        self.turn = turn.or(self.turn);
        let role: String = from_json("role", fields.needed("role")?)?;
        if let Some(system) = fields.read::<String>("system")?
            && self.system.as_ref() != Some(&system)
        {
            if self.system.is_some() || !self.is_empty {
                return Err(Problem::new("system", "differs from the conversation's first line; keep that one"));
            }
            self.cutter.say(text_message("system", &system, String::new()));
            self.system = Some(system);
        }
        let messages = match role.as_str() {
            "assistant" => vec![reply(fields)?],
            "tool" => results(fields)?,
            "user" | "system" | "developer" => {
                let content: String = from_json("content", fields.needed("content")?)?;
                let name = fields.raw("name").map(|name| ("name", name));
                vec![text_message(&role, &content, object_of(name))]
            }
            other => {
                let reason = format!("`{}` is none of user, assistant, tool, system, developer", shortened(other));
                return Err(Problem::new("role", reason));
            }
        };
        for message in messages {
            if let Some(messages) = self.cutter.say(message) {
                self.push(builder, session, messages);
            }
        }
        if role != "assistant" {
            self.ask(fields)?;
        }
        Ok(())
    }

    /// What a line that is sent asks for; model and tools stay until another line names them.
    fn ask(&mut self, fields: &Fields<'_>) -> Result<(), Problem> {
        fields.refuse_both("max_tokens", "max_completion_tokens")?;
        if let Some(tools) = fields.raw("tools") {
            if !tools.starts_with('[') {
                return Err(Problem::new("tools", "is no list; give the tools in brackets"));
            }
            self.asked.extra_json = object_of([("tools", tools)]);
        }
        let model = fields.word("model")?;
        if !model.is_empty() {
            self.asked.model = model;
        }
        let limit = fields.tokens("max_tokens")?.max(fields.tokens("max_completion_tokens")?);
        self.asked.max_tokens = limit.max(self.asked.max_tokens);
        let delay_ns = fields.seconds("delay_seconds")?.unwrap_or(0);
        self.asked.delay_ns = self.asked.delay_ns.saturating_add(delay_ns);
        Ok(())
    }

    fn push(&mut self, builder: &mut Builder, session: usize, messages: Vec<NewMessage>) {
        let Asked { model, extra_json, max_tokens, delay_ns } = self.asked.clone();
        let time = TurnTime { delay_ns, ..TurnTime::NONE };
        let limit = Limit::Tokens(max_tokens);
        builder.push(session, &NewTurn { model, extra_json, limit, time, ..NewTurn::new(messages) });
        (self.asked.delay_ns, self.asked.max_tokens) = (0, 0);
        self.is_empty = false;
    }

    fn end(mut self, builder: &mut Builder, session: usize) -> Result<(), Problem> {
        if let Some(messages) = std::mem::take(&mut self.cutter).end() {
            self.push(builder, session, messages);
        }
        if self.is_empty {
            let reason = "the conversation that begins here has no message of a user; add one, or take it out";
            return Err(Problem::new("role", reason));
        }
        Ok(())
    }
}

fn text_message(role: &str, text: &str, extra_json: String) -> NewMessage {
    NewMessage { role: role.to_owned(), parts: vec![NewPart::text(text.to_owned())], extra_json }
}

/// What the assistant said, thought and called.
fn reply(fields: &Fields<'_>) -> Result<NewMessage, Problem> {
    let content = fields.read::<String>("content")?;
    let calls = fields.raw("tool_calls");
    if calls.is_some_and(|calls| !calls.starts_with('[')) {
        return Err(Problem::new("tool_calls", "is no list; give the calls in brackets"));
    }
    let thought = fields.raw("reasoning_content");
    if content.is_none() && calls.is_none() && thought.is_none() {
        return Err(Problem::new("content", "missing, and no `tool_calls` or `reasoning_content` in its place"));
    }
    let extras = [("reasoning_content", thought), ("tool_calls", calls)];
    let extras = extras.into_iter().filter_map(|(key, json)| Some((key, json?)));
    let parts = content.map(NewPart::text).into_iter().collect();
    Ok(NewMessage { role: "assistant".to_owned(), parts, extra_json: object_of(extras) })
}

/// What tools gave back: one message per call.
fn results(fields: &Fields<'_>) -> Result<Vec<NewMessage>, Problem> {
    let one = |fields: &Fields<'_>| -> Result<NewMessage, Problem> {
        let content: String = from_json("content", fields.needed("content")?)?;
        let call = fields.needed("tool_call_id")?;
        from_json::<String>("tool_call_id", call)?;
        let name = fields.raw("name").map(|name| ("name", name));
        Ok(text_message("tool", &content, object_of([("tool_call_id", call)].into_iter().chain(name))))
    };
    if fields.raw("tool_results").is_none() {
        return Ok(vec![one(fields)?]);
    }
    let result = |(n, item): (usize, &&RawValue)| {
        let place = format!("tool_results[{n}]");
        let fields = Fields::nested(&place, item.get())?;
        let known = fields.refuse_unknown(&["tool_call_id", "content", "name"]);
        known.and_then(|()| one(&fields)).map_err(|problem| problem.within(&place))
    };
    fields.items("tool_results")?.iter().enumerate().map(result).collect()
}

#[cfg(test)]
mod tests;
