//! Which tokenizer a run counts with: from a path, built in, or from the local Hugging Face cache.
//!
//! The network is never used, so nothing here depends on being online or on `HF_HUB_OFFLINE`.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::Tokenizer;
use crate::error::TokenizerError;
use crate::huggingface::{FILE_NAME, foreign_file};

/// What a run says about its tokenizer.
#[derive(Clone, Debug, Default)]
pub struct TokenizerRequest {
    /// What was asked for by name, if anything: a path, `builtin`, `o200k_base`, `cl100k_base`, or a
    /// model's name.
    pub name: Option<String>,
    /// The model under test, whose tokenizer is meant when nothing was asked for.
    pub model: String,
    /// The revision in the local cache: a branch, a tag or a commit; `main` when absent.
    pub revision: Option<String>,
}

/// The tokenizer of a run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// One line for the user when it is not the one of the model.
    pub note: Option<String>,
}

/// Finds the tokenizer that `request` means.
///
/// A name that was given must be found: an existing file or folder, then a built-in vocabulary,
/// then a model in the local cache, then a model of OpenAI's whose vocabulary is built in. When
/// only the model's name is known, the same places are tried, and `o200k_base` stands in, with a
/// note, where none has it.
///
/// The cache is `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `$XDG_CACHE_HOME/huggingface/hub`, else
/// `~/.cache/huggingface/hub`.
///
/// # Errors
/// When a name was given and its tokenizer is not to be had.
pub fn resolve(request: &TokenizerRequest) -> Result<Resolved, TokenizerError> {
    resolve_in(request, &|variable| std::env::var_os(variable))
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn resolve_in(request: &TokenizerRequest, environment: Environment<'_>) -> Result<Resolved, TokenizerError> {
    let revision = request.revision.as_deref().unwrap_or("main");
    if let Some(name) = &request.name {
        let tokenizer = if Path::new(name).exists() {
            Tokenizer::from_path(Path::new(name))?
        } else {
            by_name(name, revision, environment)?
        };
        return Ok(Resolved { tokenizer, note: None });
    }
    // A model's name is a path only where a tokenizer lies there: a folder that happens to be
    // called like the model is not meant.
    let model = &request.model;
    let found = if Path::new(model).join(FILE_NAME).is_file() {
        Tokenizer::from_path(Path::new(model))
    } else {
        by_name(model, revision, environment)
    };
    Ok(found.map_or_else(|error| stand_in(model, &error), |tokenizer| Resolved { tokenizer, note: None }))
}

fn stand_in(model: &str, error: &TokenizerError) -> Resolved {
    let tokenizer = Tokenizer::o200k_base();
    let problem = match error {
        TokenizerError::Unusable { .. } => format!("cannot be used ({error})"),
        _ => "is not on this machine".to_owned(),
    };
    let note = format!(
        "the tokenizer of model '{model}' {problem}; counting with {}; give --tokenizer PATH to use the model's own",
        tokenizer.name()
    );
    Resolved { tokenizer, note: Some(note) }
}

fn by_name(name: &str, revision: &str, environment: Environment<'_>) -> Result<Tokenizer, TokenizerError> {
    match name {
        // The harmony form adds special tokens only, which the embedded vocabularies have none of.
        "builtin" | "o200k_base" | "o200k_harmony" => return Ok(Tokenizer::o200k_base()),
        "cl100k_base" => return Ok(Tokenizer::cl100k_base()),
        "p50k_base" | "p50k_edit" | "r50k_base" => return Err(TokenizerError::NotBuiltIn { name: name.to_owned() }),
        _ => {}
    }
    if !is_repository(name) {
        return Err(TokenizerError::NoSuchPath { path: name.into() });
    }
    match in_cache(name, revision, environment) {
        Ok(folder) => Tokenizer::load(&folder, name),
        Err(looked) => openai(name).ok_or_else(|| TokenizerError::NotCached { name: name.to_owned(), looked }),
    }
}

/// Whether the name can be one of the hub's: `name` or `owner/name`, of letters, digits, `-`, `_`
/// and `.`, no part beginning with a dot. Anything else could only have been a path.
fn is_repository(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    name.split('/').count() <= 2
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
}

/// The folder in the cache that has the tokenizer of `name`, or where it was looked for.
fn in_cache(name: &str, revision: &str, environment: Environment<'_>) -> Result<PathBuf, String> {
    let Some(hub) = hub_cache(environment) else {
        return Err("nowhere: neither HF_HUB_CACHE, HF_HOME nor HOME is set".to_owned());
    };
    let repository = hub.join(format!("models--{}", name.replace('/', "--")));
    if !repository.is_dir() {
        let meant = namesake(&hub, name).map_or_else(String::new, |other| format!("; '{other}' is there"));
        return Err(format!("in '{}'{meant}", repository.display()));
    }
    if !stays_inside(revision) {
        return Err(format!("in '{}', where no revision can be called '{revision}'", repository.display()));
    }
    let reference = repository.join("refs").join(revision);
    // A commit is its own reference.
    let commit =
        std::fs::read_to_string(&reference).map_or_else(|_| revision.to_owned(), |text| text.trim().to_owned());
    let folder = repository.join("snapshots").join(&commit);
    if !stays_inside(&commit) || !folder.is_dir() {
        return Err(format!("in '{}', which has no revision '{revision}'", repository.display()));
    }
    if !folder.join(FILE_NAME).is_file() {
        let other = foreign_file(&folder).map_or_else(String::new, |file| format!("'{file}' but "));
        return Err(format!("in '{}', which has {other}no {FILE_NAME}", folder.display()));
    }
    Ok(folder)
}

/// The first model in the cache, by name, that differs from `name` in its owner or in small and capital letters only.
fn namesake(hub: &Path, name: &str) -> Option<String> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut names: Vec<String> = std::fs::read_dir(hub)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_prefix("models--")?.replacen("--", "/", 1)))
        .filter(|other| last(other) == last(name))
        .collect();
    names.sort();
    names.into_iter().next()
}

/// Whether a path made of outside text only goes down.
fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn hub_cache(environment: Environment<'_>) -> Option<PathBuf> {
    let folder = |variable: &str| environment(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("HF_HUB_CACHE")
        .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// The vocabulary of a model of OpenAI's, by the beginning of its name: the whole of it, or up to
/// a `-`, `.` or `:`. The newer ones come first: "gpt-4" begins many.
fn openai(model: &str) -> Option<Tokenizer> {
    const O200K: [&str; 9] = ["chatgpt-4o", "gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "o1", "o3", "o4"];
    const CL100K: [&str; 7] =
        ["gpt-4", "gpt-3.5", "gpt-35", "text-embedding-3", "text-embedding-ada-002", "davinci-002", "babbage-002"];
    let model = model.strip_prefix("openai/").unwrap_or(model);
    let model = model.strip_prefix("ft:").unwrap_or(model);
    let begins = |start: &&str| {
        model.strip_prefix(*start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']))
    };
    if O200K.iter().any(begins) {
        return Some(Tokenizer::o200k_base());
    }
    CL100K.iter().any(begins).then(Tokenizer::cl100k_base)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("../tests/data/wordpiece.json");

    /// A cache folder with one model, and the environment that points to it.
    struct Cache(tempfile::TempDir);

    impl Cache {
        fn with(repository: &str, reference: &str, commit: &str) -> Self {
            let cache = Self(tempfile::tempdir().unwrap());
            let folder = cache.hub().join(format!("models--{}", repository.replace('/', "--")));
            let reference = folder.join("refs").join(reference);
            std::fs::create_dir_all(reference.parent().unwrap()).unwrap();
            std::fs::write(reference, commit).unwrap();
            let snapshot = folder.join("snapshots").join(commit);
            std::fs::create_dir_all(&snapshot).unwrap();
            std::fs::write(snapshot.join(FILE_NAME), FIXTURE).unwrap();
            cache
        }

        fn hub(&self) -> PathBuf {
            self.0.path().join("hub")
        }

        fn resolve(&self, request: &TokenizerRequest) -> Result<Resolved, TokenizerError> {
            resolve_in(request, &|variable| match variable {
                "HF_HOME" => Some(self.0.path().into()),
                "HF_HUB_OFFLINE" => Some("1".into()),
                _ => None,
            })
        }
    }

    fn named(name: &str) -> TokenizerRequest {
        TokenizerRequest { name: Some(name.to_owned()), model: "mock".to_owned(), revision: None }
    }

    fn implied(model: &str) -> TokenizerRequest {
        TokenizerRequest { model: model.to_owned(), ..TokenizerRequest::default() }
    }

    #[test]
    fn built_in_names_and_models_of_openai_need_no_files() {
        for (name, vocabulary) in [
            ("builtin", "o200k_base"),
            ("o200k_base", "o200k_base"),
            ("o200k_harmony", "o200k_base"),
            ("cl100k_base", "cl100k_base"),
            ("gpt-4o", "o200k_base"),
            ("gpt-4o-mini-2024-07-18", "o200k_base"),
            ("openai/gpt-oss-20b", "o200k_base"),
            ("o3-mini", "o200k_base"),
            ("gpt-4", "cl100k_base"),
            ("gpt-4-turbo", "cl100k_base"),
            ("gpt-3.5-turbo", "cl100k_base"),
        ] {
            let resolved = resolve_in(&named(name), &|_| None).unwrap();
            assert_eq!(resolved.tokenizer.name(), vocabulary, "{name}");
            let resolved = resolve_in(&implied(name), &|_| None).unwrap();
            assert_eq!(resolved.tokenizer.name(), vocabulary, "{name}");
            assert_eq!(resolved.note, None, "{name}");
        }
    }

    #[test]
    fn a_cached_model_is_found_by_name_by_branch_and_by_commit() {
        let cache = Cache::with("acme/tiny", "refs/pr/1", "c0ffee");
        let request = |revision: &str| TokenizerRequest { revision: Some(revision.to_owned()), ..named("acme/tiny") };
        for revision in ["refs/pr/1", "c0ffee"] {
            let resolved = cache.resolve(&request(revision)).unwrap();
            assert_eq!(resolved.tokenizer.name(), "acme/tiny");
            assert_eq!(resolved.tokenizer.vocabulary_size(), 1500);
        }
        let error = cache.resolve(&request("main")).unwrap_err().to_string();
        assert!(error.contains("no revision 'main'"), "{error}");

        let cache = Cache::with("acme/tiny", "main", "c0ffee");
        let resolved = cache.resolve(&implied("acme/tiny")).unwrap();
        assert_eq!(resolved.tokenizer.name(), "acme/tiny");
        assert_eq!(resolved.note, None);
    }

    #[test]
    fn the_cache_variables_take_precedence_in_their_order() {
        let environment = |set: &'static [&str]| {
            hub_cache(&move |variable| set.contains(&variable).then(|| format!("/{variable}").into()))
        };
        let all = &["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"];
        for (set, hub) in [
            (&all[..], "/HF_HUB_CACHE"),
            (&all[1..], "/HF_HOME/hub"),
            (&all[2..], "/XDG_CACHE_HOME/huggingface/hub"),
            (&all[3..], "/HOME/.cache/huggingface/hub"),
        ] {
            assert_eq!(environment(set), Some(hub.into()));
        }
        assert_eq!(environment(&[]), None);
    }

    #[test]
    fn a_named_tokenizer_that_is_missing_is_an_error_with_place_and_remedy() {
        let cache = Cache::with("acme/tiny", "main", "c0ffee");
        let error = cache.resolve(&named("acme/big")).unwrap_err().to_string();
        assert!(error.contains("models--acme--big"), "{error}");
        assert!(error.contains("hf download acme/big"), "{error}");
        for namesake in ["other/Tiny", "tiny"] {
            let error = cache.resolve(&named(namesake)).unwrap_err().to_string();
            assert!(error.contains("'acme/tiny' is there"), "{error}");
        }
        let error = cache.resolve(&named("p50k_base")).unwrap_err().to_string();
        assert!(error.contains("not built in") && error.contains("cl100k_base"), "{error}");
        let error = cache.resolve(&named("/no/such/path")).unwrap_err().to_string();
        assert!(error.contains("no such file or folder"), "{error}");
        for hostile in ["../../etc", "a/../b", ".hidden/x"] {
            assert!(cache.resolve(&named(hostile)).is_err(), "{hostile}");
        }
        let upward = TokenizerRequest { revision: Some("../../..".to_owned()), ..named("acme/tiny") };
        assert!(cache.resolve(&upward).is_err());
    }

    #[test]
    fn a_placeholder_for_a_model_is_counted_with_o200k_and_a_note() {
        for model in ["mock-model", "test-model", "my_model", "model", "p50k_base", "", "my model", "a/b/c"] {
            let resolved = resolve_in(&implied(model), &|_| None).unwrap();
            assert_eq!(resolved.tokenizer.name(), "o200k_base", "{model}");
            assert!(resolved.note.unwrap().contains(&format!("'{model}' is not on this machine")), "{model}");
        }
    }

    #[test]
    fn a_model_without_a_tokenizer_here_is_counted_with_o200k_and_a_note() {
        let resolved = resolve_in(&implied("acme/big"), &|_| None).unwrap();
        assert_eq!(resolved.tokenizer.name(), "o200k_base");
        assert_eq!(
            resolved.note.as_deref(),
            Some(
                "the tokenizer of model 'acme/big' is not on this machine; counting with o200k_base; give --tokenizer PATH to use the model's own"
            )
        );
    }

    #[test]
    fn a_path_is_loaded_whether_it_is_the_folder_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), FIXTURE).unwrap();
        for path in [folder.path().to_owned(), folder.path().join(FILE_NAME)] {
            let path = path.to_str().unwrap();
            let resolved = resolve_in(&named(path), &|_| None).unwrap();
            assert_eq!(resolved.tokenizer.name(), path);
        }
        let resolved = resolve_in(&implied(folder.path().to_str().unwrap()), &|_| None).unwrap();
        assert_eq!(resolved.note, None);
    }

    #[test]
    fn what_is_not_a_tokenizer_is_named_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |content: &[u8]| {
            let file = folder.path().join("file");
            std::fs::write(&file, content).unwrap();
            resolve_in(&named(file.to_str().unwrap()), &|_| None).unwrap_err().to_string()
        };
        for (content, said) in [
            (&b"IQ== 0\nIg== 1\n"[..], "tiktoken rank file"),
            (&[0x0a, 0x0e, 0xff, 0xfe][..], "binary file"),
            (b"hello", "not JSON"),
            (b"", "not JSON"),
            (b"{\"vocab\": []}", "describes no tokenizer"),
            (b"{\"model\": {\"type\": \"Magic\"}}", "not a usable tokenizer.json"),
            (b"{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 4294967295}}}", "far beyond any vocabulary"),
        ] {
            let error = problem(content);
            assert!(error.contains(said), "{error}");
        }
        let error = resolve_in(&named(folder.path().to_str().unwrap()), &|_| None).unwrap_err();
        assert!(error.to_string().contains("no tokenizer.json"), "{error}");
        std::fs::write(folder.path().join("tokenizer.model"), "x").unwrap();
        let error = resolve_in(&named(folder.path().to_str().unwrap()), &|_| None).unwrap_err();
        assert!(error.to_string().contains("'tokenizer.model'"), "{error}");
    }

    #[test]
    fn a_cached_model_with_a_tokenizer_of_another_format_is_said_to_have_that() {
        let cache = Cache::with("acme/tiny", "main", "c0ffee");
        let snapshot = cache.hub().join("models--acme--tiny/snapshots/c0ffee");
        std::fs::rename(snapshot.join(FILE_NAME), snapshot.join("tekken.json")).unwrap();
        let error = cache.resolve(&named("acme/tiny")).unwrap_err().to_string();
        assert!(error.contains("which has 'tekken.json' but no tokenizer.json"), "{error}");
    }

    #[test]
    fn a_broken_tokenizer_in_the_cache_is_said_in_the_note() {
        let cache = Cache::with("acme/tiny", "main", "c0ffee");
        let file = cache.hub().join("models--acme--tiny/snapshots/c0ffee").join(FILE_NAME);
        std::fs::write(&file, &FIXTURE[..1000]).unwrap();
        let note = cache.resolve(&implied("acme/tiny")).unwrap().note.unwrap();
        assert!(note.contains("cannot be used") && note.contains("not JSON"), "{note}");
    }
}
