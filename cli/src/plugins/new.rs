//! `plugins new`: a crate to begin a plugin with.
//!
//! Its code is that of the example of the same kind, with the names replaced; only its manifest and its README have
//! templates of their own.

use crate::{Ended, Failure, args::NewArgs, terminal::say};
use inferometer_abi::{INTERFACE_VERSION, documents::Kind};
use inferometer_host::Registry;
use inferometer_model::ExitCode;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

const SDK: &str = "inferometer-plugin-sdk";
const TESTKIT: &str = "inferometer-testkit";
/// The longest name, as on registries of crates.
const LONGEST: usize = 64;
/// Qualifiers of the program's own components.
const OURS: [&str; 2] = ["inferometer", "built-in"];
/// Words of the language, and names that cargo keeps for itself: no crate can be called so.
const RESERVED: [&str; 56] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The workspace of the examples, which says the versions of what they use.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const MANIFEST: &str = include_str!("../../../plugin-sdk/template/Cargo.toml.in");
const README: &str = include_str!("../../../plugin-sdk/template/README.md.in");
const GITIGNORE: &str = include_str!("../../../plugin-sdk/template/gitignore.in");

/// A crate among the examples.
struct Example {
    manifest: &'static str,
    library: &'static str,
    conformance: &'static str,
    /// The flags of `profile` that use the component `{{name}}`.
    flags: &'static str,
}

macro_rules! example {
    ($kind:literal, $flags:literal) => {
        Example {
            manifest: include_str!(concat!("../../../plugins/examples/", $kind, "/Cargo.toml")),
            library: include_str!(concat!("../../../plugins/examples/", $kind, "/src/lib.rs")),
            conformance: include_str!(concat!("../../../plugins/examples/", $kind, "/tests/conformance.rs")),
            flags: $flags,
        }
    };
}

fn example(kind: Kind) -> Example {
    match kind {
        Kind::Endpoint => example!("endpoint", "--endpoint-type {{name}}"),
        Kind::Timing => example!("timing", "--arrival-pattern {{name}} --request-rate 20"),
        Kind::Exporter => example!("exporter", "--exporter {{name}}"),
        Kind::Collector => example!("collector", "--collector {{name}}"),
        Kind::Dataset => example!("dataset", "--custom-dataset-type {{name}} --input-file FILE"),
    }
}

/// Runs `plugins new`.
pub(crate) fn run(args: &NewArgs) -> Ended {
    let NewArgs { name, kind, sdk_path, path } = args;
    check_name(name, *kind).map_err(Failure::usage)?;
    let sdk = sdk_path.as_deref().map(sdk_folder).transpose().map_err(Failure::usage)?;
    let folder = path.clone().unwrap_or_else(|| PathBuf::from(name));
    let files = files(name, *kind, sdk.as_deref());
    create(&folder, files).map_err(Failure::usage)?;
    let library = library(name);
    let flags = filled(example(*kind).flags, name, *kind);
    say(format_args!(
        "Made {} {kind} plugin in {folder}. Next:\n\n  \
         cd {folder}\n  \
         cargo test\n  \
         cargo build --release\n  \
         inferometer plugins check {library}\n  \
         inferometer profile --plugin {library} {flags} …\n  \
         inferometer plugins install {library}",
        article(*kind).to_lowercase(),
        folder = folder.display(),
    ));
    if sdk.is_none() {
        say(format_args!(
            "\nIt takes {SDK} {INTERFACE_VERSION} from the registry; --sdk-path takes a copy of its source instead."
        ));
    }
    Ok(ExitCode::Ok)
}

/// Why a plugin cannot be called so, if it cannot.
fn check_name(name: &str, kind: Kind) -> Result<(), String> {
    let refused = |why: &str| Err(format!("'{name}' is no name for a plugin: {why}"));
    let is_kebab = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|part| !part.is_empty())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_kebab {
        return refused(
            "use small letters, digits and single hyphens, beginning with a letter, as in 'acme-chat'; a hyphen stands for \
             an underscore wherever a component is asked for",
        );
    }
    if name.len() > LONGEST {
        return refused(&format!("it is longer than {LONGEST} letters"));
    }
    if OURS.contains(&name) {
        return refused("it stands for the program's own components; choose another, as in 'acme-chat'");
    }
    if RESERVED.contains(&name) {
        return refused("Rust has another use for that word; make it longer, as in 'acme-chat'");
    }
    let example = Table::from_iter(dependencies(kind, "dependencies", None));
    if [SDK, TESTKIT].contains(&name) || example.contains_key(name) {
        return refused("it depends on a crate of that name; choose another, as in 'acme-chat'");
    }
    if let Ok(entry) = Registry::builtin().find(kind, name) {
        return refused(&format!(
            "the program has {} {kind} '{}' of its own",
            article(kind).to_lowercase(),
            entry.name
        ));
    }
    Ok(())
}

/// The absolute path of the SDK's source, if `path` is that.
fn sdk_folder(path: &Path) -> Result<PathBuf, String> {
    let wrong = |why: String| {
        format!("--sdk-path {}: {why}; give the folder 'plugin-sdk' of inferometer's source", path.display())
    };
    let folder = fs::canonicalize(path).map_err(|error| wrong(error.to_string()))?;
    let manifest =
        fs::read_to_string(folder.join("Cargo.toml")).map_err(|error| wrong(format!("Cargo.toml: {error}")))?;
    let table: Table = toml::from_str(&manifest).map_err(|error| wrong(format!("Cargo.toml: {error}")))?;
    match table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str) {
        Some(SDK) => Ok(folder),
        other => Err(wrong(format!(
            "this is {}",
            other.map_or_else(|| "no crate".to_owned(), |name| format!("the crate '{name}'"))
        ))),
    }
}

/// The files of the crate with their paths in it.
fn files(name: &str, kind: Kind, sdk: Option<&Path>) -> [(&'static str, String); 5] {
    let example = example(kind);
    let list = |section| {
        let entries = dependencies(kind, section, sdk).into_iter();
        entries.map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join("\n")
    };
    let manifest = filled(MANIFEST, name, kind)
        .replace("{{dependencies}}", &list("dependencies"))
        .replace("{{dev-dependencies}}", &list("dev-dependencies"));
    [
        ("Cargo.toml", manifest),
        ("README.md", filled(README, name, kind)),
        (".gitignore", GITIGNORE.to_owned()),
        ("src/lib.rs", renamed(example.library, name, kind)),
        ("tests/conformance.rs", renamed(example.conformance, name, kind)),
    ]
}

/// A template with everything filled in but what the crate depends on.
fn filled(template: &str, name: &str, kind: Kind) -> String {
    template
        .replace("{{use}}", example(kind).flags)
        .replace("{{library}}", &library(name))
        .replace("{{name}}", name)
        .replace("{{kind}}", kind.as_str())
        .replace("{{article}}", article(kind))
        .replace("{{interface}}", INTERFACE_VERSION)
        .replace("{{edition}}", of_workspace("edition"))
        .replace("{{rust-version}}", env!("CARGO_PKG_RUST_VERSION"))
}

fn of_workspace(key: &str) -> &'static str {
    let line = WORKSPACE.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix("= \""));
    line.and_then(|rest| rest.strip_suffix('"')).expect("the workspace says it for all its crates")
}

/// An example's code under another name.
fn renamed(code: &str, name: &str, kind: Kind) -> String {
    let example = format!("example-{kind}");
    let package = format!("inferometer-{example}");
    // The package first: its name ends in the component's.
    code.replace(&package, name).replace(&package.replace('-', "_"), &name.replace('-', "_")).replace(&example, name)
}

/// Where cargo puts the library.
fn library(name: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("target/release/{prefix}{}{suffix}", name.replace('-', "_"))
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Endpoint | Kind::Exporter => "An",
        Kind::Timing | Kind::Collector | Kind::Dataset => "A",
    }
}

/// What a section of an example's manifest depends on, with the versions that the workspace gives; our own crates at the
/// path of the SDK, or at the version of the interface.
fn dependencies(kind: Kind, section: &str, sdk: Option<&Path>) -> Vec<(String, Value)> {
    let table = |text: &str| toml::from_str::<Table>(text).expect("a manifest that cargo reads is TOML");
    let (manifest, workspace) = (table(example(kind).manifest), table(WORKSPACE));
    let names = manifest.get(section).and_then(Value::as_table).into_iter().flat_map(Table::keys);
    let one = |name: &String| {
        let ours = match name.as_str() {
            SDK => Some(sdk.map(Path::to_owned)),
            TESTKIT => Some(sdk.map(|sdk| sdk.join("testkit"))),
            _ => None,
        };
        let value = match ours {
            Some(Some(path)) => Table::from_iter([("path".to_owned(), path.display().to_string().into())]).into(),
            Some(None) => INTERFACE_VERSION.into(),
            None => workspace["workspace"]["dependencies"][name.as_str()].clone(),
        };
        (name.clone(), value)
    };
    names.map(one).collect()
}

/// Writes the crate into a folder that is not there yet.
fn create(folder: &Path, mut files: [(&str, String); 5]) -> Result<(), String> {
    let wrong = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| wrong(parent, error))?;
    // Whoever makes the folder may fill it, and nothing that was there is touched.
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already and is left as it is; choose another --path or name", folder.display())
        }
        _ => wrong(folder, error),
    })?;
    if let Some(root) = workspace_above(parent) {
        let words = format!(
            "\n# Keeps this crate out of the workspace in {}. Remove it to be a member there.\n[workspace]\n",
            root.display()
        );
        files[0].1.push_str(&words);
    }
    let written = files.iter().try_for_each(|(name, text)| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| wrong(&path, error))
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
    }
    written
}

/// The folder of the workspace that cargo would count a crate in `folder` to, if there is one.
fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let is_root = |folder: &&Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        toml::from_str::<Table>(&manifest).is_ok_and(|table| table.contains_key("workspace"))
    };
    folder.ancestors().find(is_root).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_in_kebab_case_that_clash_with_nothing() {
        for name in ["acme", "acme-chat", "a1-b2"] {
            assert_eq!(check_name(name, Kind::Endpoint), Ok(()), "{name}");
        }
        for (name, words) in [
            ("", "small letters"),
            ("Acme", "small letters"),
            ("acme_chat", "small letters"),
            ("acme--chat", "small letters"),
            ("-acme", "small letters"),
            ("acme-", "small letters"),
            ("3d", "small letters"),
            ("../acme", "small letters"),
            ("akmé", "small letters"),
            ("serde_json", "a hyphen stands for an underscore"),
            ("inferometer", "the program's own"),
            ("built-in", "the program's own"),
            ("fn", "another use"),
            ("test", "another use"),
            ("inferometer-plugin-sdk", "depends on a crate"),
            ("concurrency", "has a timing 'concurrency' of its own"),
        ] {
            let refused = check_name(name, Kind::Timing).expect_err(name);
            assert!(refused.contains(words), "{refused}");
        }
        assert!(check_name(&"a".repeat(65), Kind::Timing).is_err());
    }

    #[test]
    fn every_kind_has_a_crate_in_which_nothing_is_left_to_fill_in() {
        for kind in Kind::ALL {
            for (file, text) in files("acme-thing", kind, None) {
                assert!(!text.contains("{{"), "{kind}, {file}: {text}");
                assert!(
                    !text.contains(&format!("example-{kind}")) && !text.contains("inferometer_example"),
                    "{kind}, {file}"
                );
            }
            let [(_, manifest), (_, readme), _, (_, library), (_, conformance)] = files("acme-thing", kind, None);
            let manifest: Table = toml::from_str(&manifest).expect("it is TOML");
            assert_eq!(manifest["package"]["name"].as_str(), Some("acme-thing"));
            assert_eq!(manifest["dependencies"][SDK].as_str(), Some(INTERFACE_VERSION));
            assert!(library.contains("name: \"acme-thing\""), "{kind}");
            assert!(conformance.contains("acme_thing"), "{kind}");
            assert!(readme.contains("libacme_thing"), "{kind}");
        }
    }

    #[test]
    fn with_a_path_our_crates_are_taken_from_there_and_others_from_the_registry() {
        let [(_, manifest), ..] = files("acme", Kind::Endpoint, Some(Path::new("/s/plugin-sdk")));
        let manifest: Table = toml::from_str(&manifest).expect("it is TOML");
        assert_eq!(manifest["dependencies"][SDK]["path"].as_str(), Some("/s/plugin-sdk"));
        assert_eq!(manifest["dev-dependencies"][TESTKIT]["path"].as_str(), Some("/s/plugin-sdk/testkit"));
        assert!(manifest["dependencies"]["serde_json"].is_str());
    }

    #[test]
    fn a_crate_inside_a_workspace_stays_out_of_it_and_a_folder_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("Cargo.toml"), "[workspace]\n").expect("a file");
        let folder = dir.path().join("deeper/acme");
        let made = || create(&folder, files("acme", Kind::Timing, None));
        assert_eq!(made(), Ok(()));
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("it was written");
        assert!(toml::from_str::<Table>(&manifest).is_ok_and(|table| table.contains_key("workspace")), "{manifest}");
        fs::write(folder.join("README.md"), "mine").expect("a file");
        assert!(made().expect_err("it is there").contains("is there already"));
        assert_eq!(fs::read_to_string(folder.join("README.md")).expect("it is still there"), "mine");
    }
}
