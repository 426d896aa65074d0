//! The rules for the pages people read: a block that shows a file is that file, and a link within the project leads
//! somewhere.
//!
//! A block that shows a file stands between two comments, and everything between them is written by `cargo xtask tidy --fix`:
//!
//! ```text
//! <!-- source: plugins/examples/endpoint/src/lib.rs -->
//! <!-- end of source -->
//! ```
//!
//! Not here: links to other sites, which may be down for reasons that are not ours.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};

const OPENS: &str = "<!-- source: ";
const OPENS_END: &str = " -->";
const CLOSES: &str = "<!-- end of source -->";

/// Whether a file is such a page.
pub(super) fn is_checked(path: &str) -> bool {
    path == "README.md" || path == "ARCHITECTURE.md" || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// What is wrong with the page at `path`, relative to `root`, as `path:line: what`.
pub(super) fn check(root: &Path, path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for block in blocks(text) {
        let wrong = match (&block.place, shown(root, block.file)) {
            (None, _) => Some(format!("shows {} and has no `{CLOSES}`", block.file)),
            (_, Err(error)) => Some(format!("{error:#}")),
            (Some(place), Ok(fresh)) if text[place.clone()] != fresh => {
                Some(format!("does not show {} as it is; run `cargo xtask tidy --fix`", block.file))
            }
            _ => None,
        };
        breaches.extend(wrong.map(|what| (block.line, what)));
    }
    for (line, target) in links(text) {
        breaches.extend(broken(root, path, text, target).map(|what| (line, what)));
    }
    breaches.sort();
    breaches.iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
}

/// The page with every block as the file it shows; a block without an end is left as it is.
pub(super) fn rewritten(root: &Path, text: &str) -> Result<String> {
    let mut fresh = text.to_owned();
    for block in blocks(text).into_iter().rev() {
        if let Some(place) = block.place {
            fresh.replace_range(place, &shown(root, block.file)?);
        }
    }
    Ok(fresh)
}

/// A block that shows a file.
struct Block<'a> {
    line: usize,
    file: &'a str,
    /// The bytes between the two comments, if there is a second one.
    place: Option<Range<usize>>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut at, mut open_at) = (0, None);
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let words = content.trim_end();
        let next = at + content.len();
        match (open_at, words.strip_prefix(OPENS).and_then(|rest| rest.strip_suffix(OPENS_END))) {
            (None, Some(file)) => {
                blocks.push(Block { line, file, place: None });
                open_at = Some(next);
            }
            (Some(start), _) if words == CLOSES => {
                if let Some(block) = blocks.last_mut() {
                    block.place = Some(start..at);
                }
                open_at = None;
            }
            _ => {}
        }
        at = next;
    }
    blocks
}

/// What stands between the comments of a block that shows `file`.
fn shown(root: &Path, file: &str) -> Result<String> {
    let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot show {file}"))?;
    let language = match file.rsplit_once('.') {
        Some((_, "rs")) => "rust",
        Some((_, ending)) => ending,
        None => "text",
    };
    // A fence has to be longer than any within; those of documentation comments stand behind `//!`.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    Ok(format!("{fence}{language}\n{text}{fence}\n"))
}

/// The targets of the links of a page, with the lines they stand on; what is code has none.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        // What stands between two backticks is code.
        for words in content.split('`').step_by(2) {
            for (before, _) in words.match_indices("](") {
                let target = &words[before + 2..];
                links.push((line, target.split([')', ' ']).next().unwrap_or_default()));
            }
        }
    }
    links
}

/// The lines that are not within a fenced block, by their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let words = content.trim_start();
        let ticks = &words[..words.len() - words.trim_start_matches('`').len()];
        match fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => lines.push((line, content)),
            Some(open) if ticks.len() >= open.len() && words.trim_end() == ticks => fence = None,
            Some(_) => {}
        }
    }
    lines
}

/// What is wrong with a link of the page at `path`.
fn broken(root: &Path, path: &str, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let nowhere = || Some(format!("links to {target}, which is not there"));
    let page = if file.is_empty() {
        text.to_owned()
    } else {
        let Ok(place) = root.join(path).parent().unwrap_or(root).join(file).canonicalize() else { return nowhere() };
        if !root.canonicalize().is_ok_and(|root| place.starts_with(root)) {
            return Some(format!("links to {target}, which is outside the project"));
        }
        // Only pages have headings; a folder or a picture is read as an empty one.
        fs::read_to_string(place).unwrap_or_default()
    };
    if heading.is_empty() || headings(&page).any(|known| known == heading) { None } else { nowhere() }
}

/// What the headings of a page are linked by: in small letters, with `-` for blanks and without other signs.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let titles = prose(page)
        .into_iter()
        .filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    titles
        .map(|title| {
            let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A file of this workspace that the tests show and link to.
    const FILE: &str = "xtask/Cargo.toml";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace root").to_owned()
    }

    fn wrong(text: &str) -> Vec<String> {
        check(&root(), "docs/page.md", text)
    }

    #[test]
    fn the_pages_of_the_project_are_checked_and_others_are_not() {
        assert!(["README.md", "ARCHITECTURE.md", "docs/plugins/README.md"].into_iter().all(is_checked));
        assert!(!is_checked("core/README.md") && !is_checked("docs/picture.png"));
    }

    #[test]
    fn a_block_that_is_out_of_date_is_found_and_mended() {
        let page = format!("Text.\n{OPENS}{FILE}{OPENS_END}\n```toml\nstale = true\n```\n{CLOSES}\nMore.\n");
        let what = format!("docs/page.md:2: does not show {FILE} as it is; run `cargo xtask tidy --fix`");
        assert_eq!(wrong(&page), [what]);

        let mended = rewritten(&root(), &page).unwrap();
        let file = fs::read_to_string(root().join(FILE)).unwrap();
        assert_eq!(mended, format!("Text.\n{OPENS}{FILE}{OPENS_END}\n```toml\n{file}```\n{CLOSES}\nMore.\n"));
        assert!(wrong(&mended).is_empty());
        assert_eq!(rewritten(&root(), &mended).unwrap(), mended);
    }

    #[test]
    fn a_fence_is_longer_than_those_it_encloses() {
        let this = shown(&root(), "xtask/src/tidy/docs.rs").unwrap();
        let fence = this.split("rust\n").next().unwrap();
        assert!(fence.len() > 3 && !this[fence.len()..this.len() - fence.len() - 1].contains(fence), "{fence}");
    }

    #[test]
    fn a_block_of_no_file_or_without_an_end_is_found() {
        let none = wrong(&format!("{OPENS}no/such.rs{OPENS_END}\n{CLOSES}\n"));
        assert!(none.len() == 1 && none[0].contains("cannot show no/such.rs"), "{none:?}");
        let endless = wrong(&format!("{OPENS}{FILE}{OPENS_END}\n```toml\n```\n"));
        assert!(endless.len() == 1 && endless[0].contains("has no `<!--"), "{endless:?}");
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page =
            "# One: `two`\n[a](nowhere.md) and [b](../README.md)\n[c](#one-two) [d](#three)\n[e](../../elsewhere)\n";
        assert_eq!(
            wrong(page),
            [
                "docs/page.md:2: links to nowhere.md, which is not there",
                "docs/page.md:3: links to #three, which is not there",
                "docs/page.md:4: links to ../../elsewhere, which is not there",
            ],
        );
        assert!(wrong("[a](/)")[0].contains("outside the project"));
    }

    #[test]
    fn what_is_code_or_on_another_site_is_no_link_of_ours() {
        let page = "`[a](nowhere.md)` [b](https://nowhere.example)\n```text\n[c](nowhere.md)\n```\n";
        assert!(wrong(page).is_empty());
    }

    #[test]
    fn headings_of_other_pages_are_looked_up_there() {
        assert!(wrong("[a](../ARCHITECTURE.md#the-rooms)").is_empty());
        assert_eq!(wrong("[a](../ARCHITECTURE.md#the-cellar)").len(), 1);
    }
}
