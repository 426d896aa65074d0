//! Runs the checks that need the library open in a process of their own: whatever the library does to that process, or
//! fails to do, comes out as a finding.

use super::{
    Terms,
    finding::{AS_IT_WAS, Finding, Message, Outcome, Weight},
};
use crate::{Failure, plugins::printable};
use inferometer_host::{Entry, LibraryFile};
use inferometer_model::ExitCode;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io::{self, BufRead as _, BufReader, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, Once, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long what an ended process said may be under way.
const LAST: Duration = Duration::from_millis(200);
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
    // The last words are to be the library's own.
    command.env("RUST_BACKTRACE", "0").env_remove("RUST_LIB_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Group::start(&mut command).map_err(internal)?;

    let (sender, messages) = mpsc::channel();
    let stdout = child.process.stdout.take().expect("it is piped");
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
    let mut stderr = child.process.stderr.take().expect("it is piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.by_ref().take(MOST_PRINTED).read_to_end(&mut bytes);
        let _ = printed_sender.send(bytes);
        // A full pipe would hold the process up.
        let _ = io::copy(&mut stderr, &mut io::sink());
    });

    let deadline = Instant::now() + terms.limit;
    let mut probed = Probed { findings: Vec::new(), schema: None };
    let mut under_way = None;
    let mut gone = None;
    let ended = loop {
        match messages.recv_timeout(LOOK_EVERY) {
            Ok(Message::Begins(check)) => under_way = Some(check),
            Ok(Message::Found(finding)) => {
                under_way = None;
                probed.findings.push(finding);
            }
            Ok(Message::Schema(schema)) => probed.schema = Some(schema),
            Ok(Message::Done) => break Ended::Done,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break Ended::Late,
            // A process that it started may hold its end of the pipe.
            Err(RecvTimeoutError::Timeout) => match gone {
                None if child.process.try_wait().map_err(internal)?.is_some() => gone = Some(Instant::now()),
                Some(since) if since.elapsed() >= LAST => break Ended::Early,
                _ => {}
            },
            Err(RecvTimeoutError::Disconnected) => break Ended::Early,
        }
    };
    let patience = match ended {
        Ended::Late => Duration::ZERO,
        Ended::Done | Ended::Early => GRACE,
    };
    let status = child.wait(patience).map_err(internal)?;
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
    if component.is_none() && words.is_none() {
        let printed = printed.recv_timeout(GRACE).unwrap_or_default();
        let finding = probed.findings.iter_mut().find(|finding| finding.check == AS_IT_WAS);
        if let Some(finding) = finding.filter(|_| !printed.is_empty()) {
            let before = if finding.detail.is_empty() { String::new() } else { format!("{}; ", finding.detail) };
            finding.outcome = Outcome::Failed;
            finding.detail = format!("{before}it printed {} bytes{}", printed.len(), last_words(&printed));
        }
        return Ok(probed);
    }
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
fn own_program() -> io::Result<PathBuf> {
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

/// A child process with all that it starts: a process group of its own, none of which outlives this.
struct Group {
    process: Child,
    id: Pid,
}

/// The group under way, for an interrupt, which the terminal no longer sends to it.
static UNDER_WAY: Mutex<Option<Pid>> = Mutex::new(None);

impl Group {
    fn start(command: &mut Command) -> io::Result<Self> {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            // If it cannot be had, an interrupt still ends this program, and with it the child.
            let _ = ctrlc::set_handler(|| {
                if let Some(id) = *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) {
                    let _ = kill_process_group(id, Signal::KILL);
                }
                std::process::exit(i32::from(ExitCode::Interrupted as u8));
            });
        });
        let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let process = command.process_group(0).spawn()?;
        let id = Pid::from_child(&process);
        *under_way = Some(id);
        Ok(Self { process, id })
    }

    /// How the process ended; none if it did not within `patience` and was killed. What it started is killed as well.
    fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        let status = loop {
            match self.process.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(LOOK_EVERY),
                status => break status,
            }
        };
        self.end();
        Ok(status)
    }

    fn end(&mut self) {
        // The group is known by its first process, whose number is not given out again while the group has members.
        let _ = kill_process_group(self.id, Signal::KILL);
        let _ = self.process.wait();
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            self.end();
        }
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
