//! Which machine it is.

use super::{cgroup, cpu::Allowed, source::number};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// What the machine is called; `localhost` if it does not say.
pub(crate) fn hostname(root: &Path) -> String {
    line(root, "proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".to_owned())
}

/// The labels of the machine, as far as it tells.
pub(super) fn host(root: &Path) -> Map<String, Value> {
    let text = |file| fs::read_to_string(root.join(file)).unwrap_or_default();
    let (allowed, cpus) = Allowed::of(&text("proc/self/status")).count(&text("proc/stat"));
    let memory_kib = number(&text("proc/meminfo"), "MemTotal:");
    let model = text("proc/cpuinfo").lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let labels = [
        ("source", Some(json!("/proc"))),
        ("hostname", Some(json!(hostname(root)))),
        ("kernel", line(root, "proc/sys/kernel/osrelease").map(Value::from)),
        ("cpu_model", model.map(Value::from)),
        ("cpus", (cpus > 0).then(|| json!(cpus))),
        // Only where they say more than the number of processors does.
        ("cpus_allowed", (allowed < cpus).then(|| json!(allowed))),
        ("cpu_limit", cgroup::cpu_limit(root).map(|cpus| json!(rounded(cpus)))),
        ("memory_gb", memory_kib.map(|kib| json!(rounded(kib as f64 * 1024e-9)))),
    ];
    labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn line(root: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(file)).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
