//! JSONL files of sessions that begin one another: `{"session_id", "turns": […], "pre_session_spawns": […]}`.
//!
//! A turn may fork sessions, which inherit the conversation so far, and spawn sessions, which begin without one. Sessions
//! that no other begins are numbered first, in the order of the file; those that others begin follow in the same order.

mod graph;

use crate::conversation::{
    Builder, Contents, Fields, Format, Limit, NewTurn, Problem, Records, borrowed_from_json, from_json, message,
    object_of,
};
use graph::{Graph, Link};
use inferometer_plugin_sdk::types::{BEFORE_FIRST, NO_TURN, Result, TurnTime, branch_flags};
use serde_json::value::RawValue;

/// The fields of a turn.
const TURN_KEYS: [&str; 8] = ["messages", "model", "max_tokens", "tools", "extra", "delay", "forks", "spawns"];

/// Sessions that begin one another.
#[derive(Default)]
pub(crate) struct DagJsonl;

impl Format for DagJsonl {
    const NAME: &'static str = "dag_jsonl";

    fn read(source: &str) -> Result<Contents> {
        let mut records = Records::lines(source)?;
        let (mut builder, mut graph) = (Builder::default(), Graph::default());
        while let Some((origin, record)) = records.next_record()? {
            let here = |problem: Problem| origin.error(source, &problem);
            let fields = Fields::parse(record).map_err(here)?;
            let id = name(&fields).map_err(here)?;
            let session = builder.session(&id);
            let links = push(&mut builder, session, &fields).map_err(here)?;
            graph.add(id, origin, links).map_err(here)?;
        }
        let order = graph.resolve().map_err(|(origin, problem)| origin.error(source, &problem))?;
        for (session, branch) in order.branches {
            builder.branch(session, branch);
        }
        Ok(Contents { branches: order.begun, ..Contents::new(builder.finish_as(&order.numbers)) })
    }
}

fn name(fields: &Fields<'_>) -> Result<String, Problem> {
    fields.refuse_unknown(&["session_id", "turns", "pre_session_spawns", "type"])?;
    fields.refuse_other_type(DagJsonl::NAME)?;
    fields.needed("session_id")?;
    fields.word("session_id")
}

/// Adds the turns of a session and gives the links to those it begins.
fn push(builder: &mut Builder, session: usize, fields: &Fields<'_>) -> Result<Vec<Link>, Problem> {
    let turns = fields.items("turns")?;
    let mut links = Vec::new();
    spawns(fields, "pre_session_spawns", BEFORE_FIRST, turns.len(), &mut links)?;
    for (n, turn) in turns.iter().enumerate() {
        let place = format!("turns[{n}]");
        let fields = Fields::nested(&place, turn.get())?;
        let read = turn_of(&fields).and_then(|turn| {
            builder.push(session, &turn);
            forks(&fields, n, turns.len(), &mut links)?;
            spawns(&fields, "spawns", n as u32, turns.len(), &mut links)
        });
        read.map_err(|problem| problem.within(&place))?;
    }
    Ok(links)
}

fn turn_of(fields: &Fields<'_>) -> Result<NewTurn<'static>, Problem> {
    fields.refuse_unknown(&TURN_KEYS)?;
    let said = |(n, item): (usize, &&RawValue)| message(&format!("messages[{n}]"), item.get());
    let messages = fields.items("messages")?.iter().enumerate().map(said).collect::<Result<_, _>>()?;
    let time = TurnTime { delay_ns: fields.milliseconds("delay")?.unwrap_or(0), ..TurnTime::NONE };
    Ok(NewTurn {
        model: fields.word("model")?,
        extra_json: extras(fields)?,
        limit: Limit::Tokens(fields.tokens("max_tokens")?),
        time,
        ..NewTurn::new(messages)
    })
}

/// The extras with the tools among them.
fn extras(fields: &Fields<'_>) -> Result<String, Problem> {
    let extra = fields.object("extra")?;
    let Some(tools) = fields.raw("tools") else { return Ok(extra) };
    if !tools.starts_with('[') {
        return Err(Problem::new("tools", "is no list; give the tools in brackets"));
    }
    if extra.is_empty() {
        return Ok(object_of([("tools", tools)]));
    }
    let others = Fields::nested("extra", &extra)?;
    if others.raw("tools").is_some() {
        return Err(Problem::new("tools", "given in `extra` too; keep one of the two"));
    }
    Ok(object_of(others.iter().chain([("tools", tools)])))
}

/// Sessions that inherit the conversation. The next turn waits for those that are not in the background.
fn forks(fields: &Fields<'_>, turn: usize, turns: usize, links: &mut Vec<Link>) -> Result<(), Problem> {
    for (n, item) in list(fields, "forks")?.iter().enumerate() {
        let place = format!("forks[{n}]");
        let (child, in_background) = if item.get().starts_with('"') {
            (from_json(&place, item.get())?, false)
        } else {
            let fork = Fields::nested(&place, item.get())?;
            let read = || -> Result<(String, bool), Problem> {
                fork.refuse_unknown(&["child", "background"])?;
                let child = from_json("child", fork.needed("child")?)?;
                Ok((child, fork.read("background")?.unwrap_or(false)))
            };
            read().map_err(|problem| problem.within(&place))?
        };
        let waits = !in_background && turn + 1 < turns;
        links.push(Link {
            child,
            place: format!("turns[{turn}].{place}"),
            after_turn: turn as u32,
            join_turn: if waits { turn as u32 + 1 } else { NO_TURN },
            flags: branch_flags::INHERITS,
        });
    }
    Ok(())
}

/// Sessions that begin without a conversation.
fn spawns(fields: &Fields<'_>, key: &str, after_turn: u32, turns: usize, links: &mut Vec<Link>) -> Result<(), Problem> {
    for (n, item) in list(fields, key)?.iter().enumerate() {
        let place = format!("{key}[{n}]");
        let (children, join_turn) = if item.get().starts_with('"') {
            (vec![from_json::<String>(&place, item.get())?], NO_TURN)
        } else {
            let spawn = Fields::nested(&place, item.get())?;
            let read = || -> Result<(Vec<String>, u32), Problem> {
                spawn.refuse_unknown(&["children", "join_at"])?;
                let mut children = Vec::new();
                for (n, child) in spawn.items("children")?.iter().enumerate() {
                    children.push(from_json(&format!("children[{n}]"), child.get())?);
                }
                Ok((children, join_at(&spawn, after_turn, turns)?))
            };
            read().map_err(|problem| problem.within(&place))?
        };
        let place = if after_turn == BEFORE_FIRST { place } else { format!("turns[{after_turn}].{place}") };
        links.extend(children.into_iter().map(|child| Link {
            child,
            place: place.clone(),
            after_turn,
            join_turn,
            flags: 0,
        }));
    }
    Ok(())
}

/// The turn that waits for spawned sessions.
fn join_at(spawn: &Fields<'_>, after_turn: u32, turns: usize) -> Result<u32, Problem> {
    let Some(join_turn) = spawn.read::<u32>("join_at")? else { return Ok(NO_TURN) };
    if after_turn != BEFORE_FIRST && join_turn <= after_turn {
        let reason = format!("{join_turn} is not after turn {after_turn}, which begins them; give a later turn");
        return Err(Problem::new("join_at", reason));
    }
    if join_turn as usize >= turns {
        let reason = format!("{join_turn} is no turn of this session, which has 0 to {}", turns - 1);
        return Err(Problem::new("join_at", reason));
    }
    Ok(join_turn)
}

/// A list, or nothing.
fn list<'a>(fields: &Fields<'a>, key: &str) -> Result<Vec<&'a RawValue>, Problem> {
    fields.raw(key).map_or(Ok(Vec::new()), |json| borrowed_from_json(key, json))
}

#[cfg(test)]
mod tests;
