//! Which component a name means, tried on built-ins and on libraries that are declared but not there.

use super::*;
use inferometer_abi::api::Timetable;
use inferometer_plugin_sdk::{
    Component as Author,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Load, PhaseSpec, Result, Step},
};

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
struct PaceOptions {
    /// Steps a second.
    pace: u32,
}

impl Default for PaceOptions {
    fn default() -> Self {
        Self { pace: 1 }
    }
}

struct Pace;

impl Author for Pace {
    type Options = PaceOptions;
    fn create(options: PaceOptions) -> Result<Self> {
        if options.pace == 0 {
            return Err(inferometer_plugin_sdk::types::Error::config("pace is 0; give at least 1"));
        }
        Ok(Self)
    }
}

impl TimingStrategy for Pace {
    fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        Ok(())
    }
    fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
        Ok(Step::END)
    }
}

inferometer_plugin_sdk::timing! { name: "steady_pace", summary: "Keeps a pace.", component: Pace }
inferometer_plugin_sdk::timing! { name: "burst", summary: "Bursts.", component: Pace, priority: -1 }

/// A library of package `package` in place number `place`, with timing strategies by name and priority.
struct Fake(&'static str, &'static str, usize, &'static [(&'static str, i32)]);

/// The built-ins above and some libraries, none of which exists as a file.
fn registry(libraries: &[Fake]) -> Registry {
    let (mut registry, mut taken) = (Registry::builtin(), BTreeMap::new());
    for Fake(path, package, place, components) in libraries {
        let found = Found { path: path.into(), named: false, place: *place };
        let declared = components.iter().map(|(name, priority)| Declared {
            kind: Kind::Timing,
            name: (*name).to_owned(),
            summary: String::new(),
            priority: *priority,
            package: (*package).to_owned(),
            version: "1.2.3".to_owned(),
            interface: "1.0".to_owned(),
        });
        let skipped = registry.add(found, declared.collect(), &mut taken);
        registry.skipped.extend(skipped);
    }
    registry.sort();
    registry
}

fn origin(registry: &Registry, asked: &str) -> String {
    registry.choose(Kind::Timing, asked).map_or_else(|e| e.to_string(), |item| item.entry.origin.to_string())
}

const ACME: Fake = Fake("/p/libacme_pace.so", "acme", 1, &[("steady-pace", 0)]);

#[test]
fn a_built_in_component_is_made_from_its_options_whatever_the_spelling_of_its_name() {
    let registry = Registry::builtin();
    for name in ["steady_pace", "Steady-Pace", "built-in:steady-pace", "inferometer:steady_pace"] {
        let made = registry.timing(name, "").expect("it is built in");
        let used = Component {
            kind: Kind::Timing,
            name: "steady_pace".to_owned(),
            origin: "built-in".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: None,
        };
        assert_eq!(made.used, used);
    }
    let refused = |options| registry.timing("burst", options).err().expect("bad options").to_string();
    assert!(refused(r#"{"pace":0}"#).contains("(built-in) could not be made: pace is 0; give at least 1"));
    assert!(
        refused(r#"{"peace":2}"#).contains("it has no option 'peace', did you mean 'pace'?; its options are: pace")
    );
}

#[test]
fn an_unknown_name_is_answered_with_its_neighbour_the_known_names_and_what_was_passed_over() {
    let mut registry = Registry::builtin();
    registry.skipped.push(Skipped { path: "/p/a.so".into(), reason: Refusal::NoManifest });
    assert_eq!(
        registry.timing("brust", "").err().expect("a misspelt name").to_string(),
        "no timing component is called 'brust', did you mean 'burst'?; known are: burst, steady_pace \
         (passed over: /p/a.so: it holds no inferometer components)"
    );
    let error = registry.endpoint("burst", "").err().expect("there is none of that kind");
    assert!(matches!(error, HostError::Unknown { kind: Some(Kind::Endpoint), .. }));
}

#[test]
fn a_name_without_a_kind_means_components_of_all_kinds_and_an_unknown_one_is_answered_with_the_nearest() {
    let registry = registry(&[ACME]);
    let origins = |asked| -> Vec<String> {
        registry.called(asked).expect("it is there").iter().map(|entry| entry.origin.to_string()).collect()
    };
    assert_eq!(origins("Steady-Pace"), ["built-in", "/p/libacme_pace.so"]);
    assert_eq!(origins("acme:steady_pace"), ["/p/libacme_pace.so"]);
    let error = registry.called("brust").expect_err("a misspelt name").to_string();
    assert_eq!(error, "no component is called 'brust', did you mean 'burst'?; known are: burst, steady_pace");
}

#[test]
fn a_built_in_says_which_options_it_has() {
    let schema = Registry::builtin().options_schema(Kind::Timing, "burst").expect("it can say");
    let [pace] = &inferometer_abi::options::options(&schema)[..] else { panic!("{schema}") };
    assert_eq!((pace.name.as_str(), pace.description.as_str()), ("pace", "Steps a second."));
    assert_eq!((pace.default.as_ref(), pace.required), (Some(&1.into()), false));
}

#[test]
fn the_highest_priority_wins() {
    let registry =
        registry(&[Fake("/p/a.so", "acme", 1, &[("burst", 0)]), Fake("/p/b.so", "beta", 0, &[("burst", 7)])]);
    assert_eq!(origin(&registry, "burst"), "/p/b.so");
    assert_eq!(origin(&registry, "acme:burst"), "/p/a.so");
    assert_eq!(origin(&registry, "built-in:burst"), "built-in");
    let listed: Vec<_> = registry.entries().filter(|e| e.name == "burst").map(|e| e.priority).collect();
    assert_eq!(listed, [7, 0, -1]);
    assert_eq!(registry.names(Kind::Timing), ["burst", "steady_pace"]);
}

#[test]
fn a_tie_is_an_error_that_names_both_and_the_ways_out_and_only_when_asked_for() {
    let registry = registry(&[ACME]);
    assert_eq!(origin(&registry, "burst"), "built-in");
    assert_eq!(
        origin(&registry, "steady-pace"),
        "2 timing components are called 'steady_pace' with the same priority 0: built-in and /p/libacme_pace.so; ask \
         for 'built-in:steady_pace' or 'acme:steady_pace', or write steady_pace = \"built-in\" under \
         [plugins.prefer] in the configuration"
    );
    for way in ["acme:steady-pace", "ACME_pace:steady-pace", "/p/libacme_pace.so:steady_pace"] {
        assert_eq!(origin(&registry, way), "/p/libacme_pace.so");
    }
}

#[test]
fn files_of_one_package_are_told_apart_by_their_stems_and_then_by_their_paths() {
    let burst = &[("burst", 0)];
    let registry = registry(&[
        Fake("/p/libone.so", "acme", 1, burst),
        Fake("/p/libtwo.so", "acme", 1, burst),
        Fake("/q/libtwo.so", "acme", 1, burst),
    ]);
    let Err(HostError::Tie { rivals, .. }) = registry.choose(Kind::Timing, "acme:burst") else {
        panic!("three are called so")
    };
    let ways: Vec<_> = rivals.iter().map(|(way, _)| way.as_str()).collect();
    assert_eq!(ways, ["one", "/p/libtwo.so", "/q/libtwo.so"]);
    for (way, origin_of) in &rivals {
        assert_eq!(origin(&registry, &format!("{way}:burst")), *origin_of);
    }
}

#[test]
fn a_preference_for_a_name_that_nobody_has_is_refused_with_the_nearest() {
    let mut registry = Registry::builtin();
    let known = registry.entries().next().map(|entry| entry.name.clone()).expect("the fixtures register some");
    let prefer = BTreeMap::from([(format!("{known}x"), "acme".to_owned())]);
    let text = registry.prefer(&prefer).expect_err("nobody has that name").to_string();
    assert!(text.contains(&format!("did you mean '{known}'?")), "{text}");
}

#[test]
fn a_preference_decides_and_one_that_leads_nowhere_is_an_error() {
    let prefer = |from: &str| BTreeMap::from([("Steady_Pace".to_owned(), from.to_owned())]);
    let mut registry = registry(&[ACME]);
    registry.prefer(&prefer("acme")).expect("the name is known");
    assert_eq!(origin(&registry, "steady-pace"), "/p/libacme_pace.so");
    assert_eq!(origin(&registry, "built-in:steady-pace"), "built-in");
    registry.prefer(&prefer("built-in")).expect("the name is known");
    assert_eq!(origin(&registry, "steady-pace"), "built-in");
    registry.prefer(&prefer("gone")).expect("the name is known");
    let text = origin(&registry, "steady-pace");
    assert!(text.contains("[plugins.prefer] says steady_pace = \"gone\""), "{text}");
    assert!(text.ends_with("prefer one of: built-in, acme"), "{text}");
}

#[test]
fn a_qualifier_that_does_not_have_the_name_is_an_error_that_lists_those_that_do() {
    let text = origin(&registry(&[ACME]), "beta:steady-pace");
    assert!(text.contains("'beta' brings no timing component called 'steady_pace'"), "{text}");
    assert!(text.ends_with("to be had are: built-in:steady_pace, acme:steady_pace"), "{text}");
}

#[test]
fn a_package_in_an_earlier_place_hides_the_same_package_in_a_later_one() {
    let later = Fake("/usr/libacme_pace.so", "acme", 2, &[("Steady_Pace", 9), ("other", 0)]);
    let registry = registry(&[ACME, later]);
    assert_eq!(origin(&registry, "acme:steady-pace"), "/p/libacme_pace.so");
    assert_eq!(origin(&registry, "other"), "/usr/libacme_pace.so");
    assert_eq!(
        registry.skipped()[0].to_string(),
        "/usr/libacme_pace.so: timing 'Steady_Pace' from the same package is already taken from /p/libacme_pace.so"
    );
}
