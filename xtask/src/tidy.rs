//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows.
//!
//! [`edges`] holds who may depend on whom; [`files`] holds what a source file may contain; [`docs`] holds that pages show
//! and link to what is there.

mod docs;
mod edges;
mod files;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell;

/// Folders that hold nothing of ours: what git and editors keep is hidden, and these are made by running things.
const NOT_OURS: &[&str] = &["target", "artifacts"];

#[derive(Args)]
pub(crate) struct TidyArgs {
    /// Write the blocks of the documentation anew that show a file
    #[arg(long)]
    fix: bool,
}

pub(crate) fn run(args: &TidyArgs) -> Result<()> {
    let workspace = shell::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let crates = edges::crates(&workspace);
    let mut breaches = edges::check(&crates);

    let mut count = 0;
    visit(root, &mut |path| {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        if files::is_checked(&name) {
            let mut text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
            if docs::is_checked(&name) {
                if args.fix {
                    text = mended(root, path, &text)?;
                }
                breaches.extend(docs::check(root, &name, &text));
            }
            breaches.extend(files::check(&name, &text));
            count += 1;
        }
        Ok(())
    })?;

    for breach in &breaches {
        eprintln!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("tidy: {} breach(es) of the rules", breaches.len());
    }
    println!("tidy: {count} files and {} crates keep the rules", crates.len());
    Ok(())
}

/// The page at `path`, its blocks as the files they show; written only if that changes it.
fn mended(root: &Path, path: &Path, text: &str) -> Result<String> {
    let fresh = docs::rewritten(root, text).with_context(|| format!("in {}", path.display()))?;
    if fresh != text {
        fs::write(path, &fresh).with_context(|| format!("cannot write {}", path.display()))?;
        println!("tidy: wrote {}", path.display());
    }
    Ok(fresh)
}

/// Every file below `folder` that is ours, in the order of their names.
fn visit(folder: &Path, act: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot list {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
            visit(&entry.path(), act)?;
        } else if kind.is_file() {
            act(&entry.path())?;
        }
    }
    Ok(())
}
