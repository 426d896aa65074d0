//! The pages for telemetry, held against the truth log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::support::{CHAT, Client, chat, post, serve, truth};
use inferometer_mock::{MockConfig, MockServer};
use serde_json::Value;

/// A page's samples by name and labels, read the strict way: every sample stands below the type of its own metric, and
/// nothing comes twice.
struct Page {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Page {
    fn get(client: &mut Client, path: &str) -> Self {
        let answer = client.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(std::str::from_utf8(&answer.body).unwrap())
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let mut page = Self { samples: BTreeMap::new(), kinds: BTreeMap::new() };
        let mut current = (String::new(), String::new());
        let mut helped = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped = help.split_once(' ').unwrap().0;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, helped);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                current = (name.to_owned(), kind.to_owned());
                assert!(page.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                let name = if current.1 == "histogram" {
                    ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap()
                } else {
                    name
                };
                assert_eq!(name, current.0, "{line}");
                labels(series);
                assert!(page.samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
            }
        }
        page
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} among {:?}", self.samples.keys()))
    }

    /// A vLLM metric of the model `mock` that has no labels of its own.
    fn vllm(&self, name: &str) -> f64 {
        self.value(&format!("vllm:{name}{{engine=\"0\",model_name=\"mock\"}}"))
    }

    fn finished(&self, reason: &str) -> f64 {
        let labels = format!("engine=\"0\",finished_reason=\"{reason}\",model_name=\"mock\"");
        self.value(&format!("vllm:request_success_total{{{labels}}}"))
    }

    fn gpu(&self, field: &str, gpu: usize) -> f64 {
        let start = format!("DCGM_FI_{field}{{gpu=\"{gpu}\",");
        *self.samples.iter().find(|(series, _)| series.starts_with(&start)).unwrap().1
    }

    /// The cumulative buckets of a vLLM histogram of the model `mock`, by their bounds.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let start = format!("vllm:{name}_bucket{{");
        let mut buckets: Vec<_> = self
            .samples
            .iter()
            .filter(|(series, _)| series.starts_with(&start) && series.contains("\"mock\""))
            .map(|(series, &count)| (labels(series)["le"].parse().unwrap(), count))
            .collect();
        buckets.sort_by(|a, b| a.partial_cmp(b).unwrap());
        buckets
    }
}

/// The labels of a series. Values with a comma, a quote or a backslash are not read here.
fn labels(series: &str) -> BTreeMap<&str, &str> {
    let Some((_, labels)) = series.split_once('{') else {
        return BTreeMap::new();
    };
    let pairs = labels.strip_suffix('}').unwrap().split(',').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        (name, value.strip_prefix('"').unwrap().strip_suffix('"').unwrap())
    });
    pairs.collect()
}

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("no {key} in {line}"))
}

/// A server with a truth log, requests sent to it, and what both say in the end.
fn observe(config: MockConfig, load: impl FnOnce(&MockServer, &mut Client)) -> (Page, Option<Page>, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("truth.jsonl");
    let gpus = config.gpus;
    let server = serve(MockConfig { truth_log: Some(log.clone()), ..config });
    // The first connection is the first thread's; what is sent on it is settled before its next request is read.
    let mut client = Client::connect(&server);
    load(&server, &mut client);
    let page = loop {
        let page = Page::get(&mut client, "/metrics");
        if page.value("mock_requests_running") == 0.0 {
            break page;
        }
    };
    let of_gpus = (gpus > 0).then(|| Page::get(&mut client, "/dcgm/metrics"));
    server.stop().unwrap();
    (page, of_gpus, truth(Path::new(&log)))
}

#[test]
fn counters_and_histograms_agree_with_the_truth_log_whatever_befell_the_requests() {
    let config = MockConfig {
        ttft_ms: 3.0,
        itl_ms: 0.3,
        jitter: 1.0,
        error_rate: 0.1,
        reset_rate: 0.1,
        truncate_rate: 0.1,
        malformed_rate: 0.1,
        stream_error_rate: 0.1,
        seed: 3,
        ..MockConfig::default()
    };
    let (page, _, lines) = observe(config, |server, _| {
        for i in 0..60 {
            let mut client = Client::connect(server);
            let tokens = 1 + i % 9;
            let (path, body) = match i % 6 {
                0 => (CHAT, "not even JSON".to_owned()),
                1 => (CHAT, chat(tokens, false)),
                2 => ("/v1/completions", r#"{"model":"mock","prompt":"no maximum","stream":true}"#.to_owned()),
                3 => ("/v1/embeddings", r#"{"model":"mock","input":"some words"}"#.to_owned()),
                _ => (CHAT, chat(tokens, true)),
            };
            client.send(post(path, "connection: close\r\n", &body));
            // A reset is one of the ways to end.
            let _ = client.rest();
        }
    });

    assert_eq!(lines.len(), 60);
    let sum = |key: &str| lines.iter().map(|line| number(line, key)).sum::<u64>() as f64;
    let count = |wanted: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| wanted(line)).count() as f64;
    for outcome in ["ok", "error", "reset", "truncated", "malformed", "stream_error", "aborted"] {
        let counted = page.value(&format!("mock_requests_total{{outcome=\"{outcome}\"}}"));
        assert_eq!(counted, count(&|line| line["outcome"] == outcome), "{outcome}");
        assert_eq!(counted > 0.0, outcome != "aborted", "of {outcome} there should be some");
    }
    for (counter, key) in [("prompt_tokens_total", "prompt_tokens"), ("generation_tokens_total", "tokens")] {
        assert_eq!(page.vllm(counter), sum(key));
        assert_eq!(page.value(&format!("mock_{counter}")), sum(key));
    }

    assert_eq!(page.finished("stop"), count(&|line| line["finish_reason"] == "stop"));
    assert_eq!(page.finished("length"), count(&|line| line["finish_reason"] == "length"));
    assert_eq!(page.finished("error"), count(&|line| line["outcome"] == "stream_error"));
    let cut = |line: &Value| ["reset", "truncated", "aborted"].iter().any(|outcome| line["outcome"] == **outcome);
    assert_eq!(page.finished("abort"), count(&cut));
    assert_eq!(page.finished("repetition"), 0.0);

    let since_received = |line: &Value, key| number(line, key) - number(line, "received_ns");
    let ttft = lines.iter().filter(|line| number(line, "tokens") > 0).map(|line| since_received(line, "first_ns"));
    let e2e = lines.iter().filter(|line| line["model"] == "mock").map(|line| since_received(line, "ended_ns"));
    for (name, truth) in
        [("time_to_first_token_seconds", ttft.collect::<Vec<u64>>()), ("e2e_request_latency_seconds", e2e.collect())]
    {
        let buckets = page.buckets(name);
        for &(bound, count) in &buckets {
            let within = truth.iter().filter(|&&ns| ns as f64 <= bound * 1e9).count();
            assert_eq!(count, within as f64, "{name} up to {bound}");
        }
        assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, truth.len() as f64));
        assert_eq!(page.vllm(&format!("{name}_count")), truth.len() as f64);
        assert_eq!(page.vllm(&format!("{name}_sum")), truth.iter().sum::<u64>() as f64 / 1e9);
    }
}

#[test]
fn vllms_metrics_have_vllms_types_and_bounds() {
    let (page, ..) = observe(MockConfig::default(), |_, _| {});
    for (name, kind) in [
        ("num_requests_running", "gauge"),
        ("num_requests_waiting", "gauge"),
        ("kv_cache_usage_perc", "gauge"),
        ("prompt_tokens_total", "counter"),
        ("generation_tokens_total", "counter"),
        ("request_success_total", "counter"),
        ("time_to_first_token_seconds", "histogram"),
        ("e2e_request_latency_seconds", "histogram"),
        ("cache_config_info", "gauge"),
    ] {
        assert_eq!(page.kinds[&format!("vllm:{name}")], kind);
    }
    let bounds = |name| page.buckets(name).into_iter().map(|(bound, _)| bound).collect::<Vec<f64>>();
    let ttft = [
        0.001,
        0.005,
        0.01,
        0.02,
        0.04,
        0.06,
        0.08,
        0.1,
        0.25,
        0.5,
        0.75,
        1.0,
        2.5,
        5.0,
        7.5,
        10.0,
        20.0,
        40.0,
        80.0,
        160.0,
        640.0,
        2560.0,
        f64::INFINITY,
    ];
    let e2e = [
        0.3,
        0.5,
        0.8,
        1.0,
        1.5,
        2.0,
        2.5,
        5.0,
        10.0,
        15.0,
        20.0,
        30.0,
        40.0,
        50.0,
        60.0,
        120.0,
        240.0,
        480.0,
        960.0,
        1920.0,
        7680.0,
        f64::INFINITY,
    ];
    assert_eq!(bounds("time_to_first_token_seconds"), ttft);
    assert_eq!(bounds("e2e_request_latency_seconds"), e2e);
    let info = page.samples.iter().find(|(series, _)| series.starts_with("vllm:cache_config_info{")).unwrap();
    assert_eq!((labels(info.0)["num_gpu_blocks"], *info.1), ("4096", 1.0));
}

#[test]
fn every_model_has_its_own_series_and_odd_names_are_escaped() {
    let odd = "a \"b\"\\c";
    let server = serve(MockConfig { models: vec!["mock".into(), odd.into()], ..MockConfig::default() });
    let mut client = Client::connect(&server);
    client.post(CHAT, &chat(5, false));
    client.post(CHAT, &chat(2, true).replace(r#""mock""#, &Value::from(odd).to_string()));
    let page = Page::get(&mut client, "/metrics");
    assert_eq!(page.vllm("generation_tokens_total"), 5.0);
    let series = r#"vllm:generation_tokens_total{engine="0",model_name="a \"b\"\\c"}"#;
    assert_eq!((page.value(series), page.value("mock_generation_tokens_total")), (2.0, 7.0));
}

#[test]
fn gauges_follow_the_requests_in_flight() {
    let server = serve(MockConfig { ttft_ms: 3_600_000.0, gpus: 1, ..MockConfig::default() });
    let mut watcher = Client::connect(&server);
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(&server)).collect();
    for running in (0..=3).rev() {
        clients.truncate(running);
        if running == 3 {
            clients.iter_mut().for_each(|client| client.send(post(CHAT, "", &chat(1, true))));
        }
        let page = loop {
            let page = Page::get(&mut watcher, "/metrics");
            if page.vllm("num_requests_running") == running as f64 {
                break page;
            }
        };
        assert_eq!(page.vllm("num_requests_waiting"), 0.0);
        assert_eq!(page.vllm("kv_cache_usage_perc"), running as f64 * 16.0 / 4096.0);
        let gpu = Page::get(&mut watcher, "/dcgm/metrics");
        let levels = ["DEV_GPU_UTIL", "DEV_POWER_USAGE", "DEV_MEM_COPY_UTIL", "PROF_SM_ACTIVE"].map(|f| gpu.gpu(f, 0));
        assert_eq!(levels, if running > 0 { [100.0, 300.0, 40.0, 0.9] } else { [0.0, 100.0, 0.0, 0.0] });
    }
}

/// The length of the union of all requests, in nanoseconds.
fn busy_ns(lines: &[Value]) -> u64 {
    let mut spans: Vec<_> = lines.iter().map(|line| (number(line, "received_ns"), number(line, "ended_ns"))).collect();
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (from, to) in spans {
        total += to.saturating_sub(from.max(reached));
        reached = reached.max(to);
    }
    total
}

#[test]
fn busy_energy_is_the_busy_power_over_the_union_of_all_requests() {
    let config = MockConfig {
        gpus: 3,
        gpu_idle_watts: 0.0,
        gpu_busy_watts: 9_876.543,
        threads: 2,
        ttft_ms: 1.0,
        itl_ms: 0.2,
        jitter: 1.0,
        error_rate: 0.2,
        reset_rate: 0.2,
        ..MockConfig::default()
    };
    let (_, gpus, lines) = observe(config, |server, _| {
        std::thread::scope(|scope| {
            for tokens in 1..=4 {
                scope.spawn(move || {
                    for _ in 0..25 {
                        let mut client = Client::connect(server);
                        client.send(post(CHAT, "connection: close\r\n", &chat(tokens, true)));
                        let _ = client.rest();
                    }
                });
            }
        });
    });
    assert_eq!(lines.len(), 100);
    let gpus = gpus.unwrap();
    let busy = busy_ns(&lines);
    let millijoules = u128::from(busy) * 9_876_543 / 1_000_000_000;
    assert!(millijoules > 0);
    for gpu in 0..3 {
        assert_eq!(gpus.gpu("DEV_TOTAL_ENERGY_CONSUMPTION", gpu), millijoules as f64);
        assert_eq!(gpus.gpu("DEV_POWER_VIOLATION", gpu), (busy / 10) as f64);
        assert_eq!(gpus.gpu("DEV_FB_USED", gpu), 40_960.0 + gpu as f64);
        assert_eq!(gpus.gpu("DEV_XID_ERRORS", gpu), 0.0);
    }
}

#[test]
fn idle_energy_is_the_idle_power_over_all_of_the_time() {
    let server = serve(MockConfig { gpus: 1, gpu_idle_watts: 10_000.0, ..MockConfig::default() });
    let mut client = Client::connect(&server);
    let mut energy = || {
        let before = Instant::now();
        let page = Page::get(&mut client, "/dcgm/metrics");
        (before, page.gpu("DEV_TOTAL_ENERGY_CONSUMPTION", 0), Instant::now())
    };
    let (sent, first, answered) = energy();
    let (sent_again, second, answered_again) = energy();
    // 10 kW are 1e7 mJ a second; a counter in whole millijoules is at most one short.
    let least = sent_again.duration_since(answered).as_secs_f64() * 1e7 - 1.0;
    let most = answered_again.duration_since(sent).as_secs_f64() * 1e7 + 1.0;
    assert!((least..=most).contains(&(second - first)), "{first} to {second}, not {least} to {most} more");
    assert!(second > first);
}

#[test]
fn gpus_are_labelled_as_dcgm_exporter_labels_them() {
    let (_, gpus, _) = observe(MockConfig { gpus: 2, ..MockConfig::default() }, |_, _| {});
    let gpus = gpus.unwrap();
    assert_eq!(gpus.samples.len(), 2 * 9);
    assert_eq!(gpus.kinds["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"], "counter");
    assert_eq!(gpus.kinds["DCGM_FI_DEV_GPU_TEMP"], "gauge");
    let second = gpus.samples.keys().find(|series| series.starts_with("DCGM_FI_DEV_GPU_TEMP{gpu=\"1\"")).unwrap();
    let expected = [
        ("gpu", "1"),
        ("UUID", "GPU-00000000-0000-0000-0000-000000000001"),
        ("pci_bus_id", "00000000:01:00.0"),
        ("device", "nvidia1"),
        ("modelName", "Mock GPU"),
        ("Hostname", "mock"),
    ];
    assert_eq!(labels(second), BTreeMap::from(expected));
}

#[test]
fn without_gpus_their_page_is_missing_and_asking_for_it_is_no_load() {
    let (page, _, lines) = observe(MockConfig::default(), |_, client| {
        let answer = client.get("/dcgm/metrics");
        assert_eq!(answer.status, 404);
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("--gpus"));
    });
    assert_eq!(page.value("mock_requests_total{outcome=\"error\"}"), 0.0);
    assert!(lines.is_empty());
}
