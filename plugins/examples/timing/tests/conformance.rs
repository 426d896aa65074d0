//! Holds the strategy to what hosts rely on: it runs the phases of a virtual clock, alone and shared among workers.

use inferometer_example_timing::{Example, Options};

use inferometer_plugin_sdk::{Component, api::TimingStrategy};
use inferometer_testkit::timing::{self, Shape};

fn make() -> Box<dyn TimingStrategy> {
    Box::new(Example::create(Options::default()).expect("the defaults make one"))
}

#[test]
fn it_keeps_the_laws_of_an_open_loop() {
    timing::check(make, Shape::Open);
}

#[test]
fn it_ends_without_being_told() {
    timing::ends_by_itself(&make, Shape::Open);
}
