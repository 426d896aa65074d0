//! The three files against those that AIPerf wrote.

use super::*;
use crate::fixture::{Disk, Given, SERVER_CSV, SERVER_JSON, SERVER_JSONL, gpus, server, telemetry_report};
use serde_json::Value;

fn export(report: &Report, given: &[Given]) -> Disk {
    let mut disk = Disk::default();
    let mut exporter = ServerMetrics::default();
    exporter.begin(&report.run, &mut disk).unwrap();
    given.iter().for_each(|given| given.hand_to(&mut exporter, &mut disk));
    exporter.finish(report, &mut disk).unwrap();
    disk
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Four updates among the readings, as far apart as in the sample.
fn sampled_updates() -> Given {
    let mut given = server();
    let info = &parsed(SERVER_JSON)["summary"]["endpoint_info"]["http://127.0.0.1:18100/metrics"];
    let first = info["first_update_ns"].as_u64().unwrap() - telemetry_report().run.epoch_ns;
    let last = info["last_update_ns"].as_u64().unwrap() - telemetry_report().run.epoch_ns;
    let times = [first, first + 100_000_000, first + 433_236_110, last];
    given.collections = times.map(|began_ns| Collection { began_ns, samples: 1, ..Collection::default() }).into();
    let sample = |(at_ns, value): (u64, f64)| Sample { at_ns, value, ..Sample::default() };
    given.samples = times.into_iter().zip([1.0, 2.0, 3.0, 4.0]).map(sample).collect();
    given
}

#[test]
fn the_summary_of_the_sample_comes_out_as_aiperf_wrote_it() {
    let mut report = telemetry_report();
    report.phases.remove(0);
    let text = export(&report, &[gpus(), sampled_updates()]).text("server_metrics_export.json");
    let (ours, sample) = (parsed(&text), parsed(SERVER_JSON));
    let info = |file: &Value| file["summary"]["endpoint_info"]["http://127.0.0.1:18100/metrics"].clone();
    for (key, theirs) in info(&sample).as_object().unwrap() {
        let our = &info(&ours)[key];
        match theirs.as_u64() {
            Some(_) => assert_eq!(our, theirs, "{key}"),
            None => assert!((our.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < 1e-6, "{key}: {our} {theirs}"),
        }
    }
    for key in ["endpoints_configured", "endpoints_successful", "phase_time_ranges"] {
        assert_eq!(ours["summary"][key], sample["summary"][key], "{key}");
    }
    assert_eq!(ours["summary"]["start_time"], "2026-11-21T19:18:11.888043Z");
    for (key, theirs) in sample.as_object().unwrap().iter().filter(|(key, _)| *key != "summary") {
        assert_eq!(&ours[key], theirs, "{key}");
    }
    let order = |text: &str| {
        let names =
            text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"').map(|(name, _)| name));
        names.filter(|name| *name != "inferometer_version").map(str::to_owned).collect::<Vec<_>>()
    };
    let until_config = |text: &str| order(text.split("\"input_config\"").next().unwrap());
    assert_eq!(until_config(&text), until_config(SERVER_JSON));
}

#[test]
fn a_warm_up_has_its_own_series_and_several_servers_share_a_metric() {
    let mut report = telemetry_report();
    let mut other = report.sources[1].clone();
    other.name = "http://127.0.0.1:18200/metrics".into();
    report.sources.push(other);
    let twin = report.phases[1].telemetry.iter().filter(|series| series.source == 1).cloned();
    let twin: Vec<Series> = twin.map(|series| Series { source: 3, ..series }).collect();
    report.phases[0].telemetry = twin.clone();
    report.phases[1].telemetry.extend(twin);
    let ours = parsed(&export(&report, &[server()]).text("server_metrics_export.json"));
    let urls = |file: &Value| {
        let series = file["vllm:num_requests_running"]["series"].as_array().unwrap().clone();
        series.iter().map(|series| series["endpoint_url"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(urls(&ours["metrics"]), ["http://127.0.0.1:18100/metrics", "http://127.0.0.1:18200/metrics"]);
    assert_eq!(urls(&ours["warmup_metrics"]), ["http://127.0.0.1:18200/metrics"]);
    let of_other = &ours["summary"]["endpoint_info"]["http://127.0.0.1:18200/metrics"];
    assert!(of_other["total_fetches"].is_u64() && of_other.get("unique_updates").is_none());
}

#[test]
fn the_tables_of_the_sample_come_out_as_aiperf_wrote_them_but_for_more_decimals() {
    let text = export(&telemetry_report(), &[server()]).text("server_metrics_export.csv");
    let tables = |text: &str| {
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        rows.iter().map(|row| row.split([',', ';', '=']).map(str::to_owned).collect()).collect::<Vec<Vec<_>>>()
    };
    let (ours, sample) = (tables(&text), tables(SERVER_CSV));
    assert_eq!(ours.len(), sample.len(), "{text}");
    for (ours, sample) in ours.iter().zip(&sample) {
        assert_eq!(ours.len(), sample.len(), "{ours:?} {sample:?}");
        for (our, theirs) in ours.iter().zip(sample) {
            match (our.parse::<f64>(), theirs.parse::<f64>()) {
                (Ok(our), Ok(theirs)) => assert!((our - theirs).abs() <= 0.000_050_1 || our == theirs, "{ours:?}"),
                _ => assert_eq!(our, theirs),
            }
        }
    }
    assert!(text.contains("# aiperf_version: 0.13.0\r\n") && text.contains("# benchmark_id: f1f8f3c80449\r\n"));
}

#[test]
fn the_lines_of_the_sample_come_out_as_aiperf_wrote_them() {
    let mut report = telemetry_report();
    // The lines are of another run of AIPerf's, with a warm-up from and to:
    let [start, end] =
        [1_795_288_737_164_270_188, 1_795_288_737_324_975_405].map(|wall: u64| wall - report.run.epoch_ns);
    (report.phases[0].start_ns, report.phases[0].end_ns) = (start, end);
    let disk = export(&report, &[gpus(), server()]);
    let text = disk.text("server_metrics_export.jsonl");
    assert_eq!(text.lines().count(), SERVER_JSONL.lines().count());
    for (ours, sample) in text.lines().zip(SERVER_JSONL.lines()) {
        assert_eq!(parsed(ours), parsed(sample));
        assert!(ours.contains(r#""buckets":{"0.01":0.0,"0.05":0.0,"#) && ours.contains(r#""+Inf":2"#), "{ours}");
    }
}

#[test]
fn a_page_that_did_not_change_is_written_once() {
    let mut given = server();
    let (first, count) = (given.collections[0], given.collections[0].samples as usize);
    given.collections.insert(1, first);
    given.samples.splice(count..count, given.samples[..count].to_vec());
    let text = export(&telemetry_report(), &[given]).text("server_metrics_export.jsonl");
    assert_eq!(text.lines().count(), SERVER_JSONL.lines().count());
}

#[test]
fn only_what_is_wanted_is_written_and_only_if_a_server_told_something() {
    let files = |report: &Report, given: &[Given]| export(report, given).files.into_keys().collect::<Vec<_>>();
    let mut report = telemetry_report();
    report.run.export.server_metrics = vec!["csv".into(), "parquet".into()];
    report.run.export.prefix = Some("foo.json".into());
    assert_eq!(files(&report, &[server()]), ["foo_server_metrics.csv"]);
    let mut silent = telemetry_report();
    silent.sources[1].collections = 0;
    assert!(files(&silent, &[gpus()]).is_empty());
}
