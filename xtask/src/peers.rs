//! `cargo xtask peers`: real servers for tests, each in a Python environment of its own in `target/peers`.
//!
//! What is installed and how it is started stands in `peers/peers.toml`. Installing is done here; starting is done by
//! the tests' own launcher, so that a developer gets exactly the server that the tests get.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell;

const CATALOGUE: &str = include_str!("../peers/peers.toml");
const MODEL_SCRIPT: &str = include_str!("../peers/tiny_model.py");
const VOCABULARY_SCRIPT: &str = include_str!("../../core/tokens/tests/golden/vocabularies.py");

/// The longest that one command of an installation may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Written last, so that its presence says that a folder is whole; its text says what the folder was made from.
const STAMP: &str = "stamp";

/// English text that Debian and its kin carry; elsewhere the repository's own pages must do.
const SYSTEM_TEXTS: &str = "/usr/share/common-licenses";

#[derive(clap::Args)]
pub(crate) struct StartArgs {
    /// Which server: llama or dynamo
    server: String,
    /// The port that it answers on [default: a free one]
    #[arg(long)]
    port: Option<u16>,
}

/// The part of `peers.toml` that says what to install.
#[derive(Deserialize)]
struct Catalogue {
    model: Packages,
    peer: BTreeMap<String, Packages>,
}

#[derive(Deserialize)]
struct Packages {
    packages: Vec<String>,
}

/// Installs whatever is missing or was made from other pins than today's.
pub(crate) fn install() -> Result<()> {
    let workspace = shell::workspace()?;
    let catalogue: Catalogue = toml::from_str(CATALOGUE).context("xtask/peers/peers.toml")?;
    let peers = workspace.target_directory.as_std_path().join("peers");
    fs::create_dir_all(&peers).with_context(|| format!("cannot create {}", peers.display()))?;

    for (name, peer) in &catalogue.peer {
        environment(&peers.join(name), &peer.packages)?;
    }
    let maker = peers.join("model-maker");
    environment(&maker, &catalogue.model.packages)?;
    tiny_model(&peers.join("tiny"), &maker, workspace.workspace_root.as_std_path(), &catalogue.model.packages)?;
    vocabularies(&peers.join("vocabularies"), &maker)
}

/// The vocabularies of well-known models at `folder`, which the counts of tokens are tested on.
fn vocabularies(folder: &Path, maker: &Path) -> Result<()> {
    make(folder, VOCABULARY_SCRIPT, || {
        let mut python = Command::new(maker.join("bin/python"));
        python.args(["-c", VOCABULARY_SCRIPT]).arg(folder);
        shell::run_within(LIMIT, &mut python).context("cannot fetch the vocabularies")
    })
}

/// Runs one server in the foreground.
pub(crate) fn start(args: &StartArgs) -> Result<()> {
    let mut launcher = shell::cargo();
    launcher.args(["run", "--quiet", "-p", "inferometer-tests", "--example", "peer", "--"]);
    launcher.arg(&args.server);
    launcher.args(args.port.map(|port| port.to_string()));
    shell::run(&mut launcher)
}

/// A Python environment at `folder` that holds exactly `packages`.
fn environment(folder: &Path, packages: &[String]) -> Result<()> {
    make(folder, &packages.join("\n"), || {
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        shell::run_within(LIMIT, Command::new(python).args(["-m", "venv"]).arg(folder)).context(
            "cannot make a Python environment; install Python 3.11 or newer with its venv module \
             (on Debian: apt install python3-venv), or name another Python in PYTHON",
        )?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary", ":all:", "--timeout", "60"])
            .args(packages);
        shell::run_within(LIMIT, &mut pip)
    })
}

/// The tiny model at `folder`, from the texts that this machine has.
fn tiny_model(folder: &Path, maker: &Path, root: &Path, packages: &[String]) -> Result<()> {
    let texts = texts(root)?;
    let names = texts.iter().map(|path| path.display().to_string());
    let recipe: Vec<String> = names.chain(packages.iter().cloned()).collect();
    make(folder, &format!("{}\n{MODEL_SCRIPT}", recipe.join("\n")), || {
        let mut python = Command::new(maker.join("bin/python"));
        python.args(["-c", MODEL_SCRIPT]).arg(folder).args(&texts);
        shell::run_within(LIMIT, &mut python).context("cannot make the tiny model")
    })
}

/// The texts that the model is made from: the licence, and the system's or else the repository's pages.
fn texts(root: &Path) -> Result<Vec<PathBuf>> {
    let licence = root.join("LICENSE");
    let mut more = files(Path::new(SYSTEM_TEXTS), |_| true)?;
    if more.is_empty() {
        let is_page = |path: &Path| path.extension().is_some_and(|end| end == "md");
        more = files(root, is_page)?;
        more.extend(files(&root.join("docs"), is_page)?);
    }
    Ok(std::iter::once(licence).chain(more).collect())
}

/// The plain files of one folder that are wanted, sorted; none if there is no such folder.
fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(format!("cannot list {}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // The type of the entry itself: a link to another version of the same text would only repeat it.
        if entry.file_type()?.is_file() && wanted(&entry.path()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Makes `folder` anew by `steps`, unless its stamp says that it was made from this very `recipe`.
fn make(folder: &Path, recipe: &str, steps: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join(STAMP);
    let name = folder.display();
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == recipe) {
        println!("{name}: there already");
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {name}"))?;
    }
    let start = Instant::now();
    fs::create_dir_all(folder).with_context(|| format!("cannot create {name}"))?;
    steps()?;
    fs::write(&stamp, recipe).with_context(|| format!("cannot write {}", stamp.display()))?;
    println!("{name}: made in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_the_catalogue_is_pinned() {
        let catalogue: Catalogue = toml::from_str(CATALOGUE).unwrap();
        let all = catalogue.peer.values().chain([&catalogue.model]);
        for package in all.flat_map(|peer| &peer.packages) {
            let (name, version) = package.split_once("==").expect(package);
            assert!(!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()), "{package}");
        }
    }

    #[test]
    fn the_texts_begin_with_the_licence_and_all_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let texts = texts(root).unwrap();
        assert_eq!(texts[0], root.join("LICENSE"));
        assert!(texts.iter().all(|path| path.is_file()), "{texts:?}");
    }

    #[test]
    fn a_folder_is_made_once_and_again_only_when_its_recipe_changes() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("made");
        let mut made = 0;
        for recipe in ["one", "one", "two"] {
            make(&folder, recipe, || {
                made += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn a_folder_whose_making_failed_is_made_again() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("made");
        make(&folder, "recipe", || anyhow::bail!("no network")).unwrap_err();
        let mut made = false;
        make(&folder, "recipe", || {
            made = true;
            Ok(())
        })
        .unwrap();
        assert!(made);
    }
}
