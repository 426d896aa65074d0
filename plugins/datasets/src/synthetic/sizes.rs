//! How large made-up sessions are: turns, tokens in and out, and the times between turns. No text.

use crate::{
    lengths::{Lengths, Scale},
    random::{Place, Purpose, Seeds},
};
use inferometer_plugin_sdk::{
    documents::{DatasetRequest, Length, LengthPair},
    random::SplitMix64,
    types::{Error, Result},
};

const TURNS: Scale = Scale::whole("--session-turns-mean", "turns", 1.0, 10_000.0);
/// A day at most.
const DELAY: Scale = Scale::whole("--session-turn-delay-mean", "ms", 0.0, 86_400_000.0);

/// How large the sessions of a pool are.
#[derive(Debug)]
pub(super) struct Sizes {
    turns: Option<Lengths>,
    delay: Option<Lengths>,
    tokens: Tokens,
}

/// Tokens in and out.
#[derive(Debug)]
enum Tokens {
    /// Each by itself.
    Apart(Pair),
    /// Both of one of several pairs, which is drawn for each turn.
    Paired { pairs: Vec<Weighted>, total: f64, choice: Seeds },
}

#[derive(Debug)]
struct Pair {
    input: Lengths,
    output: Option<Lengths>,
}

#[derive(Debug)]
struct Weighted {
    pair: Pair,
    /// The weights of this pair and of all before it.
    up_to: f64,
}

impl Sizes {
    /// What `request` asks for.
    ///
    /// # Errors
    /// Names the option whose value no session can have.
    pub(super) fn new(request: &DatasetRequest) -> Result<Self> {
        let scaled = |scale, asked: Option<Length>, purpose| {
            asked.map(|length| Lengths::scaled(scale, length, request.seed, purpose)).transpose()
        };
        Ok(Self {
            turns: scaled(TURNS, request.turns, Purpose::Turns)?,
            delay: scaled(DELAY, request.delay_ms, Purpose::Delay)?,
            tokens: if request.length_pairs.is_empty() { apart(request)? } else { paired(request)? },
        })
    }

    /// Turns of session `session`.
    pub(super) fn turns(&self, session: u64) -> u32 {
        self.turns.as_ref().map_or(1, |turns| turns.draw(session))
    }

    /// Time to think before the turn at `place`.
    pub(super) fn delay_ns(&self, place: Place) -> u64 {
        let delay = self.delay.as_ref().filter(|_| place.turn > 0);
        delay.map_or(0, |delay| u64::from(delay.at(place)) * 1_000_000)
    }

    /// Tokens of the text at `place`.
    pub(super) fn input(&self, place: Place) -> u32 {
        self.pair(place).input.at(place)
    }

    /// Output tokens to ask for in the turn at `place`, if any.
    pub(super) fn output(&self, place: Place) -> Option<u32> {
        self.pair(place).output.as_ref().map(|output| output.at(place))
    }

    fn pair(&self, place: Place) -> &Pair {
        match &self.tokens {
            Tokens::Apart(pair) => pair,
            Tokens::Paired { pairs, total, choice } => {
                // All texts of a turn are of one pair.
                let turn = choice.at(Place { part: 0, ..place });
                let drawn = SplitMix64::new(turn).unit() * total;
                // Rounding may take the product up to the total itself; the last pair with a weight has that.
                let found = pairs.iter().find(|weighted| drawn < weighted.up_to || weighted.up_to == *total);
                &found.expect("the last pair's sum is the total").pair
            }
        }
    }
}

fn apart(request: &DatasetRequest) -> Result<Tokens> {
    let lengths = |option, length: Length, ratio: Option<f64>, purpose| match ratio {
        Some(ratio) => Lengths::even(option, length.mean, ratio, request.seed, purpose),
        None => Lengths::new(option, length, request.seed, purpose),
    };
    let (input, output) = (request.range_ratio.map(|r| r.input), request.range_ratio.map(|r| r.output));
    let asked = request.output_tokens.map(|length| lengths("--osl", length, output, Purpose::OutputLength));
    let input = lengths("--isl", request.input_tokens, input, Purpose::InputLength)?;
    Ok(Tokens::Apart(Pair { input, output: asked.transpose()? }))
}

fn paired(request: &DatasetRequest) -> Result<Tokens> {
    if request.range_ratio.is_some() {
        return Err(Error::config(
            "--random-range-ratio and --seq-dist: the pairs have deviations of their own; give one of the two",
        ));
    }
    let mut total = 0.0;
    let mut pairs = Vec::with_capacity(request.length_pairs.len());
    for (number, LengthPair { input, output, weight }) in (1..).zip(&request.length_pairs) {
        if !(0.0..=1e15).contains(weight) {
            return Err(Error::config(format!(
                "--seq-dist: the weight {weight:?} of pair {number} is not from 0 to 1e15"
            )));
        }
        total += weight;
        let lengths = |length: &Length, what, purpose| {
            Lengths::new("--seq-dist", *length, request.seed, purpose)
                .map_err(|e| Error::new(e.kind, format!("{e} ({what} of pair {number})")))
        };
        let input = lengths(input, "input", Purpose::InputLength)?;
        let output = Some(lengths(output, "output", Purpose::OutputLength)?);
        pairs.push(Weighted { pair: Pair { input, output }, up_to: total });
    }
    if total == 0.0 {
        return Err(Error::config("--seq-dist: no pair has a weight above 0, so none can be drawn"));
    }
    Ok(Tokens::Paired { pairs, total, choice: Seeds::new(request.seed, Purpose::Pair) })
}
