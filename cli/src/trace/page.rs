//! The report of a trace as people read it: facts, tables and bars, in at most a hundred columns.

use super::numbers::{count, counted, percent, short};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use inferometer_trace::{Arrivals, Conversations, Lengths, Prefix, Report, Spread};
use std::fmt::Write as _;

/// Columns of the longest bar.
const BAR: f64 = 40.0;
/// Columns of the names of facts.
const NAME: usize = 24;

/// Lays the whole report out.
pub(super) fn report(file: &str, kind: &str, report: &Report, notes: &[String]) -> String {
    let mut page = Page::default();
    page.line(format_args!("{file} ({kind})"));
    let span = report.span_s.map_or_else(String::new, |span| format!(" over {} s", short(span)));
    let (requests, sessions) = (counted(report.requests, "request"), counted(report.sessions, "session"));
    page.line(format_args!("{requests} in {sessions}{span}"));
    if let Some(arrivals) = &report.arrivals {
        page.arrivals(arrivals, report);
    }
    page.lengths(report);
    for (title, lengths) in [("Input tokens", &report.input_tokens), ("Output tokens", &report.output_tokens)] {
        if let Some(lengths) = lengths {
            page.histogram(title, lengths);
        }
    }
    if let Some(prefix) = &report.prefix {
        page.prefix(prefix);
        page.cache(prefix);
    }
    if let Some(conversations) = &report.conversations {
        page.conversations(conversations, report.sessions);
    }
    if !notes.is_empty() {
        page.line("");
    }
    for note in notes {
        page.line(format_args!("note: {note}"));
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn title(&mut self, title: impl std::fmt::Display) {
        self.line(format_args!("\n{title}"));
    }

    fn fact(&mut self, name: &str, words: impl std::fmt::Display) {
        self.line(format_args!("  {name:NAME$}{words}"));
    }

    /// A table of numbers, to the right. Names at the beginning are to the left, or bars at the end.
    fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, has_bars: bool) {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(header.iter().copied());
        table.add_rows(rows);
        let last = header.len() - 1;
        for (place, column) in table.column_iter_mut().enumerate() {
            let is_left = if has_bars { place == last } else { place == 0 };
            column.set_padding((2, if place == 0 { 1 } else { 0 }));
            column.set_cell_alignment(if is_left { CellAlignment::Left } else { CellAlignment::Right });
        }
        for line in table.trim_fmt().lines() {
            self.line(line.trim_end());
        }
    }

    fn arrivals(&mut self, arrivals: &Arrivals, report: &Report) {
        self.title("Arrivals");
        self.fact("mean rate", format_args!("{} requests/s", short(arrivals.mean_rate)));
        self.fact("peak within 1 s", format_args!("{} requests/s", short(arrivals.peak_1s_rate)));
        if let Some(peak) = arrivals.peak_10s_rate {
            self.fact("peak within 10 s", format_args!("{} requests/s", short(peak)));
        }
        self.fact("gaps (s)", spread(&arrivals.gaps_s, short));
        self.fact("variation of gaps", format_args!("{} (a Poisson process: 1)", short(arrivals.gap_variation)));
        if let Some(burstiness) = arrivals.burstiness {
            let words = format_args!("{} (below 1: burstier than a Poisson process)", short(burstiness));
            self.fact("burstiness", words);
        }
        if let Some(rate) = report.offered_input_tokens_per_s {
            self.fact("input offered", format_args!("{} tokens/s", short(rate)));
        }
        if let Some(rate) = report.offered_output_tokens_per_s {
            self.fact("output offered", format_args!("{} tokens/s", short(rate)));
        }
        if arrivals.inferred > 0 {
            let placed = counted(arrivals.inferred, "later turn");
            self.line(format_args!("  {placed} without a time counted as if answers took none"));
        }
    }

    fn lengths(&mut self, report: &Report) {
        let columns = lengths(report);
        if columns.is_empty() {
            return;
        }
        self.title("Lengths (tokens)");
        let header: Vec<&str> = std::iter::once("").chain(columns.iter().map(|(name, ..)| *name)).collect();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (name, get) in STATISTICS {
            let values = columns.iter().map(|(_, spread, _)| tokens(get(spread)));
            rows.push(std::iter::once(name.to_owned()).chain(values).collect());
        }
        let totals = columns.iter().map(|(.., total)| count(*total));
        rows.push(std::iter::once("total".to_owned()).chain(totals).collect());
        self.table(&header, rows, false);
        if let Some(ratio) = report.input_output_ratio {
            self.line(format_args!("  {} input tokens to an output token", short(ratio)));
        }
    }

    fn histogram(&mut self, title: &str, lengths: &Lengths) {
        self.title(title);
        let most = lengths.histogram.iter().map(|bin| bin.count).max().unwrap_or(0);
        let width = lengths.histogram.last().map_or(0, |bin| count(bin.to_tokens).len());
        let rows = lengths.histogram.iter().map(|bin| {
            let bounds = format!("{:>width$} – {:>width$}", count(bin.from_tokens), count(bin.to_tokens));
            vec![bounds, count(bin.count), bar(bin.count as f64 / most.max(1) as f64)]
        });
        self.table(&["", "requests", ""], rows, true);
    }

    fn prefix(&mut self, prefix: &Prefix) {
        let blocks = prefix.block_tokens.map_or_else(String::new, |tokens| format!("blocks of {tokens} tokens, "));
        let cache = match prefix.cache_blocks {
            Some(size) => format!("a cache of {}", counted(size, "block")),
            None => "an unlimited cache".to_owned(),
        };
        self.title(format_args!("Prefix reuse ({blocks}{cache})"));
        let (tokens, of_blocks) = (percent(prefix.token_hit_rate), percent(prefix.block_hit_rate));
        let (hits, all) = (count(prefix.hit_blocks), count(prefix.blocks));
        self.fact("seen before", format_args!("{tokens} of the tokens, {of_blocks} of the blocks ({hits} of {all})"));
        let share = percent(prefix.requests_with_hit_share);
        self.fact("requests with a hit", format_args!("{share} of {}", count(prefix.requests)));
        self.fact("hit rate of a request", spread(&prefix.hit_rate_per_request, percent));
        let (different, once) = (count(prefix.distinct_blocks), count(prefix.blocks_used_once));
        self.fact("different blocks", format_args!("{different}, of which {once} in one request only"));
        self.fact("requests of a block", spread(&prefix.uses_per_block, short));
        if let Some(distance) = &prefix.reuse_distance_s {
            self.fact("last used before (s)", spread(distance, short));
        }
    }

    fn cache(&mut self, prefix: &Prefix) {
        if prefix.reuse_distance_blocks.is_none() {
            return;
        }
        self.title("Hit rate by size of the cache");
        let all = prefix.cache_curve.len() - 1;
        let rows = prefix.cache_curve.iter().enumerate().map(|(place, point)| {
            let size = count(point.cache_blocks);
            vec![
                if place == all { format!("all: {size}") } else { size },
                percent(point.block_hit_rate),
                percent(point.token_hit_rate),
                bar(point.token_hit_rate),
            ]
        });
        self.table(&["blocks", "of blocks", "of tokens", ""], rows, true);
        if let Some(needs) = prefix.cache_blocks_needed {
            let (half, most) = (counted(needs.for_half, "block"), count(needs.for_90_percent));
            let nearly_all = count(needs.for_99_percent);
            self.line(format_args!("  half of the hits take {half}, 90 % {most}, 99 % {nearly_all}"));
        }
    }

    fn conversations(&mut self, conversations: &Conversations, sessions: u64) {
        self.title("Conversations");
        let several = count(conversations.sessions);
        self.fact("several turns", format_args!("{several} of {}", counted(sessions, "session")));
        self.fact("turns of a session", spread(&conversations.turns_per_session, short));
        if let Some(think_time) = &conversations.think_time_s {
            self.fact("think time (s)", spread(think_time, short));
        }
        if let Some(gap) = &conversations.turn_gap_s {
            self.fact("turn to turn (s)", spread(gap, short));
        }
        let rows = conversations.turns.iter().map(|line| {
            let or_nothing = |value: Option<f64>, show: fn(f64) -> String| value.map(show).unwrap_or_default();
            vec![
                format!("{}{}", line.turn, if line.and_later { " and later" } else { "" }),
                count(line.requests),
                or_nothing(line.mean_input_tokens, tokens),
                or_nothing(line.mean_output_tokens, tokens),
                or_nothing(line.token_hit_rate, percent),
            ]
        });
        self.line("");
        self.table(&["turn", "requests", "mean input", "mean output", "seen before"], rows, false);
    }
}

type Statistic = (&'static str, fn(&Spread) -> f64);

const STATISTICS: [Statistic; 12] = [
    ("mean", |s| s.mean),
    ("std", |s| s.std),
    ("min", |s| s.min),
    ("p1", |s| s.p1),
    ("p5", |s| s.p5),
    ("p25", |s| s.p25),
    ("p50", |s| s.p50),
    ("p75", |s| s.p75),
    ("p90", |s| s.p90),
    ("p95", |s| s.p95),
    ("p99", |s| s.p99),
    ("max", |s| s.max),
];

/// The lengths that are known: name, spread, total.
fn lengths(report: &Report) -> Vec<(&'static str, &Spread, u64)> {
    let whole = [("input", &report.input_tokens), ("output", &report.output_tokens)];
    let whole = whole.into_iter().filter_map(|(name, lengths)| Some((name, lengths.as_ref()?)));
    let mut columns: Vec<_> = whole.map(|(name, lengths)| (name, &lengths.spread, lengths.total)).collect();
    if let Some(prefix) = &report.prefix {
        let parts = [
            ("seen before", &prefix.hit_tokens_per_request),
            ("shared prefix", &prefix.shared_prefix_tokens),
            ("own tail", &prefix.own_tail_tokens),
        ];
        let total = |spread: &Spread| (spread.mean * spread.count as f64).round() as u64;
        columns.extend(parts.map(|(name, spread)| (name, spread, total(spread))));
    }
    columns
}

/// A number of tokens: a decimal only where it is none that could be counted.
fn tokens(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 { count(value.round() as u64) } else { format!("{value:.1}") }
}

/// A spread in a line.
fn spread(spread: &Spread, show: fn(f64) -> String) -> String {
    let figures =
        [("mean", spread.mean), ("p50", spread.p50), ("p90", spread.p90), ("p99", spread.p99), ("max", spread.max)];
    figures.map(|(name, value)| format!("{name} {}", show(value))).join(", ")
}

/// A bar for a share of the longest one. What is there is seen, however little.
fn bar(share: f64) -> String {
    let columns = (share * BAR).round() as usize;
    if columns == 0 && share > 0.0 { "▏".to_owned() } else { "█".repeat(columns) }
}
