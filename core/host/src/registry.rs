//! The registry: which components there are, which of them a name means, and how one is made.

use crate::{
    discovery::{Discovery, Found},
    error::{HostError, Refusal, Skipped},
    library::LibraryFile,
    loader::Library,
    lock::{Lock, LockedLibrary},
    manifest::{self, Declared},
    names, trust,
};
use inferometer_abi::{
    INTERFACE_VERSION,
    api::{DatasetLoader, Endpoint, Exporter, TelemetryCollector, TimingStrategy},
    documents::{Component, Kind},
    registration::{Factory, Registration, registrations},
    types::{ErrorKind, Result as AbiResult},
};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The package that built-in components belong to: the program.
const PROGRAM: &str = "inferometer";
const BUILT_IN: &str = "built-in";

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The program itself.
    BuiltIn,
    /// The library at this canonical path.
    Library(PathBuf),
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str(BUILT_IN),
            Self::Library(path) => path.display().fmt(f),
        }
    }
}

/// A component that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name, as its author writes it.
    pub name: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// Among components of one name the highest wins.
    pub priority: i32,
    /// Where it comes from.
    pub origin: Origin,
    /// Version of the package.
    pub version: String,
    /// The package it comes from.
    pub package: String,
    /// Version of the plugin interface it was built for, major and minor.
    pub interface: String,
}

impl Entry {
    /// Whether `asked`, which may be qualified as in `acme:chat`, may mean this one.
    #[must_use]
    pub fn answers_to(&self, asked: &str) -> bool {
        let (qualifier, name) = names::split(asked);
        names::normal(&self.name) == names::normal(name) && qualifier.is_none_or(|from| self.comes_from(from))
    }

    fn is_called(&self, kind: Kind, normal_name: &str) -> bool {
        self.kind == kind && names::normal(&self.name) == normal_name
    }

    /// Whether `qualifier` stands for where this comes from.
    fn comes_from(&self, qualifier: &str) -> bool {
        let wanted = names::normal(qualifier);
        let is = |name: &str| names::normal(name) == wanted;
        is(&self.package)
            || match &self.origin {
                Origin::BuiltIn => is(BUILT_IN),
                Origin::Library(path) => is(&names::stem(path)) || path.as_os_str() == qualifier,
            }
    }

    /// The shortest qualifier that stands for this one among `others`, which include it.
    fn qualifier(&self, others: &[&Item]) -> String {
        let ways = match &self.origin {
            Origin::BuiltIn => vec![BUILT_IN.to_owned()],
            Origin::Library(path) => vec![self.package.clone(), names::stem(path), path.display().to_string()],
        };
        let sole = |way: &&String| others.iter().filter(|other| other.entry.comes_from(way)).count() == 1;
        ways.iter().find(sole).or(ways.last()).cloned().unwrap_or_default()
    }
}

/// A component, and the place it was made in, for the results.
pub struct Made<T> {
    /// The component.
    pub component: T,
    /// What it is and where it comes from.
    pub used: Component,
}

/// All components, built in and from libraries. May be shared by threads.
pub struct Registry {
    items: Vec<Item>,
    libraries: Vec<Slot>,
    skipped: Vec<Skipped>,
    prefer: BTreeMap<String, String>,
}

struct Item {
    entry: Entry,
    source: Source,
}

enum Source {
    BuiltIn(&'static Registration),
    /// By its place in [`Registry::libraries`].
    Library(usize),
}

/// A library that is opened when it is first needed.
struct Slot {
    path: PathBuf,
    declared: Vec<Declared>,
    /// The checksum of its file, where that was looked at: no other file is opened then.
    sha256: Option<String>,
    opened: Mutex<Option<Library>>,
}

impl Slot {
    fn open(&self) -> Result<Library, HostError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*opened {
            return Ok(library.clone());
        }
        let library = Library::open(&self.path, &self.declared, self.sha256.as_deref())?;
        Ok(opened.insert(library).clone())
    }
}

impl Registry {
    /// The components linked into this program.
    #[must_use]
    pub fn builtin() -> Self {
        let item = |registration: &'static Registration| Item {
            entry: Entry {
                kind: registration.factory.kind(),
                name: registration.name.to_owned(),
                summary: registration.summary.to_owned(),
                priority: registration.priority,
                origin: Origin::BuiltIn,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                package: PROGRAM.to_owned(),
                interface: INTERFACE_VERSION.to_owned(),
            },
            source: Source::BuiltIn(registration),
        };
        let mut registry = Self {
            items: registrations().map(item).collect(),
            libraries: Vec::new(),
            skipped: Vec::new(),
            prefer: BTreeMap::new(),
        };
        registry.sort();
        registry
    }

    /// The built-in components, and those of the libraries in the places that `discovery` names. No library is opened.
    ///
    /// A component of the same kind, name and package as one from an earlier place is hidden by it: so a library under
    /// development stands in for the installed one.
    ///
    /// # Errors
    /// [`HostError::Missing`] and [`HostError::Refused`] for what was named on the command line. What is wrong with
    /// other files is told by [`Registry::skipped`].
    pub fn discover(discovery: &Discovery) -> Result<Self, HostError> {
        let mut registry = Self::builtin();
        let mut skipped = Vec::new();
        let mut taken = BTreeMap::new();
        for found in discovery.find(&mut skipped)? {
            match examine(&found.path, discovery.allow_unsafe_permissions) {
                Ok(declared) => skipped.extend(registry.add(found, declared, &mut taken)),
                Err(reason) if found.named => return Err(HostError::Refused { path: found.path, reason }),
                Err(reason) => skipped.push(Skipped { path: found.path, reason }),
            }
        }
        registry.skipped = skipped;
        registry.sort();
        Ok(registry)
    }

    /// The components of one library and nothing else. Nothing is opened, and later only if the file is still the same.
    #[must_use]
    pub fn of(library: &LibraryFile) -> Self {
        let LibraryFile { path, sha256, .. } = library;
        let mut registry =
            Self { items: Vec::new(), libraries: Vec::new(), skipped: Vec::new(), prefer: BTreeMap::new() };
        let found = Found { path: path.clone(), named: true, place: 0 };
        registry.add(found, library.declared.clone(), &mut BTreeMap::new());
        registry.libraries[0].sha256 = Some(sha256.clone());
        registry.sort();
        registry
    }

    /// Opens every library that is not open yet.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn open(&self) -> Result<(), HostError> {
        self.libraries.iter().try_for_each(|slot| slot.open().map(drop))
    }

    /// The libraries that were found, in order of precedence, as a lock file has them. They are read, not opened.
    ///
    /// # Errors
    /// [`HostError::Changed`] when one is no longer what was found.
    pub fn libraries(&self) -> Result<Vec<LockedLibrary>, HostError> {
        let read = |slot: &Slot| match LibraryFile::read(&slot.path) {
            Ok(file) if file.declared == slot.declared => Ok(LockedLibrary::of(&file)),
            _ => Err(HostError::Changed { path: slot.path.clone() }),
        };
        self.libraries.iter().map(read).collect()
    }

    /// Makes sure that the libraries that were found are those of `lock`, all of them and byte for byte, now and when
    /// they are opened. Nothing is opened here.
    ///
    /// # Errors
    /// [`HostError::NotLocked`] says what differs, [`HostError::Changed`] that a library changed meanwhile.
    pub fn hold_to(&mut self, lock: &Lock) -> Result<(), HostError> {
        let found = self.libraries()?;
        let skipped: Vec<(&Path, String)> =
            self.skipped.iter().map(|file| (file.path.as_path(), file.reason.to_string())).collect();
        let paths: Vec<&Path> = self.libraries.iter().map(|slot| slot.path.as_path()).collect();
        lock.compare(&paths.into_iter().zip(&found).collect::<Vec<_>>(), &skipped).map_err(HostError::NotLocked)?;
        for (slot, library) in self.libraries.iter_mut().zip(found) {
            slot.sha256 = Some(library.sha256);
        }
        Ok(())
    }

    /// Chooses among components of one name: `chat = "acme"` makes `chat` mean `acme:chat`, whatever the priorities.
    ///
    /// # Errors
    /// [`HostError::PreferredUnknown`] when a name is no component's.
    pub fn prefer(&mut self, preferences: &BTreeMap<String, String>) -> Result<(), HostError> {
        for (name, qualifier) in preferences {
            if let Err(HostError::Unknown { nearest, skipped, .. }) = self.called(name) {
                let (name, qualifier) = (name.clone(), qualifier.clone());
                return Err(HostError::PreferredUnknown { name, qualifier, nearest, skipped });
            }
            self.prefer.insert(names::normal(name), qualifier.clone());
        }
        Ok(())
    }

    /// All components, by kind, name, priority (the highest first) and origin.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.iter().map(|item| &item.entry)
    }

    /// The names of a kind, sorted, each once.
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        let mut names: Vec<_> = self.entries().filter(|e| e.kind == kind).map(|e| e.name.as_str()).collect();
        names.dedup_by_key(|name| names::normal(name));
        names
    }

    /// The component that `asked` means, which may be qualified as in `acme:chat`. Nothing is opened.
    ///
    /// # Errors
    /// When the name is unknown or stands for several components.
    pub fn find(&self, kind: Kind, asked: &str) -> Result<&Entry, HostError> {
        self.choose(kind, asked).map(|item| &item.entry)
    }

    /// Every component, of whatever kind, that `asked` may mean: at least one.
    ///
    /// # Errors
    /// [`HostError::Unknown`] when there is none.
    pub fn called(&self, asked: &str) -> Result<Vec<&Entry>, HostError> {
        let called: Vec<_> = self.entries().filter(|entry| entry.answers_to(asked)).collect();
        if called.is_empty() { Err(self.unknown(None, asked)) } else { Ok(called) }
    }

    /// The schema of a component's options: JSON Schema as text, see [`inferometer_abi::options`]. A library is opened
    /// for it.
    ///
    /// # Errors
    /// When the name is unknown or stands for several components, or when the library cannot be used.
    pub fn options_schema(&self, kind: Kind, asked: &str) -> Result<String, HostError> {
        let Item { entry, source } = self.choose(kind, asked)?;
        match source {
            Source::BuiltIn(registration) => Ok((registration.options_schema)()),
            Source::Library(index) => {
                let schema = self.libraries[*index].open()?.options_schema(kind, &entry.name);
                let (name, origin) = (entry.name.clone(), entry.origin.to_string());
                schema.map_err(|reason| HostError::NoSchema { kind, name, origin, reason })
            }
        }
    }

    /// Files and folders that were passed over, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn sort(&mut self) {
        self.items.sort_by_cached_key(|Item { entry: e, .. }| {
            (e.kind, names::normal(&e.name), Reverse(e.priority), e.origin.clone(), e.package.clone())
        });
    }

    /// Takes over what a library declares, save what `taken` says came from an earlier place.
    fn add(&mut self, found: Found, declared: Vec<Declared>, taken: &mut Taken) -> Option<Skipped> {
        let Found { path, place, .. } = found;
        let mut hidden: Option<(Vec<String>, PathBuf)> = None;
        for component in &declared {
            let key = (component.kind, names::normal(&component.name), component.package.clone());
            match taken.get(&key) {
                Some((earlier, by)) if *earlier < place => {
                    let (names, _) = hidden.get_or_insert_with(|| (Vec::new(), by.clone()));
                    names.push(format!("{} '{}'", component.kind, component.name));
                    continue;
                }
                _ => taken.insert(key, (place, path.clone())),
            };
            self.items.push(Item { entry: entry(component, &path), source: Source::Library(self.libraries.len()) });
        }
        self.libraries.push(Slot { path: path.clone(), declared, sha256: None, opened: Mutex::new(None) });
        hidden.map(|(names, by)| Skipped { path, reason: Refusal::Hidden { names, by } })
    }

    /// The component that `asked` means.
    fn choose(&self, kind: Kind, asked: &str) -> Result<&Item, HostError> {
        let (qualifier, name) = names::split(asked);
        let normal = names::normal(name);
        let called: Vec<&Item> = self.items.iter().filter(|item| item.entry.is_called(kind, &normal)).collect();
        let Some(first) = called.first() else { return Err(self.unknown(Some(kind), name)) };
        let name = first.entry.name.clone();
        let origins = || called.iter().map(|item| item.entry.qualifier(&called));
        let from = |qualifier: &str| -> Vec<&Item> {
            called.iter().copied().filter(|item| item.entry.comes_from(qualifier)).collect()
        };
        let wanted = match (qualifier, self.prefer.get(&normal)) {
            (Some(qualifier), _) => {
                let wanted = from(qualifier);
                if wanted.is_empty() {
                    let ways = origins().map(|origin| format!("{origin}:{name}")).collect();
                    return Err(HostError::Elsewhere { kind, name, qualifier: qualifier.to_owned(), ways });
                }
                wanted
            }
            (None, Some(preferred)) => {
                let wanted = from(preferred);
                // A preference has no kind, so it may be about a component of another kind.
                let is_for = |e: &Entry| names::normal(&e.name) == normal && e.comes_from(preferred);
                if wanted.is_empty() && !self.entries().any(is_for) {
                    let (qualifier, origins) = (preferred.clone(), origins().collect());
                    return Err(HostError::Preference { kind, name, qualifier, origins });
                }
                if wanted.is_empty() { called.clone() } else { wanted }
            }
            (None, None) => called.clone(),
        };
        // Sorted by priority, and not empty.
        let priority = wanted[0].entry.priority;
        let best: Vec<&Item> = wanted.into_iter().take_while(|item| item.entry.priority == priority).collect();
        if let [one] = best[..] {
            return Ok(one);
        }
        let rival = |item: &&Item| (item.entry.qualifier(&called), item.entry.origin.to_string());
        Err(HostError::Tie { kind, name, priority, rivals: best.iter().map(rival).collect() })
    }

    fn unknown(&self, kind: Option<Kind>, name: &str) -> HostError {
        let kinds = kind.as_slice();
        let kinds = if kinds.is_empty() { &Kind::ALL } else { kinds };
        let mut known: Vec<_> = kinds.iter().flat_map(|kind| self.names(*kind)).collect();
        known.sort_unstable();
        known.dedup_by_key(|name| names::normal(name));
        // What is hidden is there all the same, and missing for no one.
        let missed = self.skipped.iter().filter(|file| !matches!(file.reason, Refusal::Hidden { .. }));
        HostError::Unknown {
            kind,
            name: name.to_owned(),
            nearest: names::nearest(name, known.iter().copied()).map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
            skipped: missed.map(ToString::to_string).collect(),
        }
    }

    fn make<T>(
        &self,
        kind: Kind,
        asked: &str,
        built_in: impl FnOnce(Factory) -> Option<AbiResult<T>>,
        foreign: impl FnOnce(&Library, &str) -> AbiResult<T>,
    ) -> Result<Made<T>, HostError> {
        let Item { entry, source } = self.choose(kind, asked)?;
        let (made, sha256) = match source {
            Source::BuiltIn(registration) => {
                (built_in(registration.factory).expect("an entry's kind is its factory's"), None)
            }
            Source::Library(index) => {
                let library = self.libraries[*index].open()?;
                (foreign(&library, &entry.name), Some(library.sha256))
            }
        };
        let (name, origin) = (entry.name.clone(), entry.origin.to_string());
        match made {
            Ok(component) => {
                let used = Component { kind, name, origin, version: entry.version.clone(), sha256 };
                Ok(Made { component, used })
            }
            Err(reason) if reason.kind == ErrorKind::PANICKED => {
                Err(HostError::Panicked { kind, name, origin, reason })
            }
            Err(reason) => Err(HostError::Creation { kind, name, origin, reason }),
        }
    }
}

/// Components by kind, name and package: the place and the library they were taken from.
type Taken = BTreeMap<(Kind, String, String), (usize, PathBuf)>;

/// A component that the library at `path` declares.
pub(crate) fn entry(component: &Declared, path: &Path) -> Entry {
    let Declared { kind, name, summary, priority, package, version, interface } = component.clone();
    Entry { kind, name, summary, priority, origin: Origin::Library(path.to_owned()), version, package, interface }
}

fn examine(path: &Path, allow_unsafe: bool) -> Result<Vec<Declared>, Refusal> {
    trust::file(path, allow_unsafe)?;
    manifest::of_file(path)
}

macro_rules! makers {
    ($($(#[$doc:meta])* $function:ident $variant:ident $object:ident;)*) => {
        impl Registry {$(
            $(#[$doc])*
            ///
            /// `name` may be qualified by a package or the stem of a file, as in `acme:chat`; `options_json` is a JSON
            /// object, or empty when there are none. A library is opened when first used, and once.
            ///
            /// # Errors
            /// When the name is unknown or stands for several components, when the library cannot be used, or when the
            /// component refuses its options.
            pub fn $function(&self, name: &str, options_json: &str) -> Result<Made<Box<dyn $object>>, HostError> {
                self.make(
                    Kind::$variant,
                    name,
                    |factory| match factory {
                        Factory::$variant(new) => Some(new(options_json)),
                        _ => None,
                    },
                    |library, name| library.$function(name, options_json),
                )
            }
        )*}
    };
}

makers! {
    /// Makes an endpoint. One object serves all workers.
    endpoint Endpoint Endpoint;
    /// Makes a timing strategy. Each worker needs one of its own.
    timing Timing TimingStrategy;
    /// Makes an exporter.
    exporter Exporter Exporter;
    /// Makes a telemetry collector.
    collector Collector TelemetryCollector;
    /// Makes a data set loader. One object serves all workers.
    dataset Dataset DatasetLoader;
}

#[cfg(test)]
mod tests;
