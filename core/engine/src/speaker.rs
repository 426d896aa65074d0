//! [`Speaker`]: the endpoint as those need it who read its answers. How it is found and made is [`crate::endpoint`]'s.

use crate::server::own_path;
use inferometer_abi::{api::Endpoint, documents::EndpointInfo};
use inferometer_model::{Failure, FailureKind, plan::ServerPlan};
use std::{fmt::Display, sync::Arc};

/// Who says what is in an answer.
pub(crate) struct Speaker {
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) info: EndpointInfo,
    /// Whether streams are asked for.
    pub(crate) streaming: bool,
    /// The path that the endpoint calls its own.
    pub(crate) path: String,
    /// What the endpoint is called, for messages.
    name: String,
}

impl Speaker {
    pub(crate) fn new(plan: &ServerPlan, endpoint: Arc<dyn Endpoint>) -> Self {
        let info = endpoint.info();
        Self { path: own_path(plan, &info), endpoint, info, streaming: plan.streaming, name: plan.endpoint.clone() }
    }

    /// A failure that is the endpoint's own.
    pub(crate) fn blame(&self, what: impl Display) -> Failure {
        Failure::new(FailureKind::Plugin, format!("endpoint '{}': {what}", self.name))
    }
}
