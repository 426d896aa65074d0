//! A trace that was read: sessions by number, their outlines without texts, their turns with them.

use super::{
    messages,
    prompts::Prompts,
    rows::{Content, ContentKind, Named, Row, Rows},
};
use inferometer_plugin_sdk::{
    RStr,
    api::{OutlineSink, SessionSink, TextTools},
    types::{Error, Message, NO_COUNT, Outline, Part, Result, Turn, TurnTime, turn_flags},
};

/// The sessions of a trace.
pub(super) struct Store {
    block_tokens: u32,
    /// In order of sessions, and within a session of turns.
    rows: Vec<Row>,
    /// Where each session's rows end.
    ends: Vec<u32>,
    blocks: Vec<u64>,
    contents: Vec<Content>,
    strings: String,
    names: Vec<Named>,
}

impl Store {
    /// Takes rows that are in order of their sessions; sessions that have lost all of theirs are passed over.
    pub(super) fn new(from: Rows) -> Self {
        let Rows { block_tokens, mut rows, mut blocks, contents, mut strings, names, .. } = from;
        let starts = |n: usize| n == 0 || rows[n].session != rows[n - 1].session;
        let sessions = (0..rows.len()).filter(|n| starts(*n)).count();
        let mut ends = Vec::with_capacity(sessions);
        ends.extend((1..rows.len()).filter(|n| starts(*n)).map(|n| n as u32));
        ends.extend((!rows.is_empty()).then_some(rows.len() as u32));
        rows.shrink_to_fit();
        blocks.shrink_to_fit();
        strings.shrink_to_fit();
        Self { block_tokens, rows, ends, blocks, contents, strings, names }
    }

    /// Number of sessions.
    pub(super) fn sessions(&self) -> usize {
        self.ends.len()
    }

    /// How many sessions have no timestamp at their beginning, and the line of the first such.
    pub(super) fn sessions_without_times(&self) -> (usize, Option<u32>) {
        let first_rows = (0..self.sessions()).map(|session| &self.turns(session)[0]);
        let mut without = first_rows.filter(|row| row.time.timestamp_ns == TurnTime::NONE.timestamp_ns);
        let first = without.next().map(|row| row.line);
        (without.count() + usize::from(first.is_some()), first)
    }

    /// Gives the outlines of a session.
    pub(super) fn outline(&self, session: usize, sink: &mut dyn OutlineSink) {
        sink.name(&self.name(session));
        for row in self.turns(session) {
            let blocks = self.blocks_of(row);
            sink.turn(&Outline {
                time: row.time,
                input_tokens: row.input,
                output_tokens: row.output,
                block_tokens: if blocks.is_empty() { 0 } else { self.block_tokens },
                blocks: blocks.into(),
                ..Outline::EMPTY
            });
        }
    }

    /// Gives the turns of a session.
    ///
    /// # Errors
    /// When there is no text of a prompt's length.
    pub(super) fn give(
        &self,
        session: usize,
        prompts: &Prompts,
        text: &dyn TextTools,
        sink: &mut dyn SessionSink,
    ) -> Result<()> {
        sink.name(&self.name(session));
        for row in self.turns(session) {
            let content = self.content_of(row);
            let extra = content.map_or("", |content| &self.strings[content.extra.clone()]);
            let body = content.map_or("", |content| &self.strings[content.body.clone()]);
            let mut give = |messages: &[Message<'_>], raw_body: &[u8], flags: u32| {
                sink.turn(&Turn {
                    extra_json: extra.into(),
                    raw_body: raw_body.into(),
                    max_tokens: if row.output == NO_COUNT { 0 } else { row.output },
                    flags,
                    time: row.time,
                    ..Turn::new(messages)
                });
            };
            match content.map_or(ContentKind::Length, |content| content.kind) {
                ContentKind::Length => {
                    let prompt = prompts
                        .text(row.line, row.input, self.block_tokens, self.blocks_of(row), text)
                        .map_err(|e| Error::new(e.kind, format!("prompt of line {}: {e}", row.line)))?;
                    give_text(&prompt, |message| give(message, &[], turn_flags::STANDS_ALONE));
                }
                ContentKind::Text => give_text(body, |message| give(message, &[], 0)),
                ContentKind::Messages => {
                    let messages = messages::read(body)
                        .map_err(|problem| Error::config(format!("messages of line {}: {problem}", row.line)))?;
                    messages::with_all(&messages, |messages| give(messages, &[], turn_flags::STANDS_ALONE));
                }
                ContentKind::Payload => give(&[], body.as_bytes(), turn_flags::STANDS_ALONE),
            }
        }
        Ok(())
    }

    fn turns(&self, session: usize) -> &[Row] {
        let start = session.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start as usize..self.ends[session] as usize]
    }

    fn blocks_of(&self, row: &Row) -> &[u64] {
        &self.blocks[row.blocks()]
    }

    fn content_of(&self, row: &Row) -> Option<&Content> {
        let place = self.contents.binary_search_by_key(&row.line, |content| content.line).ok()?;
        Some(&self.contents[place])
    }

    fn name(&self, session: usize) -> String {
        let own = self.turns(session)[0].session;
        match self.names.binary_search_by_key(&own, |named| named.session) {
            Ok(place) => self.strings[self.names[place].name.clone()].to_owned(),
            Err(_) => format!("session_{session:06}"),
        }
    }
}

/// One message of the user.
fn give_text(prompt: &str, give: impl FnOnce(&[Message<'_>])) {
    let parts = [Part::text(prompt)];
    give(&[Message { role: "user".into(), parts: parts[..].into(), extra_json: RStr::empty() }]);
}
