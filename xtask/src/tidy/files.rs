//! The rules for single files. Rust is read as tokens, so that comments and strings are never taken for code.

use proc_macro2::{TokenStream, TokenTree};

/// The most lines that a Rust file may have.
const MAX_LINES: usize = 600;

/// Where `unsafe` may stand: a folder (ending in a slash) or one file.
const UNSAFE_PLACES: &[&str] = &["core/abi/src/wire/", "core/host/src/loader.rs", "core/net/src/socket.rs"];

/// How far above an `unsafe` its reason may begin, in lines of anything but comment.
const SAFETY_WITHIN: usize = 3;

/// Macros that mark something unfinished.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// The endings of the files that are checked.
const CHECKED: &[&str] = &["rs", "toml", "md", "py", "sh", "yml", "yaml"];

/// Whether a file is one that people write and read.
pub(super) fn is_checked(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| CHECKED.contains(&ending))
}

/// What is wrong with the file at `path`, relative to the workspace, as `path:line: what`.
pub(super) fn check(path: &str, text: &str) -> Vec<String> {
    let mut breaches = blanks(text);
    if path.ends_with(".rs") {
        breaches.extend(rust(path, text));
    }
    breaches.sort();
    breaches.iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
}

type Breach = (usize, String);

fn blanks(text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.contains('\t') {
            breaches.push((number, "holds a tab; indent by blanks".to_owned()));
        } else if line.ends_with(' ') {
            breaches.push((number, "ends in blanks".to_owned()));
        }
    }
    breaches
}

fn rust(path: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > MAX_LINES {
        breaches.push((MAX_LINES + 1, format!("has {} lines, more than {MAX_LINES}; split it", lines.len())));
    }
    if !text.starts_with("//!") {
        breaches.push((1, "does not open with `//!` and what it is for".to_owned()));
    }
    let tokens: TokenStream = match text.parse() {
        Ok(tokens) => tokens,
        Err(error) => {
            breaches.push((1, format!("is not Rust: {error}")));
            return breaches;
        }
    };
    let mut words = Vec::new();
    collect(tokens, &mut words);
    for (line, word) in words {
        match word {
            Word::Unsafe if !may_be_unsafe(path) => {
                let places = UNSAFE_PLACES.join(", ");
                breaches.push((line, format!("`unsafe` may stand only in {places}")));
            }
            Word::Unsafe if !has_reason(&lines, line) => {
                breaches
                    .push((line, "`unsafe` without a `// SAFETY:` comment (or `# Safety` docs) above it".to_owned()));
            }
            Word::Unsafe => {}
            Word::Unfinished(name) => breaches.push((line, format!("`{name}!` marks something unfinished"))),
            Word::Ignore => breaches.push((line, "an ignored test tests nothing; mend it or delete it".to_owned())),
        }
    }
    breaches
}

/// A word of the code that a rule is about.
enum Word {
    Unsafe,
    Unfinished(String),
    Ignore,
}

/// Finds those words, at any depth, with the lines they stand on.
fn collect(tokens: TokenStream, words: &mut Vec<(usize, Word)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        let line = token.span().start().line;
        let next = tokens.get(i + 1);
        match token {
            TokenTree::Ident(name) if name == "unsafe" => words.push((line, Word::Unsafe)),
            TokenTree::Ident(name) if UNFINISHED.iter().any(|word| name == word) && is_punct(next, '!') => {
                words.push((line, Word::Unfinished(name.to_string())));
            }
            TokenTree::Punct(hash) if hash.as_char() == '#' && is_ignore(next) => {
                words.push((line, Word::Ignore));
            }
            TokenTree::Group(group) => collect(group.stream(), words),
            _ => {}
        }
    }
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// Whether a token is the `[ignore]` or `[ignore = "..."]` of an attribute.
fn is_ignore(token: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = token else { return false };
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "ignore")
}

fn may_be_unsafe(path: &str) -> bool {
    UNSAFE_PLACES.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// Whether the `unsafe` on `line` (from 1) has a comment that ends at most [`SAFETY_WITHIN`] lines above it and says why
/// it is sound, or, for a declaration, what the caller must see to.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim_start());
    let mut others = 0;
    for text in above {
        if text.starts_with("// SAFETY:") || text.starts_with("/// # Safety") {
            return true;
        }
        if !text.starts_with("//") {
            others += 1;
        }
        if others >= SAFETY_WITHIN {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: &str = "core/net/src/socket.rs";

    /// What is wrong with a file of that path whose text follows a proper opening, as `line: what`.
    fn wrong(path: &str, text: &str) -> Vec<String> {
        let breaches = check(path, &format!("//! For a test.\n{text}"));
        breaches.iter().map(|breach| breach[path.len() + 1..].to_owned()).collect()
    }

    #[test]
    fn a_tidy_file_passes() {
        let text = "fn main() {\n    println!(\"unsafe todo!() #[ignore]\"); // unsafe, todo!()\n}\n";
        assert_eq!(wrong("cli/src/main.rs", text), Vec::<String>::new());
    }

    #[test]
    fn only_files_that_people_write_are_checked() {
        assert!(is_checked("cli/src/main.rs") && is_checked("README.md"));
        assert!(!is_checked("LICENSE") && !is_checked("tests/data/answer.http"));
    }

    #[test]
    fn a_file_must_say_what_it_is_for() {
        let breaches = check("cli/src/main.rs", "fn main() {}\n");
        assert_eq!(breaches, ["cli/src/main.rs:1: does not open with `//!` and what it is for"]);
    }

    #[test]
    fn a_file_over_the_limit_is_told_its_length() {
        let longest = "\n".repeat(MAX_LINES - 1);
        assert!(wrong("a.rs", &longest).is_empty());
        assert_eq!(wrong("a.rs", &format!("{longest}\n")), ["601: has 601 lines, more than 600; split it"]);
    }

    #[test]
    fn unsafe_stands_only_in_its_places() {
        let text = "// SAFETY: it is a test.\nunsafe fn f() {}\n";
        for path in [SOCKET, "core/host/src/loader.rs", "core/abi/src/wire/guard.rs"] {
            assert!(wrong(path, text).is_empty(), "{path}");
        }
        for path in ["core/net/src/socket/more.rs", "core/abi/src/lib.rs", "cli/src/main.rs"] {
            let breaches = wrong(path, text);
            assert!(breaches.len() == 1 && breaches[0].starts_with("3: `unsafe` may stand only"), "{breaches:?}");
        }
    }

    #[test]
    fn unsafe_as_a_part_of_another_word_is_free() {
        assert!(wrong("a.rs", "#![deny(unsafe_code)]\nfn not_unsafe() {}\n").is_empty());
    }

    #[test]
    fn unsafe_needs_a_reason_close_above_it() {
        assert!(wrong(SOCKET, "// SAFETY: a\n// longer\n// reason\nlet x =\n    unsafe { f() };").is_empty());
        assert!(wrong(SOCKET, "/// # Safety\n/// `x` is valid.\n#[inline]\npub unsafe fn f(x: usize) {}").is_empty());
        let too_far = "// SAFETY: of something else\nlet a = 1;\nlet b = 2;\nlet c = 3;\nunsafe { f() };";
        for text in ["unsafe { f() };", too_far] {
            let breaches = wrong(SOCKET, text);
            assert!(breaches.len() == 1 && breaches[0].contains("without a `// SAFETY:`"), "{breaches:?}");
        }
    }

    #[test]
    fn unsafe_inside_a_macro_is_found() {
        assert_eq!(wrong("a.rs", "macro_rules! m { () => { unsafe { f() } } }").len(), 1);
    }

    #[test]
    fn unfinished_work_is_found_but_functions_of_that_name_are_free() {
        assert_eq!(
            wrong("a.rs", "fn f() {\n    todo!();\n    dbg!(1);\n    unimplemented!()\n}"),
            [
                "3: `todo!` marks something unfinished",
                "4: `dbg!` marks something unfinished",
                "5: `unimplemented!` marks something unfinished",
            ],
        );
        assert!(wrong("a.rs", "fn f() { todo(); }").is_empty());
    }

    #[test]
    fn ignored_tests_are_found() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]"] {
            let breaches = wrong("a.rs", &format!("#[test]\n{attribute}\nfn f() {{}}"));
            assert_eq!(breaches, ["3: an ignored test tests nothing; mend it or delete it"]);
        }
    }

    #[test]
    fn tabs_and_trailing_blanks_are_found_in_any_file() {
        assert_eq!(
            check("README.md", "# Title \n\n\tcode\n"),
            ["README.md:1: ends in blanks", "README.md:3: holds a tab; indent by blanks"],
        );
    }

    #[test]
    fn what_is_not_rust_is_said_to_be_not_rust() {
        let breaches = wrong("a.rs", "fn f( {");
        assert!(breaches[0].contains("is not Rust"), "{breaches:?}");
    }
}
