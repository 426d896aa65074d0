//! Real plugin libraries: found in a folder, read without running them, opened, used over the wire, and refused.

use inferometer_abi::{
    RStr, RVec,
    api::{Timetable, TimingStrategy},
    documents::Kind,
    options::options,
    types::{
        Answer, Delta, ErrorKind, Event, Load, Message, Outgoing, Part, PhaseSpec, Reply, Request, Step, TurnTime,
        delta_flags, request_flags,
    },
};
use inferometer_host::{Discovery, HostError, Level, Made, Origin, Refusal, Registry, drain_log};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// Builds one library by cargo with `arguments` and says where it lies.
fn build(arguments: &[&str]) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("cargo speaks UTF-8");
    let mut libraries = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).expect("a line is a message");
        let files = message["filenames"].as_array()?.iter().filter_map(|file| file.as_str().map(PathBuf::from));
        files.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "so" || ending == "dylib"))
    });
    // The package itself is built last; what comes before it are proc macros.
    libraries.next_back().expect("a library was built")
}

static FIXTURE: LazyLock<PathBuf> = LazyLock::new(|| build(&["--example", "host_fixture"]));

/// A folder that holds a copy of the fixture, changed by `change`, under the name `file`.
fn folder(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, Discovery) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bytes = fs::read(&*FIXTURE).expect("the fixture was built");
    change(&mut bytes);
    fs::write(dir.path().join(file), bytes).expect("a file");
    let discovery = Discovery { config: vec![dir.path().to_owned()], ..Discovery::default() };
    (dir, discovery)
}

/// Puts `new` where `old` is, which has as many bytes and occurs in the manifest alone.
fn replace(bytes: &mut [u8], old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    let at: Vec<_> = (0..bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(old.as_bytes())).collect();
    assert!(!at.is_empty());
    at.into_iter().for_each(|at| bytes[at..at + old.len()].copy_from_slice(new.as_bytes()));
}

fn error<T>(made: Result<Made<T>, HostError>) -> HostError {
    made.err().expect("it is to fail")
}

struct NoTimes;

impl Timetable for NoTimes {
    fn sessions(&self) -> u64 {
        0
    }
    fn turns(&self, _: u64) -> u32 {
        1
    }
    fn time(&self, _: u64, _: u32) -> TurnTime {
        TurnTime::NONE
    }
}

fn first_step(strategy: &mut dyn TimingStrategy) -> Step {
    strategy.start(&PhaseSpec::default(), &NoTimes).expect("it starts");
    strategy.next(0, &Load::default()).expect("it goes on")
}

#[test]
fn a_library_is_listed_without_being_opened_and_used_when_asked_for() {
    let (dir, discovery) = folder("libacme.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    assert!(registry.skipped().is_empty(), "{:?}", registry.skipped());
    let path = fs::canonicalize(dir.path().join("libacme.so")).expect("it is there");
    let entry = registry.entries().find(|e| e.name == "at_once").expect("it is listed");
    assert_eq!((entry.kind, entry.priority, entry.package.as_str()), (Kind::Timing, 0, "inferometer-host"));
    assert_eq!(entry.summary, "Sends everything at one time.");
    assert_eq!(entry.origin, Origin::Library(path.clone()));
    assert_eq!(registry.names(Kind::Timing), ["at_once", "broken"]);
    assert_eq!(registry.entries().find(|e| e.name == "broken").map(|e| e.priority), Some(-3));

    let mut one = registry.timing("at-once", r#"{"at_ns":7}"#).expect("it is there");
    let mut other = registry.timing("acme:at_once", "").expect("it may be made again");
    assert_eq!(first_step(&mut *one.component).at_ns, 7);
    assert_eq!(first_step(&mut *other.component).at_ns, 0);
    assert_eq!(one.used.origin, path.display().to_string());
    assert_eq!(one.used.version, env!("CARGO_PKG_VERSION"));
    let sha256 = one.used.sha256.expect("a library has a checksum");
    assert!(sha256.len() == 64 && sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{sha256}");

    let said: Vec<_> = drain_log().into_iter().map(|line| (line.level, line.target, line.message)).collect();
    assert!(said.contains(&(Level::Information, "fixture".to_owned(), "made".to_owned())), "{said:?}");
}

#[test]
fn a_component_may_be_made_by_many_threads_at_once() {
    let (_dir, discovery) = folder("libthreads.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let step = |at: u64| {
        let mut made = registry.timing("at-once", &format!("{{\"at_ns\":{at}}}")).expect("it is there");
        first_step(&mut *made.component).at_ns
    };
    let step = &step;
    let steps: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|at| scope.spawn(move || step(at))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn wrong_options_are_refused_with_the_authors_words() {
    let (_dir, discovery) = folder("liboptions.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let text = error(registry.timing("at_once", r#"{"at":7}"#)).to_string();
    assert!(
        text.contains("timing 'at_once' (") && text.contains("it has no option 'at'; its options are: at_ns"),
        "{text}"
    );
    let text = error(registry.timing("at_once", r#"{"at_ns":1001}"#)).to_string();
    assert!(text.ends_with("could not be made: at_ns is more than 1000; give less"), "{text}");
}

#[test]
fn a_library_says_which_options_its_components_have() {
    let (_dir, discovery) = folder("libschema.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let options = |kind, name| options(&registry.options_schema(kind, name).expect("it can say"));
    let [at_ns] = &options(Kind::Timing, "at-once")[..] else { panic!("it has one option") };
    assert_eq!((at_ns.name.as_str(), at_ns.takes.as_str()), ("at_ns", "a whole number of at least 0"));
    assert_eq!((at_ns.default.as_ref(), at_ns.required), (Some(&0.into()), false));
    assert_eq!(options(Kind::Timing, "broken"), []);
}

#[test]
fn a_component_that_panics_when_it_is_asked_for_its_options_disturbs_none_of_the_others() {
    let (_dir, discovery) = folder("libpanics.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let text = registry.options_schema(Kind::Endpoint, "silent").expect_err("it panics").to_string();
    assert!(text.contains("endpoint 'silent' (") && text.contains("it panicked: no words; tell its author"), "{text}");
    assert!(registry.options_schema(Kind::Timing, "at_once").is_ok());
}

#[test]
fn a_constructor_that_panics_is_an_error_with_its_text_and_the_library_stays_of_use() {
    let (_dir, discovery) = folder("libpanic.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    match error(registry.timing("broken", "")) {
        HostError::Panicked { reason, .. } => {
            assert_eq!(reason.kind, ErrorKind::PANICKED);
            assert_eq!(reason.message.as_str(), "panicked: the fuse is blown");
        }
        other => panic!("{other}"),
    }
    assert!(registry.timing("at_once", "").is_ok());
}

#[test]
fn an_endpoint_that_panics_when_it_is_asked_what_it_can_do_is_an_error_before_the_run() {
    let (_dir, discovery) = folder("libsilent.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let text = error(registry.endpoint("silent", "")).to_string();
    assert!(
        text.contains("endpoint 'silent' (") && text.contains("it panicked: no comment; tell its author"),
        "{text}"
    );
}

#[test]
fn a_truncated_library_is_passed_over_and_an_error_when_named() {
    for part in [2, 3, 50] {
        let (dir, mut discovery) = folder("libcut.so", |bytes| bytes.truncate(bytes.len() - bytes.len() / part));
        let registry = Registry::discover(&discovery).expect("nothing is explicit");
        assert!(matches!(registry.skipped()[0].reason, Refusal::Damaged(_)), "{:?}", registry.skipped());
        let text = error(registry.timing("at_once", "")).to_string();
        assert!(text.contains("libcut.so: it is cut short or damaged"), "{text}");

        discovery.explicit = vec![dir.path().join("libcut.so")];
        let text = Registry::discover(&discovery).err().expect("it was named").to_string();
        assert!(text.starts_with("--plugin ") && text.contains("cut short"), "{text}");
    }
}

#[test]
fn a_library_whose_panics_abort_is_refused() {
    let (_dir, discovery) =
        folder("libabort.so", |bytes| replace(bytes, "\"panic\":\"unwind\"", "\"panic\":\"abort\" "));
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    assert!(matches!(registry.skipped()[0].reason, Refusal::Aborts), "{:?}", registry.skipped());
}

#[test]
fn a_library_that_does_not_export_its_root_is_refused() {
    let (_dir, discovery) =
        folder("libmute.so", |bytes| replace(bytes, "INFEROMETER_PLUGIN\0", "INFEROMETER_PLUGIX\0"));
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    assert!(matches!(registry.skipped()[0].reason, Refusal::NoHeader), "{:?}", registry.skipped());
}

#[test]
fn a_library_whose_manifest_is_not_true_is_refused_when_opened() {
    let (_dir, discovery) = folder("liblies.so", |bytes| replace(bytes, "\"name\":\"broken\"", "\"name\":\"intact\""));
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let text = error(registry.timing("intact", "")).to_string();
    assert!(text.contains("timing 'intact' (priority -3)") && text.contains("timing 'broken' (priority -3)"), "{text}");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_library_that_needs_what_is_not_there_is_refused_with_the_systems_words() {
    let (_dir, discovery) = folder("libneeds.so", |bytes| replace(bytes, "libc.so.6\0", "libx.so.6\0"));
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    let text = error(registry.timing("at_once", "")).to_string();
    assert!(text.contains("libneeds.so: the system could not load it") && text.contains("libx.so.6"), "{text}");
}

#[test]
fn a_library_that_changed_after_it_was_found_is_not_opened() {
    let (dir, discovery) = folder("libchanged.so", |_| {});
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    fs::write(dir.path().join("libchanged.so"), "something else").expect("own file");
    assert!(matches!(error(registry.timing("at_once", "")), HostError::Changed { .. }));
}

#[test]
fn a_library_under_development_stands_in_for_the_installed_one() {
    let (dir, mut discovery) = folder("libinstalled.so", |_| {});
    let development: &Path = &FIXTURE;
    discovery.explicit = vec![development.to_owned()];
    let registry = Registry::discover(&discovery).expect("it is a plugin");
    let made = registry.timing("at_once", "").expect("there is no tie");
    assert_eq!(made.used.origin, fs::canonicalize(development).expect("it was built").display().to_string());
    let skipped = &registry.skipped()[0];
    assert_eq!(skipped.path, fs::canonicalize(dir.path()).expect("it is there").join("libinstalled.so"));
    assert!(matches!(&skipped.reason, Refusal::Hidden { names, .. } if names.len() == 3));
}

#[test]
fn the_example_endpoint_encodes_and_decodes_across_the_boundary() {
    let library = build(&["--package", "inferometer-example-endpoint", "--lib"]);
    let dir = tempfile::tempdir().expect("a folder");
    fs::copy(library, dir.path().join("libvendor.so")).expect("it was built");
    let discovery = Discovery { env: Some(dir.path().into()), ..Discovery::default() };
    let registry = Registry::discover(&discovery).expect("nothing is explicit");
    assert_eq!(registry.names(Kind::Endpoint), ["example-endpoint"]);
    let example = registry.endpoint("vendor:example_endpoint", r#"{"prefix":"Say: "}"#).expect("it is there").component;
    let info = example.info();
    assert!(info.path == "/v1/completions" && info.streams && info.ends_explicitly, "{info:?}");

    let parts = [Part::text("hello")];
    let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: RStr::empty() }];
    let request = Request { max_tokens: 4, flags: request_flags::STREAM, ..Request::new("m", &messages) };
    let mut out = Outgoing::default();
    example.encode(&request, &mut out).expect("it can be encoded");
    let body: serde_json::Value = serde_json::from_slice(&out.body).expect("it is JSON");
    assert_eq!(body, serde_json::json!({"prompt": "Say: hello", "model": "m", "stream": true, "max_tokens": 4}));

    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    let mut read = |data: &str| {
        (delta, scratch) = (Delta::EMPTY, RVec::new());
        example.on_event(&Event::new(data.as_bytes()), &mut delta, &mut scratch)?;
        let text = delta.text.of(&scratch).expect("the span is within").to_vec();
        Ok((String::from_utf8(text).expect("it is text"), delta.flags & !delta_flags::SCRATCH))
    };
    assert_eq!(read(r#"{"choices":[{"text":" \"hi\""}]}"#), Ok((" \"hi\"".to_owned(), 0)));
    assert_eq!(read("[DONE]"), Ok((String::new(), delta_flags::DONE)));
    assert_eq!(read("not JSON"), Err(ErrorKind::MALFORMED));

    let answer = |body: &'static str| Answer {
        status: 200,
        exchange: 0,
        flags: 0,
        content_type: "application/json".into(),
        body: body.as_bytes().into(),
    };
    let mut reply = Reply::default();
    example.on_body(&answer(r#"{"choices":[{"text":"whole"}]}"#), &mut reply).expect("it can be read");
    assert_eq!(reply.deltas[0].text.of(&reply.scratch), Some(&b"whole"[..]));
    let refused = example.on_body(&answer("oops"), &mut Reply::default()).expect_err("it is no JSON");
    assert_eq!(refused.kind, ErrorKind::MALFORMED);

    let text = error(registry.endpoint("example-endpoint", r#"{"prefex":"Say: "}"#)).to_string();
    assert!(text.contains("it has no option 'prefex', did you mean 'prefix'?"), "{text}");
}
