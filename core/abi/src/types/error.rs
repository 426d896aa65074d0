//! The error that crosses the boundary.

use abi_stable::{StableAbi, std_types::RString};

/// Result of an interface call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words for the user, with a kind that the host can act on.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The thing, the reason and the remedy, in one sentence.
    pub message: RString,
}

/// The kinds of failure; an open set, so that a later version may add some.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorKind(pub u32);

impl ErrorKind {
    /// None of the others.
    pub const OTHER: Self = Self(0);
    /// The options or the input given by the user are wrong.
    pub const CONFIG: Self = Self(1);
    /// The component cannot do what was asked.
    pub const UNSUPPORTED: Self = Self(2);
    /// The server's answer could not be read.
    pub const MALFORMED: Self = Self(3);
    /// The component panicked and takes no more calls.
    pub const PANICKED: Self = Self(4);
    /// A file or a socket failed.
    pub const IO: Self = Self(5);
}

impl Error {
    /// An error of `kind` with `message`.
    pub fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        Self { kind, message: message.to_string().into() }
    }

    /// The user's options or input are wrong.
    pub fn config(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::CONFIG, message)
    }

    /// The server's answer could not be read.
    pub fn malformed(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::MALFORMED, message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
