//! Writes a trace in the format of Mooncake: a line of JSON a request.

use crate::Trace;
use hashbrown::HashMap;
use serde::Serialize;
use std::io::{self, Write};

/// Why a trace cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MooncakeError {
    /// A request whose length is not known.
    #[error(
        "session {session}, turn {turn}: it does not say how many input tokens it has, which every line of a trace needs"
    )]
    NoLength {
        /// The session, from 1.
        session: usize,
        /// The turn, from 1.
        turn: usize,
    },
    /// Blocks of several sizes, where a file has one.
    #[error("blocks of {one} and of {other} tokens cannot be in one trace; make all of one size with --isl-block-size")]
    BlockSizes {
        /// A size.
        one: u32,
        /// Another.
        other: u32,
    },
    /// The writer failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A time or a delay.
#[derive(Serialize)]
#[serde(untagged)]
enum Milliseconds {
    Whole(u64),
    /// To the nanosecond.
    Broken(f64),
}

impl Milliseconds {
    fn of(ns: u64, speedup: f64) -> Self {
        let ns = if speedup == 1.0 { ns } else { (ns as f64 / speedup).round() as u64 };
        if ns % NS == 0 { Self::Whole(ns / NS) } else { Self::Broken(ns as f64 / NS as f64) }
    }
}

/// Nanoseconds of a millisecond.
const NS: u64 = 1_000_000;

/// A request, in the order of the format's fields.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Milliseconds>,
    input_length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_length: Option<u32>,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    hash_ids: &'a [u64],
}

/// Writes `trace`, its times and delays divided by `speedup`, and says how many tokens its blocks have, if it has any.
/// Blocks are numbered anew in the order in which they come, from 0. Sessions of several turns are told by their names.
///
/// # Errors
/// When a request's length is not known, when blocks are of several sizes, or when `out` fails.
pub fn write_mooncake(trace: &Trace, speedup: f64, out: &mut impl Write) -> Result<Option<u32>, MooncakeError> {
    let mut numbers: HashMap<u64, u64> = HashMap::new();
    let mut hash_ids = Vec::new();
    let mut block_tokens = None;
    let mut uses: HashMap<u64, u64> = HashMap::new();
    trace.all_blocks().iter().for_each(|block| *uses.entry(*block).or_default() += 1);
    for (session, (turns, name)) in trace.each_session().enumerate() {
        let made_up;
        let name = match (turns.len(), name) {
            (0 | 1, _) => None,
            (_, "") => {
                made_up = format!("session-{session}");
                Some(made_up.as_str())
            }
            (_, name) => Some(name),
        };
        for (number, turn) in turns.enumerate().map(|(number, turn)| (number, &trace.turns()[turn])) {
            let no_length = MooncakeError::NoLength { session: session + 1, turn: number + 1 };
            let input_length = turn.input().ok_or(no_length)?;
            if turn.block_tokens > 0 {
                let one = *block_tokens.get_or_insert(turn.block_tokens);
                if one != turn.block_tokens {
                    return Err(MooncakeError::BlockSizes { one, other: turn.block_tokens });
                }
            }
            let mut blocks = trace.blocks(turn);
            // A last block that is longer than the others has no id in this format: what no id is for is a prompt's own.
            if let Some((last, others)) = blocks.split_last() {
                let is_long = u64::from(input_length) > blocks.len() as u64 * u64::from(turn.block_tokens);
                if is_long && uses.get(last) == Some(&1) {
                    blocks = others;
                }
            }
            hash_ids.clear();
            hash_ids.extend(blocks.iter().map(|block| {
                let next = numbers.len() as u64;
                *numbers.entry(*block).or_insert(next)
            }));
            let delay_ns = Some(turn.time.delay_ns).filter(|delay| number > 0 && *delay > 0);
            let line = Line {
                session_id: name,
                timestamp: turn.timestamp_ns().map(|ns| Milliseconds::of(ns, speedup)),
                delay: delay_ns.map(|ns| Milliseconds::of(ns, speedup)),
                input_length,
                output_length: turn.output(),
                hash_ids: &hash_ids,
            };
            serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(block_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::{MS, after, at, trace, turn};
    use inferometer_abi::{
        api::OutlineSink as _,
        types::{NO_COUNT, Outline, TurnTime},
    };

    fn written(trace: &Trace, speedup: f64) -> String {
        let mut out = Vec::new();
        write_mooncake(trace, speedup, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_lines_with_their_blocks_numbered_as_they_come() {
        let trace = trace(&[(0, 15, 7, &[900, 5]), (27, 20, NO_COUNT, &[900, 8]), (30, 3, 1, &[])]);
        assert_eq!(
            written(&trace, 1.0),
            "{\"timestamp\":0,\"input_length\":15,\"output_length\":7,\"hash_ids\":[0,1]}\n\
             {\"timestamp\":27,\"input_length\":20,\"hash_ids\":[0,2]}\n\
             {\"timestamp\":30,\"input_length\":3,\"output_length\":1}\n"
        );
        assert_eq!(write_mooncake(&trace, 1.0, &mut Vec::new()).unwrap(), Some(10));
    }

    #[test]
    fn the_rest_of_a_prompt_beyond_its_blocks_needs_no_id_where_it_is_its_own() {
        let trace = trace(&[(0, 35, 1, &[1, 2]), (1, 35, 1, &[1, 3]), (2, 35, 1, &[1, 3])]);
        let lines = written(&trace, 1.0);
        let ids: Vec<_> = lines.lines().map(|line| line.rsplit_once(':').unwrap().1).collect();
        assert_eq!(ids, ["[0]}", "[0,1]}", "[0,1]}"]);
    }

    #[test]
    fn sessions_of_several_turns_are_told_by_name_and_their_turns_have_delays() {
        let mut trace = Trace::default();
        for name in ["a", ""] {
            trace.begin_session();
            trace.name(name);
            turn(&mut trace, at(10), 1, 1, &[]);
            turn(&mut trace, after(4), 2, 1, &[]);
        }
        let lines = written(&trace, 2.0);
        assert!(lines.starts_with(r#"{"session_id":"a","timestamp":5,"input_length":1,"output_length":1}"#), "{lines}");
        assert!(lines.contains(r#"{"session_id":"a","delay":2,"input_length":2,"output_length":1}"#), "{lines}");
        assert!(lines.contains(r#"{"session_id":"session-1","timestamp":5"#), "{lines}");
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        let mut trace = Trace::default();
        trace.begin_session();
        let time = TurnTime { timestamp_ns: 3 * MS + 500_001, delay_ns: 0 };
        trace.turn(&Outline { time, input_tokens: 1, ..Outline::EMPTY });
        assert_eq!(written(&trace, 1.0), "{\"timestamp\":3.500001,\"input_length\":1}\n");
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let mut unknown = trace(&[(0, 1, 1, &[])]);
        turn(&mut unknown, after(1), NO_COUNT, 1, &[]);
        let error = write_mooncake(&unknown, 1.0, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("session 1, turn 2: "), "{error}");
        let mut sizes = trace(&[(0, 10, 1, &[1])]);
        sizes.turn(&Outline { input_tokens: 16, block_tokens: 16, blocks: [1].as_slice().into(), ..Outline::EMPTY });
        let error = write_mooncake(&sizes, 1.0, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("10") && error.contains("16") && error.contains("--isl-block-size"), "{error}");
    }
}
