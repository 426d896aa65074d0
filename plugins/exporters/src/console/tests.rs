//! What the user sees, as whole pages.
//!
//! The pages are in `tests/data/console-*.txt`. After a wanted change, write them anew with
//! `INFEROMETER_WRITE_GOLDEN=1 cargo test -p inferometer-exporters`, and read the difference.

use super::{load::sum, *};
use crate::fixture::{Disk, failed_report, phased_report, sample_report, telemetry_report, warmed_report};
use inferometer_plugin_sdk::documents::{ErrorGroup, LoadReport, Outcomes, Precision, Series, Terminal, Verdict};

fn show(mut report: Report, width: u16, color: bool) -> String {
    report.run.terminal = Terminal { width, color };
    let mut disk = Disk::default();
    Console.finish(&report, &mut disk).unwrap();
    assert!(disk.files.is_empty(), "the console writes no file");
    disk.shown
}

fn assert_golden(name: &str, shown: &str) {
    let path = format!("{}/tests/data/console-{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("INFEROMETER_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(&path).unwrap(), "see the head of this test for how to renew {path}");
}

/// A busy open-loop run with everything that can be shown.
fn eventful_report() -> Report {
    let mut report = warmed_report();
    report.phases[0].outcomes = Outcomes { total: 4, ok: 3, error: 1, ..Outcomes::default() };
    let phase = report.phases.last_mut().unwrap();
    phase.outcomes = Outcomes { total: 12_000, ok: 11_900, error: 57, cancelled: 16, dropped: 27 };
    phase.load = LoadReport {
        strategy: "poisson".into(),
        asked: "60.0 requests/s, Poisson".into(),
        achieved: "52.1 requests/s".into(),
        asked_rate: Some(60.0),
        achieved_rate: Some(52.1),
        in_flight: Some(3.8),
        lag_p50_ms: Some(0.043),
        lag_p99_ms: Some(3_012.4),
        ..LoadReport::default()
    };
    let group =
        |code, kind: &str, message: &str, count| ErrorGroup { code, kind: kind.into(), message: message.into(), count };
    phase.errors = vec![
        group(
            Some(503),
            "http_status",
            "{\"error\": {\"message\": \"The engine is overloaded, please try again in a few seconds.\", \"type\": \"overloaded_error\", \"code\": 503}}",
            54,
        ),
        group(None, "truncated", "the stream ended after 12 events without its terminator", 3),
    ];
    let reasoning = serde_json::json!(
        {"avg": 1250.4, "min": 310.2, "p50": 1190.6, "p90": 2034.1, "p99": 2560.9, "max": 2711.0, "std": 412.3}
    );
    phase.metrics.get_mut("time_to_first_output_token").unwrap().stats = serde_json::from_value(reasoning).unwrap();
    report.notes = vec!["The server reports 16.0 output tokens a request where the tokenizer counts 20.0; the server's numbers are used.".into()];
    report.verdict = Verdict {
        state: "degraded".into(),
        reasons: vec!["86.8% of the asked rate was achieved".into(), "the schedule was up to 3.0 s late".into()],
    };
    report.phases.last_mut().unwrap().precision = Some(known());
    report
}

/// What is known of a run whose reads were stamped.
fn known() -> Precision {
    Precision {
        ttft_error_ms: Some(0.0213),
        itl_error_ms: Some(0.0012),
        itl_error_pct: Some(0.0123),
        latency_error_ms: Some(0.0151),
        kernel_stamped_share: Some(1.0),
        ..Precision::default()
    }
}

/// A run that cannot have token latencies.
fn embeddings_report() -> Report {
    let mut report = sample_report();
    report.run.input_config["endpoint"] = serde_json::json!({"type": "embeddings", "urls": ["http://127.0.0.1:18100"]});
    let kept = [
        "request_latency",
        "input_sequence_length",
        "input_token_throughput",
        "request_throughput",
        "effective_concurrency",
    ];
    report.phases[0].metrics.retain(|tag, _| kept.contains(&tag.as_str()));
    report
}

/// The telemetry run as it might have been: a fleet of several hosts, vendors and servers, one of them unknown.
fn fleet_report() -> Report {
    let mut report = telemetry_report();
    let profiling = report.phases[1].telemetry.clone();
    let of = |source: usize| profiling.iter().filter(move |series| series.source == source);
    for host in 0..9 {
        let mut source = report.sources[0].clone();
        source.entities.iter_mut().for_each(|entity| {
            entity.labels.insert("hostname".into(), format!("gpu-node-{host}"));
            entity.labels.insert("partition".into(), host.to_string());
            entity.labels.insert("gpu_name".into(), "AMD Instinct MI300X OAM, a GPU with a rather long name".into());
        });
        let number = report.sources.len();
        report.sources.push(source);
        let series = of(0).map(|series| Series { source: number, ..series.clone() });
        report.phases[1].telemetry.extend(series);
    }
    for server in 0..6 {
        let mut source = report.sources[1].clone();
        source.name = format!("http://10.0.0.{server}:8000/metrics");
        if server == 3 {
            source.metrics.iter_mut().for_each(|metric| metric.name.insert_str(0, "unheard_of_"));
        }
        let number = report.sources.len();
        report.sources.push(source);
        report.phases[1].telemetry.extend(of(1).map(|series| Series { source: number, ..series.clone() }));
    }
    let metrics = &mut report.phases[1].metrics;
    for tag in ["total_gpu_energy", "total_gpu_power"] {
        let mut result = metrics[&format!("nvidia_{tag}")].clone();
        result.stats.avg = result.stats.avg.map(|value| value * 1_000.0);
        metrics.insert(format!("amd_{tag}"), result);
    }
    report
}

#[test]
fn the_pages_are_as_they_were_agreed_upon() {
    for width in [80, 120] {
        assert_golden(&format!("{width}"), &show(sample_report(), width, false));
        assert_golden(&format!("eventful-{width}"), &show(eventful_report(), width, false));
        assert_golden(&format!("embeddings-{width}"), &show(embeddings_report(), width, false));
        assert_golden(&format!("failed-{width}"), &show(failed_report(), width, false));
        assert_golden(&format!("telemetry-{width}"), &show(telemetry_report(), width, false));
        assert_golden(&format!("fleet-{width}"), &show(fleet_report(), width, false));
        assert_golden(&format!("phases-{width}"), &show(phased_report(), width, false));
    }
    assert_golden("eventful-color", &show(eventful_report(), 100, true));
}

#[test]
fn no_line_is_wider_than_the_terminal_down_to_60_columns() {
    for width in [60, 72, 80, 100, 120, 400] {
        let telemetry = [telemetry_report(), fleet_report()];
        let others = [sample_report(), eventful_report(), embeddings_report(), failed_report(), phased_report()];
        for report in others.into_iter().chain(telemetry) {
            for line in show(report, width, false).lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line:?}");
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

#[test]
fn what_was_not_measured_is_left_out() {
    let page = show(embeddings_report(), 100, false);
    for absent in ["First Token", "Inter Token", "Output", "0.00", "NaN", "Chunk gap", "Errors", "Notes", "Goodput"] {
        assert!(!page.contains(absent), "{absent} in\n{page}");
    }
    let mut report = sample_report();
    let metrics = &mut report.phases[0].metrics;
    metrics.get_mut("request_latency").unwrap().stats.p99 = Some(f64::NAN);
    metrics.get_mut("output_token_throughput").unwrap().stats.avg = Some(f64::INFINITY);
    let page = show(report, 100, false);
    assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("Output throughput"), "{page}");
}

#[test]
fn a_run_without_a_result_begins_with_its_cause() {
    let page = show(failed_report(), 80, false);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in\n{page}"));
    assert!(place("No request succeeded") < place("150 × http_status 404") && place("404") < place("Asked"));

    let mut in_warmup = failed_report();
    in_warmup.phases[0].kind = "warmup".into();
    let page = show(in_warmup, 80, false);
    assert!(page.contains("ended in its warm-up") && page.contains("connection refused"), "{page}");

    assert!(show(Report::default(), 80, false).contains("before its first request"));
}

#[test]
fn outcomes_add_up_in_words() {
    assert_eq!(
        sum(&Outcomes { total: 20_000, ok: 19_998, error: 1, cancelled: 1, dropped: 0 }),
        "20,000 requests = 19,998 ok + 1 error + 1 cancelled + 0 dropped"
    );
    assert!(sum(&Outcomes { total: 1, ok: 1, ..Outcomes::default() }).starts_with("1 request = "));
}

#[test]
fn nothing_a_server_says_can_command_the_terminal_or_flood_it() {
    let hostile = format!("\u{1b}]0;owned\u{7}\u{1b}[2J\r\n{}", "日本語 \"long\" ".repeat(100_000));
    let mut report = failed_report();
    report.phases[0].errors[0].message = hostile.clone();
    report.phases[0].errors[0].kind = hostile.clone();
    report.phases[0].load.asked = hostile.clone();
    report.run.input_config["models"]["items"][0]["name"] = hostile.clone().into();
    report.run.export.folder = hostile.clone();
    report.notes = vec![hostile.clone()];
    report.incomplete_reason = Some(hostile.clone());
    report.verdict = Verdict { state: hostile.clone(), reasons: vec![hostile] };
    for color in [false, true] {
        let page = show(report.clone(), 80, color);
        assert!(page.len() < 20_000, "{} bytes", page.len());
        let mut plain = page;
        for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"] {
            plain = if color { plain.replace(code, "") } else { plain };
        }
        assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{plain}");
    }
}

#[test]
fn colours_come_only_where_they_are_welcome_and_say_what_the_words_say() {
    assert!(!show(eventful_report(), 80, false).contains('\u{1b}'));
    let verdict = |state: &str| {
        let mut report = sample_report();
        report.verdict.state = state.into();
        show(report, 80, true).lines().find(|line| line.contains("Verdict")).unwrap().to_owned()
    };
    assert!(verdict("valid").contains("\u{1b}[32mvalid\u{1b}[0m"));
    assert!(verdict("degraded").contains("\u{1b}[33mdegraded\u{1b}[0m"));
    assert!(verdict("invalid").contains("\u{1b}[31minvalid\u{1b}[0m"));
}

#[test]
fn the_verdict_says_how_far_latencies_may_be_off_and_where_nobody_knows() {
    let said_of = |timestamps: &str, precision| {
        let mut report = sample_report();
        report.run.plan = serde_json::json!({ "server": { "receive_timestamps": timestamps } });
        report.phases[0].precision = Some(precision);
        show(report, 120, false).lines().find(|line| line.starts_with("Verdict")).unwrap().to_owned()
    };
    let said = |precision| said_of("kernel", precision);
    let all = Precision { client_busy: Some(0.2), ..known() };
    assert_eq!(said(all), "Verdict   valid: TTFT within 0.021 ms, ITL within 0.0012 ms (0.012%)");
    let whole = Precision { ttft_error_ms: None, itl_error_ms: None, itl_error_pct: None, ..all };
    assert_eq!(said(whole), "Verdict   valid: latency within 0.015 ms");
    let unstamped = Precision { kernel_stamped_share: Some(0.0), ..Precision::default() };
    let unknown = "Verdict   valid: how far latencies are off is not known:";
    assert_eq!(said(unstamped), format!("{unknown} there are no receive stamps here"));
    let switched_off = "receive stamps are switched off (--receive-timestamps read)";
    assert_eq!(said_of("read", unstamped), format!("{unknown} {switched_off}"));
    let partly = Precision { kernel_stamped_share: Some(0.9), ..Precision::default() };
    assert_eq!(said(partly), format!("{unknown} not all answers have receive stamps"));
    assert_eq!(said(Precision::default()), "Verdict   valid");
}

#[test]
fn many_kinds_of_errors_are_summed_up() {
    let mut report = failed_report();
    let group = |i: u64| ErrorGroup { code: None, kind: format!("kind{i}"), message: "m".into(), count: i };
    report.phases[0].errors = (1..=9).map(group).collect();
    let page = show(report, 80, false);
    assert!(page.contains("Errors    9 × kind9: m") && page.contains("5 × kind5") && !page.contains("kind4"), "{page}");
    assert!(page.contains("and 4 more kinds (10 requests): see profile_export_aiperf.json"), "{page}");
}

#[test]
fn a_note_is_shown_to_its_end_where_the_remedy_is() {
    let mut report = sample_report();
    report.notes = vec![format!("telemetry: {}; correct the URL", "a reason of some length ".repeat(16))];
    let page = show(report, 80, false);
    assert!(page.split_whitespace().collect::<Vec<_>>().join(" ").contains("; correct the URL"), "{page}");
}

#[test]
fn a_gpu_that_several_sources_tell_of_is_one_row() {
    let mut report = telemetry_report();
    let again = report.sources[0].clone();
    let number = report.sources.len();
    let of_gpus = report.phases[1].telemetry.iter().filter(|series| series.source == 0);
    let series: Vec<_> = of_gpus.map(|series| Series { source: number, ..series.clone() }).collect();
    report.sources.push(again);
    report.phases[1].telemetry.extend(series);
    assert_eq!(show(report, 80, false), show(telemetry_report(), 80, false));
}

#[test]
fn hosts_are_told_apart_without_their_domains() {
    let mut report = telemetry_report();
    for (place, entity) in report.sources[0].entities.iter_mut().enumerate() {
        entity.labels.insert("hostname".into(), format!("node{place}.rack7.example.org"));
    }
    let page = show(report, 80, false);
    assert!(page.contains("\nnode1 1 NVIDIA") && !page.contains("rack7"), "{page}");
}

#[test]
fn energy_that_no_counter_tells_is_said_to_be_reckoned() {
    let words = "mean power × time";
    assert!(!show(telemetry_report(), 120, false).contains(words));
    let mut report = telemetry_report();
    report.phases[1].telemetry.retain(|series| series.counter.is_none());
    let page = show(report, 120, false);
    assert!(page.contains(words), "{page}");
}

#[test]
fn levels_that_no_reading_fell_to_are_missed_aloud() {
    let words = "was read while it was measured";
    assert!(!show(telemetry_report(), 120, false).contains(words));
    let mut report = telemetry_report();
    report.phases[1].telemetry.retain(|series| series.gauge.is_none());
    let page = show(report, 120, false);
    assert!(page.contains("no level of 127.0.0.1:18100/dcgm, 127.0.0.1:18100, host was read"), "{page}");
}

#[test]
fn a_page_of_gpus_that_holds_none_is_named() {
    let mut report = telemetry_report();
    (report.sources[0].metrics, report.sources[0].entities) = (Vec::new(), Vec::new());
    report.phases[1].telemetry.retain(|series| series.source != 0);
    let page = show(report, 120, false);
    assert!(page.contains("no GPU was found at 127.0.0.1:18100/dcgm"), "{page}");
}

/// What is said under a label, if anything.
fn said_under(report: &Report, label: &str) -> Option<String> {
    let page = show(report.clone(), 120, false);
    page.lines().find_map(|line| line.strip_prefix(&format!("{label:<10}")).map(str::to_owned))
}

#[test]
fn late_requests_are_counted_where_there_is_a_schedule() {
    let late = |late, asked_rate, strategy: &str| {
        let mut report = sample_report();
        let load = &mut report.phases[0].load;
        (load.late, load.late_ms, load.asked_rate, load.strategy) =
            (Some(late), Some(10.0), asked_rate, strategy.into());
        said_under(&report, "Late")
    };
    let expected = Some("3 of 24 requests sent more than 10 ms behind schedule".to_owned());
    assert_eq!(late(3, Some(60.0), "constant"), expected);
    assert_eq!(late(3, None, "fixed_schedule"), expected);
    assert_eq!(late(3, None, "concurrency"), None);
    assert_eq!(late(0, Some(60.0), "constant"), None);
    assert_eq!(said_under(&sample_report(), "Late"), None);
}

#[test]
fn a_burst_says_how_wide_it_was() {
    let mut report = sample_report();
    assert_eq!(said_under(&report, "Burst"), None);
    report.phases[0].load.burst_spread_ms = Some(7.49);
    assert_eq!(said_under(&report, "Burst").unwrap(), "7.49 ms from first to last send");
}

#[test]
fn a_schedule_that_does_not_wait_has_both_views_and_goodput_says_which_is_its() {
    let of = |strategy: &str, asked_rate, tags: &[&str]| {
        let mut report = sample_report();
        let phase = &mut report.phases[0];
        (phase.load.strategy, phase.load.asked_rate) = (strategy.into(), asked_rate);
        for tag in ["effective_latency", "intended_time_to_first_token"] {
            phase.metrics.insert(tag.into(), phase.metrics["request_latency"].clone());
        }
        for tag in tags {
            let mut rate = phase.metrics["request_throughput"].clone();
            rate.stats.avg = Some(0.8);
            phase.metrics.insert((*tag).into(), rate);
        }
        show(report, 120, false)
    };
    for (strategy, rate) in [("fixed_schedule", None), ("burst", None), ("gamma", Some(5.0))] {
        let page = of(strategy, rate, &["goodput", "intended_latency"]);
        assert!(page.contains("First Token from Schedule") && page.contains("Latency from Schedule"), "{page}");
        assert!(page.contains("0.800 requests/s (from the schedule)"), "{page}");
    }
    let page = of("gamma", Some(5.0), &["goodput", "good_request_fraction", "intended_latency"]);
    assert!(page.contains("0.800 requests/s (80.0% good, from the schedule)"), "{page}");
    let page = of("concurrency", None, &["goodput", "good_request_fraction"]);
    assert!(page.contains("(80.0% good)") && !page.contains("chedule (ms)"), "{page}");
}

#[test]
fn phases_are_told_in_order_and_the_last_one_whole() {
    let mut report = phased_report();
    let page = show(report.clone(), 120, false);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in\n{page}"));
    assert!(place("Phase 1 of 2: slow") < place("Late      9 of 13 requests"));
    assert!(place("14 requests = 12 ok") < place("1 × http_status 503") && place("1 × http") < place("Phase 2 of 2"));
    assert!(place("Phase 2 of 2: profiling") < place("24 requests = 24 ok"));
    assert!(!show(sample_report(), 120, false).contains("Phase"));

    report.phases[0].outcomes = Outcomes { total: 14, error: 14, ..Outcomes::default() };
    let page = show(report.clone(), 120, false);
    assert_eq!((page.matches("No request succeeded").count(), page.matches("Time to First Token").count()), (1, 1));
    report.phases.iter_mut().for_each(|phase| phase.kind = "warmup".into());
    assert!(!show(report, 120, false).contains("Phase 1"));
}
