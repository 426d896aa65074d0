//! [`Conversations`]: the sessions that have several turns.

use crate::{Spread, Trace, arrivals::seconds, prefix::ratio, trace::Turn};
use serde::Serialize;

/// Sessions of several turns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conversations {
    /// Sessions that have several turns.
    pub sessions: u64,
    /// Turns of each session, those of one turn included.
    pub turns_per_session: Spread,
    /// Seconds from an answer to the next turn; absent where the data set gives no delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_time_s: Option<Spread>,
    /// Seconds from a turn to the next one of its session, the answer's time included; absent where the data set does not
    /// give both times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_gap_s: Option<Spread>,
    /// Figures by the turns' place in their session; the last one may stand for all later ones.
    pub turns: Vec<TurnFigures>,
}

/// The requests of one place in their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TurnFigures {
    /// The place, from 1.
    pub turn: u64,
    /// Whether later ones are included.
    pub and_later: bool,
    /// How many requests.
    pub requests: u64,
    /// Mean input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_input_tokens: Option<f64>,
    /// Mean output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_output_tokens: Option<f64>,
    /// Share of the input tokens found in the cache, of requests that name their blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_hit_rate: Option<f64>,
}

/// Places that have a line of their own.
const OWN_LINES: usize = 10;

/// Sums over requests.
#[derive(Clone, Copy, Default)]
struct Sums {
    requests: u64,
    /// Tokens, and requests that have a count.
    input: (u64, u64),
    output: (u64, u64),
    found: u64,
    /// Tokens of prompts that name their blocks.
    of: u64,
}

impl Sums {
    fn add(&mut self, turn: &Turn, found: u64) {
        let add = |sum: &mut (u64, u64), tokens: Option<u32>| {
            if let Some(tokens) = tokens {
                sum.0 += u64::from(tokens);
                sum.1 += 1;
            }
        };
        self.requests += 1;
        add(&mut self.input, turn.input());
        add(&mut self.output, turn.output());
        if !turn.blocks.is_empty() {
            self.found += found;
            self.of += turn.prompt_tokens();
        }
    }

    fn figures(&self, place: usize, and_later: bool) -> TurnFigures {
        let mean = |(tokens, requests)| (requests > 0).then(|| ratio(tokens, requests));
        TurnFigures {
            turn: place as u64 + 1,
            and_later,
            requests: self.requests,
            mean_input_tokens: mean(self.input),
            mean_output_tokens: mean(self.output),
            token_hit_rate: (self.of > 0).then(|| ratio(self.found, self.of)),
        }
    }
}

impl Conversations {
    /// Absent where no session has several turns. `found` has the tokens that each turn found in the cache.
    pub(crate) fn of(trace: &Trace, found: &[u64]) -> Option<Self> {
        let mut lengths = Vec::new();
        let (mut delays, mut gaps) = (Vec::new(), Vec::new());
        let mut places = [Sums::default(); OWN_LINES + 1];
        for (turns, _) in trace.each_session() {
            lengths.push(turns.len());
            for (place, number) in turns.enumerate() {
                let turn = &trace.turns()[number];
                places[place.min(OWN_LINES)].add(turn, found.get(number).copied().unwrap_or_default());
                if place == 0 {
                    continue;
                }
                match (turn.timestamp_ns(), trace.turns()[number - 1].timestamp_ns()) {
                    (Some(own), Some(before)) => gaps.push(seconds(own.saturating_sub(before))),
                    (Some(_), None) => {}
                    (None, _) => delays.push(seconds(turn.time.delay_ns)),
                }
            }
        }
        let longest = lengths.iter().copied().max().filter(|longest| *longest > 1)?;
        // All zero is what not given looks like.
        if delays.iter().all(|delay| *delay == 0.0) {
            delays.clear();
        }
        let lines = places.iter().enumerate().take(longest);
        Some(Self {
            sessions: lengths.iter().filter(|turns| **turns > 1).count() as u64,
            turns_per_session: Spread::of(lengths.iter().map(|turns| *turns as f64))?,
            think_time_s: Spread::of(delays),
            turn_gap_s: Spread::of(gaps),
            turns: lines.map(|(place, sums)| sums.figures(place, place == OWN_LINES && longest > place + 1)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::{after, at, trace, turn};
    use inferometer_abi::types::{NO_COUNT, TurnTime};

    #[test]
    fn sessions_of_one_turn_are_no_conversations() {
        assert_eq!(Conversations::of(&trace(&[(0, 1, 1, &[])]), &[0]), None);
    }

    #[test]
    fn turns_are_counted_by_their_place() {
        let mut trace = Trace::default();
        trace.begin_session();
        turn(&mut trace, at(0), 10, 4, &[1]);
        turn(&mut trace, after(2000), 20, 6, &[1, 2]);
        trace.begin_session();
        turn(&mut trace, at(5), 30, NO_COUNT, &[]);
        let found = Conversations::of(&trace, &[0, 10, 0]).unwrap();
        assert_eq!((found.sessions, found.turns_per_session.mean), (1, 1.5));
        assert_eq!(found.think_time_s.map(|s| (s.count, s.mean)), Some((1, 2.0)));
        assert_eq!(found.turn_gap_s, None);
        let [first, second] = found.turns[..] else { panic!("{:?}", found.turns) };
        assert_eq!((first.requests, first.mean_input_tokens, first.mean_output_tokens), (2, Some(20.0), Some(4.0)));
        assert_eq!((first.token_hit_rate, second.token_hit_rate), (Some(0.0), Some(0.5)));
    }

    #[test]
    fn recorded_times_give_gaps_and_no_think_times() {
        let mut trace = Trace::default();
        trace.begin_session();
        for ms in [0, 1000, 4000] {
            turn(&mut trace, at(ms), 1, 1, &[]);
        }
        let found = Conversations::of(&trace, &[0; 3]).unwrap();
        assert_eq!((found.think_time_s, found.turn_gap_s.map(|s| s.mean)), (None, Some(2.0)));
    }

    #[test]
    fn delays_that_are_not_given_are_absent() {
        let mut trace = Trace::default();
        trace.begin_session();
        for _ in 0..2 {
            turn(&mut trace, TurnTime::NONE, 1, 1, &[]);
        }
        assert_eq!(Conversations::of(&trace, &[0; 2]).unwrap().think_time_s, None);
    }

    #[test]
    fn the_last_line_stands_for_all_later_turns_only_if_there_are_any() {
        for (turns, lines, and_later) in [(10, 10, false), (11, 11, false), (13, 11, true)] {
            let mut trace = Trace::default();
            trace.begin_session();
            for _ in 0..turns {
                turn(&mut trace, TurnTime::NONE, 1, 1, &[]);
            }
            let found = Conversations::of(&trace, &vec![0; turns]).unwrap().turns;
            assert_eq!((found.len(), found[lines - 1].and_later), (lines, and_later), "{turns} turns");
            assert_eq!(found.iter().map(|line| line.requests).sum::<u64>(), turns as u64);
        }
    }
}
