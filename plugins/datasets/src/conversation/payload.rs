//! Whole request bodies, which are sent as they are.

use super::{Builder, NewTurn, Problem, shortened};
use inferometer_plugin_sdk::types::turn_flags;
use serde::{Deserialize, de::IgnoredAny};

/// Takes bodies, and remembers what is worth saying of them.
#[derive(Default)]
pub(crate) struct Payloads {
    naming_stream: u64,
    count: u64,
}

/// What is looked at in a body.
#[derive(Deserialize)]
struct Looked {
    stream: Option<IgnoredAny>,
}

impl Payloads {
    /// Adds a body as a turn that stands alone.
    ///
    /// # Errors
    /// When it is no JSON object; `place` is where in the record it stands.
    pub(crate) fn push(
        &mut self,
        builder: &mut Builder,
        session: usize,
        place: &str,
        body: &str,
    ) -> Result<(), Problem> {
        let body = body.trim();
        if !body.starts_with('{') {
            return Err(Problem::new(place, format!("`{}` is no request body; give a JSON object", shortened(body))));
        }
        let looked: Looked = serde_json::from_str(body)
            .map_err(|e| Problem::new(place, format!("not JSON, of which a request body is one object: {e}")))?;
        self.naming_stream += u64::from(looked.stream.is_some());
        self.count += 1;
        let turn = NewTurn { raw_body: body, flags: turn_flags::STANDS_ALONE, ..NewTurn::new(Vec::new()) };
        builder.push(session, &turn);
        Ok(())
    }

    /// What is worth saying.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Self { naming_stream, count } = self;
        let note = format!(
            "{naming_stream} of {count} request bodies name `stream`; bodies are sent as they are, \
             whatever --streaming says"
        );
        if *naming_stream > 0 { vec![note] } else { Vec::new() }
    }
}
