//! Memory: the machine's and this program's.

use super::{
    Part,
    offer::{Offer, Place},
    source::{Source, number},
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use std::path::Path;

/// A level that is read from one file.
struct Level {
    file: Source,
    /// Its value in KiB, from the file's text.
    kib: fn(&str) -> Option<u64>,
    place: Place,
}

impl Part for Level {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        let kib = self.file.read().and_then(|text| (self.kib)(&text));
        out.extend(kib.map(|kib| self.place.sample(at_ns, kib as f64 * 1024e-9)));
    }
}

/// The machine's memory.
pub(super) fn machine(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let kib = |text: &str| number(text, "MemTotal:")?.checked_sub(number(text, "MemAvailable:")?);
    let file = readable(root, "proc/meminfo", kib)?;
    let help = "Memory of the machine that is not available: the total less what programs could still get.";
    Some(Box::new(Level { file, kib, place: offer.gauge("host_memory_used", "GB", help) }))
}

/// This program's memory.
pub(super) fn process(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let kib = |text: &str| number(text, "VmRSS:");
    let file = readable(root, "proc/self/status", kib)?;
    let help = "Memory of the machine that this program takes (resident set).";
    Some(Box::new(Level { file, kib, place: offer.gauge("process_memory_used", "GB", help) }))
}

/// The file, if it says what is looked for.
fn readable(root: &Path, path: &str, kib: fn(&str) -> Option<u64>) -> Option<Source> {
    let mut file = Source::open(&root.join(path))?;
    kib(&file.read()?)?;
    Some(file)
}
