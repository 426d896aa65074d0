//! The plugin keeps the laws that every endpoint keeps, and each step of a request is followed by the next.

use inferometer_example_polling_endpoint::{Options, Studio};
use inferometer_plugin_sdk::Component as _;
use inferometer_testkit::endpoint::{self, Expected, Golden, Next};

/// An answer that is followed by a look at a job after so many milliseconds.
fn polled_after(ms: u64, path: &str) -> Expected {
    let next = Next { delay_ns: ms * 1_000_000, state: 1, ..Next::get(path) };
    Expected { next: Some(next), ..Expected::default() }
}

/// An answer that is followed by the film.
fn fetched(place: &str) -> Expected {
    let headers = [("Accept".to_owned(), "*/*".to_owned())].into();
    Expected { next: Some(Next { headers, state: 2, ..Next::get(place) }), ..Expected::default() }
}

#[test]
fn the_endpoint_keeps_the_laws() {
    let film = || Expected { content: true, ..Expected::default() };
    let failed = || Expected { error: Some("the scene is too dark".to_owned()), ..Expected::default() };
    let running = r#"{"id": "7", "status": "running"}"#;
    let done = |place: &str| format!(r#"{{"id": "7", "status": "done", "result": "{place}"}}"#);
    let url = "http://host:8000/v1/files/7?key=1";
    let failure = r#"{"status": "failed", "error": "the scene is too dark"}"#;
    let goldens = [
        Golden::body("accepted", r#"{"id": "job 7/a", "status": "queued"}"#, polled_after(100, "/v1/jobs/job%207%2Fa")),
        Golden::body("accepted by a busy server", running, polled_after(3_000, "/v1/jobs/7"))
            .header("Retry-After", "3"),
        Golden::body("done at once", &done("/v1/files/7"), fetched("/v1/files/7")),
        Golden::body("refused in a 200", failure, failed()),
        Golden::body("under way", running, polled_after(100, "/v1/jobs/a")).asked("/v1/jobs/a", 1),
        Golden::body("under way, as a text", running, polled_after(100, "/v1/jobs/a"))
            .asked("/v1/jobs/a", 1)
            .header("Content-Type", "text/plain"),
        Golden::body("done", &done(url), fetched(url)).asked("/v1/jobs/7", 1),
        Golden::body("failed", failure, failed()).asked("/v1/jobs/7", 1),
        Golden::body("a film", "\u{0}\u{1}", film()).asked("/v1/files/7", 2).header("Content-Type", "video/mp4"),
        Golden::body("a film that looks like a job", running, film()).asked("/v1/files/7", 2),
        Golden::body("an empty film", "", Expected::default())
            .asked("/v1/files/7", 2)
            .header("Content-Type", "video/mp4"),
    ];
    endpoint::check(|| Box::new(Studio::create(Options::default()).expect("the defaults fit")), &goldens);
}
