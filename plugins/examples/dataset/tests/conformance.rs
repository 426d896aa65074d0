//! Holds the data set to what hosts rely on: sessions depend on their number alone, and bad input is refused.

use inferometer_example_dataset::{Example, Options};

use inferometer_plugin_sdk::{
    Component,
    documents::{DatasetRequest, Length},
};
use inferometer_testkit::dataset;
use std::{fs, path::Path};

#[test]
fn it_keeps_the_laws_of_data_sets() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prompts.tsv");
    fs::write(&file, "Why is the sky blue?\nCount to ten.\t32\nÄ, ö, ü: 漢字\n").expect("a file can be written");
    let source = file.to_str().map(str::to_owned);
    let asked = DatasetRequest { source, ..DatasetRequest::default() };
    let limited = DatasetRequest { output_tokens: Some(Length { mean: 64.0, stddev: 0.0 }), ..asked.clone() };
    let make = || Box::new(Example::create(Options::default()).expect("the defaults make one")) as _;
    dataset::check(make, &[asked, limited]);
}
