//! What whole-program tests stand on: the program itself, its plugins, and servers to point it at.
//!
//! The tests lie in `tests/`. They run the built program as a user would and read what it leaves behind; what one crate
//! promises by itself is tested beside that crate.

pub mod binary;
pub mod compat;
pub mod http2;
pub mod mock;
pub mod peers;
pub mod relay;
pub mod results;
pub mod run;
pub mod sent;
pub mod studio;
pub mod tls;

mod ports;
