//! The stable interface between inferometer and its plugins.
//!
//! - [`api`]: the plain traits an author implements, one per kind.
//! - [`types`]: the `repr(C)` values those traits exchange. Frozen; they end in reserved words.
//! - [`documents`]: the JSON documents that cross the boundary and may grow.
//! - [`registration`]: how a component says that it exists.
//! - [`random`]: the generator that everything random comes from.
//! - [`wire`]: what really crosses a library boundary. Authors never see it.
//!
//! This is the only crate that uses `abi_stable`, and it knows nothing of the rest of the house: no clock, no sockets,
//! no files.

pub mod api;
pub mod documents;
#[cfg(test)]
mod numbers;
pub mod options;
pub mod random;
pub mod registration;
pub mod types;
pub mod wire;

pub use abi_stable::std_types::{RSlice, RStr, RString, RVec};
pub use inventory;

/// The version of this interface, major and minor: a library of the same major version fits, whatever its minor one.
pub const INTERFACE_VERSION: &str = __interface_version!();

/// [`INTERFACE_VERSION`] as a literal, for the SDK's macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface_version {
    () => {
        "1.1"
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_interface_has_the_version_of_this_crate() {
        let (version, _patch) = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap();
        assert_eq!(super::INTERFACE_VERSION, version);
    }
}
