//! Holds the endpoint to what hosts rely on. Put real answers of your server here, and what they hold: the kit also cuts
//! them short, damages them and looks whether they are read alike from several threads.

use inferometer_example_endpoint::{Example, Options};

use inferometer_plugin_sdk::Component;
use inferometer_testkit::endpoint::{self, Expected, Golden};

#[test]
fn it_keeps_the_laws_of_endpoints() {
    let words = Expected { text: " \"hi\" you".into(), finished: true, done: true, ..Expected::default() };
    let error = Expected { text: " hi".into(), error: Some("too long".into()), ..Expected::default() };
    let whole = Expected { text: "hi you".into(), finished: true, ..Expected::default() };
    let goldens = [
        // An endpoint that is to read most events without allocating adds those by `usual` instead of `event` and has
        // `endpoint::reads_usual_events_without_allocating` see to it; this one parses all of them, which is simple and
        // costs some microseconds each.
        Golden::stream("two words", words)
            .event(r#"{"choices":[{"text":" \"hi\"","finish_reason":null}]}"#)
            .event(r#"{"choices":[{"text":" you","finish_reason":"length"}]}"#)
            .event("[DONE]"),
        Golden::stream("an error within a stream", error)
            .event(r#"{"choices":[{"text":" hi"}]}"#)
            .event(r#"{"error":{"message":"too long"}}"#),
        Golden::body("whole", r#"{"choices":[{"text":"hi you","finish_reason":"stop"}]}"#, whole),
    ];
    endpoint::check(|| Box::new(Example::create(Options::default()).expect("the defaults make one")), &goldens);
}
