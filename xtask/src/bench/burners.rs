//! Other programs that keep cores busy while a client works, as a machine that is not left to it would. They are this
//! task itself, started again with `--burn`, and end with it however it ends: they burn until their input is closed.

use std::hint::black_box;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::child;

/// The longest that a burner may take to see that its input was closed: cores are scarce where it burns.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Burning programs. Dropping them kills them.
pub(super) struct Burners {
    started: Instant,
    children: Vec<Child>,
}

impl Burners {
    /// Starts so many of them, each of which takes all it can get of one core.
    pub(super) fn start(count: usize) -> Result<Self> {
        let mut burners = Self { started: Instant::now(), children: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut command = Command::new(std::env::current_exe().context("cannot find this task's own program")?);
            command.args(["bench", "--burn"]).stdin(Stdio::piped()).stdout(Stdio::null());
            burners.children.push(command.spawn().context("cannot start a burner")?);
        }
        Ok(burners)
    }

    /// Ends them. Returns the CPU time that they burnt; it is an error if one of them had ended before.
    pub(super) fn stop(mut self) -> Result<Duration> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait().context("cannot look after a burner")? {
                bail!("a burner ended too soon: {status}");
            }
            drop(child.stdin.take());
        }
        let mut burnt = Duration::ZERO;
        while let Some(child) = self.children.pop() {
            burnt += child::finish(child, self.started, END_WITHIN).context("a burner")?.cpu;
        }
        Ok(burnt)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.children {
            // If it is gone already, so much the better.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a burner does: it keeps one core busy until `input` is at its end.
pub(super) fn burn(mut input: impl Read) -> Result<()> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                black_box(());
            }
        });
        let read = io::copy(&mut input, &mut io::sink());
        is_over.store(true, Ordering::Relaxed);
        read.context("cannot read the input of a burner").map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burner_burns_until_its_input_ends() {
        burn(io::empty()).unwrap();
        burn(&b"whatever it is told"[..]).unwrap();
    }

    #[test]
    fn no_burners_burn_nothing() {
        assert_eq!(Burners::start(0).unwrap().stop().unwrap(), Duration::ZERO);
    }
}
