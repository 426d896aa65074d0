//! A request of several exchanges, from a plugin: a form is submitted, the job is polled, and its film is fetched. All of
//! it is one request, which ends once, however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use inferometer_tests::binary;
use inferometer_tests::results::{Outcomes, Results};
use inferometer_tests::run::{Outcome, Program};
use inferometer_tests::studio::{Fault, Field, Names, Studio, StudioConfig};

/// Time between two polls.
const POLL: Duration = Duration::from_millis(5);

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| binary::example_plugin("inferometer-example-polling-endpoint"));

/// A run against `studio` through the plugin.
fn profile(studio: &Studio) -> Program {
    let option = format!("example-polling.poll_interval_ms={}", POLL.as_millis());
    let program = studio.profile().args(["--endpoint-type", "example-polling", "--plugin-option", &option]);
    program.arg("--plugin").arg(&*LIBRARY)
}

/// Twelve requests, three at a time, to a server that does as `config` says.
fn run(config: StudioConfig, more: &[&str]) -> (Studio, Outcome, Results) {
    let studio = Studio::start(config);
    let program = profile(&studio).args(["--request-count", "12", "--concurrency", "3", "--isl", "10"]).args(more);
    let outcome = program.run();
    let results = Results::of(&outcome);
    (studio, outcome, results)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[test]
fn all_exchanges_of_a_request_are_one_request_and_its_latency_is_that_of_the_whole() {
    let config = StudioConfig::default();
    let (studio, outcome, results) = run(config, &[]);
    let outcome = outcome.expect_code(0);
    assert_eq!(results.outcomes(), Outcomes { total: 12, ok: 12, ..Outcomes::default() });
    let at_least = ms(config.submit + config.work + config.fetch);
    for record in &results.records {
        let latency = record.number("request_latency");
        assert!(latency >= at_least, "{latency} ms, and the server took {at_least} ms: {record:?}");
        // From the first byte sent to the last received, and all between them is waiting.
        let (waiting, receiving) = (record.number("http_req_waiting"), record.number("http_req_receiving"));
        assert!(waiting >= at_least, "{record:?}");
        let parts = record.number("http_req_sending") + waiting + receiving;
        assert!((parts - record.number("http_req_duration")).abs() < 1e-6, "{record:?}");
    }
    let jobs = studio.jobs();
    assert_eq!(jobs.len(), 12);
    for job in &jobs {
        assert!(job.polls >= 1 && job.fetches == 1, "{job:?}");
        assert!(job.shortest_pause >= Some(POLL), "{job:?}");
        assert!(job.request_ids.iter().all(|id| *id == job.request_ids[0]), "{job:?}");
    }
    let asked: BTreeSet<&str> = jobs.iter().map(|job| job.request_ids[0].as_str()).collect();
    let told: BTreeSet<&str> = results.records.iter().map(|r| r.metadata.x_request_id.as_str()).collect();
    assert_eq!(asked, told);
    assert!(studio.connections() <= 3, "{} connections for 3 requests at a time", studio.connections());
    assert!(outcome.text("profile_export_aiperf.json").contains("libinferometer_example_polling_endpoint"));
}

#[test]
fn what_is_asked_reaches_the_server_in_a_form_with_its_files() {
    // The 1x1 pixels of a GIF, which are no text.
    const GIF: &str = "R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==";
    let rows = [
        format!(r#"{{"texts": ["A \"cat\"\r\nin 漢字", "and a dog"], "image": "data:image/gif;base64,{GIF}"}}"#),
        r#"{"text": "----form-boundary-0000000000000000", "image": "http://host/dog.png"}"#.to_owned(),
    ];
    let studio = Studio::start(StudioConfig::default());
    let program = profile(&studio).file("rows.jsonl", rows.join("\n")).args(["--input-file", "rows.jsonl"]);
    let program = program.args(["--concurrency", "1", "--extra-inputs", r#"{"seconds": 4, "style": "noir"}"#]);
    let outcome = program.run().expect_code(0);
    assert_eq!(Results::of(&outcome).outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
    let common =
        || [Field::text("model", "film-1"), Field::text("seconds", "4"), Field::text("style", "noir")].into_iter();
    let sorted = |mut fields: Vec<Field>| {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields
    };
    let jobs = studio.jobs();
    let sent = |text: &str| {
        let job = jobs.iter().find(|job| job.fields.contains(&Field::text("prompt", text)));
        sorted(job.unwrap_or_else(|| panic!("no job of {text:?} in {jobs:?}")).fields.clone())
    };
    let fields = sent("A \"cat\"\r\nin 漢字\nand a dog");
    let image = fields.iter().find(|field| field.name == "image").expect("the picture was sent");
    assert!(image.content.starts_with(b"GIF89a\x01\0\x01\0") && image.content.len() == 43, "{image:?}");
    assert_eq!((image.file_name.as_deref(), image.content_type.as_deref()), (Some("image-0.gif"), Some("image/gif")));
    assert_eq!(fields.len(), 5);
    let boundary = "----form-boundary-0000000000000000";
    let url = Field::text("image_url_0", "http://host/dog.png");
    assert_eq!(sent(boundary), sorted(common().chain([Field::text("prompt", boundary), url]).collect()));
}

#[test]
fn the_bytes_of_a_binary_answer_are_counted_and_its_end_is_the_requests() {
    let config = StudioConfig { film: 20 << 20, ..StudioConfig::default() };
    let (_studio, outcome, results) = run(config, &[]);
    let _ = outcome.expect_code(0);
    for record in &results.records {
        let received = record.number("http_req_data_received");
        // The film, and some answers of a few dozen bytes about the job.
        assert!((20.0 * 1024.0..20.0 * 1024.0 + 20.0).contains(&received), "{received} KB");
        assert!(record.number("http_req_receiving") > 0.0, "{record:?}");
    }
}

#[test]
fn a_film_longer_than_is_kept_is_counted_to_its_end() {
    const FILM: usize = (64 << 20) + 10_000;
    let studio = Studio::start(StudioConfig { film: FILM, ..StudioConfig::default() });
    let outcome = profile(&studio).args(["--request-count", "2", "--concurrency", "1", "--isl", "10"]).run();
    let results = Results::of(&outcome.expect_code(0));
    assert_eq!(results.outcomes(), Outcomes { total: 2, ok: 2, ..Outcomes::default() });
    for record in &results.records {
        assert!(record.number("http_req_data_received") >= FILM as f64 / 1024.0, "{record:?}");
    }
    assert_eq!(studio.connections(), 1);
}

#[test]
fn all_exchanges_go_below_the_url_that_was_given_however_the_server_names_its_places() {
    for under in ["", "/films/api"] {
        for names in [Names::Inner, Names::Outer, Names::Url] {
            let (studio, outcome, results) = run(StudioConfig { under, names, ..StudioConfig::default() }, &[]);
            let _ = outcome.expect_code(0);
            assert_eq!(results.outcomes().ok, 12, "{names:?} under '{under}'");
            assert!(studio.jobs().iter().all(|job| job.fetches == 1), "{names:?} under '{under}'");
        }
    }
}

#[test]
fn what_lies_on_another_server_is_not_asked_for() {
    let (studio, outcome, results) = run(StudioConfig { names: Names::Elsewhere, ..StudioConfig::default() }, &[]);
    assert_eq!(results.errors(), BTreeMap::from([("plugin".to_owned(), 12)]));
    assert!(outcome.says("is to go to http://elsewhere"), "{}", outcome.stdout);
    assert!(studio.jobs().iter().all(|job| job.polls > 0 && job.fetches == 0));
}

#[test]
fn a_server_that_asks_for_patience_is_given_it() {
    let studio = Studio::start(StudioConfig { retry_after: Some(1), ..StudioConfig::default() });
    let outcome = profile(&studio).args(["--request-count", "4", "--concurrency", "4", "--isl", "10"]).run();
    assert_eq!(Results::of(&outcome.expect_code(0)).outcomes().ok, 4);
    for job in studio.jobs() {
        // Its work takes far less, so that one look at it is enough.
        assert!(job.polls == 1 && job.shortest_pause >= Some(Duration::from_secs(1)), "{job:?}");
    }
}

#[test]
fn a_film_that_is_not_fetched_ends_a_request_when_its_job_is_done() {
    let (studio, outcome, results) = run(StudioConfig::default(), &["--plugin-option", "example-polling.fetch=false"]);
    let _ = outcome.expect_code(0);
    assert_eq!(results.outcomes().ok, 12);
    assert!(studio.jobs().iter().all(|job| job.fetches == 0));
}

#[test]
fn a_job_that_goes_wrong_fails_its_request_alone_and_the_reason_is_told() {
    for (fault, kind, words) in [
        (Fault::Refused, "http_status", "422 no such model"),
        (Fault::FailsAfter(2), "stream_error", "too dark (in exchange 4)"),
        (Fault::NoJson, "malformed", "the state of a job was expected"),
        (Fault::Status(404), "http_status", "404 out of order"),
        (Fault::Status(503), "http_status", "503 out of order"),
        (Fault::HangsUp, "reset", "(in exchange 2)"),
        (Fault::Empty, "no_content", "without any content"),
        (Fault::Moved, "http_status", "redirects are not followed"),
    ] {
        let config = StudioConfig { fault, faulty_every: 3, ..StudioConfig::default() };
        let (studio, outcome, results) = run(config, &[]);
        let outcome = outcome.expect_code(0);
        assert_eq!(
            results.outcomes(),
            Outcomes { total: 12, ok: 8, error: 4, ..Outcomes::default() },
            "{fault:?}: {}",
            outcome.stdout
        );
        assert_eq!(results.errors(), BTreeMap::from([(kind.to_owned(), 4)]), "{fault:?}");
        for error in results.records.iter().filter_map(|record| record.error.as_ref()) {
            assert!(error.message.contains(words), "{fault:?}: {}", error.message);
        }
        assert_eq!(studio.jobs().len(), 12, "{fault:?}: each job was submitted once");
    }
}

#[test]
fn the_time_limit_holds_for_all_exchanges_together() {
    let config = StudioConfig { fault: Fault::NeverDone, faulty_every: 4, ..StudioConfig::default() };
    let (studio, outcome, results) = run(config, &["--request-timeout-seconds", "0.5"]);
    let outcome = outcome.expect_code(0);
    assert_eq!(results.outcomes(), Outcomes { total: 12, ok: 9, error: 3, ..Outcomes::default() });
    assert_eq!(results.errors(), BTreeMap::from([("timeout".to_owned(), 3)]));
    for error in results.records.iter().filter_map(|record| record.error.as_ref()) {
        let stages = ["waiting to send", "waiting for the answer", "waiting for content", "connecting"];
        assert!(stages.iter().any(|stage| error.message.starts_with(stage)), "{}", error.message);
        for words in ["after 500ms", "--request-timeout-seconds", "(in exchange "] {
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
    assert!(studio.jobs()[0].polls > 1);
    assert!(outcome.says("12 requests = 9 ok + 3 error + 0 cancelled + 0 dropped"), "{}", outcome.stdout);
}

#[test]
fn a_run_that_is_stopped_while_it_polls_keeps_what_it_found_and_counts_the_rest_as_cancelled() {
    let config = StudioConfig { fault: Fault::NeverDone, faulty_every: 2, ..StudioConfig::default() };
    let studio = Studio::start(config);
    let mut running = profile(&studio).args(["--request-count", "100", "--concurrency", "3", "--isl", "10"]).start();
    let waiting = || studio.jobs().iter().step_by(2).filter(|job| job.polls > 20).count();
    running.wait_until(|_| waiting() == 3);
    running.interrupt();
    let outcome = running.finish().expect_code(130);
    let results = Results::of(&outcome);
    let submitted = studio.jobs().len() as u64;
    assert!(submitted >= 5, "{submitted}");
    assert_eq!(
        results.outcomes(),
        Outcomes { total: submitted, ok: submitted - 3, cancelled: 3, ..Outcomes::default() }
    );
    for record in results.records.iter().filter(|record| record.metadata.was_cancelled) {
        assert!(!record.metrics.contains_key("request_latency"), "{record:?}");
    }
}

#[test]
fn jobs_under_way_at_the_end_of_the_time_are_given_the_grace_period_and_then_cancelled() {
    let config = StudioConfig { fault: Fault::NeverDone, faulty_every: 5, ..StudioConfig::default() };
    let studio = Studio::start(config);
    let words = ["--benchmark-duration", "0.4", "--benchmark-grace-period", "0.3", "--concurrency", "3", "--isl", "10"];
    let outcome = profile(&studio).args(words).run().expect_code(0);
    let outcomes = Results::of(&outcome).outcomes();
    let submitted = studio.jobs().len() as u64;
    assert!(outcomes.ok > 0 && (1..=3).contains(&outcomes.cancelled), "{outcomes:?}");
    assert_eq!((outcomes.total, outcomes.error), (submitted, 0), "{outcomes:?}");
    assert_eq!(outcomes.ok + outcomes.cancelled, outcomes.total, "{outcomes:?}");
}
