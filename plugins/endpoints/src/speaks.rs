//! Endpoints without options, of which each is a table: what it is able to do, what writes its requests and what reads its
//! answers.

use inferometer_plugin_sdk::documents::{EndpointInfo, Framing};

/// Makes a type that is an endpoint, and registers it: what `info` says, what `encode` writes, what `answers` reads (an
/// [`crate::reading::Answers`]).
macro_rules! speaks {
    (
        $(#[$doc:meta])*
        $component:ident, $name:literal, $summary:literal,
        info: $info:expr,
        encode: $encode:expr,
        answers: $answers:expr $(,)?
    ) => {
        $(#[$doc])*
        pub struct $component;

        impl inferometer_plugin_sdk::Component for $component {
            type Options = inferometer_plugin_sdk::NoOptions;

            fn create(_: Self::Options) -> inferometer_plugin_sdk::types::Result<Self> {
                Ok(Self)
            }
        }

        impl inferometer_plugin_sdk::api::Endpoint for $component {
            fn info(&self) -> inferometer_plugin_sdk::documents::EndpointInfo {
                $info
            }

            fn encode(
                &self,
                request: &inferometer_plugin_sdk::types::Request<'_>,
                out: &mut inferometer_plugin_sdk::types::Outgoing,
            ) -> inferometer_plugin_sdk::types::Result<()> {
                $encode(request, out)
            }

            #[inline]
            fn on_event(
                &self,
                event: &inferometer_plugin_sdk::types::Event<'_>,
                out: &mut inferometer_plugin_sdk::types::Delta,
                scratch: &mut inferometer_plugin_sdk::RVec<u8>,
            ) -> inferometer_plugin_sdk::types::Result<(), inferometer_plugin_sdk::types::ErrorKind> {
                $crate::reading::Answers::on_event($answers, event, out, scratch)
            }

            fn on_body(
                &self,
                answer: &inferometer_plugin_sdk::types::Answer<'_>,
                out: &mut inferometer_plugin_sdk::types::Reply,
            ) -> inferometer_plugin_sdk::types::Result<()> {
                $crate::reading::Answers::on_body($answers, answer, out)
            }
        }

        inferometer_plugin_sdk::endpoint! { name: $name, summary: $summary, component: $component }
    };
}
pub(crate) use speaks;

/// An API whose answers are text: its requests are, too, and its streams are server-sent events that say when they end.
pub(crate) fn text(path: &str) -> EndpointInfo {
    EndpointInfo {
        path: path.to_owned(),
        streams: true,
        framing: Framing::Sse,
        produces_tokens: true,
        tokenizes_input: true,
        ends_explicitly: true,
        ..EndpointInfo::default()
    }
}

/// An API whose answers come whole and are no text, while its requests are.
pub(crate) fn whole(path: &str) -> EndpointInfo {
    EndpointInfo { path: path.to_owned(), tokenizes_input: true, ..EndpointInfo::default() }
}
