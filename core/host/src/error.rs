//! What can go wrong between a name and a component, in words for the user.

use crate::lock::Differences;
use inferometer_abi::{documents::Kind, types::Error};
use std::{
    fmt::{self, Display, Formatter},
    io,
    path::PathBuf,
};

/// Why a component could not be had. Each text names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A path named on the command line is not there.
    #[error("--plugin {}: there is no such file or folder; correct the path or leave it out", path.display())]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// A path named on the command line must not or cannot be used.
    #[error("--plugin {}: {reason}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        reason: Refusal,
    },
    /// No component of that kind has that name.
    #[error(
        "no {}component is called '{name}'{}; known are: {}{}",
        kind.map_or_else(String::new, |kind| format!("{kind} ")), Hint(nearest.as_deref()), Listed(known), Ignored(skipped)
    )]
    Unknown {
        /// The kind asked for, if it matters.
        kind: Option<Kind>,
        /// The name asked for.
        name: String,
        /// The known name it most likely stands for.
        nearest: Option<String>,
        /// All names, of that kind if it matters.
        known: Vec<String>,
        /// Files that were passed over, each with the reason.
        skipped: Vec<String>,
    },
    /// The name is known, but not from where the qualifier says.
    #[error("'{qualifier}' brings no {kind} component called '{name}'; to be had are: {}", Listed(ways))]
    Elsewhere {
        /// The kind asked for.
        kind: Kind,
        /// The name, without its qualifier.
        name: String,
        /// The qualifier.
        qualifier: String,
        /// Qualified names that would do.
        ways: Vec<String>,
    },
    /// A preference points to something that is not there.
    #[error(
        "[plugins.prefer] says {name} = \"{qualifier}\", but that brings no {kind} component of this name; remove the \
         line, or prefer one of: {}",
        Listed(origins)
    )]
    Preference {
        /// The kind asked for.
        kind: Kind,
        /// The name preferred for.
        name: String,
        /// What is preferred.
        qualifier: String,
        /// What could be preferred.
        origins: Vec<String>,
    },
    /// A preference is about a name that no component has.
    #[error(
        "[plugins.prefer] says {name} = \"{qualifier}\", but no component is called '{name}'{}; correct or remove the line{}",
        Hint(nearest.as_deref()), Ignored(skipped)
    )]
    PreferredUnknown {
        /// The name preferred for.
        name: String,
        /// What is preferred.
        qualifier: String,
        /// The known name it most likely stands for.
        nearest: Option<String>,
        /// Files that were passed over, each with the reason.
        skipped: Vec<String>,
    },
    /// Several components share the name and the highest priority.
    #[error("{}", TieText { kind: *kind, name, priority: *priority, rivals })]
    Tie {
        /// The kind asked for.
        kind: Kind,
        /// The name they share.
        name: String,
        /// The priority they share.
        priority: i32,
        /// Qualifier and origin of each.
        rivals: Vec<(String, String)>,
    },
    /// A library is no longer what was found.
    #[error("{}: the file changed since the program started; start it again", path.display())]
    Changed {
        /// The library.
        path: PathBuf,
    },
    /// The libraries are not those of a lock file.
    #[error("the plugins are not the locked ones:{0}")]
    NotLocked(Differences),
    /// The system's loader refused a library.
    #[error("{}: the system could not load it: {reason}; install what it needs or build it on this system", path.display())]
    Open {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A library's interface does not fit this program's.
    #[error("{}: {reason}; build it with the plugin SDK of this program's version", path.display())]
    Interface {
        /// The library.
        path: PathBuf,
        /// What does not fit.
        reason: Error,
    },
    /// A library said no when it was started.
    #[error("{}: it could not be started: {reason}", path.display())]
    Init {
        /// The library.
        path: PathBuf,
        /// What it says.
        reason: Error,
    },
    /// A library holds other components than its manifest says.
    #[error(
        "{}: its manifest declares {} but it registers {}; register components by the SDK's macros only, and build it anew",
        path.display(), Listed(declared), Listed(registered)
    )]
    Disagreement {
        /// The library.
        path: PathBuf,
        /// What the manifest says.
        declared: Vec<String>,
        /// What the running library says.
        registered: Vec<String>,
    },
    /// A component refused its options.
    #[error("{kind} '{name}' ({origin}) could not be made: {reason}")]
    Creation {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Where it comes from.
        origin: String,
        /// What it says.
        reason: Error,
    },
    /// A component panicked as its options were asked for.
    #[error("{kind} '{name}' ({origin}) has a defect: asked which options it has, it {reason}; tell its author")]
    NoSchema {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Where it comes from.
        origin: String,
        /// The panic's text.
        reason: Error,
    },
    /// A component panicked as it was made: in its constructor, or when an endpoint described itself.
    #[error("{kind} '{name}' ({origin}) has a defect: while it was made, it {reason}; tell its author, or use another")]
    Panicked {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Where it comes from.
        origin: String,
        /// The panic's text.
        reason: Error,
    },
}

/// A file or folder that was passed over.
#[derive(Debug)]
pub struct Skipped {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it was passed over.
    pub reason: Refusal,
}

impl Display for Skipped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Why a file or folder brings no components.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It could not be read.
    #[error("it could not be read: {0}")]
    Unreadable(io::Error),
    /// It is a device, a pipe or the like.
    #[error("it is neither a regular file nor a folder")]
    NoFile,
    /// It is a folder where a file is needed.
    #[error("it is a folder; give the file")]
    Folder,
    /// It is larger than any file of its kind.
    #[error("it has more than {most} bytes, which no such file needs")]
    TooLarge {
        /// The most that it may have.
        most: u64,
    },
    /// A path from the environment or the configuration that depends on the working directory.
    #[error("it is a relative path, which would depend on the working directory; make it absolute")]
    Relative,
    /// A folder without libraries.
    #[error("the folder holds no file that ends in .so or .dylib")]
    EmptyFolder,
    /// Everyone may write it.
    #[error("everyone may write {0}; run `chmod o-w {0}`, or pass --allow-unsafe-permissions", path.display())]
    WorldWritable {
        /// The file, or the folder it lies in.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error(
        "{} belongs to user {owner}, neither root nor the current user {user}; copy it, or pass --allow-unsafe-permissions",
        path.display()
    )]
    ForeignOwner {
        /// The file, or the folder it lies in.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// The current user's number.
        user: u32,
    },
    /// It is no object file.
    #[error("it is no shared library: {0}")]
    NoObject(String),
    /// A part of it is missing.
    #[error("it is cut short or damaged: {0}; copy or build it again")]
    Damaged(String),
    /// It was built for something else.
    #[error("it was built for {found} and this program runs on {host}; build it for {host}")]
    WrongMachine {
        /// What it was built for.
        found: String,
        /// What this program runs on.
        host: String,
    },
    /// It is a program or an intermediate object.
    #[error("it is no shared library; build it with crate-type = [\"cdylib\"]")]
    NotShared,
    /// It registers no components.
    #[error("it holds no inferometer components")]
    NoManifest,
    /// It registers components of no kind that this program knows.
    #[error("it holds only components of kinds that this program does not know: {}; it needs a later version of it", Quoted(.0))]
    UnknownKinds(Vec<String>),
    /// It registers components but does not export them.
    #[error("it registers components but does not export them; end its lib.rs with `export_plugin!();`")]
    NoHeader,
    /// Its manifest cannot be read.
    #[error("its manifest cannot be read: {0}; build it with the plugin SDK's macros")]
    BadManifest(String),
    /// It speaks another version of the interface.
    #[error("it was built for interface {theirs} and this program has {ours}; build it with this program's plugin SDK")]
    WrongInterface {
        /// The library's version of the interface.
        theirs: String,
        /// This program's major version.
        ours: String,
    },
    /// A panic in it would end the program.
    #[error("it was built with panic = \"abort\", so a defect in it would end this program; build it with \"unwind\"")]
    Aborts,
    /// Its components come from an earlier place already.
    #[error("{} from the same package is already taken from {}", Listed(names), by.display())]
    Hidden {
        /// The components that are hidden.
        names: Vec<String>,
        /// The library that is used in its place.
        by: PathBuf,
    },
}

impl Refusal {
    /// A word for machines that stays the same whatever the text says.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoFile => "no_file",
            Self::Folder => "folder",
            Self::TooLarge { .. } => "too_large",
            Self::Relative => "relative",
            Self::EmptyFolder => "empty_folder",
            Self::WorldWritable { .. } => "world_writable",
            Self::ForeignOwner { .. } => "foreign_owner",
            Self::NoObject(_) => "no_object",
            Self::Damaged(_) => "damaged",
            Self::WrongMachine { .. } => "wrong_machine",
            Self::NotShared => "not_shared",
            Self::NoManifest => "no_manifest",
            Self::UnknownKinds(_) => "unknown_kinds",
            Self::NoHeader => "no_header",
            Self::BadManifest(_) => "bad_manifest",
            Self::WrongInterface { .. } => "wrong_interface",
            Self::Aborts => "aborts",
            Self::Hidden { .. } => "hidden",
        }
    }
}

struct Quoted<'a>(&'a [String]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.0.iter().map(|word| format!("'{}'", word.escape_debug())).collect();
        f.write_str(&quoted.join(", "))
    }
}

struct Listed<'a>(&'a [String]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(", ")) }
    }
}

struct Hint<'a>(Option<&'a str>);

impl Display for Hint<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ", did you mean '{name}'?"),
            None => Ok(()),
        }
    }
}

struct Ignored<'a>(&'a [String]);

impl Display for Ignored<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        /// Files told of; more would bury the message.
        const TOLD: usize = 5;
        let told = self.0.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
        match self.0.len() {
            0 => Ok(()),
            1..=TOLD => write!(f, " (passed over: {told})"),
            all => write!(f, " (passed over: {told}; and {} more)", all - TOLD),
        }
    }
}

struct TieText<'a> {
    kind: Kind,
    name: &'a str,
    priority: i32,
    rivals: &'a [(String, String)],
}

impl Display for TieText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, name, priority, rivals } = self;
        let origins: Vec<_> = rivals.iter().map(|(_, origin)| origin.as_str()).collect();
        let ways: Vec<_> = rivals.iter().map(|(way, _)| format!("'{way}:{name}'")).collect();
        let first = rivals.first().map_or("", |(way, _)| way);
        write!(
            f,
            "{} {kind} components are called '{name}' with the same priority {priority}: {}; ask for {}, or write {name} = \"{first}\" \
             under [plugins.prefer] in the configuration",
            rivals.len(),
            origins.join(" and "),
            ways.join(" or "),
        )
    }
}
