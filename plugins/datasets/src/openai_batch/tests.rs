//! Whole files in, bodies or an error out.

use super::OpenAiBatch as Form;
use crate::{
    conversation::Conversations,
    testing::{error, gzip, sessions},
};

type OpenAiBatch = Conversations<Form>;

const BATCH: &str = r#"{"custom_id": "request-1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{"role": "user", "content": "Hello world!"}],"max_tokens": 1000}}
{"custom_id": "request-2", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "stream": true}}
"#;

#[test]
fn bodies_are_sent_as_they_are_under_the_names_of_their_requests() {
    let (all, info) = sessions::<OpenAiBatch>(BATCH);
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["request-1", "request-2"]);
    assert_eq!(
        all[0].turns[0].raw_body,
        r#"{"model": "m", "messages": [{"role": "user", "content": "Hello world!"}],"max_tokens": 1000}"#
    );
    assert!(info.notes[0].starts_with("1 of 2 request bodies name `stream`"), "{:?}", info.notes);
    assert!(info.notes[1].contains("/v1/chat/completions"));
    assert_eq!(sessions::<OpenAiBatch>(gzip(BATCH.as_bytes())).0, all);
}

#[test]
fn a_broken_line_is_named_with_its_field_and_reason() {
    let line = |id: &str, method: &str, url: &str| {
        format!("{{\"custom_id\": \"{id}\", \"method\": \"{method}\", \"url\": \"{url}\", \"body\": {{}}}}")
    };
    for (line, named) in [
        (line("b", "POST", "/v1/embeddings"), "url: `/v1/embeddings`, but the lines before it are for `/v1/chat"),
        (line("b", "POST", "/v1/embeddings"), "split the file by url"),
        (line("b", "GET", "/v1/chat"), "method: `GET` is not what a batch does"),
        (line("request-1", "POST", "/v1/chat/completions"), "custom_id: `request-1` is the name of an earlier line"),
        (line("", "POST", "/v1/chat/completions"), "custom_id: is empty"),
        ("{\"custom_di\": \"b\"}".to_owned(), "custom_di: unknown key; did you mean `custom_id`?"),
        ("{\"custom_id\": \"b\", \"method\": \"POST\"}".to_owned(), "url: missing"),
    ] {
        let message = error::<OpenAiBatch>(format!("{BATCH}{line}\n"));
        assert!(message.starts_with("3: ") && message.contains(named), "{line}\n  {message}");
    }
}
