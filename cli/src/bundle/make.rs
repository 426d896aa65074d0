//! `bundle`: gathers what a run needs, makes sure that it runs and sends the same from there, and packs it.

use super::{
    RUN, TOKENIZER, archive,
    left_out::take_secrets,
    manifest::{Manifest, Plugin},
    media,
    settings::{self, Names},
    stage::Stage,
    templates, tokenizer,
};
use crate::{Ended, Failure, args::BundleArgs, profile::fresh_seed, registry::registry, terminal::say};
use inferometer_abi::documents::Kind;
use inferometer_engine::{Prepared, Preview};
use inferometer_host::{Origin, Registry};
use inferometer_model::{
    ExitCode,
    config::{RawConfig, ServerConfig},
    file::{self, PluginSettings},
    plan::Plan,
    resolve::resolve,
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path},
};

/// Requests of which is made sure that a run from the bundle sends the same.
const COMPARED: usize = 1_000;
/// Files that are listed one by one.
const LISTED: usize = 20;

/// Runs `inferometer bundle`.
pub(crate) fn run(args: &BundleArgs) -> Ended {
    let output = &args.output;
    let (settings, plugins) = file::load(&args.settings, args.config.as_deref()).map_err(Failure::usage)?;
    let replaces = settings.overwrite.unwrap_or_default();
    if output.symlink_metadata().is_ok() && !replaces {
        let shown = output.display();
        return Err(Failure::usage(format!(
            "--output {shown} is there; name another file, or add --overwrite to replace it"
        )));
    }
    // Half of the numbers, so that a configuration file can have it.
    let plan = resolve(&settings, &plugins, fresh_seed() >> 1).map_err(Failure::usage)?;
    let registry = registry(&settings, &plugins)?;
    let original = Rehearsed::of(plan.clone(), &registry)?;
    for note in &original.notes {
        eprintln!("note: {note}");
    }
    let mut tables = settings::tables(&settings, &plugins, plan.seed)?;
    let left_out = take_secrets(&mut tables);
    templates::put_in(&mut tables);

    let unwritable = |error: io::Error| Failure::usage(format!("--output {}: {error}", output.display()));
    let name = output.file_name().ok_or_else(|| unwritable(io::Error::other("it is no name of a file")))?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new().prefix(".inferometer-bundle-").tempdir_in(folder).map_err(unwritable)?;
    let staged = scratch.path().join(name);
    fs::create_dir(&staged).map_err(unwritable)?;
    let mut stage = Stage::new(staged);
    let tokenizer = put_tokenizer(&plan, &mut tables, &mut stage)?;
    put_data(&mut tables, &mut stage)?;
    let text = settings::text(&tables)?;
    stage.add(RUN, text.as_bytes()).map_err(unwritable)?;
    rehearse(&original, &mut tables, (&settings, &plugins), &registry, stage.folder())?;

    let mut manifest = Manifest::new(plan.seed, tokenizer, left_out, libraries(&plan, &registry)?);
    let packed = tempfile::NamedTempFile::new_in(scratch.path()).map_err(unwritable)?;
    let staged = stage.folder().to_owned();
    manifest.files = stage.into_files();
    archive::write(packed.as_file(), &manifest, &staged).map_err(unwritable)?;
    packed.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(unwritable)?;
    let bytes = packed.as_file().metadata().map_err(unwritable)?.len();
    if replaces { packed.persist(output) } else { packed.persist_noclobber(output) }
        .map_err(|error| unwritable(error.error))?;
    describe(output, &manifest, bytes);
    Ok(ExitCode::Ok)
}

/// Puts the tokenizer in, and has the settings name it.
fn put_tokenizer(plan: &Plan, tables: &mut Map<String, Value>, stage: &mut Stage) -> Result<String, Failure> {
    let (source, called) = tokenizer::find(plan).map_err(Failure::usage)?;
    let named = match source {
        tokenizer::Source::BuiltIn(name) => name,
        tokenizer::Source::Files(files) => {
            for (file, name) in files {
                fs::File::open(&file)
                    .and_then(|content| stage.add(&format!("{TOKENIZER}/{name}"), content))
                    .map_err(|error| Failure::usage(format!("the tokenizer's {}: {error}", file.display())))?;
            }
            TOKENIZER.to_owned()
        }
    };
    tables.insert("tokenizer".to_owned(), named.into());
    tables.remove("tokenizer-revision");
    Ok(called)
}

/// Puts in what the settings name, and has them name the copies.
fn put_data(tables: &mut Map<String, Value>, stage: &mut Stage) -> Result<(), Failure> {
    settings::paths(tables, &mut |names, path| {
        let source = Path::new(&*path);
        let (setting, kind) = match names {
            Names::Tokenizer => return Ok(()),
            Names::Input => ("input-file", "input"),
            Names::SystemPrompt => ("system-prompt-file", "system-prompt"),
            Names::RateSeries => ("request-rate-series", "rates"),
            Names::Pictures => ("image-source", "images"),
            Names::Fields => ("gpu-telemetry", "telemetry"),
        };
        let name = stage.take(setting, source, kind)?;
        if names == Names::Input {
            put_media(source, &name, stage)?;
        }
        *path = name;
        Ok(())
    })
}

/// Puts in the pictures, sounds and films that rows name, where they name them.
fn put_media(source: &Path, name: &str, stage: &mut Stage) -> Result<(), Failure> {
    let shown = source.display();
    let unreadable = |error: io::Error| Failure::usage(format!("--input-file {shown}: {error}"));
    let is_folder = source.is_dir();
    let mut files = vec![source.to_owned()];
    if is_folder {
        let listed = fs::read_dir(source).map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path()));
        files = listed.collect::<Result<_, _>>().map_err(unreadable)?;
        files.retain(|file| file.is_file());
    }
    let folder = Path::new(name).parent().and_then(Path::to_str).unwrap_or_default();
    for file in files {
        for (content, medium) in media::named_in(&file).map_err(unreadable)? {
            let goes_down = Path::new(&content).components().all(|part| matches!(part, Component::Normal(_)));
            if is_folder || !goes_down {
                return Err(Failure::usage(format!(
                    "--input-file {}: a row names the file '{content}', which a bundle cannot hold; give one file of \
                     requests, and name pictures, sounds and films by paths below its folder, or put them in as data URIs",
                    file.display()
                )));
            }
            let place = format!("{folder}/{content}");
            fs::File::open(&medium).and_then(|bytes| stage.add(&place, bytes)).map_err(unreadable)?;
        }
    }
    Ok(())
}

/// What a run would do, as far as that is known before it begins.
struct Rehearsed {
    seed: u64,
    phases: String,
    requests: Vec<Preview>,
    notes: Vec<String>,
}

impl Rehearsed {
    /// Makes the run ready, which checks all that can be checked without a server.
    fn of(plan: Plan, registry: &Registry) -> Result<Self, Failure> {
        let seed = plan.seed;
        let prepared = Prepared::unsent(plan, registry)?;
        let phases =
            serde_json::to_string(&prepared.phases()).map_err(|error| Failure::new(ExitCode::Internal, error))?;
        Ok(Self { seed, phases, requests: prepared.preview(COMPARED), notes: prepared.notes().to_vec() })
    }
}

/// Makes sure that a run from the files in `folder` does what the run does that the bundle is of.
fn rehearse(
    original: &Rehearsed,
    tables: &mut Map<String, Value>,
    (typed, plugins): (&RawConfig, &PluginSettings),
    registry: &Registry,
    folder: &Path,
) -> Result<(), Failure> {
    settings::paths(tables, &mut |_, path| {
        let inside = folder.join(&*path);
        if inside.exists() {
            *path = inside.to_string_lossy().into_owned();
        }
        Ok::<_, Failure>(())
    })?;
    let text = settings::text(tables)?;
    let beside = folder.parent().unwrap_or(folder);
    let file = tempfile::NamedTempFile::new_in(beside).and_then(|file| fs::write(file.path(), text).map(|()| file));
    let file = file.map_err(|error| Failure::usage(format!("{}: {error}", beside.display())))?;
    // What was left out is typed again.
    let server = ServerConfig {
        api_key: typed.server.api_key.clone(),
        api_key_file: typed.server.api_key_file.clone(),
        header: typed.server.header.clone(),
        url: typed.server.url.clone(),
        endpoint: typed.server.endpoint.clone(),
        extra_inputs: typed.server.extra_inputs.clone(),
        ..ServerConfig::default()
    };
    let again = RawConfig {
        server,
        connection: typed.connection.clone(),
        plugin_option: typed.plugin_option.clone(),
        ..RawConfig::default()
    };
    let (settings, _) = file::load(&again, Some(file.path())).map_err(Failure::usage)?;
    let plan = resolve(&settings, plugins, original.seed).map_err(Failure::usage)?;
    let differs = |what: &str| {
        Failure::usage(format!(
            "a run from the bundle would not be the same: {what}; the data may name files that were not put in. Give data \
             that stands alone"
        ))
    };
    let bundled = Rehearsed::of(plan, registry).map_err(|failure| differs(&failure.message))?;
    if bundled.phases != original.phases {
        return Err(differs("its phases are others"));
    }
    match original.requests.iter().zip(&bundled.requests).position(|(one, other)| one != other) {
        Some(number) => Err(differs(&format!("its request {number} is another"))),
        None if original.requests.len() != bundled.requests.len() => Err(differs("it has fewer requests")),
        None => Ok(()),
    }
}

/// The libraries that the components of the run are from.
fn libraries(plan: &Plan, registry: &Registry) -> Result<Vec<Plugin>, Failure> {
    let one = |kind, name: &str| (kind, name.to_owned());
    let used = [one(Kind::Endpoint, &plan.server.endpoint), one(Kind::Dataset, &plan.data.loader)]
        .into_iter()
        .chain(plan.phases.iter().map(|phase| one(Kind::Timing, &phase.strategy)))
        .chain(plan.exporters.iter().map(|name| one(Kind::Exporter, name)))
        .chain(plan.telemetry.sources.iter().map(|source| one(Kind::Collector, &source.collector)));
    let mut libraries = BTreeSet::new();
    for (kind, name) in used {
        if let Origin::Library(path) = &registry.find(kind, &name).map_err(Failure::usage)?.origin {
            let sha256 = fs::File::open(path).and_then(archive::sha256);
            let sha256 =
                sha256.map_err(|error| Failure::usage(format!("the plugin library {}: {error}", path.display())))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            libraries.insert(Plugin { file, sha256 });
        }
    }
    Ok(libraries.into_iter().collect())
}

/// Says what was made.
fn describe(output: &Path, manifest: &Manifest, packed: u64) {
    let files = manifest.files.len();
    let noun = if files == 1 { "file" } else { "files" };
    say(format_args!(
        "{}: {files} {noun} of {} bytes, {packed} packed; seed {}, tokenizer {}",
        output.display(),
        manifest.total(),
        manifest.seed,
        manifest.tokenizer
    ));
    for file in manifest.files.iter().take(LISTED) {
        say(format_args!("  {:>12}  {}", file.bytes, file.name));
    }
    if files > LISTED {
        say(format_args!("  and {} more", files - LISTED));
    }
    for left_out in &manifest.left_out {
        let why = if left_out.is_secret() {
            "Left out as a secret"
        } else {
            "Not put in, since it is a file of this machine"
        };
        say(format_args!("{why}: {left_out}; give it again with each run"));
    }
    for plugin in &manifest.plugins {
        say(format_args!("Not put in: the plugin library {} (SHA-256 {})", plugin.file, plugin.sha256));
    }
    say(format_args!("Run it: inferometer profile --bundle {}", output.display()));
}
