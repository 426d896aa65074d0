//! The registry of components: what is built in, what plugin libraries bring, and which of them a name means.
//!
//! [`Discovery`] says where libraries may lie, [`Registry`] reads what they hold without running any of it and opens a
//! library when one of its components is asked for. This is the only crate that opens libraries, and `loader` its only
//! file with `unsafe`. It knows no component by name and neither prints nor measures. Unix only.

mod discovery;
mod error;
mod library;
mod loader;
mod lock;
mod log;
mod manifest;
mod names;
mod registry;
mod trust;

pub use discovery::Discovery;
pub use error::{HostError, Refusal, Skipped};
pub use library::LibraryFile;
pub use lock::{Difference, Differences, Lock, LockedComponent, LockedLibrary};
pub use log::{Level, LogLine, drain_log, set_log};
pub use registry::{Entry, Made, Origin, Registry};
pub use trust::{check_folder, read_relied_on};
