//! The usual stream of OpenAI's two generation routes, made as fast as can be: what load tests ask for. Every other
//! stream is told (see `tell`), and a stream that is told without habits has the same bytes.
//!
//! The content events of a model are rendered once, for the whole cycle of words; serving one copies it and puts in
//! the answer's id. When an event is written, and what goes wrong with it, is not decided here.

use crate::ask::Ask;
use crate::dialects::{Api, CREATED, Usage};
use crate::http::SSE;
use crate::http::append;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Said, Teller};
use crate::words::{self, WORDS};

/// The end of a chunked body.
const END: &[u8] = b"0\r\n\r\n";

/// An answer's id as it is written: 16 hexadecimal digits.
#[derive(Clone, Copy)]
pub(crate) struct Id([u8; 16]);

impl Id {
    pub(crate) fn new(id: u64) -> Self {
        let mut digits = [0; 16];
        for (i, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * i) & 15) as usize];
        }
        Self(digits)
    }
}

/// The events of one model on one route.
pub(crate) struct Script {
    api: Api,
    /// What stands in an event between the id and its choices.
    middle: String,
    tokens_per_chunk: usize,
    /// Full content events, framed; the one after the last is the first again.
    cycle: Vec<Vec<u8>>,
}

impl Script {
    /// `model` is a JSON string.
    pub(crate) fn new(api: Api, model: &str, tokens_per_chunk: usize) -> Self {
        let object = match api {
            Api::Chat => "chat.completion.chunk",
            Api::Completions => "text_completion",
        };
        let middle = format!("\",\"object\":\"{object}\",\"created\":{CREATED},\"model\":{model},\"choices\":[");
        let mut script = Self { api, middle, tokens_per_chunk, cycle: Vec::new() };
        // After this many chunks the words begin anew: 64 is a power of two, so only its factors of two matter.
        let shared = 1 << tokens_per_chunk.trailing_zeros().min(WORDS.len().trailing_zeros());
        script.cycle = (0..WORDS.len() / shared)
            .map(|chunk| {
                let mut event = Vec::new();
                script.render_content(Id::new(0), chunk * tokens_per_chunk, tokens_per_chunk, &mut event);
                event
            })
            .collect();
        script
    }

    /// Appends what a stream begins with: on the chat route the role, with empty content.
    fn open(&self, id: Id, out: &mut Vec<u8>) {
        if self.api == Api::Chat {
            let delta = b"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]";
            self.event(id, out, |out| out.extend_from_slice(delta));
        }
    }

    /// Appends content chunk number `chunk`, of `count` tokens.
    fn content(&self, id: Id, chunk: usize, count: usize, out: &mut Vec<u8>) {
        if count != self.tokens_per_chunk {
            return self.render_content(id, chunk * self.tokens_per_chunk, count, out);
        }
        let event = &self.cycle[chunk % self.cycle.len()];
        // Behind the size, which has no fixed width.
        let size = event.iter().position(|&b| b == b'\n').expect("a chunk begins with its size") + 1;
        let start = out.len() + size + self.opening().len();
        out.extend_from_slice(event);
        out[start..start + id.0.len()].copy_from_slice(&id.0);
    }

    /// Appends the event with the finish reason.
    fn finish(&self, id: Id, reason: &str, out: &mut Vec<u8>) {
        let content = match self.api {
            Api::Chat => "\"delta\":{}",
            Api::Completions => "\"text\":\"\"",
        };
        self.event(id, out, |out| {
            append(out, format_args!("{{\"index\":0,{content},\"logprobs\":null,\"finish_reason\":\"{reason}\"}}]"));
        });
    }

    /// Appends the event with the usage, which has no choices.
    fn usage(&self, id: Id, usage: Usage, out: &mut Vec<u8>) {
        self.event(id, out, |out| {
            out.extend_from_slice(b"],\"usage\":");
            usage.write(out);
        });
    }

    /// Appends an event whose JSON breaks off.
    fn broken(&self, id: Id, out: &mut Vec<u8>) {
        frame(out, |out| {
            out.extend_from_slice(self.opening().as_bytes());
            out.extend_from_slice(&id.0);
            out.extend_from_slice(b"\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\n\n");
        });
    }

    fn render_content(&self, id: Id, first: usize, count: usize, out: &mut Vec<u8>) {
        let (before, after) = match self.api {
            Api::Chat => ("\"delta\":{\"content\":\"", "\"}"),
            Api::Completions => ("\"text\":\"", "\""),
        };
        self.event(id, out, |out| {
            out.extend_from_slice(b"{\"index\":0,");
            out.extend_from_slice(before.as_bytes());
            words::push(out, first, count);
            out.extend_from_slice(after.as_bytes());
            out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":null}]");
        });
    }

    fn opening(&self) -> &'static str {
        match self.api {
            Api::Chat => "data: {\"id\":\"chatcmpl-",
            Api::Completions => "data: {\"id\":\"cmpl-",
        }
    }

    /// `rest` writes everything from the first choice to before the closing brace.
    fn event(&self, id: Id, out: &mut Vec<u8>, rest: impl FnOnce(&mut Vec<u8>)) {
        frame(out, |out| {
            out.extend_from_slice(self.opening().as_bytes());
            out.extend_from_slice(&id.0);
            out.extend_from_slice(self.middle.as_bytes());
            rest(out);
            out.extend_from_slice(b"}\n\n");
        });
    }
}

/// A stream of such events.
pub(crate) struct Copied<'a> {
    pub(crate) script: &'a Script,
    pub(crate) id: Id,
    pub(crate) ask: &'a Ask,
    /// Usage is told.
    pub(crate) usage: bool,
}

impl Teller for Copied<'_> {
    fn content_type(&self) -> &'static str {
        SSE
    }

    fn steps(&self) -> usize {
        self.ask.tokens.div_ceil(self.script.tokens_per_chunk)
    }

    fn weight(&self, step: usize) -> usize {
        let per_chunk = self.script.tokens_per_chunk;
        per_chunk.min(self.ask.tokens - self.ask.tokens.min(step * per_chunk))
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        self.script.open(self.id, out);
    }

    fn say(&mut self, step: usize, out: &mut Vec<u8>) -> Said {
        let tokens = self.weight(step);
        self.script.content(self.id, step, tokens, out);
        Said { chunks: 1, tokens }
    }

    fn broken(&mut self, _step: usize, out: &mut Vec<u8>) {
        self.script.broken(self.id, out);
    }

    fn error(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        frame(out, |out| {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&refusal.body(Shape::OpenAi));
            out.extend_from_slice(b"\n\n");
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.script.finish(self.id, self.ask.finish, out);
        if self.usage {
            let usage = Usage { prompt: self.ask.prompt_tokens, completion: self.ask.tokens };
            self.script.usage(self.id, usage, out);
        }
        frame(out, |out| out.extend_from_slice(b"data: [DONE]\n\n"));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(END);
    }
}

/// Frames what `payload` writes as one chunk.
fn frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    // The size comes first and is known last: the payload is written, then moved to make room.
    let start = out.len();
    payload(out);
    let size = format!("{:x}\r\n", out.len() - start);
    out.splice(start..start, size.bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframe(mut bytes: &[u8]) -> String {
        let mut body = Vec::new();
        while !bytes.is_empty() {
            let Ok(httparse::Status::Complete((at, size))) = httparse::parse_chunk_size(bytes) else {
                panic!("no chunk size");
            };
            let end = at + size as usize;
            body.extend_from_slice(&bytes[at..end]);
            assert_eq!(&bytes[end..end + 2], b"\r\n");
            bytes = &bytes[end + 2..];
        }
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_copied_event_equals_a_rendered_one() {
        for tokens_per_chunk in [1, 3, 8, 64, 100] {
            for api in [Api::Chat, Api::Completions] {
                let script = Script::new(api, "\"m\"", tokens_per_chunk);
                let id = Id::new(0x0123_4567_89AB_CDEF);
                for chunk in 0..150 {
                    let (mut copied, mut rendered) = (Vec::new(), Vec::new());
                    script.content(id, chunk, tokens_per_chunk, &mut copied);
                    script.render_content(id, chunk * tokens_per_chunk, tokens_per_chunk, &mut rendered);
                    assert_eq!(copied, rendered);
                }
            }
        }
    }

    #[test]
    fn every_event_but_the_broken_one_is_json() {
        let script = Script::new(Api::Chat, "\"a \\\"model\\\"\"", 1);
        let id = Id::new(7);
        let mut out = Vec::new();
        script.open(id, &mut out);
        script.content(id, 0, 1, &mut out);
        script.finish(id, "length", &mut out);
        let usage = Usage { prompt: 3, completion: 1 };
        script.usage(id, usage, &mut out);
        script.broken(id, &mut out);
        let body = unframe(&out);
        let events: Vec<_> = body
            .split_terminator("\n\n")
            .map(|event| serde_json::from_str::<serde_json::Value>(event.strip_prefix("data: ").unwrap()))
            .collect();
        let good = |i: usize| events[i].as_ref().unwrap();
        assert_eq!(good(0)["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(good(1)["choices"][0]["delta"]["content"], " time");
        assert_eq!(good(1)["model"], "a \"model\"");
        assert_eq!(good(2)["choices"][0]["finish_reason"], "length");
        assert_eq!(good(3)["usage"]["total_tokens"], 4);
        assert_eq!(good(3)["id"], "chatcmpl-0000000000000007");
        assert!(events[4].is_err());
    }
}
