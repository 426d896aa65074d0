//! Pools of rows to draw from: each session is one request made of a row of every pool, drawn with replacement.
//!
//! A file is one pool. In a folder each file is one, and its name without ending names the parts that are drawn from it.

use crate::{
    conversation::{
        Builder, Fields, NewMessage, Problem, ROW_KEYS, Records, Row, Rows, Store, StoredRow, nothing_in, source,
    },
    lines,
    random::{Purpose, Seeds},
};
use inferometer_plugin_sdk::{
    Component, NoOptions, RStr,
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    random::SplitMix64,
    types::{Message, Part, Result, Turn, turn_flags},
};

/// Sessions where nothing was said of their number.
const DEFAULT_SESSIONS: u64 = 100;

/// What a row that may be drawn at any time has no use for.
const OF_SCHEDULES: [&str; 2] = ["timestamp", "delay"];

/// Draws from pools.
#[derive(Default)]
pub(crate) struct RandomPool {
    pools: Vec<Store>,
    sessions: u64,
    seeds: Option<Seeds>,
}

impl Component for RandomPool {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl DatasetLoader for RandomPool {
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let source = source(request, "random_pool")?;
        self.pools = match lines::files_of(source)? {
            None => vec![pool(source, "")?],
            Some(files) => files.iter().map(|file| pool(file, lines::stem(file))).collect::<Result<_>>()?,
        };
        self.sessions = if request.entries == 0 { DEFAULT_SESSIONS } else { request.entries };
        self.seeds = Some(Seeds::new(request.seed, Purpose::Pool));
        Ok(DatasetInfo { sessions: self.sessions, ..DatasetInfo::default() })
    }

    fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let seeds = self.seeds.filter(|_| index < self.sessions).ok_or_else(|| crate::no_session(index))?;
        let mut random = SplitMix64::new(seeds.item(index));
        sink.name(&format!("session_{index:06}"));
        draw(&self.pools, &mut random, sink);
        Ok(())
    }
}

/// Draws a row of each pool and gives the turn they make: all their parts and, of everything else, what the first pool
/// says that says something.
fn draw(pools: &[Store], random: &mut SplitMix64, sink: &mut dyn SessionSink) {
    let rows: Vec<StoredRow<'_>> = pools.iter().map(|pool| pool.row(random.below(pool.sessions()))).collect();
    let parts: Vec<Part<'_>> = rows.iter().flat_map(|row| row.parts.iter().copied()).collect();
    let role = first(rows.iter().map(|row| row.role), "user");
    let messages = [Message { role: role.into(), parts: parts[..].into(), extra_json: RStr::empty() }];
    sink.turn(&Turn {
        model: first(rows.iter().map(|row| row.model), "").into(),
        extra_json: first(rows.iter().map(|row| row.extra_json), "").into(),
        max_tokens: rows.iter().map(|row| row.max_tokens).find(|tokens| *tokens > 0).unwrap_or(0),
        flags: turn_flags::STANDS_ALONE,
        ..Turn::new(&messages)
    });
}

/// The first of `texts` that says something, or `otherwise`.
fn first<'a>(mut texts: impl Iterator<Item = &'a str>, otherwise: &'a str) -> &'a str {
    texts.find(|text| !text.is_empty()).unwrap_or(otherwise)
}

/// Reads a pool; `name` is that of its parts.
fn pool(file: &str, name: &str) -> Result<Store> {
    let (mut records, rows) = (Records::lines(file)?, Rows::of(file));
    let mut builder = Builder::default();
    while let Some((origin, record)) = records.next_record()? {
        let mut row = parse(&rows, record).map_err(|problem| origin.error(file, &problem))?;
        for part in row.parts.iter_mut().filter(|part| part.name.is_empty()) {
            name.clone_into(&mut part.name);
        }
        // Of the roles of several pools the first that was given counts: none is made up yet.
        let message = NewMessage {
            role: std::mem::take(&mut row.role),
            parts: std::mem::take(&mut row.parts),
            extra_json: String::new(),
        };
        let session = builder.session("");
        builder.push(session, &row.turn(vec![message]));
    }
    let store = builder.finish();
    if store.sessions() == 0 { Err(nothing_in(file, &[])) } else { Ok(store) }
}

fn parse(rows: &Rows, record: &str) -> Result<Row, Problem> {
    let fields = Fields::parse(record)?;
    fields.refuse_unknown(&[&ROW_KEYS[..], &["type"]].concat())?;
    fields.refuse_other_type("random_pool")?;
    if let Some(key) = OF_SCHEDULES.into_iter().find(|key| fields.raw(key).is_some()) {
        let reason = "a row of a pool is drawn at any time, or never; leave it out, or read the file as single_turn";
        return Err(Problem::new(key, reason));
    }
    rows.read(&fields)
}

#[cfg(test)]
mod tests;
