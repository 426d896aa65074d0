//! The requests of a trace while its file is being read: numbers and places only, 40 bytes a request and 8 a block.

use super::store::Store;
use inferometer_plugin_sdk::types::{Error, NO_COUNT, Result, TurnTime};
use std::{collections::HashMap, fmt, ops::Range};

/// The longest prompt, block or answer that is taken for what was meant, in tokens.
pub(super) const MOST_TOKENS: u32 = 10_000_000;

/// The most blocks of all prompts together: 2 GiB of them.
const MOST_BLOCKS: usize = 1 << 28;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) time: TurnTime,
    /// Tokens of the prompt, or [`NO_COUNT`].
    pub(super) input: u32,
    /// Tokens of the answer, or [`NO_COUNT`].
    pub(super) output: u32,
    /// Its line in the file.
    pub(super) line: u32,
    /// Its session, in order of first appearance.
    pub(super) session: u32,
    first_block: u32,
    end_of_blocks: u32,
}

impl Row {
    /// Places of its blocks.
    pub(super) fn blocks(&self) -> Range<usize> {
        self.first_block as usize..self.end_of_blocks as usize
    }
}

/// One request as a file gives it.
pub(super) struct Entry<'a> {
    pub(super) line: u64,
    pub(super) session: u32,
    pub(super) time: TurnTime,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) hash_ids: &'a [u64],
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self { line: 0, session: 0, time: TurnTime::NONE, input: NO_COUNT, output: NO_COUNT, hash_ids: &[] }
    }
}

/// What a request says in words, beside its lengths.
pub(super) struct Content {
    pub(super) line: u32,
    pub(super) kind: ContentKind,
    pub(super) body: Range<usize>,
    /// A JSON object, or nothing.
    pub(super) extra: Range<usize>,
}

/// What [`Content::body`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    /// Nothing: the prompt has a length only.
    Length,
    /// A prompt.
    Text,
    /// A JSON list of messages.
    Messages,
    /// A whole request body.
    Payload,
}

/// How the turns of a session follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As in the file.
    File,
    /// By their timestamps; where these are equal, as in the file.
    Time,
}

/// A session that has a name of its own.
pub(super) struct Named {
    pub(super) session: u32,
    pub(super) name: Range<usize>,
}

/// A trace being read.
pub(crate) struct Rows {
    source: String,
    pub(super) block_tokens: u32,
    /// In order of the file.
    pub(super) rows: Vec<Row>,
    pub(super) blocks: Vec<u64>,
    /// Places in `blocks` that stand for the rest of a prompt beyond its hash ids, and wait for an id.
    rests: Vec<u32>,
    /// In order of the file; requests of which nothing but lengths is known have none.
    pub(super) contents: Vec<Content>,
    pub(super) strings: String,
    /// In order of sessions.
    pub(super) names: Vec<Named>,
    sessions: u32,
    by_name: HashMap<String, u32>,
}

impl Rows {
    pub(super) fn new(source: &str, block_tokens: u32) -> Self {
        Self {
            source: source.to_owned(),
            block_tokens,
            rows: Vec::new(),
            blocks: Vec::new(),
            rests: Vec::new(),
            contents: Vec::new(),
            strings: String::new(),
            names: Vec::new(),
            sessions: 0,
            by_name: HashMap::new(),
        }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is wrong with a line.
    pub(super) fn error(&self, line: impl Into<u64>, problem: impl fmt::Display) -> Error {
        Error::config(format!("{}:{}: {problem}", self.source, line.into()))
    }

    /// A session of its own.
    pub(super) fn new_session(&mut self) -> u32 {
        self.sessions += 1;
        self.sessions - 1
    }

    /// The session of a name.
    pub(super) fn session_named(&mut self, name: &str) -> u32 {
        if let Some(&session) = self.by_name.get(name) {
            return session;
        }
        let session = self.new_session();
        self.by_name.insert(name.to_owned(), session);
        let name = self.add_string(name);
        self.names.push(Named { session, name });
        session
    }

    /// Adds a request.
    ///
    /// # Errors
    /// When its length does not go with its hash ids, or there are too many of either.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        let Ok(line) = u32::try_from(entry.line) else {
            return Err(self.error(entry.line, "more lines than can be counted; split the file"));
        };
        let first_block = self.end_of_blocks(line)?;
        self.blocks.extend_from_slice(entry.hash_ids);
        if let Some(full) = entry.hash_ids.len().checked_sub(1) {
            let block = u64::from(self.block_tokens);
            let (input, full) = (u64::from(entry.input), full as u64);
            if input <= full * block {
                return Err(self.error(line, too_short(input, full + 1, block)));
            }
            if input > (full + 1) * block {
                self.rests.push(self.end_of_blocks(line)?);
                self.blocks.push(0);
            }
        }
        let end_of_blocks = self.end_of_blocks(line)?;
        let Entry { time, input, output, session, .. } = *entry;
        self.rows.push(Row { time, input, output, line, session, first_block, end_of_blocks });
        Ok(())
    }

    /// Adds what the latest request says in words.
    pub(super) fn push_content(&mut self, kind: ContentKind, body: &str, extra: &str) {
        let Some(row) = self.rows.last() else { return };
        let line = row.line;
        let (body, extra) = (self.add_string(body), self.add_string(extra));
        self.contents.push(Content { line, kind, body, extra });
    }

    /// Counts all times from `zero` on.
    pub(super) fn count_times_from(&mut self, zero: u64) {
        for row in &mut self.rows {
            row.time.timestamp_ns = row.time.timestamp_ns.saturating_sub(zero);
        }
    }

    /// Gives every rest of a prompt an id that nothing else has.
    ///
    /// # Errors
    /// When the hash ids leave no number free above them.
    pub(super) fn name_rests(&mut self) -> Result<()> {
        let mut fresh = self.ids_above();
        for &place in &self.rests {
            self.blocks[place as usize] = fresh.next().ok_or_else(|| self.no_more_ids())?;
        }
        self.rests = Vec::new();
        Ok(())
    }

    /// Ids that no block has yet.
    pub(super) fn ids_above(&self) -> Range<u64> {
        let largest = self.blocks.iter().copied().max();
        largest.map_or(0, |id| id.saturating_add(1))..u64::MAX
    }

    pub(super) fn no_more_ids(&self) -> Error {
        Error::config(format!(
            "{}: hash_ids: the largest leaves no numbers free for blocks that are added; number them from 0",
            self.source
        ))
    }

    /// Puts `blocks`, which is then what all rows point into, in place of a row's own.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn replace_blocks(&mut self, row: usize, blocks: &mut Vec<u64>, ids: &[u64]) -> Result<()> {
        let first = blocks.len();
        blocks.extend_from_slice(ids);
        let line = self.rows[row].line;
        let end = blocks.len();
        if end > MOST_BLOCKS {
            return Err(self.too_many_blocks(line));
        }
        // Both are below MOST_BLOCKS, which is below 2^32.
        (self.rows[row].first_block, self.rows[row].end_of_blocks) = (first as u32, end as u32);
        Ok(())
    }

    /// Puts the turns of each session together.
    pub(super) fn into_store(mut self, order: Order) -> Store {
        match order {
            Order::File => self.rows.sort_by_key(|row| row.session),
            Order::Time => self.rows.sort_by_key(|row| (row.session, row.time.timestamp_ns)),
        }
        Store::new(self)
    }

    fn end_of_blocks(&self, line: u32) -> Result<u32> {
        let end = u32::try_from(self.blocks.len()).ok().filter(|end| *end as usize <= MOST_BLOCKS);
        end.ok_or_else(|| self.too_many_blocks(line))
    }

    fn too_many_blocks(&self, line: u32) -> Error {
        self.error(line, format_args!("more than {MOST_BLOCKS} blocks up to here; split the file, or stretch it less"))
    }

    fn add_string(&mut self, text: &str) -> Range<usize> {
        let start = self.strings.len();
        self.strings.push_str(text);
        start..self.strings.len()
    }
}

fn too_short(input: u64, blocks: u64, block: u64) -> String {
    format!(
        "input_length: {input} tokens do not reach into the last of {blocks} blocks of {block} tokens (hash_ids); give the \
         size of the trace's blocks by --isl-block-size"
    )
}
