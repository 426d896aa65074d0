//! [`Spill`]: the temporary file that segments go to when a run keeps more of its requests than it may in memory, and the
//! thread that writes it during the load: workers hand it full segments and never touch a file.
//!
//! The file has no name and ends with the program. It lies in the folder of the results: that is on a disk, as the
//! system's folder for temporary files often is not, and it has to take more than this anyway. If the disk refuses,
//! would be full, or is slower than the load, segments stay in memory, and a note says so.

use crate::segment::{Key, Segment};
use rustix::fs::fstatvfs;
use std::{
    fs::File,
    io,
    ops::Deref,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread::JoinHandle,
};

/// Bytes of the disk that the file leaves to the results.
const LEFT_FREE: u64 = 64 << 20;
/// Segments that may wait to be written: some 16 MiB, which is a disk's pause of a second.
const MOST_WAITING: usize = 16;

/// Makes the file, when there is something to put into it.
type Maker = Box<dyn FnOnce() -> io::Result<File> + Send + Sync>;

/// Where in the file a segment is.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    len: usize,
    /// The last of these bytes, which are text.
    text: usize,
}

/// The file.
pub(crate) struct Spill {
    maker: Option<Maker>,
    file: Option<File>,
    end: u64,
    buffer: Vec<u8>,
    refused: Option<io::Error>,
    /// Bytes that were not handed over, since too much waited already.
    kept_back: Arc<AtomicU64>,
}

impl Spill {
    /// A file in `folder`, which is made when it is needed.
    pub(crate) fn within(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self::new(Box::new(move || tempfile::tempfile_in(folder)))
    }

    pub(crate) fn new(maker: Maker) -> Self {
        Self { maker: Some(maker), file: None, end: 0, buffer: Vec::new(), refused: None, kept_back: Arc::default() }
    }

    /// Puts `segment` away and gives its emptied buffers back, if there is a use for them.
    pub(crate) fn put(&mut self, segment: Segment) -> (Stored, Option<Segment>) {
        let (first, rows) = (segment.first().unwrap_or_default(), segment.rows.len() as u64);
        let is_to_be_counted = segment.is_to_be_counted();
        let stored = |held| Stored { held, first, rows, is_to_be_counted };
        if self.refused.is_some() {
            return (stored(Held::InMemory(segment)), None);
        }
        match self.append(&segment) {
            Ok(place) => {
                let mut spare = segment;
                spare.clear();
                (stored(Held::InFile(place)), Some(spare))
            }
            Err(error) => {
                self.refused = Some(error);
                (stored(Held::InMemory(segment)), None)
            }
        }
    }

    fn append(&mut self, segment: &Segment) -> io::Result<Place> {
        if let Some(make) = self.maker.take() {
            self.file = Some(make()?);
        }
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.buffer.clear();
        let text = segment.write(&mut self.buffer)?;
        let disk = fstatvfs(file)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < LEFT_FREE + self.buffer.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all_at(&self.buffer, self.end)?;
        let place = Place { start: self.end, len: self.buffer.len(), text };
        self.end += place.len as u64;
        Ok(place)
    }

    fn get(&self, place: Place) -> io::Result<Segment> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; place.len];
        file.read_exact_at(&mut bytes, place.start)?;
        Segment::read(&bytes, place.text)
    }

    /// The segment that was put away as `stored`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read<'a>(&self, stored: &'a Stored) -> io::Result<Opened<'a>> {
        match &stored.held {
            Held::InMemory(segment) => Ok(Opened::Here(segment)),
            Held::InFile(place) => self.get(*place).map(|segment| Opened::Read(Box::new(segment))),
        }
    }

    /// Changes a segment where it lies; one of the file is written to it anew.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn change(&mut self, stored: &mut Stored, change: impl FnOnce(&mut Segment)) -> io::Result<()> {
        match &mut stored.held {
            Held::InMemory(segment) => change(segment),
            Held::InFile(place) => {
                let mut segment = self.get(*place)?;
                change(&mut segment);
                *stored = self.put(segment).0;
            }
        }
        stored.is_to_be_counted = false;
        Ok(())
    }

    /// What to say of a disk that refused, or that was too slow.
    pub(crate) fn note(&self) -> Option<String> {
        if let Some(error) = &self.refused {
            return Some(format!(
                "finished requests were kept in memory: the temporary file for them in the folder of the results could \
                 not be written ({error})"
            ));
        }
        let bytes = self.kept_back.load(Relaxed);
        (bytes > 0).then(|| {
            format!(
                "finished requests were kept in memory ({:.1} MiB more than is usual): the disk with the folder of the \
                 results was slower than the load",
                bytes as f64 / f64::from(1 << 20)
            )
        })
    }
}

/// A segment, wherever it is.
#[derive(Debug)]
pub(crate) struct Stored {
    held: Held,
    /// The place of its first request in the order of records.
    pub(crate) first: Key,
    pub(crate) rows: u64,
    /// Whether the local tokenizer has anything to do in it.
    pub(crate) is_to_be_counted: bool,
}

#[derive(Debug)]
enum Held {
    InMemory(Segment),
    InFile(Place),
}

impl From<Segment> for Stored {
    fn from(segment: Segment) -> Self {
        Self {
            first: segment.first().unwrap_or_default(),
            rows: segment.rows.len() as u64,
            is_to_be_counted: segment.is_to_be_counted(),
            held: Held::InMemory(segment),
        }
    }
}

/// A segment to look at.
pub(crate) enum Opened<'a> {
    Here(&'a Segment),
    Read(Box<Segment>),
}

impl Deref for Opened<'_> {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        match self {
            Self::Here(segment) => segment,
            Self::Read(segment) => segment,
        }
    }
}

/// The way of one worker's full segments to the file.
#[derive(Debug)]
pub(crate) struct Link {
    full: SyncSender<Segment>,
    spare: Receiver<Segment>,
    kept_back: Arc<AtomicU64>,
}

impl Link {
    /// Hands over a full segment; it comes back if nobody takes it or too many wait already.
    pub(crate) fn send(&self, segment: Segment) -> Option<Segment> {
        match self.full.try_send(segment) {
            Ok(()) => None,
            Err(TrySendError::Full(segment)) => {
                self.kept_back.fetch_add(segment.bytes() as u64, Relaxed);
                Some(segment)
            }
            Err(TrySendError::Disconnected(segment)) => Some(segment),
        }
    }

    /// Buffers of a segment that was put away.
    pub(crate) fn spare(&self) -> Option<Segment> {
        self.spare.try_recv().ok()
    }
}

/// The thread that writes during the load.
pub(crate) struct Writer {
    thread: JoinHandle<(Spill, Vec<Stored>)>,
}

impl Writer {
    /// Starts it, for so many workers.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(mut spill: Spill, workers: usize) -> io::Result<(Self, Vec<Link>)> {
        let (full, work) = sync_channel(MOST_WAITING);
        let (links, spare): (Vec<Link>, Vec<Sender<Segment>>) = (0..workers)
            .map(|_| {
                let (give, spare) = channel();
                (Link { full: full.clone(), spare, kept_back: Arc::clone(&spill.kept_back) }, give)
            })
            .unzip();
        let write = move || {
            let mut stored = Vec::new();
            // Until the last worker has ended.
            for segment in work {
                let segment: Segment = segment;
                let worker = segment.rows.first().map_or(0, |row| usize::from(row.worker));
                let (put, emptied) = spill.put(segment);
                stored.push(put);
                if let (Some(emptied), Some(give)) = (emptied, spare.get(worker)) {
                    // A worker that has ended needs none.
                    let _ = give.send(emptied);
                }
            }
            (spill, stored)
        };
        let thread = std::thread::Builder::new().name("spill".to_owned()).spawn(write)?;
        Ok((Self { thread }, links))
    }

    /// The file and the segments that were handed over, when all links are gone.
    ///
    /// # Errors
    /// When the thread panicked.
    pub(crate) fn finish(self) -> io::Result<(Spill, Vec<Stored>)> {
        self.thread.join().map_err(|_| io::Error::other("the thread that keeps finished requests panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{records::Records, segment::Entry};
    use inferometer_model::Row;
    use std::sync::Barrier;

    #[test]
    fn what_a_slow_disk_does_not_take_in_time_stays_in_memory_and_nothing_is_lost() {
        let gate = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&gate);
        let slow = Spill::new(Box::new(move || {
            theirs.wait();
            tempfile::tempfile()
        }));
        let (writer, links) = Writer::start(slow, 1).unwrap();
        // Besides those that wait, one is being written.
        let most = MOST_WAITING as u64 + 1;
        let mut segments = Vec::new();
        for index in 0..2 * most {
            let mut segment = Segment::default();
            let row = Row { index, ..Row::EMPTY };
            segment.push(Entry { row: &row, session: index, gaps: &[7], answer: None, failure: None, sent: None });
            segments.extend(links[0].send(segment).map(Stored::from));
        }
        assert!(segments.len() as u64 >= most, "{}", segments.len());
        gate.wait();
        drop(links);
        let (spill, written) = writer.finish().unwrap();
        segments.extend(written);
        let records = Records::new(spill, segments);
        let mut told = Vec::new();
        let lost = records.for_each(|segment| told.extend(segment.rows.iter().map(|row| row.index)));
        told.sort_unstable();
        assert_eq!((told, lost.words()), ((0..2 * most).collect(), None));
        let note = records.note().unwrap();
        assert!(note.contains("kept in memory") && note.contains("slower than the load"), "{note}");
    }
}
