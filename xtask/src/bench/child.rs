//! Running a program to its end under a time limit, and what it took.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use wait4::Wait4 as _;

use crate::bench::host;

/// What a program took that has ended.
pub(super) struct Ended {
    status: ExitStatus,
    /// When it had ended: since it was started, and in nanoseconds since the Unix epoch.
    pub(super) wall: Duration,
    pub(super) at_ns: u64,
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
    /// What the whole machine worked from its start to its end, where that can be told.
    pub(super) worked: Option<Duration>,
    /// Linux counts what the parent held when it started the program, so this is never below some 10 MB.
    pub(super) peak_bytes: u64,
}

/// Runs a command in `folder`, where its output goes to files. It must succeed within `limit`.
pub(super) fn run(command: &mut Command, folder: &Path, limit: Duration) -> Result<(Ended, String)> {
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    let name = command.get_program().to_string_lossy().into_owned();
    forget_own_peak();
    let worked = host::worked();
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut ended = finish(child, start, limit).with_context(|| name.clone())?;
    ended.worked = worked.zip(host::worked()).map(|(before, after)| after.saturating_sub(before));
    let said = fs::read_to_string(stdout)?;
    if !ended.status.success() {
        bail!("{name} failed: {}\n{said}{}", ended.status, fs::read_to_string(stderr)?);
    }
    Ok((ended, said))
}

/// Makes what this process holds now its peak, which a child begins with, instead of what it once held.
fn forget_own_peak() {
    // Elsewhere than on Linux there is no such file, and no need.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Waits for a program that was started at `start`; it is killed at the end of the `limit`, which is an error.
pub(super) fn finish(child: Child, start: Instant, limit: Duration) -> Result<Ended> {
    let pid = pid(&child);
    let (done, watched) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let is_late = watched.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if is_late {
            // It may have ended in this instant, which is as well: nobody else can have its number until it is reaped.
            let _ = kill_process(pid, Signal::KILL);
        }
        is_late
    });
    // Its end is seen here and it is reaped only after the watch has gone.
    retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT))
        .expect("a child that was not reaped can be waited for");
    let wall = start.elapsed();
    let at_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    drop(done);
    let is_late = watch.join().expect("the watch does not panic");
    let used = child.wait4().context("cannot wait for it")?;
    if is_late {
        bail!("was not done after {} s and was ended", limit.as_secs());
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Ended { status: used.status, wall, at_ns, cpu, worked: None, peak_bytes: used.rusage.maxrss })
}

/// The number of a program that has not been waited for.
pub(super) fn pid(child: &Child) -> Pid {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a positive number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<(Ended, String)> {
        let scratch = tempfile::tempdir().unwrap();
        run(Command::new("sh").args(["-c", script]), scratch.path(), limit)
    }

    #[test]
    fn what_a_program_printed_and_took_is_told() {
        let (ended, said) = shell("echo hello", Duration::from_secs(60)).unwrap();
        assert_eq!(said, "hello\n");
        assert!(ended.peak_bytes > 0 && ended.wall > Duration::ZERO && ended.at_ns > 0);
    }

    #[test]
    fn a_program_past_its_limit_is_ended() {
        let error = shell("exec sleep 600", Duration::ZERO).err().unwrap();
        assert!(format!("{error:#}").contains("was not done after 0 s"), "{error:#}");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = shell("echo why >&2; exit 3", Duration::from_secs(60)).err().unwrap().to_string();
        assert!(error.contains("exit status: 3") && error.contains("why"), "{error}");
    }
}
