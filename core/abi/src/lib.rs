//! The stable interface between inferometer and its plugins.
//!
//! - [`api`]: the plain traits an author implements, one per kind.
//! - [`types`]: the `repr(C)` values those traits exchange. Frozen; they end in reserved words.
//! - [`documents`]: the JSON documents that cross the boundary and may grow.
//! - [`registration`]: how a component says that it exists.
//! - [`wire`]: what really crosses a library boundary. Authors never see it.
//!
//! This is the only crate that uses `abi_stable`, and it knows nothing of the rest of the house: no clock, no sockets,
//! no files.

pub mod api;
pub mod documents;
pub mod registration;
pub mod types;
pub mod wire;

pub use abi_stable::std_types::{RSlice, RStr, RString, RVec};
pub use inventory;
