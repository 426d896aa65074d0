//! The table of workloads: the one place where loads, servers and bars stand in numbers.

use crate::bench::figures::{self as of, Bar, Figure};
use crate::bench::receiving;
use crate::bench::trial::Client::{Bare, BareOnTwo};
use crate::bench::workload::{Pace, Workload};

/// The program draws its prompts from so many, as a data set would give; the bare client has one.
const FEW_PROMPTS: &[&str] = &["--num-dataset-entries", "100"];

const fn figure(name: &'static str, unit: &'static str, of: of::Source, bar: Bar) -> Figure {
    Figure { name, unit, of, bar, rival: Bare }
}

const WHOLE: Workload = Workload {
    name: "whole",
    about: "whole answers without delay, 64 in flight",
    mock: &[],
    burners: 0,
    ours: FEW_PROMPTS,
    streams: false,
    tokens: 16,
    pace: Pace::Closed(64),
    requests: 200_000,
    quick: Some(20_000),
    repeat: 1,
    joins: false,
    skips: 0,
    limit_s: 120,
    figures: &[
        figure("CPU per request", "µs", of::cpu_per_request, Bar::Times(1.4)),
        figure("requests/s", "1/s", of::requests_per_second, Bar::AtLeastTimes(0.75)),
        figure("mock CPU per request", "µs", of::mock_cpu_per_request, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
};

const BURST: Workload = Workload {
    name: "burst",
    about: "256 tokens streamed back to back, 64 in flight",
    streams: true,
    tokens: 256,
    requests: 30_000,
    quick: Some(3_000),
    figures: &[
        figure("CPU s per million chunks", "s", of::cpu_per_million_chunks, Bar::Times(1.15)),
        Figure { rival: BareOnTwo, ..figure("tokens/s", "1/s", of::tokens_per_second, Bar::AtLeastTimes(1.1)) },
        figure("mock CPU s per million chunks", "s", of::mock_cpu_per_million_chunks, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..WHOLE
};

const PACED_2000: Workload = Workload {
    name: "paced-2000",
    about: "TTFT 100 ms, ITL 10 ms, 128 tokens, 2,000 in flight (ideal: 186,800 tokens/s)",
    mock: &["--ttft-ms", "100", "--itl-ms", "10"],
    streams: true,
    tokens: 128,
    pace: Pace::Closed(2_000),
    requests: 16_000,
    quick: Some(4_000),
    figures: &[
        figure("tokens/s", "1/s", of::tokens_per_second, Bar::AtLeastTimes(0.99)),
        figure("CPU s per million chunks", "s", of::cpu_per_million_chunks, Bar::Free),
        figure("mock CPU s per million chunks", "s", of::mock_cpu_per_million_chunks, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..WHOLE
};

const PACED_1000: Workload = Workload {
    name: "paced-1000",
    about: "TTFT 100 ms, ITL 10 ms, 128 tokens, 1,000 in flight, against the server's log",
    pace: Pace::Closed(1_000),
    requests: 8_000,
    quick: Some(3_000),
    joins: true,
    figures: &[
        figure("CPU s per million chunks", "s", of::cpu_per_million_chunks, Bar::Times(1.25)),
        figure("TTFT error p50", "ms", of::ttft_error_p50, Bar::Free),
        figure("TTFT error p99", "ms", of::ttft_error_p99, Bar::Times(1.3)),
        figure("ITL p50 against the log's", "%", of::itl_p50_off, Bar::Within(0.3)),
        figure("ITL p99 against the log's", "%", of::itl_p99_off, Bar::Within(0.3)),
        figure("ITL error of a request p99", "%", of::itl_error_p99, Bar::Free),
        figure("peak memory", "MB", of::peak_mb, Bar::AtMost(60.0)),
        figure("mock CPU s per million chunks", "s", of::mock_cpu_per_million_chunks, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..PACED_2000
};

const JITTER_100: Workload = Workload {
    name: "jitter-100",
    about: "TTFT 50 ms, ITL 10 ms, both lognormal, 64 tokens, 100 out of step in flight, against the server's log",
    mock: &["--ttft-ms", "50", "--itl-ms", "10", "--jitter", "0.25"],
    tokens: 64,
    pace: Pace::Closed(100),
    requests: 2_000,
    quick: Some(1_000),
    skips: 100,
    figures: &[
        figure("TTFT error p50", "ms", of::ttft_error_p50, Bar::AtMost(0.05)),
        figure("TTFT error p99", "ms", of::ttft_error_p99, Bar::Plus(0.5)),
        figure("latency error p50", "ms", of::latency_error_p50, Bar::Free),
        figure("latency error p99", "ms", of::latency_error_p99, Bar::Free),
        figure("CPU s per million chunks", "s", of::cpu_per_million_chunks, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..PACED_1000
};

/// The same beside programs that keep a core busy each: who may say when tokens came that could not be read at once?
const fn burn(name: &'static str, about: &'static str, burners: usize) -> Workload {
    Workload { name, about, burners, figures: BURN_FIGURES, ..JITTER_100 }
}

const BURN_FIGURES: &[Figure] = &[
    figure("TTFT error p50", "ms", of::ttft_error_p50, Bar::Free),
    figure("TTFT error p50, plain reads", "ms", receiving::plain_ttft_error_p50, Bar::Free),
    figure("TTFT error p99", "ms", of::ttft_error_p99, Bar::Free),
    figure("TTFT error p99, plain reads", "ms", receiving::plain_ttft_error_p99, Bar::Free),
    figure("ITL error of a request p99", "%", of::itl_error_p99, Bar::Free),
    figure("ITL error of a request p99, plain reads", "%", receiving::plain_itl_error_p99, Bar::Free),
    figure("arrival error p50", "ms", receiving::arrival_error_p50, Bar::Free),
    figure("arrival error p50, plain reads", "ms", receiving::plain_arrival_error_p50, Bar::Free),
    figure("arrival error p99", "ms", receiving::arrival_error_p99, Bar::Free),
    figure("arrival error p99, plain reads", "ms", receiving::plain_arrival_error_p99, Bar::Free),
];

const CONSTANT_1000: Workload = Workload {
    name: "constant-1000",
    about: "whole answers after 20 ms, 1,000 requests a second at even distances",
    mock: &["--ttft-ms", "20"],
    pace: Pace::Constant(1_000.0),
    requests: 10_000,
    quick: Some(1_000),
    joins: true,
    figures: &[
        figure("lag behind schedule p50", "ms", of::lag_p50, Bar::AtMost(0.05)),
        figure("lag behind schedule p99", "ms", of::lag_p99, Bar::Plus(0.2)),
        figure("CPU per request", "µs", of::cpu_per_request, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..WHOLE
};

const POISSON_200: Workload = Workload {
    name: "poisson-200",
    about: "whole answers after 20 ms, 200 requests a second as a Poisson process; K-S test of the gaps at 5 %",
    pace: Pace::Poisson(200.0),
    requests: 2_400,
    quick: Some(2_000),
    figures: &[
        figure("gaps as received √n·D", "", of::received_gaps, Bar::AtMost(crate::bench::stats::CRITICAL)),
        figure("gaps as sent √n·D", "", of::sent_gaps, Bar::AtMost(crate::bench::stats::CRITICAL)),
        figure("lag behind schedule p99", "ms", of::lag_p99, Bar::Free),
    ],
    ..CONSTANT_1000
};

const ONE: Workload = Workload {
    name: "one",
    about: "one request, from the program's start to its exit",
    pace: Pace::Closed(1),
    requests: 1,
    quick: Some(1),
    repeat: 7,
    figures: &[
        figure("start to exit", "ms", of::wall_ms, Bar::AtMost(50.0)),
        figure("CPU", "ms", of::cpu_ms, Bar::Free),
        figure("peak memory", "MB", of::peak_mb, Bar::Free),
    ],
    ..WHOLE
};

const TWENTY_THOUSAND: Workload = Workload {
    name: "twenty-thousand",
    about: "20,000 whole answers without delay, 64 in flight, a prompt for each, from start to exit",
    ours: &[],
    requests: 20_000,
    quick: Some(2_000),
    repeat: 3,
    joins: true,
    figures: &[
        figure("whole run", "s", of::wall_s, Bar::AtMost(0.5)),
        figure("last answer to exit", "s", of::last_answer_to_exit, Bar::AtMost(0.1)),
        figure("the load alone", "s", of::load_s, Bar::Free),
        figure("CPU", "s", of::cpu_s, Bar::Free),
        figure("peak memory", "MB", of::peak_mb, Bar::Free),
    ],
    ..WHOLE
};

const STREAMS_10000: Workload = Workload {
    name: "streams-10000",
    about: "10,000 streams open at a time, TTFT 1 s, 10 tokens a second, 60 tokens, against the server's log",
    mock: &["--ttft-ms", "1000", "--itl-ms", "100", "--jitter", "0.1"],
    tokens: 60,
    pace: Pace::Closed(10_000),
    requests: 20_000,
    quick: None,
    skips: 10_000,
    figures: &[
        figure("ITL p50 against the log's", "%", of::itl_p50_off, Bar::Free),
        figure("ITL p99 against the log's", "%", of::itl_p99_off, Bar::Free),
        figure("ITL error of a request p99", "%", of::itl_error_p99, Bar::Free),
        figure("TTFT error p50", "ms", of::ttft_error_p50, Bar::Free),
        figure("TTFT error p99", "ms", of::ttft_error_p99, Bar::Free),
        figure("CPU s per million chunks", "s", of::cpu_per_million_chunks, Bar::Free),
        figure("peak memory", "MB", of::peak_mb, Bar::Free),
        figure("mock CPU s per million chunks", "s", of::mock_cpu_per_million_chunks, Bar::Free),
        figure("mock busy", "%", of::mock_busy, Bar::Free),
    ],
    ..PACED_1000
};

const MILLION: Workload = Workload {
    name: "million",
    about: "1,000,000 whole answers without delay, 64 in flight",
    requests: 1_000_000,
    quick: None,
    limit_s: 300,
    figures: &[
        figure("whole run", "s", of::wall_s, Bar::Free),
        figure("CPU per request", "µs", of::cpu_per_request, Bar::Free),
        figure("peak memory", "MB", of::peak_mb, Bar::Free),
        figure("peak memory per request", "bytes", of::peak_bytes_per_request, Bar::Free),
        figure("mock CPU per request", "µs", of::mock_cpu_per_request, Bar::Free),
    ],
    ..WHOLE
};

/// All of them, in the order in which they run.
pub(super) const ALL: &[Workload] = &[
    WHOLE,
    BURST,
    PACED_2000,
    PACED_1000,
    JITTER_100,
    CONSTANT_1000,
    POISSON_200,
    ONE,
    TWENTY_THOUSAND,
    STREAMS_10000,
    MILLION,
    burn("burn-0", "as jitter-100, on a machine of its own", 0),
    burn("burn-1", "as jitter-100, beside a program that keeps a core busy", 1),
    burn("burn-2", "as jitter-100, beside two programs that keep a core busy each", 2),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::trial::Client::Ours;

    #[test]
    fn what_is_held_against_the_log_is_joined_with_it() {
        let joined = [
            of::ttft_error_p99 as of::Source,
            of::itl_p50_off,
            of::latency_error_p99,
            of::lag_p99,
            of::sent_gaps,
            receiving::arrival_error_p99,
        ];
        for workload in ALL {
            let needs = |figure: &Figure| joined.iter().any(|source| std::ptr::fn_addr_eq(*source, figure.of));
            assert!(workload.joins || !workload.figures.iter().any(needs), "{}", workload.name);
        }
    }

    #[test]
    fn the_program_is_compared_with_the_bare_client_in_every_workload() {
        for workload in ALL {
            let clients = workload.clients();
            assert_eq!(&clients[..2], [Ours, Bare], "{}", workload.name);
            assert_eq!(clients.len() == 3, workload.name == "burst");
        }
    }

    #[test]
    fn names_tell_workloads_and_figures_apart() {
        for (number, workload) in ALL.iter().enumerate() {
            assert!(ALL[..number].iter().all(|other| other.name != workload.name), "{}", workload.name);
            for (number, figure) in workload.figures.iter().enumerate() {
                let above = &workload.figures[..number];
                assert!(above.iter().all(|other| other.name != figure.name), "{}: {}", workload.name, figure.name);
            }
        }
    }

    #[test]
    fn a_poisson_process_is_judged_by_enough_gaps_even_in_a_hurry() {
        assert!(POISSON_200.requests >= 2_000 && POISSON_200.quick >= Some(2_000));
    }
}
