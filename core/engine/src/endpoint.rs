//! [`Spoken`]: the endpoint that a plan asks for, made with all the options that the user gives it, wherever they stand.

use crate::EngineError;
use inferometer_abi::{
    api::Endpoint,
    documents::{Component, EndpointInfo, Kind},
    options,
};
use inferometer_host::{Entry, Registry};
use inferometer_model::{
    ConfigError,
    plan::{Plan, ServerPlan},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// The API that a run speaks.
pub(crate) struct Spoken {
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) info: EndpointInfo,
    /// What it is and where it comes from.
    pub(crate) used: Component,
}

impl Spoken {
    /// The endpoint of `plan`. Those of the fields for every body that are its options are taken out of the plan.
    ///
    /// # Errors
    /// When it is not to be had, refuses its options, or has no path.
    pub(crate) fn new(plan: &mut Plan, registry: &Registry) -> Result<Self, EngineError> {
        let own = endpoint_options(&mut plan.server, registry)?;
        let entry = registry.find(Kind::Endpoint, &plan.server.endpoint)?;
        let made = registry.endpoint(&plan.server.endpoint, &options_for(entry, &plan.plugin_options, own))?;
        let info = made.component.info();
        let is_bare = plan.server.urls.iter().any(|url| url.path() == "/");
        if info.path.is_empty() && plan.server.path.is_none() && is_bare {
            return Err(config_error(format!(
                "the endpoint '{}' has no path of its own; give one with --endpoint, or at the end of --url",
                plan.server.endpoint
            )));
        }
        Ok(Self { endpoint: made.component.into(), info, used: made.used })
    }
}

/// The options of a component as JSON: what the user gives under whatever spelling of its name, and `own` over that: the
/// place of a page that the plan has headers for must not be turned elsewhere by an option meant for another page. What
/// is given under a qualified name wins over what is given under a plain one.
pub(crate) fn options_for(
    entry: &Entry,
    given: &BTreeMap<String, Map<String, Value>>,
    own: Map<String, Value>,
) -> String {
    let mut names: Vec<_> = given.iter().filter(|(name, _)| entry.answers_to(name)).collect();
    names.sort_by_key(|(name, _)| name.contains(':'));
    let mut all: Map<_, _> = names.into_iter().flat_map(|(_, options)| options.clone()).collect();
    all.extend(own);
    Value::Object(all).to_string()
}

/// The endpoint's options that come from flags and from extra fields, which are not sent then.
fn endpoint_options(server: &mut ServerPlan, registry: &Registry) -> Result<Map<String, Value>, EngineError> {
    let mut own = server.endpoint_options.clone();
    if own.is_empty() && server.extra.is_empty() {
        return Ok(own);
    }
    let schema = registry.options_schema(Kind::Endpoint, &server.endpoint)?;
    let known: Vec<String> = options::options(&schema).into_iter().map(|option| option.name).collect();
    if let Some(unknown) = own.keys().find(|name| !known.contains(name)) {
        let (flag, endpoint) = (unknown.replace('_', "-"), &server.endpoint);
        return Err(config_error(format!("--{flag}: the endpoint '{endpoint}' has no such option; leave it out")));
    }
    for name in known {
        if let Some(value) = server.extra.remove(&name) {
            own.insert(name, value);
        }
    }
    Ok(own)
}

fn config_error(error: String) -> EngineError {
    EngineError::Config(ConfigError::new(error))
}
