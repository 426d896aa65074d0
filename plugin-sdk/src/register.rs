//! Registration: from a type and a name to a component that a host can find and make.

use inferometer_abi::types::{Error, Result};
use serde::{Deserialize, de::DeserializeOwned};

/// A type that can be made from options given by the user.
pub trait Component: Sized + 'static {
    /// Its options; give them `#[serde(deny_unknown_fields)]`, so that a typing error is found before the run.
    type Options: DeserializeOwned;

    /// Makes it.
    ///
    /// # Errors
    /// When the options contradict each other; the message names the option, the reason and the remedy.
    fn create(options: Self::Options) -> Result<Self>;
}

/// The options of a component that has none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Makes a component from its options as JSON text; empty text means no options were given.
#[doc(hidden)]
pub fn make<C: Component>(options_json: &str) -> Result<C> {
    let text = if options_json.is_empty() { "{}" } else { options_json };
    let options = serde_json::from_str(text).map_err(|e| Error::config(format!("its options: {e}")))?;
    C::create(options)
}

/// Places a component's line of the manifest.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest {
    ($kind:literal, $name:literal, $summary:literal, $priority:expr, $panic:literal) => {
        $crate::__private::__manifest_line! {
            concat!(
                r#"{"interface":"1.0","kind":""#, $kind, r#"","name":"#, stringify!($name),
                r#","summary":"#, stringify!($summary), r#","priority":"#, stringify!($priority),
                r#","panic":""#, $panic,
                r#"","package":""#, env!("CARGO_PKG_NAME"), r#"","version":""#, env!("CARGO_PKG_VERSION"), "\"}\n"
            )
        }
    };
}

/// Registers a component: the common part of the five macros.
///
/// The manifest says what a panic does in the author's build, which is where the `cfg` is evaluated: a host refuses
/// libraries whose panics would end it.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($kind:literal, $variant:ident, $name:literal, $summary:literal, $component:ty, $priority:expr) => {
        #[cfg(panic = "unwind")]
        $crate::__manifest!($kind, $name, $summary, $priority, "unwind");
        #[cfg(not(panic = "unwind"))]
        $crate::__manifest!($kind, $name, $summary, $priority, "abort");
        const _: () = {
            use $crate::__private::inventory;
            $crate::__private::inventory::submit! {
                $crate::__private::Registration {
                    name: $name,
                    summary: $summary,
                    priority: $priority,
                    factory: $crate::__private::Factory::$variant(|options| {
                        Ok(Box::new($crate::__private::make::<$component>(options)?))
                    }),
                }
            }
        };
    };
}

macro_rules! registering_macro {
    ($(#[$doc:meta])* $macro:ident, $kind:literal, $variant:ident, $dollar:tt) => {
        $(#[$doc])*
        #[macro_export]
        macro_rules! $macro {
            (name: $dollar name:literal, summary: $dollar summary:literal, component: $dollar component:ty $dollar(,)?) => {
                $crate::__register!($kind, $variant, $dollar name, $dollar summary, $dollar component, 0);
            };
            (name: $dollar name:literal, summary: $dollar summary:literal, component: $dollar component:ty,
             priority: $dollar priority:literal $dollar(,)?) => {
                $crate::__register!($kind, $variant, $dollar name, $dollar summary, $dollar component, $dollar priority);
            };
        }
    };
}

registering_macro! {
    /// Registers an endpoint: `endpoint! { name: "acme-chat", summary: "…", component: AcmeChat }`.
    endpoint, "endpoint", Endpoint, $
}
registering_macro! {
    /// Registers a timing strategy.
    timing, "timing", Timing, $
}
registering_macro! {
    /// Registers an exporter.
    exporter, "exporter", Exporter, $
}
registering_macro! {
    /// Registers a telemetry collector.
    collector, "collector", Collector, $
}
registering_macro! {
    /// Registers a data set loader.
    dataset, "dataset", Dataset, $
}

/// Makes a library of the components registered in it; once, in its `lib.rs`.
#[macro_export]
macro_rules! export_plugin {
    () => {
        $crate::__private::__export_header!();
    };
}
