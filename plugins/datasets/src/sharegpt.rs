//! Recorded conversations: ShareGPT's form, `{"id": …, "conversations": [{"from": …, "value": …}]}`, and that of OpenAI's
//! chat API, `{"messages": [{"role": …, "content": …}]}`; as a JSON array or one per line.
//!
//! The length of a recorded reply is the most that its turn asks for. Fields that are known to neither form are passed
//! over: such files carry all sorts of them.

use crate::conversation::{
    Builder, Contents, Cutter, Fields, Format, Limit, NewMessage, NewPart, NewTurn, Problem, Records,
    borrowed_from_json, from_json, message, object_of, shortened,
};
use inferometer_plugin_sdk::types::{PartKind, Result};
use serde_json::{Value, value::RawValue};

/// Recorded conversations.
#[derive(Default)]
pub(crate) struct ShareGpt;

impl Format for ShareGpt {
    const NAME: &'static str = "sharegpt";

    fn read(source: &str) -> Result<Contents> {
        let mut records = Records::lines_or_array(source)?;
        let mut builder = Builder::default();
        let (mut all, mut left_out, mut has_tools) = (0_u64, 0_u64, false);
        while let Some((origin, record)) = records.next_record()? {
            let here = |problem: Problem| origin.error(source, &problem);
            let conversation = parse(record).map_err(here)?;
            all += 1;
            has_tools |= conversation.messages.iter().any(|message| message.role == "tool");
            let turns = turns(conversation.messages, &conversation.extra_json);
            if turns.is_empty() {
                left_out += 1;
                continue;
            }
            let name = if conversation.id.is_empty() { origin.name() } else { conversation.id };
            let session = builder.session(&name);
            turns.iter().for_each(|turn| builder.push(session, turn));
        }
        let note = format!("{left_out} of {all} conversations have no message of a user and are left out");
        Ok(Contents {
            // A tool's result names the call in the recorded reply before it.
            recorded_replies: has_tools,
            notes: if left_out > 0 { vec![note] } else { Vec::new() },
            ..Contents::new(builder.finish())
        })
    }
}

struct Conversation {
    id: String,
    messages: Vec<NewMessage>,
    extra_json: String,
}

fn parse(record: &str) -> Result<Conversation, Problem> {
    let fields = Fields::parse(record)?;
    fields.refuse_both("conversations", "messages")?;
    let in_chat_form = fields.raw("messages").is_some();
    let key = if in_chat_form { "messages" } else { "conversations" };
    let list = borrowed_from_json::<Vec<&RawValue>>(key, fields.needed(key)?)?;
    let said = |(n, item): (usize, &&RawValue)| {
        let place = format!("{key}[{n}]");
        if in_chat_form { message(&place, item.get()) } else { exchange(&place, item.get()) }
    };
    let messages = list.iter().enumerate().map(said).collect::<Result<_, _>>()?;
    let id = match fields.read::<Value>("id")? {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    let tools = fields.raw("tools").filter(|tools| tools.starts_with('['));
    Ok(Conversation { id, messages, extra_json: object_of(tools.map(|tools| ("tools", tools))) })
}

/// One of the things said, in ShareGPT's form.
fn exchange(place: &str, json: &str) -> Result<NewMessage, Problem> {
    let fields = Fields::nested(place, json)?;
    let text = |key: &str| from_json::<String>(key, fields.needed(key)?);
    let (from, value) = (text("from").map_err(|p| p.within(place))?, text("value").map_err(|p| p.within(place))?);
    let role = match from.to_ascii_lowercase().as_str() {
        "human" | "user" => "user",
        "gpt" | "chatgpt" | "assistant" | "model" | "bing" | "bard" | "claude" | "function_call" => "assistant",
        "system" => "system",
        "tool" | "function" | "observation" => "tool",
        _ => {
            let from = shortened(&from);
            let reason =
                format!("`{from}` is none of human, user, gpt, chatgpt, assistant, system, tool and their like");
            return Err(Problem::new("from", reason).within(place));
        }
    };
    Ok(NewMessage { role: role.to_owned(), parts: vec![NewPart::text(value)], extra_json: String::new() })
}

fn turns(messages: Vec<NewMessage>, extra_json: &str) -> Vec<NewTurn<'static>> {
    let (mut turns, mut cutter) = (Vec::new(), Cutter::default());
    let turn = |messages, limit| NewTurn { limit, extra_json: extra_json.to_owned(), ..NewTurn::new(messages) };
    for message in messages {
        let reply = text_of(&message);
        if let Some(messages) = cutter.say(message) {
            turns.push(turn(messages, reply));
        }
    }
    turns.extend(cutter.end().map(|messages| turn(messages, Limit::Tokens(0))));
    turns
}

/// The length of a reply; none is known of one without text, such as a tool call.
fn text_of(reply: &NewMessage) -> Limit<String> {
    match &reply.parts[..] {
        [part] if part.kind == PartKind::TEXT && reply.role == "assistant" => Limit::LengthOf(part.data.clone()),
        _ => Limit::Tokens(0),
    }
}

#[cfg(test)]
mod tests;
