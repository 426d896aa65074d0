//! Prefixes against caches that are simulated, and against figures computed by hand.

use super::*;
use crate::trace::testing::trace;
use proptest::prelude::*;

type Request = (u64, u32, u32, &'static [u64]);

fn prefix(requests: &[Request], cache: Option<u64>) -> Prefix {
    let trace = trace(requests);
    Prefix::of(&trace, &Schedule::of(&trace), cache).unwrap().0
}

#[test]
fn a_prompt_that_is_sent_again_is_found_whole_and_one_that_begins_alike_as_far_as_that_goes() {
    // 25 tokens: two full blocks and one of five.
    let found = prefix(&[(0, 25, 1, &[1, 2, 3]), (1000, 25, 1, &[1, 2, 3]), (3000, 25, 1, &[1, 2, 4])], None);
    assert_eq!((found.hit_blocks, found.hit_tokens), (5, 45));
    assert_eq!((found.block_hit_rate, found.token_hit_rate), (5.0 / 9.0, 0.6));
    assert_eq!(found.requests_with_hit_share, 2.0 / 3.0);
    assert_eq!((found.hit_rate_per_request.min, found.hit_rate_per_request.max), (0.0, 1.0));
    assert_eq!((found.blocks, found.distinct_blocks, found.blocks_used_once), (9, 4, 1));
    // The first prompt shares all of itself with the second, which comes later.
    assert_eq!((found.shared_prefix_tokens.max, found.own_tail_tokens.max), (25.0, 5.0));
    assert_eq!(found.uses_per_block.max, 3.0);
    assert_eq!(found.reuse_distance_s.map(|s| (s.count, s.min, s.max)), Some((5, 1.0, 2.0)));
}

#[test]
fn time_and_not_the_order_in_the_file_says_who_was_first() {
    let trace = trace(&[(9, 20, 1, &[1, 2]), (1, 10, 1, &[1])]);
    let (_, found) = Prefix::of(&trace, &Schedule::of(&trace), None).unwrap();
    assert_eq!(found, [10, 0]);
}

#[test]
fn a_block_after_another_beginning_is_seen_but_not_a_hit() {
    let found = prefix(&[(0, 20, 1, &[1, 2]), (1, 20, 1, &[3, 2])], None);
    assert_eq!((found.hit_blocks, found.seen_before_share), (0, 0.25));
    assert_eq!((found.distinct_blocks, found.distinct_block_ids), (4, 3));
    assert_eq!((found.cache_blocks_needed, found.reuse_distance_s), (None, None));
}

#[test]
fn a_small_cache_drops_the_prompt_that_was_used_longest_ago_from_its_end() {
    let requests: [Request; 3] = [(0, 20, 1, &[1, 2]), (1, 10, 1, &[3]), (2, 20, 1, &[1, 2])];
    for (cache, hits) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2)] {
        assert_eq!(prefix(&requests, Some(cache)).hit_blocks, hits, "a cache of {cache}");
    }
    let whole = prefix(&requests, None);
    assert_eq!(whole.cache_blocks_needed, Some(CacheNeeds { for_half: 2, for_90_percent: 3, for_99_percent: 3 }));
    let curve: Vec<_> = whole.cache_curve.iter().map(|point| (point.cache_blocks, point.block_hit_rate)).collect();
    assert_eq!(curve, [(1, 0.0), (2, 0.2), (3, 0.4)]);
}

#[test]
fn requests_without_blocks_are_left_out_and_a_trace_of_them_has_no_prefixes() {
    let some = prefix(&[(0, 20, 1, &[1, 2]), (1, 500, 1, &[]), (2, 20, 1, &[1, 2])], None);
    assert_eq!((some.requests, some.token_hit_rate), (2, 0.5));
    let none = trace(&[(0, 20, 1, &[])]);
    assert!(Prefix::of(&none, &Schedule::of(&none), None).is_none());
}

/// The blocks that each request finds in a cache of `size` blocks, by moving prefixes about in a list.
fn simulate(prompts: &[Vec<u64>], size: usize) -> Vec<usize> {
    let mut cache: Vec<&[u64]> = Vec::new();
    let mut hits = Vec::new();
    for prompt in prompts {
        let prefixes: Vec<&[u64]> = (1..=prompt.len()).map(|end| &prompt[..end]).collect();
        hits.push(prefixes.iter().take_while(|prefix| cache.contains(prefix)).count());
        for prefix in prefixes.iter().rev() {
            cache.retain(|other| other != prefix);
            cache.insert(0, prefix);
            cache.truncate(size);
        }
    }
    hits
}

/// Prompts of few different blocks, so that they begin alike often.
fn prompts() -> impl Strategy<Value = Vec<Vec<u64>>> {
    prop::collection::vec(prop::collection::vec(0..3_u64, 0..6), 1..25)
}

/// Those prompts as a trace, one a millisecond, the last block of each half full.
fn trace_of(prompts: &[Vec<u64>]) -> Trace {
    let tokens = |prompt: &Vec<u64>| (prompt.len() as u32 * 10).saturating_sub(5);
    let requests: Vec<(u64, u32, u32, &[u64])> =
        prompts.iter().zip(0..).map(|(prompt, at)| (at, tokens(prompt), 1, prompt.as_slice())).collect();
    trace(&requests)
}

proptest! {
    #[test]
    fn hits_are_those_of_a_cache_that_is_simulated(prompts in prompts(), size in 0..40_usize) {
        let trace = trace_of(&prompts);
        let simulated = simulate(&prompts, size);
        if let Some((prefix, found)) = Prefix::of(&trace, &Schedule::of(&trace), Some(size as u64)) {
            prop_assert_eq!(prefix.hit_blocks, simulated.iter().sum::<usize>() as u64);
            let tokens = simulated.iter().zip(&prompts).map(|(hits, prompt)| {
                (*hits * 10).min((prompt.len() * 10).saturating_sub(5)) as u64
            });
            prop_assert_eq!(found, tokens.collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_curve_is_what_caches_of_its_sizes_find_and_ends_where_an_unlimited_one_is(prompts in prompts()) {
        let trace = trace_of(&prompts);
        let schedule = Schedule::of(&trace);
        if let Some((unlimited, _)) = Prefix::of(&trace, &schedule, None) {
            for point in &unlimited.cache_curve {
                let (limited, _) = Prefix::of(&trace, &schedule, Some(point.cache_blocks)).unwrap();
                prop_assert_eq!(limited.block_hit_rate, point.block_hit_rate);
                prop_assert_eq!(limited.token_hit_rate, point.token_hit_rate);
            }
            let last = unlimited.cache_curve.last().unwrap();
            prop_assert_eq!(last.cache_blocks, unlimited.distinct_blocks);
            prop_assert_eq!(last.token_hit_rate, unlimited.token_hit_rate);
        }
    }

    #[test]
    fn an_unlimited_cache_finds_what_any_earlier_prompt_begins_with(prompts in prompts()) {
        let trace = trace_of(&prompts);
        let alike = |a: &[u64], b: &[u64]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let best = |at: usize| (0..at).map(|other| alike(&prompts[at], &prompts[other])).max().unwrap_or(0);
        if let Some((prefix, _)) = Prefix::of(&trace, &Schedule::of(&trace), None) {
            prop_assert_eq!(prefix.hit_blocks, (0..prompts.len()).map(best).sum::<usize>() as u64);
        }
    }
}
