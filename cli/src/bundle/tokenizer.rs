//! The files of a run's tokenizer.

use inferometer_model::plan::Plan;
use inferometer_tokens::{Tokenizer, TokenizerError, TokenizerRequest, resolve};
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// The vocabularies that every program has.
pub(super) const BUILT_IN: [&str; 2] = ["o200k_base", "cl100k_base"];
/// What lies beside the vocabulary and says how messages become text.
const BESIDE: [&str; 3] = ["tokenizer_config.json", "chat_template.jinja", "chat_template.json"];
/// The folder of further templates.
const TEMPLATES: &str = "additional_chat_templates";

/// The tokenizer of a run.
pub(super) enum Source {
    /// Its name is enough.
    BuiltIn(String),
    /// Its files, each with its name within the tokenizer's folder.
    Files(Vec<(PathBuf, String)>),
}

/// Finds what `plan` counts with, and what it is called.
///
/// # Errors
/// When it cannot be had.
pub(super) fn find(plan: &Plan) -> Result<(Source, String), TokenizerError> {
    let model = plan.models.first().cloned().unwrap_or_default();
    let (name, revision) = (plan.tokenizer.name.clone(), plan.tokenizer.revision.clone());
    let request = TokenizerRequest { name: name.clone(), model, revision };
    let tokenizer = resolve(&request)?.tokenizer;
    let called = tokenizer.name().to_owned();
    let at = match &name {
        Some(name) => Path::new(name).exists(),
        None => called == request.model && Path::new(&called).is_dir(),
    };
    let path = if at {
        PathBuf::from(&called)
    } else if BUILT_IN.contains(&called.as_str()) {
        return Ok((Source::BuiltIn(called.clone()), called));
    } else {
        cached(&tokenizer, request.revision.as_deref().unwrap_or("main"))?
    };
    Ok((Source::Files(files(&path)), called))
}

/// The files of the tokenizer at `path`, which is its `tokenizer.json` under whatever name, or a folder with it.
fn files(path: &Path) -> Vec<(PathBuf, String)> {
    const FILE: &str = "tokenizer.json";
    let file = if path.is_file() { path.to_owned() } else { path.join(FILE) };
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let beside = BESIDE.iter().map(|name| (folder.join(name), (*name).to_owned()));
    let listed = fs::read_dir(folder.join(TEMPLATES)).into_iter().flatten().flatten().map(|entry| entry.path());
    let templates = listed.filter(|path| path.extension() == Some(OsStr::new("jinja"))).filter_map(|path| {
        let name = format!("{TEMPLATES}/{}", path.file_name()?.to_str()?);
        Some((path, name))
    });
    let others: Vec<_> = beside.chain(templates).filter(|(path, _)| path.is_file()).collect();
    [(file, FILE.to_owned())].into_iter().chain(others).collect()
}

/// The folder in the cache of Hugging Face that a tokenizer was loaded from.
fn cached(tokenizer: &Tokenizer, revision: &str) -> Result<PathBuf, TokenizerError> {
    let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let hub = folder("HF_HUB_CACHE")
        .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_default();
    let repository = hub.join(format!("models--{}", tokenizer.name().replace('/', "--")));
    let commit = fs::read_to_string(repository.join("refs").join(revision));
    let found = repository.join("snapshots").join(commit.as_deref().map_or(revision, str::trim));
    // Loaded again, so that what is put into the bundle is what was found.
    Tokenizer::from_path(&found).map(|_| found)
}
