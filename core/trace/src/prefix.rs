//! [`Prefix`]: how much of the prompts a server has seen before.

use crate::{Spread, Trace, arrivals::seconds, recency::Recency, schedule::Schedule, tree::Tree};
use serde::Serialize;

/// How much of the prompts a server has seen before, in the requests that name their blocks.
///
/// Blocks count as seen if an earlier request began with them and all those before them, and, where a size of the cache
/// was given, if they were still there: it drops the least recently used, later ones of a prompt before earlier ones. All
/// blocks of a request are there for the next one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prefix {
    /// Requests that name their blocks.
    pub requests: u64,
    /// Tokens of a block, where they are all of a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<u32>,
    /// Blocks of all prompts.
    pub blocks: u64,
    /// Different ones; blocks that follow on different ones differ.
    pub distinct_blocks: u64,
    /// Different identities of blocks, whatever they follow on.
    pub distinct_block_ids: u64,
    /// Share of all blocks whose identity an earlier request had, wherever in its prompt.
    pub seen_before_share: f64,
    /// Size of the cache that was asked about; absent: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_blocks: Option<u64>,
    /// Blocks found in the cache.
    pub hit_blocks: u64,
    /// Their share of all.
    pub block_hit_rate: f64,
    /// Tokens found in the cache.
    pub hit_tokens: u64,
    /// Their share of all input tokens.
    pub token_hit_rate: f64,
    /// Share of the requests that found something.
    pub requests_with_hit_share: f64,
    /// Share of each prompt's tokens that was found.
    pub hit_rate_per_request: Spread,
    /// Tokens of each prompt that were found.
    pub hit_tokens_per_request: Spread,
    /// Tokens that each prompt begins with as another one does, earlier or later.
    pub shared_prefix_tokens: Spread,
    /// Tokens of each prompt after that.
    pub own_tail_tokens: Spread,
    /// Requests that each different block is in.
    pub uses_per_block: Spread,
    /// Different blocks that one request only is in.
    pub blocks_used_once: u64,
    /// Seconds since a block was last used, for each block that was; absent without times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse_distance_s: Option<Spread>,
    /// The same as the size of the cache that it takes to have kept it, in blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse_distance_blocks: Option<Spread>,
    /// Hit rates by the cache's size, from small to such that nothing is dropped.
    pub cache_curve: Vec<CachePoint>,
    /// Sizes of the cache that bring most of what an unlimited one does; absent without hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_blocks_needed: Option<CacheNeeds>,
}

/// What a cache of some size finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CachePoint {
    /// Size in blocks.
    pub cache_blocks: u64,
    /// Share of all blocks found.
    pub block_hit_rate: f64,
    /// Share of all input tokens found.
    pub token_hit_rate: f64,
}

/// Smallest caches, in blocks, that find some share of the blocks that an unlimited one finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CacheNeeds {
    /// Half of them.
    pub for_half: u64,
    /// Nine tenths.
    pub for_90_percent: u64,
    /// All but a hundredth.
    pub for_99_percent: u64,
}

/// How many powers of ten below the number of different blocks the curve begins.
const DECADES: u32 = 4;

/// What each request found.
#[derive(Default)]
struct Requests {
    hit_rates: Vec<f64>,
    hit_tokens: Vec<f64>,
    shared: Vec<f64>,
    tails: Vec<f64>,
}

/// What caches of all sizes find.
struct Sizes {
    /// Blocks and tokens by the smallest cache that has them; none has rank 0.
    by_rank: Vec<(u64, u64)>,
    blocks: u64,
    tokens: u64,
}

impl Prefix {
    /// Absent where no request names its blocks. Also gives the tokens that each turn found, in the trace's order.
    pub(crate) fn of(trace: &Trace, schedule: &Schedule, cache_blocks: Option<u64>) -> Option<(Self, Vec<u64>)> {
        let tree = Tree::of(trace, schedule);
        let mut recency = Recency::new(tree.uses.len(), trace.all_blocks().len());
        let mut sizes = Sizes { by_rank: vec![(0, 0); tree.uses.len() + 1], blocks: 0, tokens: 0 };
        let mut latest_ns: Vec<Option<u64>> = vec![None; tree.uses.len()];
        let mut distances_s = Vec::new();
        let mut requests = Requests::default();
        let mut found = vec![0; trace.requests()];
        let mut block_tokens = None;
        let mut is_uniform = true;
        let (mut hit_blocks, mut hit_tokens, mut with_hit) = (0, 0, 0);
        let limit = cache_blocks.unwrap_or(u64::MAX);
        for placed in &schedule.order {
            let turn = &trace.turns()[placed.turn];
            let path = tree.path(turn.blocks.clone());
            if path.is_empty() {
                continue;
            }
            is_uniform &= *block_tokens.get_or_insert(turn.block_tokens) == turn.block_tokens;
            let prompt = turn.prompt_tokens();
            sizes.blocks += path.len() as u64;
            sizes.tokens += prompt;
            let mut hits = 0;
            for (place, node) in path.iter().enumerate() {
                // Ranks rise along a prompt: what comes later was used no later.
                let Some(rank) = recency.rank(*node) else { break };
                hits += usize::from(rank as u64 <= limit);
                let (blocks, tokens) = &mut sizes.by_rank[rank];
                *blocks += 1;
                *tokens += turn.tokens_of(place + 1) - turn.tokens_of(place);
                distances_s.extend(placed.time_ns.zip(latest_ns[*node]).map(|(now, then)| seconds(now - then)));
            }
            for node in path.iter().rev() {
                recency.touch(*node);
                latest_ns[*node] = placed.time_ns;
            }
            let tokens = turn.tokens_of(hits);
            hit_blocks += hits as u64;
            hit_tokens += tokens;
            with_hit += u64::from(hits > 0);
            found[placed.turn] = tokens;
            let shared = turn.tokens_of(path.iter().take_while(|node| tree.uses[**node] > 1).count());
            requests.hit_rates.push(ratio(tokens, prompt));
            requests.hit_tokens.push(tokens as f64);
            requests.shared.push(shared as f64);
            requests.tails.push((prompt - shared) as f64);
        }
        let count = requests.hit_rates.len() as u64;
        let prefix = Self {
            requests: count,
            block_tokens: block_tokens.filter(|_| is_uniform),
            blocks: sizes.blocks,
            distinct_blocks: tree.uses.len() as u64,
            distinct_block_ids: tree.identities,
            seen_before_share: ratio(tree.seen_before, sizes.blocks),
            cache_blocks,
            hit_blocks,
            block_hit_rate: ratio(hit_blocks, sizes.blocks),
            hit_tokens,
            token_hit_rate: ratio(hit_tokens, sizes.tokens),
            requests_with_hit_share: ratio(with_hit, count),
            hit_rate_per_request: Spread::of(requests.hit_rates)?,
            hit_tokens_per_request: Spread::of(requests.hit_tokens)?,
            shared_prefix_tokens: Spread::of(requests.shared)?,
            own_tail_tokens: Spread::of(requests.tails)?,
            uses_per_block: Spread::of(tree.uses.iter().map(|uses| *uses as f64))?,
            blocks_used_once: tree.uses.iter().filter(|uses| **uses == 1).count() as u64,
            reuse_distance_s: Spread::of(distances_s),
            reuse_distance_blocks: sizes.distances(),
            cache_curve: sizes.curve(),
            cache_blocks_needed: sizes.needs(),
        };
        Some((prefix, found))
    }
}

impl Sizes {
    /// What caches of rising `sizes` find, in blocks and tokens.
    fn found(&self, sizes: impl Iterator<Item = usize>) -> impl Iterator<Item = (usize, u64, u64)> {
        let (mut next, mut blocks, mut tokens) = (0, 0, 0);
        sizes.map(move |size| {
            while next <= size && next < self.by_rank.len() {
                blocks += self.by_rank[next].0;
                tokens += self.by_rank[next].1;
                next += 1;
            }
            (size, blocks, tokens)
        })
    }

    /// Points at 1, 2 and 5 times powers of ten, and one at which nothing is dropped.
    fn curve(&self) -> Vec<CachePoint> {
        let all = self.by_rank.len() - 1;
        let first = all.checked_ilog10().unwrap_or(0).saturating_sub(DECADES - 1);
        let round = (first..usize::MAX.ilog10()).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
        let sizes = round.take_while(|size| *size < all).chain([all]);
        let point = |(size, blocks, tokens)| CachePoint {
            cache_blocks: size as u64,
            block_hit_rate: ratio(blocks, self.blocks),
            token_hit_rate: ratio(tokens, self.tokens),
        };
        self.found(sizes).map(point).collect()
    }

    fn needs(&self) -> Option<CacheNeeds> {
        let all: u64 = self.by_rank.iter().map(|(blocks, _)| blocks).sum();
        let smallest = |percent: u64| {
            let is_enough = |(_, blocks, _): &(usize, u64, u64)| blocks * 100 >= all * percent;
            self.found(0..self.by_rank.len()).find(is_enough).map(|(size, ..)| size as u64)
        };
        if all == 0 {
            return None;
        }
        Some(CacheNeeds { for_half: smallest(50)?, for_90_percent: smallest(90)?, for_99_percent: smallest(99)? })
    }

    fn distances(&self) -> Option<Spread> {
        let ranks = self.by_rank.iter().enumerate();
        Spread::of(ranks.flat_map(|(rank, (blocks, _))| (0..*blocks).map(move |_| rank as f64)))
    }
}

/// A share; of nothing it is nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
