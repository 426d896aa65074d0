//! Names of components: when two are the same, how they are qualified, and what a misspelt one may have meant.

use std::path::Path;

/// The form in which names are compared: lower case, with `-` for `_`.
pub(crate) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace('_', "-")
}

/// The longest name of a component or a package, in bytes.
pub(crate) const LONGEST: usize = 64;

/// Whether a component may be called so: at most [`LONGEST`] of the letters a to z in either case, digits, `-`, `_` and `.`,
/// so that a colon always ends a qualifier and no two names look alike.
pub(crate) fn is_valid(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Whether a package may be called so, as cargo and its registries have it: a letter or `_`, then letters, digits, `-` and `_`.
pub(crate) fn is_package(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// Splits `acme:chat` into its qualifier and the name; a plain name has no qualifier.
pub(crate) fn split(asked: &str) -> (Option<&str>, &str) {
    match asked.rsplit_once(':') {
        Some((qualifier, name)) => (Some(qualifier), name),
        None => (None, asked),
    }
}

/// What a library is called after its file: `libacme_chat.so` is `acme_chat`.
pub(crate) fn stem(library: &Path) -> String {
    let stem = library.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("lib").filter(|rest| !rest.is_empty()).unwrap_or(&stem).to_owned()
}

/// The one of `known` that `asked` most likely stands for, if any is near.
pub(crate) fn nearest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let asked = normal(asked);
    let allowed = (asked.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&asked, &normal(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_underscores_do_not_tell_names_apart() {
        assert_eq!(normal("Single_Turn"), normal("single-turn"));
        assert_ne!(normal("single-turn"), normal("singleturn"));
    }

    #[test]
    fn the_last_colon_ends_the_qualifier() {
        assert_eq!(split("chat"), (None, "chat"));
        assert_eq!(split("acme:chat"), (Some("acme"), "chat"));
        assert_eq!(split("/odd:folder/libacme.so:chat"), (Some("/odd:folder/libacme.so"), "chat"));
    }

    #[test]
    fn a_library_is_called_after_its_file_without_lib_and_ending() {
        assert_eq!(stem(Path::new("/a/libacme_chat.so")), "acme_chat");
        assert_eq!(stem(Path::new("acme.dylib")), "acme");
        assert_eq!(stem(Path::new("lib.so")), "lib");
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_strange_one_finds_none() {
        let known = ["chat", "completions", "embeddings"];
        assert_eq!(nearest("caht", known), Some("chat"));
        assert_eq!(nearest("Completion", known), Some("completions"));
        assert_eq!(nearest("warp-drive", known), None);
    }

    #[test]
    fn a_name_is_short_and_holds_no_colon_no_blank_and_no_letter_that_looks_like_another() {
        assert!(is_valid("acme-chat.v2") && is_valid("chat_2") && is_valid(&"a".repeat(64)));
        for name in ["", "a:b", "a b", "a\n", "ch\u{430}t", &"a".repeat(65)] {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn a_package_is_called_as_cargo_allows() {
        assert!(is_package("acme-chat") && is_package("_acme2"));
        for name in ["", "2acme", "-a", "a:b", "a.b", "a b", &"a".repeat(65)] {
            assert!(!is_package(name), "{name}");
        }
    }
}
