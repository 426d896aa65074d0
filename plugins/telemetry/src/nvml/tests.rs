//! Whether GPUs that are made up are told of as they are.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// A GPU that has what is given, in the order of [`Query::ALL`].
struct Fake {
    identity: Identity,
    figures: [Option<Values>; Query::ALL.len()],
    /// Whether it has fallen off the bus.
    lost: &'static AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl Gpu for Fake {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ask(&mut self, query: Query) -> std::result::Result<Values, String> {
        let place = Query::ALL.iter().position(|one| *one == query).unwrap();
        let has = self.figures[place].filter(|_| !self.lost.load(Ordering::Relaxed));
        has.ok_or_else(|| "not supported".to_owned())
    }
}

fn identity(index: u32) -> Identity {
    Identity {
        index,
        name: "H100".to_owned(),
        uuid: format!("GPU-{index}f"),
        pci_bus_id: "00000000:3B:00.0".to_owned(),
        device: format!("nvidia{index}"),
        driver: "570.1".to_owned(),
        has_mig: index == 1,
    }
}

/// One that has everything.
fn whole(lost: &'static AtomicBool) -> Box<dyn Gpu> {
    let figures =
        [350_500.0, 2e9, 90.0, 71e9, 65.0, 3.0, 4.0, 0.0, 7_000.0].map(|figure| Some([Some(figure), Some(40.0)]));
    let mut gpu = Fake { identity: identity(0), figures, lost };
    // Nothing is known of multiprocessors before the second reading, and then it may be no number.
    gpu.figures[7] = Some([None, None]);
    Box::new(gpu)
}

/// One that is partitioned: power, memory and a figure that is none.
fn partitioned(lost: &'static AtomicBool) -> Box<dyn Gpu> {
    let mut figures = [None; 9];
    figures[0] = Some([Some(100_000.0), None]);
    figures[3] = Some([Some(8e9), None]);
    figures[4] = Some([Some(f64::NAN), None]);
    Box::new(Fake { identity: identity(1), figures, lost })
}

fn nvml(find: Find, options: &str) -> Nvml {
    Nvml { find, ..Nvml::create(serde_json::from_str(options).unwrap()).unwrap() }
}

/// A reading, by index of the GPU and name.
fn read(nvml: &mut Nvml) -> Vec<(u32, String, f64)> {
    let catalogue = nvml.describe().unwrap();
    let mut samples = RVec::new();
    nvml.collect(5, &mut samples).unwrap();
    let named = samples.iter().map(|sample| {
        assert_eq!(sample.at_ns, 5);
        (sample.entity, catalogue.metrics[sample.metric as usize].name.to_string(), sample.value)
    });
    named.collect()
}

fn ids(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.entities.iter().map(|entity| entity.id.as_str()).collect()
}

#[test]
fn figures_are_in_the_units_that_the_catalogue_says() {
    let mut nvml = nvml(|| Ok(vec![whole(&NEVER)]), "{}");
    let units: Vec<_> = nvml.describe().unwrap().metrics.into_iter().map(|metric| metric.unit.to_string()).collect();
    assert_eq!(units, ["W", "MJ", "%", "%", "GB", "°C", "%", "%", "%", "us"]);
    let read = read(&mut nvml);
    let rounded: Vec<_> = read.iter().map(|(_, name, value)| (name.as_str(), (value * 1e6).round() / 1e6)).collect();
    assert_eq!(
        rounded,
        [
            ("nvidia_power_usage", 350.5),
            ("nvidia_energy_consumption", 2.0),
            ("nvidia_gpu_utilization", 90.0),
            ("nvidia_memory_utilization", 40.0),
            ("nvidia_memory_used", 71.0),
            ("nvidia_temperature", 65.0),
            ("nvidia_encoder_utilization", 3.0),
            ("nvidia_decoder_utilization", 4.0),
            ("nvidia_power_violation", 7.0),
        ]
    );
}

#[test]
fn what_no_gpu_has_is_not_in_the_catalogue_and_what_one_lacks_has_no_sample() {
    let mut alone = nvml(|| Ok(vec![partitioned(&NEVER)]), "{}");
    let names: Vec<_> = alone.describe().unwrap().metrics.into_iter().map(|metric| metric.name.to_string()).collect();
    assert_eq!(names, ["nvidia_power_usage", "nvidia_memory_used", "nvidia_temperature"]);
    let mut both = nvml(|| Ok(vec![whole(&NEVER), partitioned(&NEVER)]), "{}");
    assert_eq!(both.describe().unwrap().metrics.len(), QUANTITIES.len());
    let of_second: Vec<_> = read(&mut both).into_iter().filter(|sample| sample.0 == 1).collect();
    assert_eq!(of_second, [(1, "nvidia_power_usage".to_owned(), 100.0), (1, "nvidia_memory_used".to_owned(), 8.0)]);
}

#[test]
fn each_gpu_says_which_one_it_is_and_whether_it_is_partitioned() {
    let catalogue = nvml(|| Ok(vec![whole(&NEVER), partitioned(&NEVER)]), "{}").describe().unwrap();
    assert_eq!(ids(&catalogue), ["gpu_0", "gpu_1"]);
    let labels = |at: usize| serde_json::from_str::<serde_json::Value>(&catalogue.entities[at].labels_json).unwrap();
    let mut first = labels(0);
    assert!(first["hostname"].as_str().is_some_and(|name| !name.is_empty()), "{first}");
    first.as_object_mut().unwrap().remove("hostname");
    assert_eq!(
        first,
        json!({
            "source": "nvml://localhost", "platform": "nvidia", "gpu_index": "0", "gpu_name": "H100", "gpu_uuid": "GPU-0f",
            "pci_bus_id": "00000000:3B:00.0", "device": "nvidia0", "driver": "570.1",
        })
    );
    assert_eq!(labels(1)["mig"], "enabled");
    let unnamed = Identity { name: String::new(), ..identity(0) }.entity("box");
    assert!(!unnamed.labels_json.contains("gpu_name"), "{unnamed:?}");
}

#[test]
fn gpus_are_chosen_by_index_or_uuid() {
    for choice in ["[1]", r#"["1"]"#, r#"["GPU-1f"]"#, r#"["gpu-1F", 1]"#] {
        let mut nvml = nvml(|| Ok(vec![whole(&NEVER), partitioned(&NEVER)]), &format!(r#"{{"devices": {choice}}}"#));
        assert_eq!(ids(&nvml.describe().unwrap()), ["gpu_1"], "{choice}");
        assert_eq!(read(&mut nvml)[0], (0, "nvidia_power_usage".to_owned(), 100.0));
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_says_which_ones_are() {
    let error = nvml(|| Ok(vec![whole(&NEVER), partitioned(&NEVER)]), r#"{"devices": [0, 7]}"#).describe().unwrap_err();
    assert_eq!(error.kind, ErrorKind::CONFIG);
    assert!(error.message.contains("names 7") && error.message.contains("0 (GPU-0f), 1 (GPU-1f)"), "{error}");
}

#[test]
fn the_reason_for_there_being_none_reaches_the_user_and_may_pass() {
    static THERE: AtomicBool = AtomicBool::new(false);
    let find: Find = || {
        if THERE.load(Ordering::Relaxed) { Ok(vec![whole(&NEVER)]) } else { Err("no driver; install it".to_owned()) }
    };
    let mut nvml = nvml(find, "{}");
    assert_eq!(nvml.describe().unwrap_err().message, "no driver; install it");
    THERE.store(true, Ordering::Relaxed);
    assert!(nvml.describe().is_ok());
}

#[test]
fn one_gpu_that_is_lost_leaves_the_others_and_when_none_is_left_the_reading_fails() {
    static FIRST: AtomicBool = AtomicBool::new(false);
    static SECOND: AtomicBool = AtomicBool::new(false);
    let mut nvml = nvml(|| Ok(vec![whole(&FIRST), partitioned(&SECOND)]), "{}");
    assert!(read(&mut nvml).iter().any(|sample| sample.0 == 0));
    FIRST.store(true, Ordering::Relaxed);
    assert!(read(&mut nvml).iter().all(|sample| sample.0 == 1));
    SECOND.store(true, Ordering::Relaxed);
    let error = nvml.collect(6, &mut RVec::new()).unwrap_err();
    assert!(error.message.contains("GPU-1f") && error.message.contains("not supported"), "{error}");
}

#[test]
fn a_gpu_that_answers_nothing_is_left_out() {
    static GONE: AtomicBool = AtomicBool::new(true);
    let catalogue = nvml(|| Ok(vec![whole(&GONE), partitioned(&NEVER)]), "{}").describe().unwrap();
    assert_eq!(ids(&catalogue), ["gpu_1"]);
    let error = nvml(|| Ok(vec![whole(&GONE)]), "{}").describe().unwrap_err();
    assert!(error.message.contains("not supported"), "{error}");
}
