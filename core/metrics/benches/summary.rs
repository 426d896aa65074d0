//! What the metrics of a phase cost: a whole report of requests that are kept one by one, and one request more of a phase
//! that has too many for that. `cargo bench -p inferometer-metrics`.

use divan::{Bencher, counter::ItemsCount};
use inferometer_abi::types::Outcome;
use inferometer_metrics::{Options, Summary};
use inferometer_model::Row;

fn main() {
    divan::main();
}

fn options() -> Options {
    Options { streaming: true, produces_tokens: true, tokenizes_input: true, ..Options::default() }
}

/// Numbers that look random and are the same every time.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// `count` successes of `gaps` gaps each, 64 in flight, in the order of their ends.
fn load(count: usize, gaps: usize) -> Vec<(Row, Vec<u64>)> {
    let (mut noise, mut free) = (Noise(7), [0_u64; 64]);
    let mut rows: Vec<_> = (0..count)
        .map(|index| {
            let slot = index % free.len();
            let permitted = free[slot] + noise.below(50_000);
            let sent = permitted + noise.below(20_000);
            let first = sent + 20_000_000 + noise.below(30_000_000);
            let gaps: Vec<u64> = (0..gaps).map(|_| 5_000_000 + noise.below(10_000_000)).collect();
            let last = first + gaps.iter().sum::<u64>();
            free[slot] = last + noise.below(100_000);
            let row = Row {
                index: index as u64,
                outcome: Outcome::OK,
                status: 200,
                reused: true,
                intended: permitted,
                permitted,
                connected: permitted,
                sent,
                written: sent,
                first_byte: first,
                headers: first,
                first,
                first_output: first,
                second: gaps.first().map_or(u64::MAX, |gap| first + gap),
                last,
                last_byte: last + 1_000,
                end: last + 2_000,
                body_bytes: 400 + noise.below(4_000) as u32,
                reads: gaps.len() as u32,
                received_bytes: 200 * gaps.len() as u64 + noise.below(90),
                events: gaps.len() as u32 + 1,
                usage_prompt: 100 + noise.below(1_000) as u32,
                usage_completion: gaps.len() as u32 + 1,
                local_prompt: 100 + noise.below(1_000) as u32,
                local_output: gaps.len() as u32 + 1,
                requested_output: 64,
                ..Row::EMPTY
            };
            (row, gaps)
        })
        .collect();
    rows.sort_by_key(|(row, _)| row.end);
    rows
}

fn summed(load: &[(Row, Vec<u64>)]) -> Summary {
    let mut summary = Summary::new(options());
    load.iter().for_each(|(row, gaps)| summary.push(row, gaps));
    summary
}

/// Requests, and gaps of each.
#[divan::bench(args = [(20_000, 0), (20_000, 20), (20_000, 100), (100_000, 0), (100_000, 20)], sample_count = 8)]
fn report(bencher: Bencher<'_, '_>, (count, gaps): (usize, usize)) {
    let load = load(count, gaps);
    bencher.bench_local(|| summed(&load).finish());
}

/// Gaps of each request.
#[divan::bench(args = [0, 20, 100], sample_count = 8, sample_size = 1)]
fn ten_thousand_more_beyond_the_border(bencher: Bencher<'_, '_>, gaps: usize) {
    let load = load(130_000, gaps);
    let mut summary = summed(&load[..110_000]);
    bencher
        .counter(ItemsCount::new(10_000_usize))
        .bench_local(|| load[110_000..120_000].iter().for_each(|(row, gaps)| summary.push(row, gaps)));
}

/// Requests.
#[divan::bench(args = [120_000, 480_000], sample_count = 4)]
fn report_beyond_the_border(bencher: Bencher<'_, '_>, count: usize) {
    let load = load(count, 4);
    bencher.bench_local(|| summed(&load).finish());
}
