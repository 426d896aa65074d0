//! Traces with other lengths than they were recorded with, whose prompts still share what they shared.
//!
//! The hash ids of all prompts form a prefix tree. What more than one prompt begins with is shared, and always comes first;
//! the rest of a prompt is its own. Each part is stretched by its multiplier: k shared blocks become round(k × m), a
//! prompt's own n tokens become round(n × m). A new block is named after the old block whose place it takes, and by its
//! number among those that do, so two prompts share k blocks before just when they share round(k × m) after.

use super::{
    prompts::Prompts,
    rows::{ContentKind, MOST_TOKENS, Row, Rows},
};
use inferometer_plugin_sdk::{
    documents::TraceRequest,
    types::{Error, NO_COUNT, Result},
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

const PREFIX: &str = "--synthesis-prefix-len-multiplier";
const ROOTS: &str = "--synthesis-prefix-root-multiplier";
const PROMPT: &str = "--synthesis-prompt-len-multiplier";
const OUTPUT: &str = "--synthesis-output-len-multiplier";
const MAX_INPUT: &str = "--synthesis-max-isl";
const MAX_OUTPUT: &str = "--synthesis-max-osl";

/// What is to be changed.
pub(super) struct Synthesis {
    prefix: f64,
    prompt: f64,
    output: f64,
    /// Number of copies that the tree is split into.
    copies: u64,
    max_input: Option<u64>,
    max_output: Option<u64>,
}

impl Synthesis {
    /// # Errors
    /// When a multiplier or a limit is none, by the name of its option.
    pub(super) fn new(request: &TraceRequest) -> Result<Self> {
        let multiplier = |option: &str, by: f64| {
            if by > 0.0 && by.is_finite() {
                return Ok(by);
            }
            Err(Error::config(format!("{option} {by}: a multiplier is a number above 0; 1 changes nothing")))
        };
        for (option, number) in [
            (ROOTS, Some(request.root_multiplier)),
            (MAX_INPUT, request.max_input_tokens),
            (MAX_OUTPUT, request.max_output_tokens),
        ] {
            if number == Some(0) {
                return Err(Error::config(format!("{option} 0: give 1 or more")));
            }
        }
        Ok(Self {
            prefix: multiplier(PREFIX, request.prefix_multiplier)?,
            prompt: multiplier(PROMPT, request.prompt_multiplier)?,
            output: multiplier(OUTPUT, request.output_multiplier)?,
            copies: request.root_multiplier,
            max_input: request.max_input_tokens,
            max_output: request.max_output_tokens,
        })
    }

    /// Changes the trace: lengths and blocks first, then what is too long.
    ///
    /// # Errors
    /// When the trace does not say what it would take, or a prompt becomes too long.
    pub(super) fn apply(&self, rows: &mut Rows, prompts: &Prompts, notes: &mut Vec<String>) -> Result<()> {
        self.refuse_contents(rows)?;
        self.refuse_without_blocks(rows)?;
        if self.prefix != 1.0 || self.prompt != 1.0 || self.copies != 1 {
            self.stretch_prompts(rows, prompts)?;
        }
        self.change_outputs(rows)?;
        self.leave_out(rows, notes)
    }

    /// What was given in words has no length to stretch or to choose by.
    fn refuse_contents(&self, rows: &Rows) -> Result<()> {
        let inputs = [(PROMPT, self.prompt != 1.0), (MAX_INPUT, self.max_input.is_some())];
        let outputs = [(OUTPUT, self.output != 1.0), (MAX_OUTPUT, self.max_output.is_some())];
        let input = inputs.iter().find(|(_, is_asked)| *is_asked);
        let output = outputs.iter().find(|(_, is_asked)| *is_asked);
        for content in &rows.contents {
            let (option, reason) = match (content.kind, input, output) {
                (ContentKind::Length, ..) => continue,
                (_, Some((option, _)), _) => (option, "the prompt is given in words and not by its length"),
                (ContentKind::Payload, None, Some((option, _))) => (option, "a payload is sent as it is"),
                _ => continue,
            };
            return Err(rows.error(content.line, format_args!("{reason}, so {option} cannot be done; leave it out")));
        }
        Ok(())
    }

    fn refuse_without_blocks(&self, rows: &Rows) -> Result<()> {
        let needing = [(PREFIX, self.prefix != 1.0), (ROOTS, self.copies != 1)];
        match needing.iter().find(|(_, is_asked)| *is_asked && rows.blocks.is_empty()) {
            Some((option, _)) => {
                let source = rows.source();
                Err(Error::config(format!("{source}: has no hash_ids, which {option} goes by; leave the option out")))
            }
            None => Ok(()),
        }
    }

    fn stretch_prompts(&self, rows: &mut Rows, prompts: &Prompts) -> Result<()> {
        let tree = PrefixTree::of(rows);
        let mut names = Names::new(rows);
        let mut blocks = Vec::with_capacity(rows.blocks.len());
        let mut ids = Vec::new();
        for n in 0..rows.rows.len() {
            let row = rows.rows[n];
            if row.input == NO_COUNT {
                rows.replace_blocks(n, &mut blocks, &[])?;
                continue;
            }
            let old = &rows.blocks[row.blocks()];
            let parts = self.parts(&row, old, tree.shared(old), rows.block_tokens);
            let tokens = parts.tokens(rows.block_tokens);
            rows.rows[n].input =
                u32::try_from(tokens).ok().filter(|tokens| *tokens <= MOST_TOKENS).ok_or_else(|| {
                    let problem = format!("{} tokens would become {tokens}; at most {MOST_TOKENS} are made", row.input);
                    rows.error(row.line, problem)
                })?;
            let copy = if self.copies == 1 { 0 } else { prompts.copy(row.session, self.copies) };
            ids.clear();
            let (shared, own) = old.split_at(parts.shared_from);
            ids.extend(origins(shared, self.prefix, parts.shared).map(|origin| names.name(origin, copy)));
            ids.extend(origins(own, parts.own_by, parts.own_blocks).map(|origin| names.name(origin, copy)));
            if names.is_exhausted {
                return Err(rows.no_more_ids());
            }
            rows.replace_blocks(n, &mut blocks, &ids)?;
        }
        rows.blocks = blocks;
        Ok(())
    }

    /// What a prompt becomes, of which the first `shared` blocks are shared.
    fn parts(&self, row: &Row, blocks: &[u64], shared: usize, block_tokens: u32) -> Parts {
        let block = u64::from(block_tokens);
        // What others share to its end has nothing of its own; its last block, which may not be full, is shared as well.
        let own_by = if shared > 0 && shared == blocks.len() { self.prefix } else { self.prompt };
        let full = (u64::from(row.input) / block) as usize;
        let mut shared_from = shared.min(full);
        if shared_from == blocks.len() && stretched(shared_from as u64, self.prefix) == 0 {
            // Something has to be left.
            shared_from = shared_from.saturating_sub(1);
        }
        let shared = stretched(shared_from as u64, self.prefix);
        let left = u64::from(row.input) - shared_from as u64 * block;
        let own = stretched(left, own_by).max(u64::from(shared == 0));
        let old_blocks = (blocks.len() - shared_from) as u64;
        let own_blocks = match own.div_ceil(block) {
            _ if old_blocks == 0 => 0,
            needed if left <= old_blocks * block => needed,
            // The last block holds more than a block, being nobody else's.
            needed => needed.min(stretched(old_blocks, own_by).max(1)),
        };
        Parts { shared_from, shared, own, own_by, own_blocks }
    }

    fn change_outputs(&self, rows: &mut Rows) -> Result<()> {
        for n in 0..rows.rows.len() {
            let row = rows.rows[n];
            if row.output == NO_COUNT || row.output == 0 {
                continue;
            }
            let tokens = stretched(row.output.into(), self.output).max(1);
            let tokens = self.max_output.map_or(tokens, |most| tokens.min(most));
            rows.rows[n].output =
                u32::try_from(tokens).ok().filter(|tokens| *tokens <= MOST_TOKENS).ok_or_else(|| {
                    let problem =
                        format!("{} tokens would become {tokens}; at most {MOST_TOKENS} are asked for", row.output);
                    rows.error(row.line, format_args!("output_length: {problem}"))
                })?;
        }
        Ok(())
    }

    fn leave_out(&self, rows: &mut Rows, notes: &mut Vec<String>) -> Result<()> {
        let Some(most) = self.max_input else { return Ok(()) };
        let all = rows.rows.len();
        rows.rows.retain(|row| u64::from(row.input) <= most);
        let left_out = all - rows.rows.len();
        if rows.is_empty() {
            return Err(Error::config(format!("{MAX_INPUT} {most}: all {all} requests have more input tokens")));
        }
        if left_out > 0 {
            notes.push(format!("{left_out} of {all} requests have more than {most} input tokens and are left out"));
        }
        Ok(())
    }
}

/// What a prompt becomes.
struct Parts {
    /// Where its own part begins, in old blocks.
    shared_from: usize,
    /// New blocks of the shared part.
    shared: u64,
    /// New tokens of its own part.
    own: u64,
    /// By what that was multiplied.
    own_by: f64,
    /// New blocks of its own part.
    own_blocks: u64,
}

impl Parts {
    fn tokens(&self, block_tokens: u32) -> u64 {
        self.shared.saturating_mul(block_tokens.into()).saturating_add(self.own)
    }
}

/// `length` × `by`, to the nearest whole number.
fn stretched(length: u64, by: f64) -> u64 {
    (length as f64 * by).round() as u64
}

/// For each of `count` new blocks the old one whose place it takes, and its number among those that do.
fn origins(old: &[u64], by: f64, count: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = 0;
    (0..count).map(move |new| {
        while at + 1 < old.len() && stretched(at as u64 + 1, by) <= new {
            at += 1;
        }
        (old[at], new - stretched(at as u64, by))
    })
}

/// How many prompts begin with each sequence of blocks.
struct PrefixTree {
    /// A node by its parent and its block; 0 is the root.
    nodes: HashMap<(u32, u64), u32>,
    /// Nodes that more than one prompt goes through.
    shared: HashSet<u32>,
}

impl PrefixTree {
    fn of(rows: &Rows) -> Self {
        let mut tree = Self { nodes: HashMap::new(), shared: HashSet::new() };
        for row in &rows.rows {
            let mut at = 0;
            for &block in &rows.blocks[row.blocks()] {
                // There are no more nodes than blocks, of which there are fewer than 2^32.
                let next = tree.nodes.len() as u32 + 1;
                at = *tree.nodes.entry((at, block)).or_insert(next);
                if at != next {
                    tree.shared.insert(at);
                }
            }
        }
        tree
    }

    /// How many blocks at the beginning of a prompt are shared.
    fn shared(&self, blocks: &[u64]) -> usize {
        let mut at = 0;
        let is_shared = |block: &&u64| {
            at = self.nodes.get(&(at, **block)).copied().unwrap_or_default();
            self.shared.contains(&at)
        };
        blocks.iter().take_while(is_shared).count()
    }
}

/// Ids of new blocks.
struct Names {
    fresh: Range<u64>,
    given: HashMap<(u64, u64, u64), u64>,
    is_exhausted: bool,
}

impl Names {
    fn new(rows: &Rows) -> Self {
        Self { fresh: rows.ids_above(), given: HashMap::new(), is_exhausted: false }
    }

    /// The id of a new block: the old one's for the first that takes its place in the first copy.
    fn name(&mut self, origin: (u64, u64), copy: u64) -> u64 {
        let (old, number) = origin;
        if (number, copy) == (0, 0) {
            return old;
        }
        let Self { fresh, given, is_exhausted } = self;
        *given.entry((old, number, copy)).or_insert_with(|| {
            fresh.next().unwrap_or_else(|| {
                *is_exhausted = true;
                0
            })
        })
    }
}
