//! Holds the exporter to what hosts rely on: it is given ordinary, empty and hostile runs, and an output that fails.

use inferometer_example_exporter::{Example, Options};

use inferometer_plugin_sdk::Component;
use inferometer_testkit::exporter;

#[test]
fn it_keeps_the_laws_of_exporters() {
    exporter::check(|| Box::new(Example::create(Options::default()).expect("the defaults make one")));
}
