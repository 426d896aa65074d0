//! The kinds of data sets that are told apart, and how.

use super::beginning::Beginning;
use crate::{
    agentic_messages::AgenticMessages,
    conversation::Conversations,
    dag_jsonl::DagJsonl,
    inputs_json::InputsJson,
    multi_turn::MultiTurn,
    openai_batch::OpenAiBatch,
    random_pool::RandomPool,
    raw_payload::RawPayload,
    sharegpt::ShareGpt,
    single_turn::SingleTurn,
    trace::{AzureTrace, BailianTrace, BurstGptTrace, MooncakeTrace},
};
use inferometer_plugin_sdk::{Component, NoOptions, api::DatasetLoader, types::Result};

/// A kind of data set.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) fits: fn(&Beginning) -> bool,
    from: From,
    pub(super) make: fn() -> Result<Box<dyn DatasetLoader>>,
}

/// What a kind is read from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    File,
    Folder,
    Either,
}

impl Kind {
    /// Whether it is read from a folder, or else from a file.
    pub(super) fn reads(&self, folder: bool) -> bool {
        self.from == From::Either || (self.from == From::Folder) == folder
    }
}

fn make<T: DatasetLoader + Component<Options = NoOptions>>() -> Result<Box<dyn DatasetLoader>> {
    Ok(Box::new(T::create(NoOptions::default())?))
}

/// Fields that hold what is said, in rows of single requests.
const CONTENT: [&str; 8] = ["text", "texts", "image", "images", "audio", "audios", "video", "videos"];

/// Fields by which a line of messages is one of a Mooncake trace.
const OF_TRACES: [&str; 5] = ["timestamp", "delay", "output_length", "hash_ids", "session_id"];

/// All kinds, by name. Which fields tell them apart is the rule, so that at most one fits what is written properly.
pub(super) const KINDS: [Kind; 13] = [
    Kind {
        name: "agentic_messages",
        fits: |b| b.is_object() && b.has_all(&["conversation_id", "role"]),
        from: From::File,
        make: make::<Conversations<AgenticMessages>>,
    },
    Kind {
        name: "azure_trace",
        fits: |b| b.has_columns(&["TIMESTAMP", "ContextTokens", "GeneratedTokens"]),
        from: From::File,
        make: make::<AzureTrace>,
    },
    Kind {
        name: "bailian_trace",
        fits: |b| b.is_object() && b.has_all(&["chat_id", "parent_chat_id"]),
        from: From::File,
        make: make::<BailianTrace>,
    },
    Kind {
        name: "burst_gpt_trace",
        fits: |b| b.has_columns(&["Timestamp", "Request tokens", "Response tokens"]),
        from: From::File,
        make: make::<BurstGptTrace>,
    },
    Kind {
        name: "dag_jsonl",
        fits: |b| b.is_object() && b.has("turns") && b.first_item_has("turns", "messages"),
        from: From::File,
        make: make::<Conversations<DagJsonl>>,
    },
    Kind {
        name: "inputs_json",
        fits: |b| b.is_object() && b.has("data") && b.value("data").starts_with('['),
        from: From::File,
        make: make::<Conversations<InputsJson>>,
    },
    Kind {
        name: "mooncake_trace",
        fits: |b| {
            let is_prompt = b.has("text_input") || b.has("payload") || (b.has("messages") && b.has_any(&OF_TRACES));
            b.is_object() && !b.has("chat_id") && (b.has("input_length") || is_prompt)
        },
        from: From::File,
        make: make::<MooncakeTrace>,
    },
    Kind {
        name: "multi_turn",
        fits: |b| b.is_object() && b.has("turns") && !b.first_item_has("turns", "messages"),
        from: From::File,
        make: make::<Conversations<MultiTurn>>,
    },
    Kind {
        name: "openai_batch",
        fits: |b| b.is_object() && b.has_all(&["custom_id", "body"]),
        from: From::File,
        make: make::<Conversations<OpenAiBatch>>,
    },
    Kind {
        name: "random_pool",
        fits: |b| b.is_object() && b.has_any(&CONTENT),
        from: From::Folder,
        make: make::<RandomPool>,
    },
    Kind {
        name: "raw_payload",
        fits: |b| {
            b.is_object() && b.has("model") && b.has_any(&["messages", "prompt", "input"]) && !b.has_any(&OF_TRACES)
        },
        from: From::Either,
        make: make::<Conversations<RawPayload>>,
    },
    Kind {
        name: "sharegpt",
        fits: |b| {
            let is_chat = b.has("messages") && !b.has("model") && !b.has_any(&OF_TRACES);
            b.has_objects() && (b.has("conversations") || is_chat)
        },
        from: From::File,
        make: make::<Conversations<ShareGpt>>,
    },
    Kind {
        name: "single_turn",
        fits: |b| b.is_object() && b.has_any(&CONTENT),
        from: From::File,
        make: make::<Conversations<SingleTurn>>,
    },
];
