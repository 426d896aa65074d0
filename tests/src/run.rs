//! Runs the program as a user would, in a folder of its own, and reads what it left behind.
//!
//! Nothing of the developer's own settings reaches it. A program that hangs is killed and fails its test.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary;

/// The longest that one run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where in its folder a run leaves its results, and what it prints.
const ARTIFACTS: &str = "artifacts";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// Where what is typed lies.
const STDIN: &str = "stdin";

/// A command line of the program, not yet run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    folder: TempDir,
    limit: Duration,
    /// Standard output is a pipe that nobody reads.
    unread: bool,
    /// Standard input is what was typed, and not nothing.
    typed: bool,
}

impl Program {
    /// The program without any arguments.
    ///
    /// # Panics
    /// If the program does not build.
    #[must_use]
    pub fn new() -> Self {
        Self::of(binary::inferometer())
    }

    /// `inferometer profile`, with its results going to the run's own folder. A machine that is busy with other tests makes
    /// its numbers doubtful, which is no matter here.
    ///
    /// # Panics
    /// As [`Program::new`].
    #[must_use]
    pub fn profile() -> Self {
        Self::new().args(["profile", "--artifact-dir", ARTIFACTS, "--accept-invalid"])
    }

    fn of(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new(program);
        command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path().join("data"))
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env("XDG_CACHE_HOME", folder.path().join("cache"));
        // What the program and its tokenizers read.
        let read = |name: &OsString| ["INFEROMETER_", "HF_", "RUST_"].iter().any(|start| starts_with(name, start));
        for name in std::env::vars_os().map(|(name, _)| name).filter(read) {
            command.env_remove(name);
        }
        Self { command, folder, limit: LIMIT, unread: false, typed: false }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it a standard output that is closed at the other end, as `head` leaves it.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// Gives it `lines` to read from standard input, and then its end.
    ///
    /// # Panics
    /// If they cannot be kept.
    #[must_use]
    pub fn typed(mut self, lines: &str) -> Self {
        self.typed = true;
        self.file(STDIN, lines)
    }

    /// Lets it have so many descriptors at most, which neither it nor its children can raise.
    #[must_use]
    pub fn descriptors(mut self, most: u32) -> Self {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\""));
        command.arg(self.command.get_program()).args(self.command.get_args()).current_dir(self.folder.path());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.command = command;
        self
    }

    /// Gives it this long in place of the usual two minutes.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Writes a file into the folder that it runs in, for arguments to name.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    /// The folder that it runs in, for what a test makes there beforehand.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it is not done within its limit, which is two minutes unless another was given.
    #[must_use]
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it and returns at once.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Running {
        // Files, not pipes: a program that prints much is never held up by a test that does not read.
        let file = |name| File::create(self.folder.path().join(name)).expect("the folder is ours");
        let kept = file(STDOUT);
        let stdout = if self.unread {
            let (_, writer) = std::io::pipe().expect("a pipe can be made");
            Stdio::from(writer)
        } else {
            Stdio::from(kept)
        };
        let typed = || File::open(self.folder.path().join(STDIN)).expect("the file was written before");
        let stdin = if self.typed { Stdio::from(typed()) } else { Stdio::null() };
        let child = self
            .command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(file(STDERR))
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        Running {
            line: format!("{:?}", self.command),
            child,
            folder: Some(self.folder),
            deadline: Instant::now() + self.limit,
        }
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

/// The running program. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    /// There until the outcome takes it.
    folder: Option<TempDir>,
    deadline: Instant,
}

impl Running {
    /// What it has printed to standard output until now.
    ///
    /// # Panics
    /// If that is not UTF-8.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.printed(STDOUT)
    }

    /// What it has printed to standard error until now.
    ///
    /// # Panics
    /// If that is not UTF-8.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.printed(STDERR)
    }

    /// Waits until `holds`, with what it looks at coming from the program that is given to it.
    ///
    /// # Panics
    /// If the program ends before that, or is past its limit.
    pub fn wait_until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let ended = self.look();
            assert!(ended.is_none() || holds(self), "ended too early: {}", self.report());
            sleep(LOOK_EVERY);
        }
    }

    /// Sends what Ctrl-C sends.
    ///
    /// # Panics
    /// If the program has ended.
    pub fn interrupt(&self) {
        self.send(Signal::INT);
    }

    /// Sends what ends a program that runs as a service or in a container.
    ///
    /// # Panics
    /// If the program has ended.
    pub fn terminate(&self) {
        self.send(Signal::TERM);
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program is running");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it is not done within two minutes of its start.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
            sleep(LOOK_EVERY);
        };
        Outcome {
            line: self.line.clone(),
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            folder: self.folder.take().expect("only finishing takes the folder"),
        }
    }

    /// How it ended, if it has; past its limit it is killed and the test fails.
    fn look(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child can be waited for");
        if status.is_none() && Instant::now() >= self.deadline {
            panic!("past its limit: {}", self.report());
        }
        status
    }

    fn printed(&self, name: &str) -> String {
        let folder = self.folder.as_ref().expect("only finishing takes the folder");
        let bytes = fs::read(folder.path().join(name)).expect("the file was made at the start");
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("{} {name}: {error}", self.line))
    }

    fn report(&self) -> String {
        report(&self.line, &self.stdout(), &self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run came to. Its folder lives as long as this.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All that it printed to standard output.
    pub stdout: String,
    /// All that it printed to standard error.
    pub stderr: String,
    line: String,
    folder: TempDir,
}

impl Outcome {
    /// Asserts its exit code, showing what it printed if that is another one.
    ///
    /// # Panics
    /// If it is another one.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        let report = report(&self.line, &self.stdout, &self.stderr);
        assert_eq!(self.code, Some(code), "{report}");
        self
    }

    /// Whether it showed `words`, wherever it broke its lines.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    }

    /// The folder that it ran in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its results, or a file in it.
    #[must_use]
    pub fn artifact(&self, name: &str) -> PathBuf {
        self.folder.path().join(ARTIFACTS).join(name)
    }

    /// The text of one of its result files.
    ///
    /// # Panics
    /// If there is no such file; the message lists those there are.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.artifact(name)).unwrap_or_else(|error| {
            let report = report(&self.line, &self.stdout, &self.stderr);
            panic!("{name}: {error}; the results are {:?}; {report}", self.artifacts())
        })
    }

    /// One of its JSON result files.
    ///
    /// # Panics
    /// If there is no such file or it is not JSON.
    #[must_use]
    pub fn json(&self, name: &str) -> Value {
        parse(name, &self.text(name))
    }

    /// The lines of one of its JSONL result files.
    ///
    /// # Panics
    /// If there is no such file or one of its lines is not JSON.
    #[must_use]
    pub fn jsonl(&self, name: &str) -> Vec<Value> {
        self.text(name).lines().map(|line| parse(name, line)).collect()
    }

    /// The names of its result files, sorted.
    #[must_use]
    pub fn artifacts(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.artifact(""))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn starts_with(name: &OsStr, start: &str) -> bool {
    name.to_string_lossy().starts_with(start)
}

fn parse(name: &str, text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error} in {text}"))
}

fn report(line: &str, stdout: &str, stderr: &str) -> String {
    format!("{line}\n--- standard output\n{stdout}\n--- standard error\n{stderr}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell in place of the program, which these tests need not build.
    fn shell(script: &str) -> Program {
        Program::of(Path::new("/bin/sh")).args(["-c", script])
    }

    #[test]
    fn what_a_run_prints_and_how_it_ends_is_kept() {
        let outcome = shell("echo out; echo err >&2; exit 5").run().expect_code(5);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn the_results_of_a_run_are_read_from_its_folder() {
        let outcome = shell("mkdir artifacts; echo '{\"a\":1}' > artifacts/a.json; cat b > artifacts/b.jsonl")
            .file("b", "1\n2\n")
            .run()
            .expect_code(0);
        assert_eq!(outcome.artifacts(), ["a.json", "b.jsonl"]);
        assert_eq!(outcome.json("a.json")["a"], 1);
        assert_eq!(outcome.jsonl("b.jsonl"), [1, 2]);
    }

    #[test]
    fn the_home_of_a_run_is_its_own_folder() {
        let outcome = shell("[ \"$HOME\" = \"$PWD\" ] && echo $GIVEN").env("GIVEN", "seen").run();
        assert_eq!(outcome.expect_code(0).stdout, "seen\n");
    }

    #[test]
    fn a_run_with_few_descriptors_is_the_same_run_otherwise() {
        let outcome = shell("ulimit -n; echo $GIVEN $1").args(["0", "a b"]).env("GIVEN", "seen").descriptors(64).run();
        assert_eq!(outcome.expect_code(0).stdout, "64\nseen a b\n");
    }

    #[test]
    fn a_run_can_be_ended_once_it_has_said_something() {
        // Not by an interrupt: a shell cannot trap it where it was ignored before, as it is behind a `&`.
        let mut running = shell("trap 'exit 143' TERM; echo ready; while :; do sleep 0.01; done").start();
        running.wait_until(|running| running.stdout() == "ready\n");
        running.terminate();
        assert_eq!(running.finish().code, Some(143));
    }

    #[test]
    #[should_panic(expected = "past its limit")]
    fn a_run_that_hangs_fails_its_test() {
        let mut program = shell("exec sleep 600");
        program.limit = Duration::ZERO;
        let _ = program.run();
    }

    #[test]
    #[should_panic(expected = "no such server")]
    fn an_unexpected_exit_code_shows_what_was_printed() {
        let _ = shell("echo no such server >&2; exit 3").run().expect_code(0);
    }
}
