//! Made-up sessions: user messages of drawn numbers of tokens, or queries with passages, and images and audio of noise where
//! they are asked for.
//!
//! Session i is a function of seed and i alone. Lengths, output lengths, words and all else have separate streams of
//! chance, so that `--osl` leaves the prompts as they were, and later turns the first. Words and tokens are the host's,
//! and so are the replies between turns.

mod audio;
mod images;
mod pictures;
mod prefixes;
mod ranking;
mod sizes;
#[cfg(test)]
mod tests;

use self::{audio::Audio, images::Images, prefixes::Prefixes, ranking::Ranking, sizes::Sizes};
use crate::random::{Place, Purpose, Seeds};
use inferometer_plugin_sdk::{
    Component, NoOptions, RStr,
    api::{DatasetLoader, OutlineSink, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Message, NO_COUNT, Outline, Part, PartKind, Result, Turn, TurnTime},
};

/// Most texts, images or clips of one request.
const MOST_PARTS: u64 = 10_000;
/// Most bytes of the images, or of the clips, of one request, before they are compressed and put into base64.
const MOST_BYTES: f64 = (1_u64 << 30) as f64;

/// Makes sessions up.
#[derive(Debug, Default)]
pub struct Synthetic {
    pool: Option<Pool>,
}

/// What was asked for, checked.
#[derive(Debug)]
struct Pool {
    sessions: u64,
    sizes: Sizes,
    words: Seeds,
    /// Texts of one turn.
    batch: u32,
    prefixes: Option<Prefixes>,
    images: Option<Images>,
    audio: Option<Audio>,
    ranking: Option<Ranking>,
}

impl Component for Synthetic {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl DatasetLoader for Synthetic {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        if let Some(source) = &request.source {
            return Err(Error::config(format!(
                "{source}: the synthetic data set makes its prompts up and reads no file; \
                 leave the file out, or choose the data set that reads it"
            )));
        }
        if request.entries == 0 {
            return Err(Error::config("--num-dataset-entries 0: a pool needs at least one prompt; give 1 or more"));
        }
        if request.ranking.is_some() && (request.batch > 1 || request.prefixes.is_some()) {
            return Err(Error::config(
                "queries with passages have neither batches nor prefixes; leave --prompt-batch-size and the prefix \
                 settings out, or the --rankings-… settings",
            ));
        }
        let seed = request.seed;
        self.pool = Some(Pool {
            sessions: request.entries,
            sizes: Sizes::new(request)?,
            words: Seeds::new(seed, Purpose::Text),
            batch: parts("--prompt-batch-size", request.batch.max(1))?,
            prefixes: request.prefixes.map(|asked| Prefixes::new(asked, seed)).transpose()?,
            images: request.images.as_ref().map(|asked| Images::new(asked, seed)).transpose()?,
            audio: request.audio.as_ref().map(|asked| Audio::new(asked, seed)).transpose()?,
            ranking: request.ranking.as_ref().map(|asked| Ranking::new(asked, seed)).transpose()?,
        });
        Ok(DatasetInfo { sessions: request.entries, ..DatasetInfo::default() })
    }

    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let pool = self.pool(index)?;
        sink.name(&name(index));
        (0..pool.sizes.turns(index)).try_for_each(|turn| pool.turn(Place::turn(index, turn), text, sink))
    }

    fn outline(&self, index: u64, sink: &mut dyn OutlineSink) -> Result<()> {
        let pool = self.pool(index)?;
        sink.name(&name(index));
        // Nobody knows how long a reply will be that has no limit, nor, from there on, a prompt.
        let mut history = Some(0_u64);
        for turn in 0..pool.sizes.turns(index) {
            let place = Place::turn(index, turn);
            let output = pool.sizes.output(place);
            let prompt = history.map(|before| before + pool.tokens(place));
            sink.turn(&Outline {
                time: pool.time(place),
                input_tokens: prompt.map_or(NO_COUNT, |tokens| tokens.min((NO_COUNT - 1).into()) as u32),
                output_tokens: output.unwrap_or(NO_COUNT),
                ..Outline::EMPTY
            });
            history = prompt.zip(output).map(|(prompt, reply)| prompt + u64::from(reply));
        }
        Ok(())
    }
}

impl Synthetic {
    fn pool(&self, index: u64) -> Result<&Pool> {
        self.pool.as_ref().filter(|p| index < p.sessions).ok_or_else(|| crate::no_session(index))
    }
}

impl Pool {
    /// Makes the turn at `place`: its texts, then its images, then its clips.
    fn turn(&self, place: Place, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let texts = self.texts(place, text)?;
        let images = self.images.as_ref().map(|images| images.of_turn(place)).transpose()?.unwrap_or_default();
        let clips = self.audio.as_ref().map(|audio| audio.of_turn(place)).unwrap_or_default();

        let mut parts: Vec<_> = match self.ranking {
            Some(_) => ranking::parts(&texts).collect(),
            None => texts.iter().map(|text| Part::text(text)).collect(),
        };
        parts.extend(media(PartKind::IMAGE, &images));
        parts.extend(media(PartKind::AUDIO, &clips));
        let messages = [Message { role: "user".into(), parts: parts[..].into(), extra_json: RStr::empty() }];
        let mut turn = Turn::new(&messages);
        turn.max_tokens = self.sizes.output(place).unwrap_or(0);
        turn.time = self.time(place);
        sink.turn(&turn);
        Ok(())
    }

    /// The texts of the turn at `place`.
    fn texts(&self, place: Place, text: &dyn TextTools) -> Result<Vec<String>> {
        if let Some(ranking) = &self.ranking {
            return ranking.texts(place, text);
        }
        let prefix = self.prefix(place).map(|(prefixes, number)| prefixes.text(number, text)).transpose()?;
        let made = self.places(place).map(|place| {
            let (seed, tokens) = (self.words.at(place), self.sizes.input(place).into());
            let made = match prefix {
                Some(prefix) => text.continuation(seed, tokens).map(|prompt| format!("{prefix}{prompt}")),
                None => text.text(seed, tokens),
            };
            made.map_err(|e| Error::new(e.kind, format!("prompt {} of {tokens} tokens: {e}", number(place))))
        });
        made.collect()
    }

    /// Tokens of the texts of the turn at `place`.
    fn tokens(&self, place: Place) -> u64 {
        if let Some(ranking) = &self.ranking {
            return ranking.tokens(place);
        }
        let prefix = self.prefix(place).map_or(0, |(prefixes, _)| prefixes.tokens());
        self.places(place).map(|place| prefix + u64::from(self.sizes.input(place))).sum()
    }

    /// The pool of texts that the turn at `place` begins with one of, and which one; none from the second turn on.
    fn prefix(&self, place: Place) -> Option<(&Prefixes, usize)> {
        let prefixes = self.prefixes.as_ref().filter(|_| place.turn == 0)?;
        Some((prefixes, prefixes.choose(place.session)))
    }

    /// The places of the texts of the turn at `place`.
    fn places(&self, place: Place) -> impl Iterator<Item = Place> {
        (0..self.batch).map(move |part| Place { part, ..place })
    }

    fn time(&self, place: Place) -> TurnTime {
        TurnTime { delay_ns: self.sizes.delay_ns(place), ..TurnTime::NONE }
    }
}

/// Parts of `kind` of media types or formats, and data.
fn media<'a>(kind: PartKind, made: &'a [(&'static str, String)]) -> impl Iterator<Item = Part<'a>> {
    made.iter().map(move |(mime, data)| Part {
        kind,
        mime: (*mime).into(),
        data: data.as_str().into(),
        ..Part::text("")
    })
}

/// The session at `place`, and its turn if it is not the first, for messages.
fn number(Place { session, turn, .. }: Place) -> String {
    if turn == 0 { session.to_string() } else { format!("{session}, turn {turn},") }
}

fn name(index: u64) -> String {
    format!("session_{index:06}")
}

/// A number of texts, images or clips.
fn parts(option: &str, asked: u64) -> Result<u32> {
    let held = (1..=MOST_PARTS).contains(&asked).then_some(asked as u32);
    held.ok_or_else(|| Error::config(format!("{option} {asked}: one request holds from 1 to {MOST_PARTS} of them")))
}
