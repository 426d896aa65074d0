//! The dependency rule: which of our crates may know which other one. Imports run downward only.
//!
//! A crate is named by its room, the folder that it lies in, so the table reads like the tree.

use cargo_metadata::{DependencyKind, Metadata};

/// Each room and the rooms that its crate may depend on. What is not here is forbidden.
#[rustfmt::skip]
const MAY_USE: &[(&str, &[&str])] = &[
    ("core/abi",     &[]),
    ("core/tokens",  &["core/abi"]),
    ("core/model",   &["core/abi"]),
    ("core/trace",   &["core/abi"]),
    ("core/host",    &["core/model", "core/abi"]),
    ("core/load",    &["core/model", "core/abi"]),
    ("core/net",     &["core/model", "core/abi"]),
    ("core/metrics", &["core/model", "core/abi"]),
    ("core/mock",    &["core/load", "core/tokens"]),
    ("core/engine",  &["core/load", "core/net", "core/metrics", "core/host", "core/model", "core/tokens", "core/abi"]),
    ("plugin-sdk",   &["core/abi"]),
    ("plugin-sdk/testkit", &["plugin-sdk", "core/abi", "core/host"]),
    ("plugins/*",    &["plugin-sdk"]),
    ("cli",          &["core/engine", "core/host", "core/model", "core/mock", "core/tokens", "core/trace",
                       "core/abi", "plugins/datasets", "plugins/endpoints", "plugins/exporters", "plugins/telemetry", "plugins/timing",
                       "plugin-sdk/testkit"]),
    ("tests",        &["core/mock"]),
    ("tests/bare",   &["core/load"]),
    ("tests/compat/1.1/plugin", &["plugin-sdk"]),
    ("tests/compat/driver", &["core/host", "core/abi"]),
    ("tests/fixtures/builtins", &["plugins/endpoints", "plugin-sdk"]),
    ("tests/fixtures/misbehaving", &["plugin-sdk"]),
    ("xtask",        &[]),
];

/// Packages that one room keeps to itself, so that what they bring stays behind that room's interface.
const KEPT_IN: &[(&str, &str)] = &[("abi_stable", "core/abi"), ("libloading", "core/host")];

/// Packages that replace a program's allocator as soon as they are linked: none of ours may bring one to the program.
const FOR_TESTS_ONLY: &[&str] = &["allocation-counter"];

/// The room that may depend on anything for its tests, being made of nothing else.
const TESTS: &str = "tests";

/// A crate of ours, and what it depends on.
pub(super) struct Crate {
    room: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    package: String,
    /// The room it lies in, if it is ours.
    room: Option<String>,
    for_tests_only: bool,
}

/// The crates of the workspace, from what cargo knows of them.
pub(super) fn crates(workspace: &Metadata) -> Vec<Crate> {
    let room = |folder: &cargo_metadata::camino::Utf8Path| {
        let inside = folder.strip_prefix(&workspace.workspace_root).ok()?;
        Some(inside.as_str().replace('\\', "/"))
    };
    let mut crates: Vec<Crate> = workspace
        .packages
        .iter()
        .filter_map(|package| {
            let dependencies = package.dependencies.iter().map(|dependency| Dependency {
                package: dependency.name.clone(),
                room: dependency.path.as_deref().and_then(room),
                for_tests_only: dependency.kind == DependencyKind::Development,
            });
            Some(Crate { room: room(package.manifest_path.parent()?)?, dependencies: dependencies.collect() })
        })
        .collect();
    crates.sort_by(|a, b| a.room.cmp(&b.room));
    crates
}

/// Every dependency that the rule does not allow, in the order of the rooms.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    let mut breaches = Vec::new();
    for Crate { room, dependencies } in crates {
        for to in dependencies {
            let broken = match &to.room {
                Some(to_room) if to.for_tests_only => for_tests(room, to_room),
                Some(to_room) => for_use(room, to_room),
                None => for_foreign(room, to),
            };
            if let Some(rule) = broken {
                let name = to.room.as_deref().unwrap_or(&to.package);
                breaches.push(format!("{room}/Cargo.toml: depends on {name}, but {rule}"));
            }
        }
    }
    breaches
}

/// The rule that `from` breaks by depending on `to`, both ours.
fn for_use(from: &str, to: &str) -> Option<String> {
    let Some(allowed) = allowed(from) else {
        return Some(format!("{from} is not in the table of xtask/src/tidy/edges.rs; give it a row"));
    };
    if allowed.contains(&to) {
        return None;
    }
    let all = if allowed.is_empty() { "none of our crates".to_owned() } else { allowed.join(", ") };
    Some(format!("it may use only: {all}"))
}

/// The same for a dev-dependency: free, but the core does not know its plugins even in tests.
fn for_tests(from: &str, to: &str) -> Option<String> {
    (from.starts_with("core/") && is_plugin(to))
        .then(|| "no core crate knows a plugin crate, not even in its tests".to_owned())
}

/// The same for a package that is not ours.
fn for_foreign(from: &str, to: &Dependency) -> Option<String> {
    if FOR_TESTS_ONLY.contains(&to.package.as_str()) && !to.for_tests_only {
        return Some("that package replaces the allocator; it may be a dev-dependency only".to_owned());
    }
    let (_, keeper) = KEPT_IN.iter().find(|(package, _)| *package == to.package)?;
    let is_free = from == *keeper || (from == TESTS && to.for_tests_only);
    (!is_free).then(|| format!("only {keeper} may use that package"))
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    let key = if is_plugin(room) { "plugins/*" } else { room };
    MAY_USE.iter().find(|(name, _)| *name == key).map(|(_, allowed)| *allowed)
}

fn is_plugin(room: &str) -> bool {
    room.starts_with("plugins/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate with one dependency: on a room of ours if it has a `/` or is in the table, else on a package.
    fn one(from: &str, to: &str, for_tests_only: bool) -> Vec<String> {
        let is_ours = to.contains('/') || allowed(to).is_some();
        check(&[Crate {
            room: from.to_owned(),
            dependencies: vec![Dependency {
                package: to.to_owned(),
                room: is_ours.then(|| to.to_owned()),
                for_tests_only,
            }],
        }])
    }

    #[test]
    fn a_dependency_downward_is_allowed() {
        for (from, to) in [
            ("cli", "core/engine"),
            ("cli", "plugins/endpoints"),
            ("cli", "plugin-sdk/testkit"),
            ("core/engine", "core/net"),
            ("core/model", "core/abi"),
            ("plugins/endpoints", "plugin-sdk"),
            ("plugins/examples/endpoint", "plugin-sdk"),
        ] {
            assert_eq!(one(from, to, false), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_dependency_upward_or_sideways_is_a_breach() {
        for (from, to) in [
            ("core/abi", "core/model"),
            ("core/load", "core/net"),
            ("core/host", "plugins/endpoints"),
            ("plugins/endpoints", "core/abi"),
            ("plugins/endpoints", "plugins/timing"),
            ("plugin-sdk", "core/host"),
            ("tests", "core/engine"),
            ("xtask", "core/model"),
        ] {
            assert_eq!(one(from, to, false).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn the_message_names_the_edge_and_the_rule() {
        assert_eq!(
            one("core/model", "core/net", false),
            ["core/model/Cargo.toml: depends on core/net, but it may use only: core/abi"],
        );
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_told_to_get_a_row() {
        let breaches = one("core/new", "core/abi", false);
        assert!(breaches[0].contains("give it a row"), "{breaches:?}");
    }

    #[test]
    fn dev_dependencies_are_free_save_that_the_core_knows_no_plugin() {
        assert!(one("tests", "cli", true).is_empty());
        assert!(one("plugins/timing", "core/host", true).is_empty());
        assert!(one("core/engine", "core/mock", true).is_empty());
        assert_eq!(one("core/engine", "plugins/timing", true).len(), 1);
    }

    #[test]
    fn kept_packages_stay_in_their_room() {
        assert!(one("core/abi", "abi_stable", false).is_empty());
        assert!(one("core/host", "libloading", false).is_empty());
        assert!(one("tests", "libloading", true).is_empty());
        assert_eq!(
            one("plugin-sdk", "abi_stable", false),
            ["plugin-sdk/Cargo.toml: depends on abi_stable, but only core/abi may use that package"],
        );
        assert_eq!(one("core/engine", "libloading", true).len(), 1);
        assert_eq!(one("tests", "abi_stable", false).len(), 1);
    }

    #[test]
    fn an_allocator_that_counts_is_for_tests() {
        assert!(one("plugin-sdk/testkit", "allocation-counter", true).is_empty());
        assert_eq!(
            one("plugin-sdk/testkit", "allocation-counter", false),
            [
                "plugin-sdk/testkit/Cargo.toml: depends on allocation-counter, but that package replaces the allocator; it \
                 may be a dev-dependency only"
            ],
        );
    }

    #[test]
    fn every_room_of_the_table_may_use_only_rooms_further_up_in_it() {
        let at = |room: &str| {
            let key = if is_plugin(room) { "plugins/*" } else { room };
            MAY_USE.iter().position(|(name, _)| *name == key).expect(room)
        };
        for (room, allowed) in MAY_USE {
            for used in *allowed {
                assert!(at(used) < at(room), "{room} -> {used}");
            }
        }
    }
}
