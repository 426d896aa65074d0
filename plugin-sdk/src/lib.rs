//! What a plugin's author depends on: the traits, the values they exchange, and the macros that register a component.
//!
//! A component is a type that implements one trait of [`api`] and [`Component`]; a macro gives it a name:
//!
//! ```
//! use inferometer_plugin_sdk::{Component, NoOptions, api::TimingStrategy, types::*};
//!
//! /// Sends one request and ends.
//! struct Once(bool);
//!
//! impl Component for Once {
//!     type Options = NoOptions;
//!     fn create(_: NoOptions) -> Result<Self> {
//!         Ok(Self(false))
//!     }
//! }
//!
//! impl TimingStrategy for Once {
//!     fn start(&mut self, _: &PhaseSpec, _: &dyn inferometer_plugin_sdk::api::Timetable) -> Result<()> {
//!         Ok(())
//!     }
//!     fn next(&mut self, now_ns: u64, _: &Load) -> Result<Step> {
//!         let first = !std::mem::replace(&mut self.0, true);
//!         Ok(if first { Step::send(now_ns, ANY_SESSION) } else { Step::END })
//!     }
//! }
//!
//! inferometer_plugin_sdk::timing! { name: "once", summary: "Sends one request and ends.", component: Once }
//! ```
//!
//! What a user may set is a struct, by its derives. They come with the SDK, so that nothing else has to be depended on:
//!
//! ```
//! use inferometer_plugin_sdk::{schemars::JsonSchema, serde::Deserialize};
//!
//! #[derive(Default, Deserialize, JsonSchema)]
//! #[serde(crate = "inferometer_plugin_sdk::serde", default)]
//! #[schemars(crate = "inferometer_plugin_sdk::schemars")]
//! struct Options {
//!     /// Where the server is.
//!     region: String,
//! }
//! ```
//!
//! The macro's texts stand in the library's manifest, which is JSON, as they stand in the source. So they are plain
//! strings on one line; what JSON would read otherwise does not compile:
//!
//! ```compile_fail
//! # use inferometer_plugin_sdk::{Component, NoOptions, api::TimingStrategy, types::*};
//! # struct Once;
//! # impl Component for Once {
//! #     type Options = NoOptions;
//! #     fn create(_: NoOptions) -> Result<Self> { Ok(Self) }
//! # }
//! # impl TimingStrategy for Once {
//! #     fn start(&mut self, _: &PhaseSpec, _: &dyn inferometer_plugin_sdk::api::Timetable) -> Result<()> { Ok(()) }
//! #     fn next(&mut self, _: u64, _: &Load) -> Result<Step> { Ok(Step::END) }
//! # }
//! inferometer_plugin_sdk::timing! { name: "once", summary: r"Sends one request and ends.", component: Once }
//! ```
//!
//! A library of its own (`crate-type = ["cdylib"]`) ends with [`export_plugin!`]; the program's built-ins are registered
//! by the same macros and need nothing further.

mod options;
mod register;

pub use inferometer_abi::{RSlice, RStr, RString, RVec, api, documents, random, types};
pub use options::NoOptions;
pub use register::Component;
pub use schemars;
pub use serde;

/// What the macros expand to. Not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::options::{make, options_schema};
    pub use crate::register::{is_component_name, is_json_integer, is_json_string};
    pub use inferometer_abi::{
        __export_header, __interface_version, __manifest_line, inventory,
        registration::{Factory, Registration},
    };
}

/// The user's log, as a plugin reaches it. Says nothing outside a host.
pub mod log {
    use inferometer_abi::wire::module::log::say;

    /// Something failed.
    pub fn error(target: &str, message: &str) {
        say(1, target, message);
    }

    /// Something is not as it should be.
    pub fn warn(target: &str, message: &str) {
        say(2, target, message);
    }

    /// Something worth knowing.
    pub fn info(target: &str, message: &str) {
        say(3, target, message);
    }
}
