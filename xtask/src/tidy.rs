//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows.
//!
//! [`edges`] holds who may depend on whom; [`files`] holds what a source file may contain.

mod edges;
mod files;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Folders that hold nothing of ours: what git and editors keep is hidden, and these are made by running things.
const NOT_OURS: &[&str] = &["target", "artifacts"];

pub(crate) fn run() -> Result<()> {
    let workspace = shell::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let crates = edges::crates(&workspace);
    let mut breaches = edges::check(&crates);

    let mut count = 0;
    visit(root, &mut |path| {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        if files::is_checked(&name) {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
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
