//! The plugin keeps the laws that every endpoint keeps.

use inferometer_example_polling_endpoint::{Options, Studio};
use inferometer_plugin_sdk::Component as _;
use inferometer_testkit::endpoint::{self, Expected, Golden};

#[test]
fn the_endpoint_keeps_the_laws() {
    let nothing = Expected::default;
    let failed = Expected { error: Some("the scene is too dark".to_owned()), ..nothing() };
    let goldens = [
        Golden::body("a job that was accepted", r#"{"id": "job 7/a", "status": "queued"}"#, nothing()),
        Golden::body("a job under way", r#"{"id": "7", "status": "running", "retry_after_ms": 20}"#, nothing()),
        Golden::body("a job that is done", r#"{"id": "7", "status": "done", "result": "/v1/files/7"}"#, nothing()),
        Golden::body("a job that failed", r#"{"status": "failed", "error": "the scene is too dark"}"#, failed),
    ];
    endpoint::check(|| Box::new(Studio::create(Options::default()).expect("the defaults fit")), &goldens);
}
