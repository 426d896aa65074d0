//! Telling an answer: cutting it into parts and events in the words of a dialect. When each is written, and what goes
//! wrong, is the exchange's business.

use std::ops::Range;

use crate::ask::Ask;
use crate::dialects::Dialect;
use crate::framing::Framing;
use crate::habits::{Habit, Habits};
use crate::refusal::Refusal;
use crate::words;

/// A stream in the making: content in steps, each as long as its weight in tokens.
pub(crate) trait Teller {
    fn content_type(&self) -> &'static str;
    /// How many steps of content there are.
    fn steps(&self) -> usize;
    /// How many gaps between tokens a step takes; 0 beyond the last.
    fn weight(&self, step: usize) -> usize;
    /// Appends what goes before all content.
    fn open(&mut self, out: &mut Vec<u8>);
    /// Appends a step.
    fn say(&mut self, step: usize, out: &mut Vec<u8>) -> Said;
    /// Appends something like a step that cannot be read.
    fn broken(&mut self, step: usize, out: &mut Vec<u8>);
    /// Appends an error.
    fn error(&mut self, refusal: &Refusal, out: &mut Vec<u8>);
    /// Appends what ends the answer.
    fn close(&mut self, out: &mut Vec<u8>);
    /// Appends what ends the HTTP body.
    fn end(&mut self, out: &mut Vec<u8>);
}

/// What a step held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Events with content.
    pub(crate) chunks: usize,
    pub(crate) tokens: usize,
}

/// What a piece of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Reasoning,
    Text,
    /// The arguments of a tool call.
    Tool,
}

/// A part of an answer that is there.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) part: Part,
    /// Its place among the parts.
    pub(crate) index: usize,
    /// Its tokens.
    pub(crate) tokens: Range<usize>,
}

impl Span {
    /// Its words. They need no escaping in JSON.
    pub(crate) fn text(&self) -> String {
        words::slice(self.tokens.start, self.tokens.len())
    }
}

/// Some consecutive tokens of one part.
pub(crate) struct Delta {
    pub(crate) choice: usize,
    pub(crate) part: Part,
    /// The place of the part.
    pub(crate) index: usize,
    /// The words.
    pub(crate) text: String,
    /// The answer's tokens up to and with these.
    pub(crate) reached: usize,
    pub(crate) starts: bool,
    pub(crate) ends: bool,
}

/// An answer, as the dialects need to know it.
pub(crate) struct Tale<'a> {
    /// The random part of its id.
    pub(crate) id: u64,
    /// The model's name as a JSON string.
    pub(crate) model: &'a str,
    pub(crate) ask: &'a Ask,
    pub(crate) habits: Habits,
    /// Usage may be told.
    pub(crate) usage: bool,
    pub(crate) spans: Vec<Span>,
}

impl<'a> Tale<'a> {
    pub(crate) fn new(
        dialect: &dyn Dialect,
        id: u64,
        model: &'a str,
        ask: &'a Ask,
        habits: Habits,
        usage: bool,
    ) -> Self {
        let has_parts = dialect.has_parts();
        let reasoning = if has_parts && habits.reasons() { ask.tokens / 2 } else { 0 };
        let rest = ask.tokens - reasoning;
        let tool = if has_parts && habits.has(Habit::ToolCalls) { rest.div_ceil(2) } else { 0 };
        let mut spans: Vec<Span> = Vec::with_capacity(3);
        let mut start = 0;
        for (part, tokens) in [(Part::Reasoning, reasoning), (Part::Text, rest - tool), (Part::Tool, tool)] {
            if tokens > 0 {
                spans.push(Span { part, index: spans.len(), tokens: start..start + tokens });
            }
            start += tokens;
        }
        Self { id, model, ask, habits, usage, spans }
    }

    pub(crate) fn has(&self, habit: Habit) -> bool {
        self.habits.has(habit)
    }

    pub(crate) fn span(&self, part: Part) -> Option<&Span> {
        self.spans.iter().find(|span| span.part == part)
    }

    /// The words of a part; none if it is not there.
    pub(crate) fn text(&self, part: Part) -> String {
        self.span(part).map(Span::text).unwrap_or_default()
    }

    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.span(Part::Reasoning).map_or(0, |span| span.tokens.len())
    }

    /// Why the answer ended, in the words of an API: at the maximum, by itself, for a tool.
    pub(crate) fn finish(&self, length: &'static str, stop: &'static str, tool: &'static str) -> &'static str {
        match self.ask.finish {
            _ if self.span(Part::Tool).is_some() => tool,
            "length" => length,
            _ => stop,
        }
    }

    /// Output tokens of all choices.
    pub(crate) fn completion(&self) -> usize {
        self.ask.tokens * self.ask.choices
    }

    pub(crate) fn total(&self) -> u64 {
        self.ask.prompt_tokens + self.completion() as u64
    }
}

/// A stream in a dialect's words.
pub(crate) struct Told<'a> {
    dialect: &'static dyn Dialect,
    tale: Tale<'a>,
    framing: Framing,
    tokens_per_chunk: usize,
    /// The place of the part that has begun and not ended.
    open: Option<usize>,
}

impl<'a> Told<'a> {
    pub(crate) fn new(dialect: &'static dyn Dialect, tale: Tale<'a>, tokens_per_chunk: usize) -> Self {
        let framing = Framing::new(tale.ask.kind, tale.habits);
        Self { dialect, tale, framing, tokens_per_chunk, open: None }
    }

    fn tokens(&self, step: usize) -> Range<usize> {
        let start = self.tale.ask.tokens.min(step * self.tokens_per_chunk);
        start..self.tale.ask.tokens.min(start + self.tokens_per_chunk)
    }

    fn end_part(&mut self, out: &mut Vec<u8>) {
        if let Some(index) = self.open.take() {
            for choice in 0..self.tale.ask.choices {
                self.dialect.end(&self.tale, &self.tale.spans[index], choice, &mut self.framing.events(out));
            }
        }
    }

    fn begin_part(&mut self, index: usize, out: &mut Vec<u8>) {
        if self.open != Some(index) {
            self.end_part(out);
            for choice in 0..self.tale.ask.choices {
                self.dialect.begin(&self.tale, &self.tale.spans[index], choice, &mut self.framing.events(out));
            }
            self.open = Some(index);
        }
    }

    /// The part of a span that lies in this range.
    fn delta(&self, span: &Span, tokens: &Range<usize>, choice: usize) -> Option<Delta> {
        let (from, to) = (span.tokens.start.max(tokens.start), span.tokens.end.min(tokens.end));
        (from < to).then(|| Delta {
            choice,
            part: span.part,
            index: span.index,
            text: words::slice(from, to - from),
            reached: to,
            starts: from == 0,
            ends: to == self.tale.ask.tokens,
        })
    }
}

impl Teller for Told<'_> {
    fn content_type(&self) -> &'static str {
        self.framing.content_type()
    }

    fn steps(&self) -> usize {
        self.tale.ask.tokens.div_ceil(self.tokens_per_chunk)
    }

    fn weight(&self, step: usize) -> usize {
        self.tokens(step).len()
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        self.dialect.open(&self.tale, &mut self.framing.events(out));
    }

    fn say(&mut self, step: usize, out: &mut Vec<u8>) -> Said {
        let tokens = self.tokens(step);
        let mut chunks = 0;
        for index in 0..self.tale.spans.len() {
            for choice in 0..self.tale.ask.choices {
                if let Some(delta) = self.delta(&self.tale.spans[index], &tokens, choice) {
                    self.begin_part(index, out);
                    self.dialect.delta(&self.tale, &delta, &mut self.framing.events(out));
                    chunks += 1;
                }
            }
        }
        Said { chunks, tokens: tokens.len() * self.tale.ask.choices }
    }

    fn broken(&mut self, _step: usize, out: &mut Vec<u8>) {
        // The first tokens once more: they lie in the first part, which every answer has.
        let delta = self.delta(&self.tale.spans[0], &(0..1), 0);
        let delta = delta.expect("an answer has at least one token");
        self.framing.break_next();
        self.dialect.delta(&self.tale, &delta, &mut self.framing.events(out));
    }

    fn error(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        self.dialect.stream_error(&self.tale, refusal, &mut self.framing.events(out));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.end_part(out);
        self.dialect.close(&self.tale, &mut self.framing.events(out));
        let habits = self.tale.habits;
        if self.dialect.says_done() && !habits.has(Habit::NoDone) || habits.has(Habit::ExtraDone) {
            self.framing.events(out).done();
        }
        self.framing.close(out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.framing.end(out);
    }
}
