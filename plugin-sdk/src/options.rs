//! From the user's options to the author's type; and when they do not fit, words that name the option and the remedy.

use crate::register::Component;
use inferometer_abi::{
    options::{self, OptionInfo},
    types::{Error, Result},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_ignored::Path;
use serde_json::Value;
use std::fmt::Display;

/// The options of a component that has none.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Makes a component from its options as JSON text; empty text means no options were given.
#[doc(hidden)]
pub fn make<C: Component>(options_json: &str) -> Result<C> {
    C::create(read(options_json)?)
}

/// The schema of a component's options as JSON text, with nothing in it that refers elsewhere if that can be avoided.
#[doc(hidden)]
pub fn options_schema<C: Component>() -> String {
    schema::<C::Options>()
}

fn schema<O: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<O>().to_value().to_string()
}

fn read<O: DeserializeOwned + JsonSchema>(options_json: &str) -> Result<O> {
    let text = if options_json.is_empty() { "{}" } else { options_json };
    let given: Value =
        serde_json::from_str(text).map_err(|e| Error::config(format!("its options are no JSON: {e}")))?;
    let mut track = serde_path_to_error::Track::new();
    let mut ignored = Vec::new();
    let tracked = serde_path_to_error::Deserializer::new(&given, &mut track);
    let options = serde_ignored::deserialize(tracked, |path| ignored.push(plain(&path)));
    let known = || options::options(&schema::<O>());
    match options {
        Ok(options) => match ignored.first() {
            None => Ok(options),
            Some(name) => Err(unknown(name, &known())),
        },
        Err(error) => Err(misfit(&given, &track.path().to_string(), &error.to_string(), &known())),
    }
}

/// Where something lies, as people write it: wrappers such as `Option` have no name there.
fn plain(path: &Path<'_>) -> String {
    let joined = |parent: &Path<'_>, last: &dyn Display| match plain(parent) {
        parent if parent.is_empty() => last.to_string(),
        parent => format!("{parent}.{last}"),
    };
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => joined(parent, index),
        Path::Map { parent, key } => joined(parent, key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => plain(parent),
    }
}

/// The error for an option that the component does not have.
fn unknown(name: &str, known: &[OptionInfo]) -> Error {
    let names: Vec<&str> = known.iter().map(|option| option.name.as_str()).collect();
    // What is within an option is known to its type alone.
    if let Some((option, inner)) = name.split_once('.').filter(|(option, _)| names.contains(option)) {
        return Error::config(format!("its option '{option}' has nothing called '{inner}'; remove that"));
    }
    if names.is_empty() {
        return Error::config(format!("it has no option '{name}', nor any other; remove it"));
    }
    let hint = nearest(name, &names).map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
    Error::config(format!("it has no option '{name}'{hint}; its options are: {}", names.join(", ")))
}

/// The error for options that the author's type does not take: at `path`, for the `reason` it gives.
fn misfit(given: &Value, path: &str, reason: &str, known: &[OptionInfo]) -> Error {
    let Some(object) = given.as_object() else {
        return Error::config(format!("its options have to be an object: {reason}"));
    };
    let name = path.split(['.', '[']).next().unwrap_or_default();
    if let Some(option) = known.iter().find(|option| option.name == name) {
        let OptionInfo { takes, is_text, .. } = option;
        let is_plain = matches!(object.get(name), Some(Value::Number(_) | Value::Bool(_) | Value::Null));
        let remedy = if *is_text && is_plain { "; put the value in double quotes to give it as text" } else { "" };
        if options::is_secret(name) {
            // The reason may quote the value.
            return Error::config(format!("its option '{path}' does not fit; '{name}' takes {takes}{remedy}"));
        }
        return Error::config(format!("its option '{path}' does not fit: {reason}; '{name}' takes {takes}{remedy}"));
    }
    if reason.starts_with("unknown field") && object.contains_key(path) {
        return unknown(path, known);
    }
    let missing = known.iter().find(|option| option.required && !object.contains_key(&option.name));
    if let Some(OptionInfo { name, takes, .. }) = missing.filter(|_| reason.starts_with("missing field")) {
        return Error::config(format!("its option '{name}' has to be given; it takes {takes}"));
    }
    Error::config(format!("its options do not fit: {reason}"))
}

/// The name that `typed` most likely stands for, if any is near.
fn nearest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let spelt = |name: &str| name.to_lowercase().replace('-', "_");
    let typed = spelt(typed);
    let allowed = (typed.chars().count() / 3).max(1);
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(&typed, &spelt(name)), *name));
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        /// Who asks.
        token: String,
        #[serde(default = "five", alias = "max_tries")]
        tries: u8,
        #[serde(default)]
        region: Region,
        #[serde(default)]
        limits: Vec<Limit>,
    }

    fn five() -> u8 {
        5
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Region {
        /// Europe.
        #[default]
        Eu,
        /// America.
        Us,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Limit {
        most: f64,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Lax {
        token: Option<String>,
        limit: Option<Limit>,
    }

    fn refused<O: DeserializeOwned + JsonSchema>(options: &str) -> String {
        read::<O>(options).err().map(|error| error.message.to_string()).unwrap_or_default()
    }

    #[test]
    fn options_that_fit_are_read_and_what_is_not_given_has_its_default() {
        let read = read::<Strict>(r#"{"token": "t", "max_tries": 2, "limits": [{"most": 1.5}]}"#).unwrap();
        assert_eq!((read.token.as_str(), read.tries, read.limits[0].most), ("t", 2, 1.5));
        assert!(matches!(read.region, Region::Eu));
        assert!(super::read::<Lax>("").unwrap().token.is_none());
    }

    #[test]
    fn an_unknown_option_is_refused_with_its_neighbour_whether_or_not_the_type_denies_it() {
        assert_eq!(
            refused::<Strict>(r#"{"token": "t", "tryes": 1}"#),
            "it has no option 'tryes', did you mean 'tries'?; its options are: limits, region, token, tries"
        );
        assert_eq!(
            refused::<Lax>(r#"{"Token-": "t"}"#),
            "it has no option 'Token-', did you mean 'token'?; its options are: limit, token"
        );
        assert_eq!(refused::<NoOptions>(r#"{"speed": 1}"#), "it has no option 'speed', nor any other; remove it");
        assert_eq!(
            refused::<Lax>(r#"{"limit": {"most": 1, "least": 0}}"#),
            "its option 'limit' has nothing called 'least'; remove that"
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_the_name_of_its_option_and_what_it_takes() {
        for (options, words) in [
            (
                r#"{"token": 7}"#,
                // The reason would quote the value, and this one is a secret.
                "its option 'token' does not fit; 'token' takes text; put the value in double quotes to give it as text",
            ),
            (
                r#"{"token": "t", "tries": 256}"#,
                "its option 'tries' does not fit: invalid value: integer `256`, expected u8; 'tries' takes a whole \
                 number from 0 to 255",
            ),
            (
                r#"{"token": "t", "region": "asia"}"#,
                "its option 'region' does not fit: unknown variant `asia`, expected `eu` or `us`; 'region' takes one \
                 of: eu, us",
            ),
            (
                r#"{"token": "t", "limits": [{"most": "x"}]}"#,
                "its option 'limits[0].most' does not fit: invalid type: string \"x\", expected f64; 'limits' takes a \
                 list, each a table",
            ),
        ] {
            assert_eq!(refused::<Strict>(options), words);
        }
    }

    #[test]
    fn an_option_that_is_missing_is_named_with_what_it_takes() {
        assert_eq!(refused::<Strict>(""), "its option 'token' has to be given; it takes text");
    }

    #[test]
    fn options_that_are_no_object_are_refused() {
        assert!(refused::<Strict>("[1").starts_with("its options are no JSON"));
        assert!(refused::<Strict>("7").starts_with("its options have to be an object"));
    }

    #[test]
    fn a_schema_refers_to_nothing_elsewhere_and_a_component_without_options_has_an_empty_object() {
        assert!(!schema::<Strict>().contains("$ref"));
        let empty: Value = serde_json::from_str(&schema::<NoOptions>()).unwrap();
        assert_eq!((&empty["type"], &empty["additionalProperties"]), (&Value::from("object"), &Value::from(false)));
        assert_eq!(options::options(&schema::<NoOptions>()), []);
    }
}
