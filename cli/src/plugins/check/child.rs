//! Runs the checks that need the library open in a process of their own: whatever the library does to that process, or
//! fails to do, comes out as a finding.

use super::{
    Terms,
    finding::{Finding, Message, Outcome, Weight},
};
use crate::{Failure, plugins::printable};
use inferometer_host::{Entry, LibraryFile};
use inferometer_model::ExitCode;
use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How often a process that has nothing more to say is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The longest that a process which said all it has to say may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// The most of what a library prints that is read, in bytes; and how many of its last lines are told.
const MOST_PRINTED: u64 = 1 << 20;
const LINES_TOLD: usize = 6;

/// What was found of the library itself, or of one of its components.
pub(super) struct Probed {
    pub(super) findings: Vec<Finding>,
    /// The schema of the component's options, if it was had.
    pub(super) schema: Option<serde_json::Value>,
}

/// Checks in a child process that `library` opens, or that its `component` keeps the laws.
pub(super) fn probe(library: &LibraryFile, component: Option<&Entry>, terms: &Terms) -> Result<Probed, Failure> {
    let internal = |error| Failure::new(ExitCode::Internal, format!("the checking process could not be run: {error}"));
    let mut command = Command::new(own_program().map_err(internal)?);
    command.args(["plugins", "probe", "--sha256", &library.sha256]);
    if let Some(component) = component {
        let Entry { kind, name, .. } = component;
        command.args(["--component", &format!("{kind}:{name}"), "--options", &terms.options_of(component)]);
        command.args(terms.input_file.iter().map(|file| format!("--input-file={file}")));
    }
    command.arg("--").arg(&library.path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(internal)?;

    let (sender, messages) = mpsc::channel();
    let stdout = child.stdout.take().expect("it is piped");
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // What is no message is nothing the checks wrote.
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    let (printed_sender, printed) = mpsc::channel();
    let mut stderr = child.stderr.take().expect("it is piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.by_ref().take(MOST_PRINTED).read_to_end(&mut bytes);
        let _ = printed_sender.send(bytes);
        // A full pipe would hold the process up.
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    });

    let deadline = Instant::now() + terms.limit;
    let mut probed = Probed { findings: Vec::new(), schema: None };
    let mut under_way = None;
    let ended = loop {
        match messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Message::Begins(check)) => under_way = Some(check),
            Ok(Message::Found(finding)) => {
                under_way = None;
                probed.findings.push(finding);
            }
            Ok(Message::Schema(schema)) => probed.schema = Some(schema),
            Ok(Message::Done) => break Ended::Done,
            Err(RecvTimeoutError::Timeout) => break Ended::Late,
            Err(RecvTimeoutError::Disconnected) => break Ended::Early,
        }
    };
    let patience = match ended {
        Ended::Late => Duration::ZERO,
        Ended::Done | Ended::Early => GRACE,
    };
    let status = wait(&mut child, patience).map_err(internal)?;
    let words = match (ended, status) {
        (Ended::Late, _) | (_, None) => {
            Some(format!("it was not done after {} s and was ended", terms.limit.as_secs_f64()))
        }
        (Ended::Early, Some(status)) => Some(format!("it ended the whole process: {}", how(status))),
        (Ended::Done, Some(status)) if !status.success() => {
            under_way = Some("lets the program that opened it end in peace".to_owned());
            Some(format!("the process ended by {}", how(status)))
        }
        (Ended::Done, Some(_)) => None,
    };
    if let Some(words) = words {
        let printed = printed.recv_timeout(GRACE).unwrap_or_default();
        probed.findings.push(Finding {
            check: under_way.unwrap_or_else(|| "leaves the program that opened it alone".to_owned()),
            outcome: Outcome::Failed,
            weight: Weight::Safety,
            detail: format!("{words}{}", last_words(&printed)),
        });
    }
    Ok(probed)
}

/// This very program, even if its file was replaced since it started.
fn own_program() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let running = Path::new("/proc/self/exe");
    Ok(if !path.exists() && running.exists() { running.to_owned() } else { path })
}

/// How the talk with the process ended.
#[derive(Clone, Copy)]
enum Ended {
    /// All checks were made.
    Done,
    /// The process fell silent before that.
    Early,
    /// Time ran out.
    Late,
}

/// How the process ended; none if it did not within `patience` and was killed.
fn wait(child: &mut std::process::Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = match signal {
                4 => " (SIGILL)",
                6 => " (SIGABRT)",
                8 => " (SIGFPE)",
                9 => " (SIGKILL)",
                11 => " (SIGSEGV)",
                _ => "",
            };
            format!("signal {signal}{name}")
        }
        (None, code) => format!("exit code {}", code.unwrap_or_default()),
    }
}

/// The end of what the process printed, for a message.
fn last_words(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let mut lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).rev().take(LINES_TOLD).collect();
    lines.reverse();
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = lines.into_iter().map(printable).collect();
    format!("; it last printed: {}", lines.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_few_and_hold_nothing_that_a_terminal_acts_upon() {
        assert_eq!(last_words(b"\n \n"), "");
        let printed: String = (0..20).map(|n| format!("line {n}\x1b[2J\n")).collect();
        let words = last_words(printed.as_bytes());
        assert!(words.starts_with("; it last printed: line 14") && words.ends_with("line 19\u{FFFD}[2J"), "{words}");
    }

    #[test]
    fn the_way_a_process_ended_is_told_by_its_code_or_its_signal() {
        assert_eq!(how(ExitStatus::from_raw(3 << 8)), "exit code 3");
        assert_eq!(how(ExitStatus::from_raw(6)), "signal 6 (SIGABRT)");
        assert_eq!(how(ExitStatus::from_raw(31)), "signal 31");
    }
}
