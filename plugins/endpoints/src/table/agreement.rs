//! The law of the two ways along a table: what the fast one takes, it reads exactly as the thorough one does.

use super::{Api, Shape, parse, samples, scan};
use crate::{
    cohere, gemini, huggingface, kserve, messages, ollama, reading::Answers as _, responses, solido, testing::texts,
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Answer, Delta, ErrorKind, Event, Reply, delta_flags},
};
use proptest::{collection::vec, prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

static ALL: [&Api; 8] = [
    &cohere::API,
    &gemini::API,
    &huggingface::API,
    &kserve::API,
    &messages::API,
    &ollama::API,
    &responses::API,
    &solido::API,
];

/// A delta with its texts instead of spans.
#[derive(Debug, PartialEq)]
struct Told {
    texts: [String; 4],
    rest: Delta,
    is_known: bool,
}

fn told(delta: &Delta, is_known: bool, data: &[u8], scratch: &[u8]) -> Told {
    let rest = Delta {
        flags: delta.flags & !(delta_flags::ESCAPED | delta_flags::SCRATCH),
        choice: delta.choice,
        prompt_tokens: delta.prompt_tokens,
        completion_tokens: delta.completion_tokens,
        cached_tokens: delta.cached_tokens,
        reasoning_tokens: delta.reasoning_tokens,
        reserved: delta.reserved,
        ..Delta::EMPTY
    };
    Told { texts: texts(delta, data, scratch), rest, is_known }
}

fn scanned(shape: &'static Shape, data: &[u8]) -> Option<Told> {
    let mut delta = Delta::EMPTY;
    scan::scan(shape, data, &mut delta).map(|is_known| told(&delta, is_known, data, &[]))
}

fn parsed(shape: &Shape, data: &[u8]) -> Option<Told> {
    let mut scratch = RVec::new();
    parse::parse(shape, data, &mut scratch).map(|found| told(&found.delta, found.is_known, data, &scratch))
}

fn check_agreement(shape: &'static Shape, data: &[u8]) -> Result<(), TestCaseError> {
    if let Some(fast) = scanned(shape, data) {
        prop_assert_eq!(Some(fast), parsed(shape, data));
    }
    Ok(())
}

fn any_shape() -> impl Strategy<Value = &'static Shape> {
    (0..ALL.len(), any::<bool>()).prop_map(|(at, is_body)| if is_body { &ALL[at].body } else { &ALL[at].event })
}

fn any_answer() -> impl Strategy<Value = (&'static Shape, String)> {
    let shapes: Vec<_> = ALL.iter().flat_map(|api| [&api.body, &api.event]).collect();
    let answers: Vec<_> = shapes.into_iter().map(|shape| (Just(shape), samples::answer(shape)).boxed()).collect();
    proptest::sample::select(answers).prop_flat_map(|answer| answer)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn what_the_scan_takes_it_reads_as_the_parser_does((shape, text) in any_answer()) {
        check_agreement(shape, text.as_bytes())?;
    }

    #[test]
    fn an_answer_of_one_api_is_read_alike_in_both_ways_by_any_other((_, text) in any_answer(), shape in any_shape()) {
        check_agreement(shape, text.as_bytes())?;
    }

    #[test]
    fn the_scan_takes_nothing_that_a_parser_refuses(
        (shape, text) in any_answer(), flips in vec((any::<Index>(), any::<u8>()), 1..3), cut in any::<Index>(), is_cut: bool,
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_agreement(shape, &bytes)?;
    }
}

#[test]
fn the_laws_are_not_empty_because_the_scan_takes_many_answers_of_every_shape() {
    for (api, shape) in ALL.iter().flat_map(|api| [(api, &api.event), (api, &api.body)]) {
        let (mut runner, answers) = (TestRunner::deterministic(), samples::answer(shape));
        let mut sample = || answers.new_tree(&mut runner).unwrap().current();
        let taken = (0..500).filter(|_| scanned(shape, sample().as_bytes()).is_some()).count();
        assert!((100..500).contains(&taken), "{}: {taken} of 500", api.expected);
    }
}

fn read(api: &'static Api, name: &str, data: &str) -> Result<(u32, [String; 4]), ErrorKind> {
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    api.on_event(&Event::new(data.as_bytes()).named(name), &mut delta, &mut scratch)?;
    let flags = delta.flags & !(delta_flags::ESCAPED | delta_flags::SCRATCH);
    Ok((flags, texts(&delta, data.as_bytes(), &scratch)))
}

#[test]
fn an_error_is_told_in_every_shape_by_every_api() {
    for api in ALL {
        for (name, data, message) in [
            ("", r#"{"error":{"message":"too long","code":400}}"#, "too long"),
            ("", r#"{"error":"too long"}"#, "too long"),
            ("", r#"{"type":"error","error":{"type":"x","message":"too long"}}"#, "too long"),
            ("", r#"{"type":"error","message":"too long"}"#, "too long"),
            ("", r#"{"type":"error"}"#, r#"{"type":"error"}"#),
            ("", r#"{"detail":"too long"}"#, "too long"),
            ("", r#"{"message":"too long","type":"Bad Request","code":400}"#, "too long"),
            ("error", r#"{"message":"too long"}"#, "too long"),
            ("error", "too long", "too long"),
            ("error", "", ""),
        ] {
            let (flags, texts) = read(api, name, data).unwrap();
            assert_eq!((flags, texts[3].as_str()), (delta_flags::ERROR, message), "{}: {name} {data}", api.expected);
        }
    }
}

#[test]
fn the_terminator_signs_of_life_and_nonsense_are_told_apart_by_every_api() {
    for api in ALL {
        assert_eq!(read(api, "", " [DONE]\n").unwrap().0, delta_flags::DONE);
        assert_eq!(read(api, "", " ").unwrap().0, 0);
        assert_eq!(read(api, "ping", r#"{"type":"ping"}"#).unwrap().0, 0);
        for data in ["{", "null", "\"text\"", "[DONE", "<html>"] {
            assert_eq!(read(api, "", data), Err(ErrorKind::MALFORMED), "{data}");
        }
    }
}

#[test]
fn bodies_that_are_no_answer_of_an_api_are_refused_in_words() {
    for api in ALL {
        for body in ["", "<html>", r#"{"data":[]}"#, "[]", "{}", "7"] {
            let body = body.as_bytes().into();
            let answer = Answer { status: 200, exchange: 0, flags: 0, content_type: "".into(), body };
            let error = api.on_body(&answer, &mut Reply::default()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::MALFORMED);
            assert!(
                error.message.contains("expected a JSON object with") && error.message.contains("check"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_member_may_come_before_the_one_that_says_what_it_is() {
    let event = r#"{"content_index":0,"delta":"Hi","item_id":"m","type":"response.output_text.delta"}"#;
    assert_eq!(scanned(&responses::API.event, event.as_bytes()).unwrap().texts[0], "Hi");
    let event = r#"{"token":{"id":2,"text":"</s>","logprob":-0.1,"special":true}}"#;
    assert_eq!(scanned(&huggingface::API.event, event.as_bytes()).unwrap().texts[0], "");
}

#[test]
fn several_texts_of_a_kind_are_told_one_after_the_other() {
    let event = r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"x","thought":true},{"text":"b"}]}}]}"#;
    let (_, texts) = read(&gemini::API, "", event).unwrap();
    assert_eq!(texts[..2], ["ab", "x"]);
}
