//! JSONL as Mooncake published it (Qin et al., FAST 2025), with what others have added: one request per line, given by
//! its length and the ids of its blocks, by a text, by messages, or by a whole body.
//!
//! Times are in milliseconds and stay as they are. Lines that share a `session_id` are turns of one session.

use super::{
    Form,
    clock::MILLISECOND,
    fields::{hash_ids, time, tokens},
    messages,
    rows::{ContentKind, Entry, Rows},
};
use crate::{
    conversation::{Fields, Problem, from_json},
    lines::Lines,
};
use inferometer_plugin_sdk::types::{NO_COUNT, Result, TurnTime};
use serde_json::{Map, Value};

const NAME: &str = "mooncake_trace";

const FIELDS: [&str; 12] = [
    "input_length",
    "hash_ids",
    "text_input",
    "messages",
    "tools",
    "payload",
    "output_length",
    "timestamp",
    "delay",
    "session_id",
    "extra",
    "type",
];

/// What says what is asked; a line has one of them.
const PROMPTS: [&str; 4] = ["input_length", "text_input", "messages", "payload"];

pub(crate) struct Mooncake;

impl Form for Mooncake {
    const NAME: &'static str = NAME;

    fn read(rows: &mut Rows, _: &mut Vec<String>) -> Result<()> {
        let mut lines = Lines::open(rows.source())?;
        while let Some((number, line)) = lines.next_line()? {
            let parsed = parse(line).map_err(|problem| rows.error(number, problem))?;
            let session = match &parsed.session {
                Some(name) => rows.session_named(name),
                None => rows.new_session(),
            };
            let Parsed { time, input, output, hash_ids, kind, body, extra, .. } = &parsed;
            rows.push(&Entry { line: number, session, time: *time, input: *input, output: *output, hash_ids })?;
            if *kind != ContentKind::Length || !extra.is_empty() {
                rows.push_content(*kind, body, extra);
            }
        }
        Ok(())
    }
}

/// A line.
struct Parsed {
    session: Option<String>,
    time: TurnTime,
    input: u32,
    output: u32,
    hash_ids: Vec<u64>,
    kind: ContentKind,
    body: String,
    extra: String,
}

fn parse(line: &str) -> Result<Parsed, Problem> {
    let fields = Fields::parse(line)?;
    fields.refuse_unknown(&FIELDS)?;
    fields.refuse_other_type(NAME)?;
    let prompt = one_prompt(&fields)?;
    for (field, needed) in [("hash_ids", "input_length"), ("tools", "messages")] {
        if fields.raw(field).is_some() && prompt != needed {
            return Err(Problem::new(field, format!("goes with `{needed}` only, not with `{prompt}`")));
        }
    }
    if prompt == "payload" && fields.raw("extra").is_some() {
        return Err(Problem::new("extra", "a `payload` is sent as it is; put these fields into it"));
    }
    let (kind, body) = body(&fields, prompt)?;
    Ok(Parsed {
        session: session_id(&fields)?,
        time: TurnTime {
            timestamp_ns: time(&fields, "timestamp", MILLISECOND, "milliseconds")?
                .unwrap_or(TurnTime::NONE.timestamp_ns),
            delay_ns: time(&fields, "delay", MILLISECOND, "milliseconds")?.unwrap_or(TurnTime::NONE.delay_ns),
        },
        input: tokens(&fields, "input_length", 1)?.unwrap_or(NO_COUNT),
        output: tokens(&fields, "output_length", 0)?.unwrap_or(NO_COUNT),
        hash_ids: hash_ids(&fields)?,
        kind,
        body,
        extra: extra(&fields)?,
    })
}

fn one_prompt(fields: &Fields<'_>) -> Result<&'static str, Problem> {
    let mut given = PROMPTS.into_iter().filter(|field| fields.raw(field).is_some());
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            Err(Problem::new(other, format!("given together with `{one}`; keep one of the two")))
        }
        (None, _) => Err(Problem::new("", format!("says nothing to send; give one of {}", PROMPTS.join(", ")))),
    }
}

fn body(fields: &Fields<'_>, prompt: &str) -> Result<(ContentKind, String), Problem> {
    let json = fields.raw(prompt).unwrap_or_default();
    Ok(match prompt {
        "text_input" => (ContentKind::Text, fields.word(prompt)?),
        "messages" => {
            messages::read(json)?;
            (ContentKind::Messages, json.to_owned())
        }
        "payload" => {
            from_json::<Map<String, Value>>(prompt, json)?;
            (ContentKind::Payload, json.to_owned())
        }
        _ => (ContentKind::Length, String::new()),
    })
}

/// A string, or a number as its digits.
fn session_id(fields: &Fields<'_>) -> Result<Option<String>, Problem> {
    if let Some(digits) = fields.raw("session_id").filter(|json| json.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(Some(digits.to_owned()));
    }
    Ok(Some(fields.word("session_id")?).filter(|name| !name.is_empty()))
}

/// What is merged over the body: `extra`, and the tools that go with messages.
fn extra(fields: &Fields<'_>) -> Result<String, Problem> {
    let extra = fields.object("extra")?;
    let Some(tools) = fields.raw("tools") else { return Ok(extra) };
    from_json::<Vec<Value>>("tools", tools)?;
    if extra.is_empty() {
        return Ok(format!("{{\"tools\": {tools}}}"));
    }
    if Fields::nested("extra", &extra)?.raw("tools").is_some() {
        return Err(Problem::new("tools", "given in `extra` as well; keep one of the two"));
    }
    // What follows the object's opening brace stays as it was written.
    Ok(format!("{{\"tools\": {tools}, {}", &extra[1..]))
}
