//! This program's threads, each by itself: a program whose processors are mostly idle is still at its limit when one of
//! the threads that make the load is busy all the time, or has to wait for a processor.

use super::{
    Part,
    offer::{Offer, Place},
    source::{Last, Text},
};
use inferometer_plugin_sdk::{RVec, types::Sample};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

struct Threads {
    /// `/proc/self/task`
    folder: PathBuf,
    /// By number. Files are opened for each reading, because every thread's would add to those that connections need.
    threads: BTreeMap<u32, Thread>,
    readings: u64,
    text: Text,
    busiest: Place,
    longest_wait: Place,
}

#[derive(Default)]
struct Thread {
    times: Last<Times>,
    /// The reading that it was last there in.
    seen: u64,
}

/// What a thread did since it started, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    /// On a processor.
    running: u64,
    /// Ready to run, without a processor.
    waiting: u64,
}

/// The part that the scheduler's statistics tell of; kernels may be built without.
pub(super) fn threads(root: &Path, offer: &mut Offer) -> Option<Box<dyn Part>> {
    let folder = root.join("proc/self/task");
    let mut text = Text::default();
    listed(&folder).find_map(|thread| Times::read(&folder, thread, &mut text))?;
    Some(Box::new(Threads {
        folder,
        threads: BTreeMap::new(),
        readings: 0,
        text,
        busiest: offer.gauge(
            "process_thread_utilization",
            "%",
            "Share of the time for which this program's busiest thread was on a processor: a thread at 100% holds the load \
             up.",
        ),
        longest_wait: offer.gauge(
            "process_thread_wait",
            "%",
            "Share of the time for which that thread of this program waited for a processor that waited longest.",
        ),
    }))
}

/// The threads there are, by number.
fn listed(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

impl Times {
    /// Those of a thread that is still there.
    fn read(folder: &Path, thread: u32, text: &mut Text) -> Option<Self> {
        let mut file = File::open(folder.join(format!("{thread}/schedstat"))).ok()?;
        Self::of(&text.of(&mut file)?)
    }

    /// From `running waiting timeslices`. Zeros all over are what kernels say that do not count.
    fn of(schedstat: &str) -> Option<Self> {
        let mut fields = schedstat.split_whitespace();
        let mut next = || fields.next()?.parse().ok();
        let times = Self { running: next()?, waiting: next()? };
        (times != Self { running: 0, waiting: 0 }).then_some(times)
    }
}

impl Part for Threads {
    fn read(&mut self, at_ns: u64, out: &mut RVec<Sample>) {
        self.readings += 1;
        let mut most: Option<[f64; 2]> = None;
        for number in listed(&self.folder) {
            let Some(times) = Times::read(&self.folder, number, &mut self.text) else { continue };
            let thread = self.threads.entry(number).or_default();
            thread.seen = self.readings;
            let Some((before, elapsed_ns)) = thread.times.replace(at_ns, times) else { continue };
            // A wait is counted when it is over, so that it may be longer than the time since the last reading.
            let share = |now: u64, before: u64| (now.saturating_sub(before) as f64 / elapsed_ns * 100.0).min(100.0);
            let shares = [share(times.running, before.running), share(times.waiting, before.waiting)];
            most = Some(most.map_or(shares, |most| [most[0].max(shares[0]), most[1].max(shares[1])]));
        }
        self.threads.retain(|_, thread| thread.seen == self.readings);
        if let Some([busiest, longest_wait]) = most {
            out.push(self.busiest.sample(at_ns, busiest));
            out.push(self.longest_wait.sample(at_ns, longest_wait));
        }
    }
}
