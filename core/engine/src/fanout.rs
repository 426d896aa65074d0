//! [`Fanout`]: hands the same batches to several readers, each in its own time, and keeps no more of them than a few. A
//! reader that is left behind is waited for no longer. Who is to be left behind is not decided here.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Batches that are made before the slowest reader has asked for them.
const AHEAD: usize = 4;

/// Batches on their way to several readers.
pub(crate) struct Fanout<T> {
    state: Mutex<State<T>>,
    /// A batch has come, or none will.
    came: Condvar,
    /// A batch is no longer needed, or nobody reads any more.
    went: Condvar,
}

struct State<T> {
    batches: VecDeque<Arc<T>>,
    /// Number of the first of them.
    first: u64,
    /// No more will come.
    is_closed: bool,
    readers: Vec<Reader>,
}

/// How far a reader is.
#[derive(Clone, Copy, Default)]
struct Reader {
    /// Number of the batch that it gets next.
    next: u64,
    waits: bool,
    is_gone: bool,
}

/// What a reader gets.
pub(crate) enum Next<T> {
    Batch(Arc<T>),
    /// There are no more.
    End,
    /// It was left behind.
    LeftBehind,
}

impl<T> Fanout<T> {
    pub(crate) fn new(readers: usize) -> Self {
        let readers = vec![Reader::default(); readers];
        let state = State { batches: VecDeque::new(), first: 0, is_closed: false, readers };
        Self { state: Mutex::new(state), came: Condvar::new(), went: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a batch as soon as there is room; `false`: nobody reads any more.
    pub(crate) fn push(&self, batch: T) -> bool {
        let mut state = self.state();
        while state.batches.len() >= AHEAD && state.has_readers() {
            state = self.went.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.has_readers() {
            return false;
        }
        state.batches.push_back(Arc::new(batch));
        drop(state);
        self.came.notify_all();
        true
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.came.notify_all();
    }

    /// Waits for the next batch of a reader.
    pub(crate) fn next(&self, reader: usize) -> Next<T> {
        let mut state = self.state();
        loop {
            let Reader { next, is_gone, .. } = state.readers[reader];
            if is_gone {
                return Next::LeftBehind;
            }
            if let Some(batch) = state.batches.get((next - state.first) as usize).map(Arc::clone) {
                state.readers[reader] = Reader { next: next + 1, waits: false, is_gone };
                self.let_go(state);
                return Next::Batch(batch);
            }
            state.readers[reader].waits = !state.is_closed;
            if state.is_closed {
                return Next::End;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a reader waits for a batch.
    pub(crate) fn waits(&self, reader: usize) -> bool {
        self.state().readers[reader].waits
    }

    /// A reader is done, or is left behind.
    pub(crate) fn leave(&self, reader: usize) {
        let mut state = self.state();
        state.readers[reader].is_gone = true;
        self.let_go(state);
        self.came.notify_all();
    }

    /// Forgets the batches that everyone has.
    fn let_go(&self, mut state: MutexGuard<'_, State<T>>) {
        let before = state.batches.len();
        let needed = state.readers.iter().filter(|reader| !reader.is_gone).map(|reader| reader.next).min();
        while state.batches.front().is_some() && needed.is_none_or(|needed| state.first < needed) {
            state.batches.pop_front();
            state.first += 1;
        }
        let made_room = state.batches.len() < before || needed.is_none();
        drop(state);
        if made_room {
            self.went.notify_all();
        }
    }
}

impl<T> State<T> {
    fn has_readers(&self) -> bool {
        self.readers.iter().any(|reader| !reader.is_gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Copy>(fanout: &Fanout<T>, reader: usize) -> Vec<T> {
        let mut all = Vec::new();
        while let Next::Batch(batch) = fanout.next(reader) {
            all.push(*batch);
        }
        all
    }

    #[test]
    fn every_reader_gets_every_batch_in_order_and_few_are_kept() {
        let fanout = Fanout::new(3);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|reader| {
                    scope.spawn({
                        let fanout = &fanout;
                        move || read(fanout, reader)
                    })
                })
                .collect();
            for n in 0..1_000 {
                assert!(fanout.push(n));
                assert!(fanout.state().batches.len() <= AHEAD);
            }
            fanout.close();
            for reader in readers {
                assert_eq!(reader.join().unwrap(), (0..1_000).collect::<Vec<_>>());
            }
        });
    }

    #[test]
    fn one_that_is_left_behind_holds_up_nobody_and_gets_nothing_more() {
        let fanout = Fanout::new(2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| read(&fanout, 1));
            for n in 0..AHEAD {
                assert!(fanout.push(n));
            }
            scope.spawn(|| fanout.leave(0));
            for n in AHEAD..100 {
                assert!(fanout.push(n));
            }
            fanout.close();
            assert_eq!(other.join().unwrap(), (0..100).collect::<Vec<_>>());
        });
        assert!(matches!(fanout.next(0), Next::LeftBehind));
    }

    #[test]
    fn nothing_more_is_made_when_nobody_reads() {
        let fanout = Fanout::new(1);
        assert!((0..AHEAD).all(|n| fanout.push(n)));
        fanout.leave(0);
        assert!(!fanout.push(9));
    }
}
