//! The `raw` endpoint: bodies as the data set has them, to whatever path, with answers of any of the usual shapes.

use crate::{found::Finder, speaks};
use inferometer_plugin_sdk::{
    Component, RVec,
    api::Endpoint,
    documents::EndpointInfo,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Answer, Delta, Error, ErrorKind, Event, Outgoing, Reply, Request, Result},
};

/// Sends whole bodies.
pub struct Raw {
    finder: Finder,
}

inferometer_plugin_sdk::endpoint! {
    name: "raw",
    summary: "Whole bodies, sent as the data set has them to the path of --endpoint.",
    component: Raw
}

/// What a user may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct RawOptions {
    /// Where the text of an answer is, in JMESPath, such as data[0].text. Without it the usual shapes are tried.
    response_field: Option<String>,
}

/// What an endpoint for any server is able to do.
pub(crate) fn info() -> EndpointInfo {
    EndpointInfo { ends_explicitly: false, ..speaks::text("") }
}

impl Component for Raw {
    type Options = RawOptions;

    fn create(options: RawOptions) -> Result<Self> {
        Ok(Self { finder: Finder::new(options.response_field.as_deref())? })
    }
}

impl Endpoint for Raw {
    fn info(&self) -> EndpointInfo {
        info()
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        if request.raw_body.is_empty() {
            return Err(Error::config(
                "`raw` sends bodies as the data set has them, and a turn holds none; use --custom-dataset-type \
                 raw_payload or inputs_json, or another endpoint",
            ));
        }
        out.body.clear();
        out.body.extend_from_slice(&request.raw_body);
        Ok(())
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, out: &mut Delta, scratch: &mut RVec<u8>) -> Result<(), ErrorKind> {
        self.finder.on_event(event, out, scratch)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        self.finder.on_body(answer.body.as_slice(), out)
    }
}
