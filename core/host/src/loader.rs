//! Opens libraries: the one place where code that is not this program's own begins to run.
//!
//! A library is opened once and never unloaded, since what it made may live as long as the process.
#![allow(unsafe_code)]

use crate::{
    error::HostError,
    library, log,
    manifest::{self, Declared},
    trust,
};
use inferometer_abi::{
    api::{DatasetLoader, Endpoint, Exporter, TelemetryCollector, TimingStrategy},
    documents::Kind,
    types::Result as AbiResult,
    wire::{
        foreign,
        module::{AbiHeaderRef, HostApi_Ref, PluginModule_Ref, SYMBOL},
    },
};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use std::{error::Error as _, mem::ManuallyDrop, path::Path, sync::LazyLock};

/// What every library is lent.
static HOST: LazyLock<HostApi_Ref> = LazyLock::new(|| HostApi_Ref::lend(log::receive));

/// An opened library.
#[derive(Clone)]
pub(crate) struct Library {
    module: PluginModule_Ref,
    /// SHA-256 of its file, in hexadecimal.
    pub(crate) sha256: String,
}

impl Library {
    /// Opens the library at `path`, which was found to declare `declared`, and to have the checksum `sha256` if that was
    /// looked at.
    pub(crate) fn open(path: &Path, declared: &[Declared], sha256: Option<&str>) -> Result<Self, HostError> {
        let sha256 = check_again(path, declared, sha256)?;
        // SAFETY: its initialisers run here. The file is whole, made for this machine, carries a plugin's manifest, and
        // comes from a place and an owner that the user trusts; the path is absolute, so no other file can be meant.
        let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let handle = handle.map_err(|e| not_loaded(path, &e))?;
        let handle = ManuallyDrop::new(handle);
        // SAFETY: the symbol is inferometer's own name and stands for a `LibHeader`, which `AbiHeaderRef` points to.
        let header = unsafe { handle.get::<AbiHeaderRef>(SYMBOL) };
        let header = *header.map_err(|e| not_loaded(path, &e))?;
        // SAFETY: the header was found under the root symbol, and `ManuallyDrop` keeps the library from being unloaded.
        let module = unsafe { PluginModule_Ref::from_header(header) };
        let module = module.map_err(|reason| HostError::Interface { path: path.to_owned(), reason })?;
        let started: AbiResult<()> = module.init()(*HOST).into();
        started.map_err(|reason| HostError::Init { path: path.to_owned(), reason })?;
        agree(path, module, declared)?;
        Ok(Self { module, sha256 })
    }
}

impl Library {
    /// The schema of a component's options.
    pub(crate) fn options_schema(&self, kind: Kind, name: &str) -> AbiResult<String> {
        let schema: AbiResult<_> = self.module.options_schema()(kind.as_str().into(), name.into()).into();
        schema.map(String::from)
    }
}

fn not_loaded(path: &Path, error: &libloading::Error) -> HostError {
    // The system's own words are the cause; the error itself only says which call failed.
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    HostError::Open { path: path.to_owned(), reason }
}

/// Makes sure that the file still is what was found, and takes its checksum.
fn check_again(path: &Path, declared: &[Declared], sha256: Option<&str>) -> Result<String, HostError> {
    let changed = || HostError::Changed { path: path.to_owned() };
    let bytes = trust::read(path).map_err(|_| changed())?;
    if manifest::of_data(&*bytes).map_err(|_| changed())? != declared {
        return Err(changed());
    }
    let found = library::sha256(&bytes);
    if sha256.is_some_and(|known| known != found) {
        return Err(changed());
    }
    Ok(found)
}

/// Makes sure that the library registers what its manifest declares.
fn agree(path: &Path, module: PluginModule_Ref, declared: &[Declared]) -> Result<(), HostError> {
    let words = |kind: &str, name: &str, priority: i32| format!("{kind} '{name}' (priority {priority})");
    let mut declared: Vec<_> = declared.iter().map(|d| words(d.kind.as_str(), &d.name, d.priority)).collect();
    let registered = module.components()();
    let known = registered.iter().filter(|component| manifest::kind(&component.kind).is_some());
    let mut registered: Vec<_> = known.map(|c| words(&c.kind, &c.name, c.priority)).collect();
    declared.sort();
    registered.sort();
    if declared == registered {
        return Ok(());
    }
    Err(HostError::Disagreement { path: path.to_owned(), declared, registered })
}

macro_rules! constructors {
    ($($function:ident $object:ident $with:ident;)*) => {
        impl Library {$(
            pub(crate) fn $function(&self, name: &str, options_json: &str) -> AbiResult<Box<dyn $object>> {
                let made: AbiResult<_> = self.module.$function()(name.into(), options_json.into()).into();
                made.$with(foreign::$function)
            }
        )*}
    };
}

constructors! {
    endpoint Endpoint and_then;
    timing TimingStrategy map;
    exporter Exporter map;
    collector TelemetryCollector map;
    dataset DatasetLoader map;
}
