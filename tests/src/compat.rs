//! Earlier versions of the interface, as a registry would hold them, built beside this one.

use crate::binary;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

/// The host and the plugins of interface 1.0.
pub struct Version1_0 {
    /// The program that calls every component of a library through that host.
    pub driver: PathBuf,
    /// The library that does what is usual.
    pub plugin: PathBuf,
    /// The library that does all the rest.
    pub second: PathBuf,
}

/// The same driver, with the host of this version.
///
/// # Panics
/// If it does not build.
pub fn driver() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| binary::program("inferometer-compat-driver", "inferometer-compat-driver"))
}

/// The plugin of interface 1.1, which is built against this tree until 1.1 is released.
///
/// # Panics
/// If it does not build.
pub fn plugin_of_1_1() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| binary::example_plugin("inferometer-plugin-of-1-1"))
}

/// Where everything is kept.
#[must_use]
pub fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

/// Builds what is kept of interface 1.0, once per test process.
///
/// # Panics
/// If it does not build.
pub fn version_1_0() -> &'static Version1_0 {
    static BUILT: OnceLock<Version1_0> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (kept, target) = (kept(), binary::target_directory());
        let [archive, workspace] = ["compat/1.0-archive", "compat/1.0"].map(|folder| target.join(folder));
        fs::create_dir_all(&archive).expect("a folder for what was packed");
        run(Command::new("tar").arg("xzf").arg(kept.join("1.0/interface.tar.gz")).arg("-C").arg(&archive));
        // The archive knows of the first plugin alone.
        let manifest = fs::read_to_string(archive.join("Cargo.toml")).expect("the archive is a workspace");
        let members = manifest.replace(r#""plugin", "driver""#, r#""plugin", "second", "driver""#);
        fs::write(archive.join("Cargo.toml"), members).expect("it can be written");
        let archive = (archive, workspace.clone());
        let others = [("1.0/plugin", "plugin"), ("1.0/second", "second"), ("driver", "driver")];
        for (from, to) in others.map(|(from, to)| (kept.join(from), workspace.join(to))).into_iter().chain([archive]) {
            copy(&from, &to);
        }
        // Its dependencies are mostly this workspace's own; in one target folder they are built once.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--package",
                "inferometer-plugin-of-1-0",
                "--package",
                "inferometer-second-plugin-of-1-0",
                "--package",
                "inferometer-compat-driver",
            ])
            .current_dir(&workspace)
            .env("CARGO_TARGET_DIR", target.join("compat/build"))
            .stdin(Stdio::null()));
        let made = target.join("compat/build/debug");
        let library =
            |name| made.join(format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
        Version1_0 {
            driver: made.join("inferometer-compat-driver"),
            plugin: library("inferometer_plugin_of_1_0"),
            second: library("inferometer_second_plugin_of_1_0"),
        }
    })
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Copies a folder; files that are the same already keep their time, so that nothing is built anew.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is kept").map(|entry| entry.expect("it can be read").path()) {
        let target = to.join(entry.file_name().expect("entries have names"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            let bytes = fs::read(&entry).expect("it can be read");
            if fs::read(&target).ok().as_ref() != Some(&bytes) {
                fs::write(&target, bytes).expect("it can be written");
            }
        }
    }
}

/// A server that answers with the prompt it is sent, or without one with a line of JSON that holds the path that was asked.
/// A header `X-Path` holds that path too. What is asked at a path that ends in `/stream` is answered as a stream of
/// lines; it has no page of metrics.
pub struct Echo {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request that an [`Echo`] got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its first line, without the version.
    pub line: String,
    /// Its other lines, in lower case.
    pub headers: Vec<String>,
    /// Its body.
    pub body: String,
}

impl Echo {
    /// Starts one on a free port; it lives as long as the test.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in the middle is none of its concern.
                let _ = answer(&stream, &kept);
            }
        });
        Self { address, asked }
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves one request, which is all that a connection is for.
fn answer(mut stream: &TcpStream, kept: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut input = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let line = head.first()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<String> = head[1..].iter().map(|line| line.to_ascii_lowercase()).collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(Some(0), |length| length.parse().ok())?];
    input.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let path = line.split_once(' ')?.1.to_owned();
    if path.ends_with("/metrics") {
        return stream.write_all(b"HTTP/1.1 404 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
    }
    let json: Option<Value> = serde_json::from_str(&body).ok();
    let prompt = json.as_ref().and_then(|json| json["prompt"].as_str());
    let said = prompt.map_or_else(|| format!("{{\"text\":{path:?}}}\n"), str::to_owned);
    let kind = if path.ends_with("/stream") { "application/x-ndjson" } else { "text/plain" };
    // First, so that whoever has the answer finds what was asked for it.
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { line, headers, body });
    let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\nX-Path: {path}", said.len());
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\nConnection: close\r\n\r\n{said}").as_bytes()).ok()
}
