//! What the inference server says of itself, in a few numbers: for servers whose names for them are known.

use super::{
    facts,
    kinds::{Fact, KINDS, Name},
    page::{Page, Tone},
};
use crate::{
    numbers,
    stats::finite,
    telemetry::{self, Reading},
    text::clean,
};
use inferometer_plugin_sdk::documents::{PhaseReport, Report, Subject};
use std::collections::BTreeSet;

/// Most servers that are shown; the files hold all of them.
const SHOWN: usize = 4;

/// Writes a block per server, each with an empty line after it; nothing if no server was read.
pub(super) fn write(page: &mut Page, report: &Report, phase: &PhaseReport) {
    let readings = telemetry::readings(report, phase, Subject::Server).collect::<Vec<_>>();
    let (mut others, mut shown, mut more) = (Vec::new(), 0, 0);
    for (place, source) in report.sources.iter().enumerate() {
        if source.subject != Subject::Server || source.collections == 0 {
            continue;
        }
        let of_source = readings.iter().filter(|reading| reading.series.source == place).collect::<Vec<_>>();
        let name = clean(telemetry::endpoint(&source.name), 60);
        // Servers have names of one another: the kind that says most of it fits.
        let kinds = KINDS.iter().rev().map(|(kind, facts)| (kind, said(facts, &of_source)));
        let known = kinds.max_by_key(|(_, facts)| facts.len());
        match known.filter(|(_, facts)| !facts.is_empty()) {
            Some((kind, facts)) if shown < SHOWN => {
                shown += 1;
                page.line(Tone::Bold, &format!("{kind} at {name}"));
                facts::side_by_side(page, &facts);
                page.blank();
            }
            Some(_) => more += 1,
            None => {
                let metrics: BTreeSet<_> = of_source.iter().map(|reading| reading.series.metric).collect();
                let metrics = numbers::counted(metrics.len() as u64, "metric");
                others.push(match of_source.len() {
                    0 if source.metrics.is_empty() => format!("{name} tells no metric"),
                    0 => format!("{name} told nothing while it was measured"),
                    series => format!("{name} tells {metrics} in {series} series"),
                });
            }
        }
    }
    if more > 0 {
        others.push(format!("and {}", numbers::counted(more, "more server")));
    }
    if !others.is_empty() {
        let files = facts::server_files(&report.run);
        let files = if files.is_empty() { String::new() } else { format!(": see {}", files.join(", ")) };
        page.entry("Server", Tone::Plain, &format!("{}{files}", others.join("; ")));
        page.blank();
    }
}

fn said(facts: &'static [(&'static str, Fact)], readings: &[&Reading<'_>]) -> Vec<(&'static str, String)> {
    facts.iter().filter_map(|(name, fact)| Some((*name, text(fact, readings)?))).collect()
}

fn text(fact: &Fact, readings: &[&Reading<'_>]) -> Option<String> {
    match fact {
        Fact::Level(names) => level(&first(names, readings)?, 1.0, false, ""),
        Fact::Share(names) => level(&first(names, readings)?, 100.0, true, "%"),
        Fact::Rate(names, unit) => {
            let growth = first(names, readings)?.iter().map(|reading| growth(reading)?.1).sum::<Option<f64>>();
            Some(format!("{} {unit}", numbers::short(finite(growth)?)))
        }
        Fact::Ratio(of, whole) => {
            let share = grown(&first(of, readings)?)? / grown_together(whole, readings)?;
            Some(format!("{}%", numbers::short(finite(Some(share * 100.0))?)))
        }
        Fact::MeanUs(of, by) => {
            let mean = grown(&first(of, readings)?)? / grown_together(by, readings)?;
            Some(format!("{} ms", numbers::short(finite(Some(mean / 1e3))?)))
        }
    }
}

/// The series of the first name that there is.
fn first<'r, 'a>(names: &[Name], readings: &[&'r Reading<'a>]) -> Option<Vec<&'r Reading<'a>>> {
    names.iter().map(|name| all_of(name, readings)).find(|found| !found.is_empty())
}

fn all_of<'r, 'a>((name, label): &Name, readings: &[&'r Reading<'a>]) -> Vec<&'r Reading<'a>> {
    let is_it = |reading: &Reading<'_>| {
        let own = reading.metric.name.as_str();
        let has_label = label.is_none_or(|(label, value)| reading.entity.labels.get(label).is_some_and(|v| v == value));
        own.strip_suffix("_total").unwrap_or(own) == *name && has_label
    };
    readings.iter().copied().filter(|reading| is_it(reading)).collect()
}

/// The mean, and the highest value, which several series need not have had at one time: then it is left out, unless
/// `averaged`, where the highest of all says something.
fn level(series: &[&Reading<'_>], scale: f64, averaged: bool, unit: &str) -> Option<String> {
    let means = series.iter().filter_map(|reading| finite(reading.series.gauge?.avg)).collect::<Vec<_>>();
    let highest = series.iter().filter_map(|reading| finite(reading.series.gauge?.max)).reduce(f64::max);
    let highest = highest.filter(|_| averaged || series.len() == 1);
    if means.is_empty() {
        return None;
    }
    let mean = means.iter().sum::<f64>() / if averaged { means.len() as f64 } else { 1.0 };
    let say = |value: f64| format!("{}{unit}", numbers::short(value * scale));
    let highest = highest.map(|max| format!(" (max {})", if averaged { say(max) } else { whole(max) }));
    Some(say(mean) + &highest.unwrap_or_default())
}

fn whole(value: f64) -> String {
    if value.fract() == 0.0 { numbers::fixed(value, 0) } else { numbers::short(value) }
}

/// By how much a counter or a histogram's sum grew, in all and a second.
fn growth(reading: &Reading<'_>) -> Option<(f64, Option<f64>)> {
    let counter = reading.series.counter;
    let sum = || reading.series.histogram.as_ref().and_then(|histogram| histogram.sum);
    counter.or_else(sum).map(|increase| (increase.total, increase.rate))
}

fn grown(series: &[&Reading<'_>]) -> Option<f64> {
    series.iter().map(|reading| growth(reading).map(|(total, _)| total)).sum()
}

/// The growth of all that there is of `names`; none if nothing grew.
fn grown_together(names: &[Name], readings: &[&Reading<'_>]) -> Option<f64> {
    let series = names.iter().flat_map(|name| all_of(name, readings)).collect::<Vec<_>>();
    grown(&series).filter(|total| *total > 0.0)
}

#[cfg(test)]
mod tests {
    use super::super::kinds::{GENERATED, HITS, KV_CACHE, PROMPT, RUNNING, WAITING};
    use super::*;
    use inferometer_plugin_sdk::documents::{
        Histogram, Increase, Series, Stats, TelemetryEntity, TelemetryMetric, TelemetrySource,
    };

    #[test]
    fn servers_beyond_the_first_are_counted() {
        let mut report = Report::default();
        let mut phase = PhaseReport::default();
        for source in 0..6 {
            report.sources.push(TelemetrySource {
                name: format!("http://s:{source}/metrics"),
                subject: Subject::Server,
                collections: 1,
                metrics: vec![TelemetryMetric {
                    name: "vllm:num_requests_running".into(),
                    ..TelemetryMetric::default()
                }],
                entities: vec![TelemetryEntity::default()],
                ..TelemetrySource::default()
            });
            let gauge = Some(Stats { avg: Some(1.0), ..Stats::default() });
            phase.telemetry.push(Series { source, gauge, ..Series::default() });
        }
        let mut page = Page::new(&report.run.terminal);
        write(&mut page, &report, &phase);
        let page = page.into_text();
        assert!(page.contains("vLLM at s:3") && !page.contains("s:4") && page.contains("and 2 more servers"), "{page}");
    }

    /// A server that says each of these of a series of its own: a level up to one and a half times of it, a growth to a
    /// tenth of it a second, or a histogram whose sum grows so.
    fn shown(says: &[(&str, &str, f64)]) -> String {
        let mut source = TelemetrySource { name: "http://s:1/metrics".into(), ..TelemetrySource::default() };
        source.subject = Subject::Server;
        source.collections = 1;
        let mut phase = PhaseReport::default();
        for (place, (name, kind, value)) in says.iter().enumerate() {
            let (name, label) = name.split_once('{').unwrap_or((name, ""));
            let labels = label.trim_end_matches('}').split_once('=').into_iter();
            source.metrics.push(TelemetryMetric {
                name: name.into(),
                kind: (*kind).into(),
                ..TelemetryMetric::default()
            });
            source.entities.push(TelemetryEntity {
                id: place.to_string(),
                labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            });
            let growth = Increase { total: *value, rate: Some(value / 10.0) };
            phase.telemetry.push(Series {
                metric: place,
                entity: place,
                gauge: (*kind == "gauge").then(|| Stats {
                    avg: Some(*value),
                    max: Some(value * 1.5),
                    ..Stats::default()
                }),
                counter: (*kind == "counter").then_some(growth),
                histogram: (*kind == "histogram").then(|| Histogram { sum: Some(growth), ..Histogram::default() }),
                ..Series::default()
            });
        }
        let report = Report { sources: vec![source], ..Report::default() };
        let mut page = Page::new(&report.run.terminal);
        write(&mut page, &report, &phase);
        page.into_text()
    }

    fn assert_shown(says: &[(&str, &str, f64)], title: &str, facts: &[(&str, &str)]) {
        let page = shown(says);
        assert!(page.starts_with(&format!("{title} at s:1\n")), "{page}");
        for (name, value) in facts {
            let at = page.find(name).unwrap_or_else(|| panic!("{name} is not in\n{page}"));
            assert!(page[at + name.len()..].trim_start().starts_with(value), "{name} is not {value} in\n{page}");
        }
        let values = page.lines().skip(1).flat_map(|line| line.split("  ")).filter(|text| !text.trim().is_empty());
        assert_eq!(values.count(), 2 * facts.len(), "{page}");
    }

    #[test]
    fn known_servers_are_known_by_their_names() {
        assert_shown(
            &[
                ("vllm:num_requests_running", "gauge", 8.0),
                ("vllm:num_requests_waiting", "gauge", 0.0),
                ("vllm:num_requests_waiting_by_reason{reason=capacity}", "gauge", 7.0),
                ("vllm:kv_cache_usage_perc", "gauge", 0.123),
                ("vllm:prefix_cache_queries_total", "counter", 1000.0),
                ("vllm:prefix_cache_hits_total", "counter", 812.0),
                ("vllm:prompt_tokens_total", "counter", 18_920.0),
                ("vllm:generation_tokens", "counter", 5080.0),
            ],
            "vLLM",
            &[
                (RUNNING, "8.00 (max 12)"),
                (WAITING, "0 (max 0)"),
                (KV_CACHE, "12.3% (max 18.4%)"),
                (HITS, "81.2%"),
                (PROMPT, "1,892 tokens/s"),
                (GENERATED, "508.0 tokens/s"),
            ],
        );
        assert_shown(
            &[
                ("sglang:num_running_reqs", "gauge", 3.0),
                ("sglang:num_queue_reqs", "gauge", 1.0),
                ("sglang:token_usage", "gauge", 0.5),
                ("sglang:cache_hit_rate", "gauge", 0.25),
                ("sglang:generation_tokens_total", "counter", 100.0),
            ],
            "SGLang",
            &[
                (RUNNING, "3.00 (max 4.50)"),
                (WAITING, "1.00 (max 1.50)"),
                (KV_CACHE, "50.0%"),
                (HITS, "25.0%"),
                (GENERATED, "10.0 tokens/s"),
            ],
        );
        assert_shown(
            &[
                ("llamacpp:requests_processing", "gauge", 4.0),
                ("llamacpp:requests_deferred", "gauge", 2.0),
                ("llamacpp:prompt_tokens", "counter", 300.0),
                ("llamacpp:prompt_tokens_cached", "counter", 700.0),
                ("llamacpp:tokens_predicted", "counter", 2000.0),
            ],
            "llama.cpp",
            &[
                (RUNNING, "4.00 (max 6)"),
                (WAITING, "2.00 (max 3)"),
                (HITS, "70.0%"),
                (PROMPT, "30.0 tokens/s"),
                (GENERATED, "200.0 tokens/s"),
            ],
        );
        assert_shown(
            &[
                ("dynamo_frontend_inflight_requests{model=a}", "gauge", 2.0),
                ("dynamo_frontend_inflight_requests{model=b}", "gauge", 3.0),
                ("dynamo_frontend_active_requests{model=a}", "gauge", 9.0),
                ("dynamo_frontend_input_sequence_tokens", "histogram", 1000.0),
                ("dynamo_frontend_cached_tokens", "histogram", 100.0),
                ("dynamo_frontend_output_tokens_total", "counter", 3840.0),
            ],
            "Dynamo frontend",
            &[(RUNNING, "5.00"), (HITS, "10.0%"), (PROMPT, "100.0 tokens/s"), (GENERATED, "384.0 tokens/s")],
        );
    }

    #[test]
    fn triton_and_tensorrt_llm_are_told_apart() {
        let base = [
            ("nv_inference_pending_request_count", "gauge", 2.0),
            ("nv_inference_request_success", "counter", 50.0),
            ("nv_inference_queue_duration_us", "counter", 620_000.0),
        ];
        let facts =
            [(WAITING, "2.00 (max 3)"), ("Finished requests", "5.00 requests/s"), ("Mean time in queue", "12.4 ms")];
        assert_shown(&base, "Triton", &facts);
        let with_llm = [
            ("nv_trt_llm_request_metrics{request_type=active}", "gauge", 6.0),
            ("nv_trt_llm_request_metrics{request_type=max}", "gauge", 512.0),
            ("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}", "gauge", 0.5),
            base[1],
        ];
        let facts = [(RUNNING, "6.00 (max 9)"), (KV_CACHE, "50.0%"), ("Finished requests", "5.00 requests/s")];
        assert_shown(&with_llm, "Triton, TensorRT-LLM", &facts);
        let served = [("trtllm_num_requests_running", "gauge", 2.0), ("trtllm_kv_cache_utilization", "gauge", 0.1)];
        assert_shown(&served, "TensorRT-LLM", &[(RUNNING, "2.00 (max 3)"), (KV_CACHE, "10.0%")]);
    }

    #[test]
    fn what_did_not_happen_is_no_share_and_an_unknown_server_is_counted() {
        let idle = [("vllm:num_requests_running", "gauge", 0.0), ("vllm:prefix_cache_queries", "counter", 0.0)];
        let with_hits = [idle[0], idle[1], ("vllm:prefix_cache_hits", "counter", 0.0)];
        assert_shown(&with_hits, "vLLM", &[(RUNNING, "0 (max 0)")]);
        let page = shown(&[("acme_queue", "gauge", 1.0), ("acme_tokens", "counter", 1.0)]);
        assert!(page.contains("s:1 tells 2 metrics in 2 series") && !page.contains("acme"), "{page}");
        let page = shown(&[]);
        assert!(page.contains("s:1 tells no metric"), "{page}");
    }
}
