//! Made-up prompts: one user message of a drawn number of tokens per session.
//!
//! Session i is a function of seed and i alone. Lengths, output lengths and words have separate streams of chance, so
//! that `--osl` leaves the prompts as they were. Words and tokens are the host's.

use crate::{
    lengths::Lengths,
    random::{Purpose, Seeds},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RStr,
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    types::{Error, Message, Part, Result, Turn},
};

/// Makes prompts up.
#[derive(Default)]
pub(crate) struct Synthetic {
    pool: Option<Pool>,
}

struct Pool {
    sessions: u64,
    input: Lengths,
    output: Option<Lengths>,
    words: Seeds,
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
        let output = request.output_tokens.map(|o| Lengths::new("--osl", o, request.seed, Purpose::OutputLength));
        self.pool = Some(Pool {
            sessions: request.entries,
            input: Lengths::new("--isl", request.input_tokens, request.seed, Purpose::InputLength)?,
            output: output.transpose()?,
            words: Seeds::new(request.seed, Purpose::Text),
        });
        Ok(DatasetInfo { sessions: request.entries, ..DatasetInfo::default() })
    }

    fn session(&self, index: u64, text: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let pool = self.pool.as_ref().filter(|p| index < p.sessions).ok_or_else(|| crate::no_session(index))?;
        let tokens = pool.input.draw(index);
        let prompt = text
            .text(pool.words.item(index), tokens.into())
            .map_err(|e| Error::new(e.kind, format!("prompt {index} of {tokens} tokens: {e}")))?;
        let parts = [Part::text(&prompt)];
        let messages = [Message { role: "user".into(), parts: parts[..].into(), extra_json: RStr::empty() }];
        let mut turn = Turn::new(&messages);
        turn.max_tokens = pool.output.as_ref().map_or(0, |output| output.draw(index));
        sink.name(&format!("session_{index:06}"));
        sink.turn(&turn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Collected, Words, session};
    use inferometer_plugin_sdk::{documents::Length, types::ErrorKind};
    use proptest::prelude::*;

    fn request() -> DatasetRequest {
        DatasetRequest {
            seed: 42,
            entries: 100,
            input_tokens: Length { mean: 20.0, stddev: 5.0 },
            ..DatasetRequest::default()
        }
    }

    fn opened(request: &DatasetRequest) -> Synthetic {
        let mut loader = Synthetic::default();
        loader.open(request, &Words).unwrap();
        loader
    }

    fn prompts(loader: &Synthetic) -> Vec<String> {
        (0..100).map(|index| session(loader, index).turns[0].parts[0].data.clone()).collect()
    }

    #[test]
    fn a_session_is_one_user_message_of_the_length_asked_for() {
        let fixed = DatasetRequest { input_tokens: Length { mean: 7.0, stddev: 0.0 }, ..request() };
        let Collected { name, turns } = session(&opened(&fixed), 3);
        assert_eq!(name, "session_000003");
        assert_eq!((turns.len(), turns[0].role.as_str(), turns[0].parts.len()), (1, "user", 1));
        assert_eq!(Words.count(&turns[0].parts[0].data), 7);
        assert_eq!(turns[0].max_tokens, 0, "no limit is sent unless one was asked for");
    }

    #[test]
    fn there_are_as_many_sessions_as_were_asked_for() {
        let mut loader = Synthetic::default();
        assert_eq!(loader.open(&request(), &Words).unwrap().sessions, 100);
        assert!(loader.session(99, &Words, &mut Collected::default()).is_ok());
        assert!(loader.session(100, &Words, &mut Collected::default()).is_err());
    }

    #[test]
    fn asking_for_output_tokens_leaves_the_prompts_as_they_were() {
        let output_tokens = Some(Length { mean: 64.0, stddev: 9.0 });
        let with_output = opened(&DatasetRequest { output_tokens, ..request() });
        assert_eq!(prompts(&with_output), prompts(&opened(&request())));
        let limits: Vec<_> = (0..100).map(|index| session(&with_output, index).turns[0].max_tokens).collect();
        assert!(limits.iter().all(|limit| (20..110).contains(limit)), "{limits:?}");
        assert!(limits.iter().any(|limit| *limit != limits[0]));
    }

    #[test]
    fn prompts_differ_from_each_other_and_from_seed_to_seed() {
        let mut distinct = prompts(&opened(&request()));
        distinct.extend(prompts(&opened(&DatasetRequest { seed: 43, ..request() })));
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 200);
    }

    #[test]
    fn what_cannot_be_made_is_an_error_that_says_what_to_give() {
        let zero = Length::default();
        for (request, named) in [
            (DatasetRequest { entries: 0, ..request() }, "--num-dataset-entries"),
            (DatasetRequest { input_tokens: zero, ..request() }, "--isl"),
            (DatasetRequest { output_tokens: Some(zero), ..request() }, "--osl"),
            (DatasetRequest { source: Some("prompts.jsonl".into()), ..request() }, "prompts.jsonl"),
        ] {
            let error = Synthetic::default().open(&request, &Words).unwrap_err();
            assert_eq!(error.kind, ErrorKind::CONFIG);
            assert!(error.message.contains(named), "{error}");
        }
    }

    #[test]
    fn a_tokenizer_that_fails_is_reported_with_the_prompt() {
        let too_long = DatasetRequest { input_tokens: Length { mean: 1e6, stddev: 0.0 }, ..request() };
        let error = opened(&too_long).session(5, &Words, &mut Collected::default()).unwrap_err();
        assert!(error.message.contains("prompt 5 of 1000000 tokens"), "{error}");
    }

    proptest! {
        #[test]
        fn a_session_does_not_depend_on_those_made_before(seed: u64, mut order in proptest::collection::vec(0..100_u64, 1..20)) {
            let loader = opened(&DatasetRequest { seed, ..request() });
            let there: Vec<_> = order.iter().map(|index| (*index, session(&loader, *index))).collect();
            order.reverse();
            let again = opened(&DatasetRequest { seed, ..request() });
            let mut back: Vec<_> = order.iter().map(|index| (*index, session(&again, *index))).collect();
            back.reverse();
            prop_assert_eq!(there, back);
        }
    }
}
