//! The machine that makes the load: whether its processors, memory and network had room, so that the latencies are the
//! server's and not its own.
//!
//! Everything comes from `/proc`, control groups and `/sys`, so there is something to read on Linux only. What a kernel or
//! a container does not show is left out. Files are read by hand: a library for them costs several times as much at each
//! reading, and that beside measured threads; and the ones there are lack control groups or what threads had to wait.
//!
//! Not here: what the figures mean for the run, which is the verdict's.

mod cgroup;
mod cpu;
mod labels;
mod memory;
mod network;
mod offer;
mod process;
mod source;
mod threads;

pub(crate) use labels::hostname;

use inferometer_plugin_sdk::{
    Component, NoOptions, RVec,
    api::TelemetryCollector,
    types::{Catalogue, Error, ErrorKind, Result, Sample, Subject},
};
use offer::Offer;
use source::SHORTEST_NS;
use std::path::{Path, PathBuf};

/// A part of the machine, and where its samples go.
trait Part: Send {
    /// Takes one reading.
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>);
}

/// Opens a part if this machine shows it, and says what it has to offer. Paths begin at the given root.
type Open = fn(&Path, &mut Offer) -> Option<Box<dyn Part>>;

/// All parts, in the order of the catalogue.
const PARTS: [Open; 8] = [
    cpu::processors,
    cpu::pressure,
    cgroup::throttling,
    memory::machine,
    process::cpu_time,
    threads::threads,
    memory::process,
    network::network,
];

/// Reads the machine that it runs on.
pub(crate) struct Host {
    /// Where `proc` and `sys` lie.
    root: PathBuf,
    opened: Option<Opened>,
}

struct Opened {
    parts: Vec<Box<dyn Part>>,
    catalogue: Catalogue,
}

impl Component for Host {
    type Options = NoOptions;

    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self { root: PathBuf::from("/"), opened: None })
    }
}

impl Host {
    fn opened(&mut self) -> Result<&mut Opened> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => Opened::open(&self.root)?,
        };
        Ok(self.opened.insert(opened))
    }
}

impl Opened {
    fn open(root: &Path) -> Result<Self> {
        // Without a part of the machine itself there is no point in the process's share of it.
        let stat = root.join("proc/stat");
        std::fs::File::open(&stat).map_err(|error| {
            let reason = format!(
                "{}: {error}; this machine's processors and memory are read from there, on Linux only: \
                 leave them out by --no-client-telemetry",
                stat.display()
            );
            Error::new(ErrorKind::UNSUPPORTED, reason)
        })?;
        let mut offer = Offer::new(labels::host(root));
        let parts = PARTS.iter().filter_map(|open| open(root, &mut offer)).collect();
        let catalogue = Catalogue { min_interval_ns: SHORTEST_NS, ..offer.catalogue() }.about(Subject::CLIENT);
        Ok(Self { parts, catalogue })
    }
}

impl TelemetryCollector for Host {
    /// The machine as it was when first asked: the places in the catalogue stay as they are.
    fn describe(&mut self) -> Result<Catalogue> {
        Ok(self.opened()?.catalogue.clone())
    }

    fn collect(&mut self, now_ns: u64, out: &mut RVec<Sample>) -> Result<()> {
        for part in &mut self.opened()?.parts {
            part.read(now_ns, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
