//! Telemetry in whole runs: what the server and its GPUs say is clipped to the measured phase, is exact where the mock's own
//! account is, and never stands in a run's way.

use inferometer_mock::MockConfig;
use inferometer_tests::{
    binary,
    mock::Mock,
    results::{Outcomes, Results},
    run::Outcome,
};
use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// A server whose answers take about 120 ms, with two GPUs.
fn server() -> MockConfig {
    MockConfig { ttft_ms: 60.0, itl_ms: 4.0, gpus: 2, ..MockConfig::default() }
}

/// Requests of 16 tokens, four at a time, after a warm-up of eight; telemetry at a pace that short runs need.
const LOAD: &str = "--streaming --concurrency 4 --request-count 40 --warmup-request-count 8 --isl 30 --osl 16 \
                    --telemetry-interval 0.05";

fn notes(outcome: &Outcome) -> String {
    outcome.json("profile_export_aiperf.json")["inferometer"]["notes"].to_string()
}

/// The only series of a metric of the server that has all of `labels`.
fn series<'a>(metrics: &'a Value, name: &str, labels: &[(&str, &str)]) -> &'a Value {
    let all = metrics["metrics"][name]["series"].as_array().unwrap_or_else(|| panic!("no {name} in {metrics}"));
    let mut fitting = all.iter().filter(|series| labels.iter().all(|(key, value)| series["labels"][key] == *value));
    let found = fitting.next().unwrap_or_else(|| panic!("no {labels:?} in {all:?}"));
    assert!(fitting.next().is_none(), "{labels:?} fits several of {all:?}");
    found
}

#[test]
fn what_the_server_counts_is_told_for_the_measured_phase_alone_and_exactly() {
    let mock = Mock::start(server());
    let formats = ["--server-metrics-formats", "json", "csv", "jsonl"];
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(formats).run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), Outcomes { total: 40, ok: 40, ..Outcomes::default() });

    let metrics = outcome.json("server_metrics_export.json");
    let total = |name: &str, labels: &[(&str, &str)]| series(&metrics, name, labels)["stats"]["total"].as_f64();
    assert_eq!(total("vllm:generation_tokens", &[]), Some(40.0 * 16.0));
    assert_eq!(total("vllm:request_success", &[("finished_reason", "length")]), Some(40.0));
    assert_eq!(total("mock_requests", &[("outcome", "ok")]), Some(40.0));
    assert_eq!(series(&metrics, "vllm:e2e_request_latency_seconds", &[])["stats"]["count"], 40);
    assert_eq!(series(&metrics, "vllm:num_requests_running", &[])["stats"]["max"], 4.0);

    let table = outcome.text("server_metrics_export.csv");
    assert!(table.lines().any(|line| line.contains("counter,vllm:generation_tokens,tokens,640.00")), "{table}");
    let lines = outcome.jsonl("server_metrics_export.jsonl");
    let running = |line: &Value| line["metrics"]["vllm:num_requests_running"][0]["value"].as_f64();
    assert!(lines.iter().filter_map(running).any(|running| running == 4.0), "{lines:?}");
    assert_eq!(mock.stop().len(), 48);
}

#[test]
fn gpus_are_told_with_their_power_over_the_measured_window() {
    let mock = Mock::start(server());
    let page = format!("{}/dcgm/metrics", mock.url());
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(["--gpu-telemetry", &page]).run().expect_code(0);
    let summary = outcome.json("profile_export_aiperf.json");
    let window = summary["inferometer"]["window"]["duration_sec"].as_f64().expect("there is a window");
    let endpoints = summary["telemetry_data"]["endpoints"].as_object().expect("an object");
    let (_, endpoint) = endpoints.iter().next().expect("the page was read");
    for (gpu, expected) in
        [("gpu_0", "GPU-00000000-0000-0000-0000-000000000000"), ("gpu_1", "GPU-00000000-0000-0000-0000-000000000001")]
    {
        let gpu = &endpoint["gpus"][gpu];
        assert_eq!(gpu["gpu_uuid"], expected);
        // The load leaves no gap, so the server draws its full power all the time.
        assert_eq!(gpu["metrics"]["nvidia_power_usage"]["p50"], 300.0, "{gpu}");
        let joules = gpu["metrics"]["nvidia_energy_consumption"]["avg"].as_f64().expect("a number") * 1e6;
        assert!((joules / (300.0 * window) - 1.0).abs() < 0.1, "{joules} J in {window} s");
    }
    let total = Results::of(&outcome).value("nvidia_total_gpu_energy");
    assert!((total / (600.0 * window) - 1.0).abs() < 0.1, "{total} J in {window} s");
    let each = Results::of(&outcome).value("nvidia_energy_per_request");
    assert!((each * 40.0 / total - 1.0).abs() < 1e-12, "{each} J of {total} J");

    let lines = outcome.jsonl("gpu_telemetry_export.jsonl");
    assert!(lines.len() >= 6, "{lines:?}");
    assert!(lines.iter().all(|line| line["platform"] == "nvidia" && line["telemetry_source_url"] == *page));
    assert!(outcome.text("profile_export_aiperf.csv").contains("NVIDIA GPU Power Usage (W)"));
    assert!(outcome.stdout.contains("Mock GPU"), "{}", outcome.stdout);
}

#[test]
fn a_vendors_collector_stands_in_every_result_with_its_library_named() {
    let devices = tempfile::tempdir().expect("a temporary folder can be made");
    let device = devices.path().join("hwmon0");
    fs::create_dir(&device).expect("a folder");
    for (file, text) in [("power1_input", "250500000"), ("memory_used", "16000000000"), ("name", "Acme X1")] {
        fs::write(device.join(file), text).expect("a file");
    }
    let mock = Mock::start(server());
    let folder = format!("example-collector.folder={}", devices.path().display());
    let outcome = mock
        .profile()
        .args(LOAD.split_whitespace())
        .arg("--plugin")
        .arg(binary::example_plugin("inferometer-example-collector"))
        .args(["--collector", "example-collector", "--plugin-option", &folder])
        .run()
        .expect_code(0);
    let summary = outcome.json("profile_export_aiperf.json");
    let gpu = &summary["telemetry_data"]["endpoints"]["example-collector"]["gpus"]["gpu_0"];
    assert_eq!((&gpu["gpu_name"], &gpu["platform"]), (&"Acme X1".into(), &"acme".into()), "{gpu}");
    assert_eq!(gpu["metrics"]["acme_power_usage"]["avg"], 250.5);
    assert!((Results::of(&outcome).value("acme_total_gpu_power") - 250.5).abs() < 1e-9);
    assert!(
        outcome
            .jsonl("gpu_telemetry_export.jsonl")
            .iter()
            .all(|line| line["telemetry_data"]["acme_memory_used"] == 16.0)
    );
    assert!(outcome.stdout.contains("Acme X1"), "{}", outcome.stdout);
    let components = summary["inferometer"]["components"].as_array().expect("a list");
    let used = components.iter().find(|component| component["name"] == "example-collector").expect("it was used");
    assert!(used["kind"] == "collector" && used["sha256"].is_string(), "{used}");
}

#[test]
fn what_is_switched_off_is_neither_read_nor_written() {
    let mock = Mock::start(server());
    let off = ["--no-gpu-telemetry", "--no-server-metrics", "--no-client-telemetry"];
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(off).run().expect_code(0);
    let written = outcome.artifacts();
    assert!(written.iter().all(|file| !file.contains("telemetry") && !file.contains("server")), "{written:?}");
    let summary = outcome.json("profile_export_aiperf.json");
    assert_eq!(summary["input_config"]["gpu_telemetry"]["enabled"], false);
    assert_eq!(summary["input_config"]["server_metrics"]["enabled"], false);
    assert_eq!(summary["telemetry_data"]["summary"]["endpoints_configured"], serde_json::json!([]));
}

#[test]
fn a_source_that_is_not_there_is_said_if_it_was_asked_for_and_the_run_goes_on() {
    // Bound and closed again: nothing listens there.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap().port();
    let page = format!("http://127.0.0.1:{port}/metrics");
    let mock = Mock::start(server());
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(["--gpu-telemetry", &page]).run().expect_code(0);
    assert!(notes(&outcome).contains(&page), "{}", notes(&outcome));

    let outcome = mock.profile().args(LOAD.split_whitespace()).run().expect_code(0);
    assert!(!notes(&outcome).contains("telemetry"), "{}", notes(&outcome));
}

#[test]
fn a_page_without_gpus_is_no_page_of_gpus() {
    let mock = Mock::start(server());
    let page = format!("{}/metrics", mock.url());
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(["--gpu-telemetry", &page]).run().expect_code(0);
    assert!(notes(&outcome).contains("no page of DCGM's or AMD's exporter"), "{}", notes(&outcome));
    let read = outcome.json("server_metrics_export.json")["summary"]["endpoints_successful"].clone();
    assert_eq!(read.as_array().map(Vec::len), Some(1), "{read}");
}

#[test]
fn flags_switch_telemetry_on_and_off_whatever_the_file_says() {
    let mock = Mock::start(server());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("settings.toml");
    let page = format!("{}/dcgm/metrics", mock.url());
    let is_enabled = |settings: &str, flags: &[&str]| {
        fs::write(&file, settings).expect("a file");
        let run = mock.profile().args(["--request-count", "1", "--isl", "10", "--osl", "4"]).args(flags);
        let outcome = run.arg("--config").arg(&file).run().expect_code(0);
        outcome.json("profile_export_aiperf.json")["input_config"]["gpu_telemetry"]["enabled"].clone()
    };
    assert_eq!(is_enabled(&format!("gpu-telemetry = ['{page}']"), &["--no-gpu-telemetry"]), false);
    assert_eq!(is_enabled("no-gpu-telemetry = true", &["--gpu-telemetry", &page]), true);
}

#[test]
fn a_page_that_never_answers_keeps_the_results_from_nobody() {
    // It takes connections into its backlog and does nothing with them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let page = format!("http://{}/metrics", silent.local_addr().expect("it is bound"));
    let mock = Mock::start(server());
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(["--server-metrics", &page]).run().expect_code(0);
    assert!(notes(&outcome).contains(&page) && notes(&outcome).contains("never answered"), "{}", notes(&outcome));
    // The server's own page was read all the same.
    assert_eq!(
        series(&outcome.json("server_metrics_export.json"), "vllm:generation_tokens", &[])["stats"]["total"],
        640.0
    );
}

/// A metrics page of a counter of requests that counts its own readings; those before `from` and after `until` fail.
fn failing_page(from: usize, until: usize) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let page = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    // It serves until the tests end.
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let _ = stream.read(&mut [0; 4096]);
            let (status, body) = if (from..=until).contains(&number) {
                ("200 OK", format!("# TYPE answered_total counter\nanswered_total {number}\n"))
            } else {
                ("503 Service Unavailable", String::new())
            };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}", body.len());
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    page
}

#[test]
fn a_page_that_fails_now_and_then_is_read_again_and_one_that_falls_silent_tells_no_growth() {
    let mock = Mock::start(server());
    let run =
        |page: &str| mock.profile().args(LOAD.split_whitespace()).args(["--server-metrics", page]).run().expect_code(0);
    let counted = |outcome: &Outcome| {
        let metrics = outcome.json("server_metrics_export.json");
        metrics["metrics"]["answered"]["series"][0]["stats"]["total"].as_f64()
    };
    let late = failing_page(2, usize::MAX);
    let outcome = run(&late);
    assert!(counted(&outcome).is_some_and(|total| total > 0.0), "{}", outcome.text("server_metrics_export.json"));
    assert!(notes(&outcome).contains("2 of ") && notes(&outcome).contains("503"), "{}", notes(&outcome));

    let silent = failing_page(0, 1);
    let outcome = run(&silent);
    assert_eq!(counted(&outcome), None);
    assert!(notes(&outcome).contains("readings failed)"), "{}", notes(&outcome));
    let unseen = format!("telemetry of {silent}: ");
    assert!(notes(&outcome).contains(&unseen) && notes(&outcome).contains("s measured"), "{}", notes(&outcome));
}

#[test]
fn no_driver_is_one_line_that_says_what_to_do() {
    let mock = Mock::start(server());
    let outcome = mock.profile().args(LOAD.split_whitespace()).args(["--gpu-telemetry", "nvml"]).run().expect_code(0);
    let summary = outcome.json("profile_export_aiperf.json");
    let was_read = !summary["telemetry_data"]["endpoints"].as_object().expect("an object").is_empty();
    // On a machine with a driver there are figures instead.
    assert!(was_read || notes(&outcome).contains("--gpu-telemetry"), "{}", notes(&outcome));
    assert_eq!(summary["input_config"]["gpu_telemetry"]["collector"], "pynvml");
}

#[test]
fn the_servers_key_goes_to_the_server_and_to_no_other_page() {
    let other = Recorder::start();
    let mock = Mock::start(server());
    let elsewhere = format!("prometheus.url={}", other.url());
    let outcome = mock
        .profile()
        .args(["--request-count", "2", "--isl", "10", "--osl", "4", "--api-key", "sesame", "-H", "X-Team: blue"])
        .args(["--collector", "prometheus", "--plugin-option", &elsewhere, "--gpu-telemetry", &other.url()])
        .run()
        .expect_code(0);
    let asked = other.stop();
    assert!(asked.contains("GET /metrics"), "{asked}");
    assert!(!asked.contains("sesame") && !asked.contains("blue"), "{asked}");
    // The server's own page is still the server's.
    let urls = outcome.json("server_metrics_export.json")["summary"]["endpoints_successful"].to_string();
    assert!(urls.contains(&format!("{}/metrics", mock.url())), "{urls}");
    for file in outcome.artifacts() {
        assert!(!outcome.text(&file).contains("sesame"), "{file}");
    }
}

/// A page that answers anything with one metric and keeps what it was asked.
struct Recorder {
    address: std::net::SocketAddr,
    thread: std::thread::JoinHandle<String>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let answer =
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nup 1";
        let thread = std::thread::spawn(move || {
            let mut asked = String::new();
            for connection in listener.incoming() {
                let mut connection = connection.expect("a connection");
                let mut head = [0; 4096];
                let length = connection.read(&mut head).unwrap_or(0);
                // An empty one is the sign to stop.
                if length == 0 {
                    break;
                }
                asked += &String::from_utf8_lossy(&head[..length]);
                let _ = connection.write_all(answer.as_bytes());
            }
            asked
        });
        Self { address, thread }
    }

    fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    fn stop(self) -> String {
        drop(TcpStream::connect(self.address).expect("it listens"));
        self.thread.join().expect("it ends")
    }
}
