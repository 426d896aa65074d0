//! Holds the collector to what hosts rely on, on devices that are made of files.

use inferometer_example_collector::{Example, Options};

use inferometer_plugin_sdk::{Component, RVec, api::TelemetryCollector, types::Sample};
use inferometer_testkit::collector;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with two devices, of which the second has no meter for energy.
fn devices(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    for (device, files) in [
        (
            "hwmon0",
            vec![("name", "A1\n"), ("uuid", "A1-7\n"), ("power1_input", "250500000\n"), ("energy1_input", "0\n")],
        ),
        ("hwmon1", vec![("power1_input", "80000000\n"), ("memory_used", "17179869184\n")]),
        ("hwmon2", vec![("name", "a fan, and no accelerator\n")]),
    ] {
        let device = folder.join(device);
        fs::create_dir_all(&device).expect("a folder can be made");
        files.iter().for_each(|(file, text)| fs::write(device.join(file), text).expect("a file can be written"));
    }
    folder
}

fn of(folder: &Path) -> Box<dyn TelemetryCollector> {
    Box::new(Example::create(Options { folder: folder.to_owned() }).expect("any folder will do"))
}

#[test]
fn it_keeps_the_laws_of_collectors() {
    let folder = devices("lawful");
    let mut microjoules = 0;
    // What happens between two readings: the energy counter grows.
    collector::check(
        || of(&folder),
        5,
        || {
            microjoules += 125_000_000;
            fs::write(folder.join("hwmon0/energy1_input"), microjoules.to_string()).expect("a file can be written");
        },
    );
}

#[test]
fn it_reads_what_is_there_in_the_units_it_promises() {
    let folder = devices("read");
    let mut collector = of(&folder);
    let catalogue = collector.describe().expect("two devices are there");
    let labels = r#"{"gpu_index":"0","gpu_name":"A1","gpu_uuid":"A1-7","platform":"acme"}"#;
    assert_eq!(catalogue.entities.iter().map(|entity| entity.id.as_str()).collect::<Vec<_>>(), ["hwmon0", "hwmon1"]);
    assert_eq!(catalogue.entities[0].labels_json.as_str(), labels);

    fs::write(folder.join("hwmon0/energy1_input"), "2000000000000\n").expect("a file can be written");
    let mut samples: RVec<Sample> = RVec::new();
    collector.collect(7, &mut samples).expect("they can be read");
    let found = samples.iter().map(|sample| {
        let metric = &catalogue.metrics[sample.metric as usize];
        (sample.entity, metric.name.as_str(), sample.value, metric.unit.as_str())
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            (0, "acme_power_usage", 250.5, "W"),
            (0, "acme_energy_consumption", 2.0, "MJ"),
            (1, "acme_power_usage", 80.0, "W"),
            (1, "acme_memory_used", 17.179869184, "GB"),
        ],
    );
}

#[test]
fn devices_that_went_away_are_an_error_and_not_a_zero() {
    let folder = devices("gone");
    let mut collector = of(&folder);
    collector.describe().expect("two devices are there");
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    assert!(collector.collect(7, &mut RVec::new()).is_err());
}
