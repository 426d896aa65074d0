//! The conformance kit: what a host relies on, as laws that any component can be held to.
//!
//! A plugin's author takes it as a dev-dependency; the program holds its built-in components to the same laws, and
//! `inferometer plugins check` any library. There is a module per kind, with `check` for tests, which panics, and with the
//! [`Law`]s one by one for whoever reports on them:
//!
//! ```
//! use inferometer_testkit::timing::{self, Shape};
//! # use inferometer_plugin_sdk::{api::{Timetable, TimingStrategy}, types::{Load, PhaseSpec, Result, Step}};
//! # /// Keeps its slots filled.
//! # #[derive(Default)]
//! # struct Acme(u32);
//! # impl TimingStrategy for Acme {
//! #     fn start(&mut self, phase: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
//! #         self.0 = phase.slots;
//! #         Ok(())
//! #     }
//! #     fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
//! #         Ok(match self.0 {
//! #             0 => Step::END,
//! #             slots if load.open >= slots => Step::PARK,
//! #             _ => Step::send(now_ns, inferometer_plugin_sdk::types::ANY_SESSION),
//! #         })
//! #     }
//! # }
//!
//! // In a #[test]:
//! timing::check(|| Box::new(Acme::default()), Shape::Closed);
//! ```
//!
//! An endpoint's author also says what some real answers hold ([`endpoint::Golden`]), and a data set's which requests it is
//! able to open:
//!
//! ```
//! use inferometer_testkit::endpoint::{Expected, Golden};
//!
//! let goldens = [
//!     Golden::stream("two words", Expected { text: "Hi you".into(), done: true, ..Expected::default() })
//!         .usual(r#"{"choices":[{"text":"Hi"}]}"#)
//!         .usual(r#"{"choices":[{"text":" you"}]}"#)
//!         .event("[DONE]"),
//!     Golden::body("two words", r#"{"choices":[{"text":"Hi you"}]}"#, Expected {
//!         text: "Hi you".into(),
//!         ..Expected::default()
//!     }),
//! ];
//! // endpoint::check(|| Box::new(Acme::default()), &goldens);
//! # assert_eq!(goldens[0].events.len(), 3);
//! ```
//!
//! A broken law panics with the law, the input and what was seen. `check` runs every law on the component itself and on
//! the component behind the [`wire`] form in which libraries are called, and compares the two; [`library`] opens a built
//! library, whose components are held to the same laws.
//!
//! Two things are not here. That a stream may be cut into reads anywhere is the host's promise, kept by its framer. And no
//! allocator that counts: a test that wants to know whether reading allocates brings its own, see
//! [`endpoint::reads_usual_events_without_allocating`].

pub mod collector;
pub mod dataset;
pub mod endpoint;
pub mod exporter;
mod law;
pub mod timing;
pub mod wire;

pub use law::{Law, Make};

use inferometer_host::{Discovery, HostError, Registry};
use std::path::PathBuf;

/// The components of the library at `path`, checked and opened as the program does it, beside those linked into the test.
///
/// # Errors
/// When the program would refuse the library; the text says why.
pub fn library(path: PathBuf) -> Result<Registry, HostError> {
    Registry::discover(&Discovery { explicit: vec![path], ..Discovery::default() })
}
