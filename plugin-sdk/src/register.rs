//! Registration: from a type and a name to a component that a host can find and make.

use inferometer_abi::types::Result;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A type that can be made from options given by the user.
pub trait Component: Sized + 'static {
    /// Its options: a struct whose fields a user sets by name. Their types, defaults and comments make the schema that
    /// `inferometer plugins show` prints, and an option that the struct does not have is refused before the run.
    type Options: DeserializeOwned + JsonSchema;

    /// Makes it.
    ///
    /// # Errors
    /// When the options contradict each other; the message names the option, the reason and the remedy.
    fn create(options: Self::Options) -> Result<Self>;
}

/// Whether a literal, as it stands in the source, is a string in JSON as well as in Rust.
#[doc(hidden)]
pub const fn is_json_string(source: &str) -> bool {
    let [b'"', text @ .., b'"'] = source.as_bytes() else { return false };
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            // The escapes that the two languages share.
            b'\\' => {
                if at + 1 == text.len() || !matches!(text[at + 1], b'"' | b'\\' | b'n' | b'r' | b't') {
                    return false;
                }
                at += 2;
            }
            b'"' | 0..0x20 => return false,
            _ => at += 1,
        }
    }
    true
}

/// Whether a literal, as it stands in the source, is a whole number in JSON as well as in Rust.
#[doc(hidden)]
pub const fn is_json_integer(source: &str) -> bool {
    let digits = match source.as_bytes() {
        [b'-', digits @ ..] => digits,
        digits => digits,
    };
    let mut at = 0;
    while at < digits.len() {
        if !digits[at].is_ascii_digit() {
            return false;
        }
        at += 1;
    }
    // JSON's -0 is no whole number, and a further digit never follows a leading 0.
    at > 0 && (digits[0] != b'0' || source.len() == 1)
}

/// Whether a literal, as it stands in the source, is a name that hosts take: at most 64 of the letters a to z in either
/// case, digits, `-`, `_` and `.`.
#[doc(hidden)]
pub const fn is_component_name(source: &str) -> bool {
    let [b'"', text @ .., b'"'] = source.as_bytes() else { return false };
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_alphanumeric() && !matches!(text[at], b'-' | b'_' | b'.') {
            return false;
        }
        at += 1;
    }
    at > 0 && at <= 64
}

/// A component's line of the manifest. Literals go into it as they stand in the source, because a macro cannot rewrite
/// them.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest_text {
    ($kind:literal, $name:literal, $summary:literal, $priority:expr, $panic:literal) => {
        concat!(
            r#"{"interface":""#,
            $crate::__private::__interface_version!(),
            r#"","kind":""#,
            $kind,
            r#"","name":"#,
            stringify!($name),
            r#","summary":"#,
            stringify!($summary),
            r#","priority":"#,
            stringify!($priority),
            r#","panic":""#,
            $panic,
            r#"","package":""#,
            env!("CARGO_PKG_NAME"),
            r#"","version":""#,
            env!("CARGO_PKG_VERSION"),
            "\"}\n"
        )
    };
}

/// Places a component's line of the manifest.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest {
    ($kind:literal, $name:literal, $summary:literal, $priority:expr, $panic:literal) => {
        const _: () = {
            use $crate::__private::{is_component_name, is_json_integer, is_json_string};
            assert!(
                is_component_name(stringify!($name)),
                "the name of a component is a plain string such as \"acme-chat\": at most 64 letters of a to z, digits, \
                 '-', '_' and '.'"
            );
            assert!(
                is_json_string(stringify!($summary)),
                "the summary of a component is a plain string on one line: no raw string, no line break, and no escapes \
                 but \\n, \\r, \\t, \\\" and \\\\; write other characters as they are"
            );
            assert!(
                is_json_integer(stringify!($priority)),
                "the priority of a component is a plain whole number such as 10 or -3"
            );
        };
        $crate::__private::__manifest_line! {
            $crate::__manifest_text!($kind, $name, $summary, $priority, $panic)
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
                    options_schema: $crate::__private::options_schema::<$component>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_abi::INTERFACE_VERSION;

    const LINE: &str = crate::__manifest_text!("endpoint", "acme", "Says \"hé\",\tonce.", -3, "unwind");

    #[test]
    fn a_line_of_the_manifest_says_what_was_registered_and_for_which_interface() {
        assert!(LINE.ends_with('\n'));
        let line: serde_json::Value = serde_json::from_str(LINE).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "interface": INTERFACE_VERSION, "kind": "endpoint", "name": "acme", "summary": "Says \"hé\",\tonce.",
                "priority": -3, "panic": "unwind",
                "package": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"),
            })
        );
    }

    #[test]
    fn literals_that_json_reads_otherwise_are_told_from_those_it_reads_alike() {
        for source in
            [stringify!(""), stringify!("Plain, with 'quotes', {braces} and é."), stringify!("\n\r\t\"\\"), r#""a \\""#]
        {
            assert!(is_json_string(source), "{source}");
            assert!(serde_json::from_str::<String>(source).is_ok(), "{source}");
        }
        for source in [
            stringify!(r"raw"),
            stringify!(r#"raw"#),
            stringify!("\u{e9}"),
            stringify!("\x41"),
            stringify!("\0"),
            stringify!("\'"),
            stringify!(b"bytes"),
            "\"two\nlines\"",
            "\"joined \\\n lines\"",
            "\"",
            "7",
        ] {
            assert!(!is_json_string(source), "{source}");
        }
    }

    #[test]
    fn names_that_no_host_takes_are_told_from_those_that_all_take() {
        let of = |length: usize| format!("\"{}\"", "a".repeat(length));
        for source in ["\"acme\"", "\"Acme-chat.v2_x\"", &of(64)] {
            assert!(is_component_name(source), "{source}");
        }
        for source in ["\"\"", "\"a b\"", "\"a:b\"", "\"é\"", "r\"acme\"", "acme", &of(65)] {
            assert!(!is_component_name(source), "{source}");
        }
    }

    #[test]
    fn numbers_that_json_reads_otherwise_are_told_from_those_it_reads_alike() {
        for source in ["0", "7", "-3", "1200"] {
            assert!(is_json_integer(source) && serde_json::from_str::<i32>(source).is_ok(), "{source}");
        }
        for source in ["", "-", "-0", "1_000", "0x10", "07", "1i32", "+1", "1.0"] {
            assert!(!is_json_integer(source), "{source}");
        }
    }
}
