//! The root module of a plugin library: what it holds and how each component is made.

#![allow(missing_docs, unreachable_pub, non_camel_case_types, clippy::all, reason = "abi_stable's derives")]

use super::{CollectorObj, DatasetObj, EndpointObj, ExporterObj, TimingObj, guard};
use crate::{
    registration::{Factory, Registration, registrations},
    types::{Error, ErrorKind, Result},
};
use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals},
    declare_root_module_statics,
    library::{__call_root_module_loader, CheckTypeLayout, RootModule, RootModuleResult},
    package_version_strings,
    prefix_type::PrefixTypeTrait,
    sabi_types::VersionStrings,
    std_types::{RResult, RStr, RString, RVec},
};
use std::sync::atomic::AtomicBool;

pub use abi_stable::library::{AbiHeaderRef, LibHeader};

/// What a host lends a library for as long as the process lives.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostApi_Ref)))]
#[sabi(missing_field(option))]
pub struct HostApi {
    /// Says something to the user. Levels: 1 error, 2 warning, 3 information, 4 debugging.
    #[sabi(last_prefix_field)]
    pub log: extern "C" fn(level: u32, target: RStr<'_>, message: RStr<'_>),
}

impl HostApi_Ref {
    /// Lends `log` to libraries. What is lent is never freed, so a host makes one and keeps it.
    pub fn lend(log: extern "C" fn(level: u32, target: RStr<'_>, message: RStr<'_>)) -> Self {
        HostApi { log }.leak_into_prefix()
    }
}

/// One component of a library.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct ComponentInfo {
    /// Its kind, see [`crate::documents::Kind`].
    pub kind: RString,
    /// Its name.
    pub name: RString,
    /// What it does.
    pub summary: RString,
    /// Its priority.
    pub priority: i32,
}

/// The library's root.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    pub init: extern "C" fn(HostApi_Ref) -> RResult<(), Error>,
    pub components: extern "C" fn() -> RVec<ComponentInfo>,
    pub options_schema: extern "C" fn(kind: RStr<'_>, name: RStr<'_>) -> RResult<RString, Error>,
    pub endpoint: extern "C" fn(name: RStr<'_>, options_json: RStr<'_>) -> RResult<EndpointObj, Error>,
    pub timing: extern "C" fn(name: RStr<'_>, options_json: RStr<'_>) -> RResult<TimingObj, Error>,
    pub exporter: extern "C" fn(name: RStr<'_>, options_json: RStr<'_>) -> RResult<ExporterObj, Error>,
    pub collector: extern "C" fn(name: RStr<'_>, options_json: RStr<'_>) -> RResult<CollectorObj, Error>,
    #[sabi(last_prefix_field)]
    pub dataset: extern "C" fn(name: RStr<'_>, options_json: RStr<'_>) -> RResult<DatasetObj, Error>,
}

impl RootModule for PluginModule_Ref {
    declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "inferometer_plugin";
    const NAME: &'static str = "inferometer plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

impl PluginModule_Ref {
    /// The root module behind a library's header, if its interface fits this host's.
    ///
    /// The library's layout may be newer than the host's (it then knows more than is asked of it) or older (the host
    /// then asks for less), so either direction of the check will do; the major versions have to agree.
    ///
    /// # Errors
    /// Says in words why it does not fit.
    ///
    /// # Safety
    /// `header` is the root symbol of a library that is never unloaded.
    pub unsafe fn from_header(header: AbiHeaderRef) -> Result<Self> {
        let refuse = |why: String| Error::new(ErrorKind::UNSUPPORTED, why);
        let header = header.upgrade().map_err(|e| refuse(format!("it was built with another abi_stable: {e}")))?;
        let major = |version: VersionStrings| version.version.as_str().split('.').next().unwrap_or_default();
        let (ours, theirs) = (major(Self::VERSION_STRINGS), major(header.version_strings()));
        if ours != theirs {
            return Err(refuse(format!("it was built for interface {theirs}.x and this program has {ours}.x")));
        }
        let layout = header.layout().ok_or_else(|| refuse("it does not say how its interface is laid out".into()))?;
        let host = <Self as StableAbi>::LAYOUT;
        // Each library is compared with the host alone: globals that are kept would compare it with the libraries before it.
        let fits =
            |interface, library| check_layout_compatibility_with_globals(interface, library, &CheckingGlobals::new());
        if let Err(why) = fits(host, layout)
            && fits(layout, host).is_err()
        {
            return Err(refuse(format!("its interface is laid out differently: {why}")));
        }
        // SAFETY: the layout was checked above, in one direction or the other.
        unsafe { header.unchecked_layout::<Self>() }.map_err(|e| refuse(format!("its root could not be made: {e}")))
    }
}

/// The symbol a library's [`LibHeader`] is found under, with its terminating zero.
pub const SYMBOL: &[u8] = b"INFEROMETER_PLUGIN\0";

/// The header of this library, with a root module made from its registrations. Used by `export_plugin!`.
pub const fn header() -> LibHeader {
    // SAFETY: `erased_root` returns a `PluginModule_Ref`, the type named here.
    unsafe { LibHeader::from_constructor::<PluginModule_Ref>(erased_root, CheckTypeLayout::Yes) }
}

extern "C" fn erased_root() -> RootModuleResult {
    __call_root_module_loader(root)
}

fn root() -> PluginModule_Ref {
    PluginModule { init, components, options_schema, endpoint, timing, exporter, collector, dataset }.leak_into_prefix()
}

/// Exports the library's header. Used by the SDK's `export_plugin!` only.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_header {
    () => {
        // SAFETY: the name is inferometer's own, and each library exports it once.
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub static INFEROMETER_PLUGIN: $crate::wire::module::LibHeader = $crate::wire::module::header();
    };
}

extern "C" fn init(host: HostApi_Ref) -> RResult<(), Error> {
    log::set(host);
    RResult::ROk(())
}

extern "C" fn components() -> RVec<ComponentInfo> {
    registrations()
        .map(|r| ComponentInfo {
            kind: r.factory.kind().as_str().into(),
            name: r.name.into(),
            summary: r.summary.into(),
            priority: r.priority,
        })
        .collect()
}

/// The schema of a component's options, for which its type may run code of its author's.
extern "C" fn options_schema(kind: RStr<'_>, name: RStr<'_>) -> RResult<RString, Error> {
    make(name, |r| (r.factory.kind().as_str() == kind.as_str()).then(|| Ok((r.options_schema)().into())))
}

/// Finds a component of this library and does what `pick` does with it; a panic of its author's code is contained.
fn make<T>(name: RStr<'_>, pick: impl Fn(&Registration) -> Option<Result<T>>) -> RResult<T, Error> {
    guard::contain(&AtomicBool::new(false), || {
        registrations()
            .filter(|r| r.name == name.as_str())
            .find_map(&pick)
            .unwrap_or_else(|| Err(Error::config(format!("this library has no such component: '{name}'"))))
    })
    .into()
}

macro_rules! constructors {
    ($($function:ident $variant:ident $object:ty;)*) => {$(
        extern "C" fn $function(name: RStr<'_>, options: RStr<'_>) -> RResult<$object, Error> {
            make(name, |r| match r.factory {
                Factory::$variant(new) => Some(new(options.as_str()).map(|made| guard::$function(r.name, made))),
                _ => None,
            })
        }
    )*};
}

constructors! {
    endpoint Endpoint EndpointObj;
    timing Timing TimingObj;
    exporter Exporter ExporterObj;
    collector Collector CollectorObj;
    dataset Dataset DatasetObj;
}

/// The host's log, as a plugin reaches it.
pub mod log {
    use super::{HostApi_Ref, RStr};
    use std::sync::OnceLock;

    static HOST: OnceLock<HostApi_Ref> = OnceLock::new();

    pub(in crate::wire) fn set(host: HostApi_Ref) {
        // A second host in one process lends the same thing.
        let _ = HOST.set(host);
    }

    /// Says something to the user; nothing happens outside a host.
    pub fn say(level: u32, target: &str, message: &str) {
        if let Some(host) = HOST.get() {
            host.log()(level, RStr::from(target), RStr::from(message));
        }
    }
}
