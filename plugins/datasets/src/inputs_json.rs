//! The `inputs.json` of an earlier run, read back: `{"data": [{"session_id": …, "payloads": [body, …]}]}`.
//!
//! Bodies are sent as they were then: without the blanks and line breaks between their tokens, which are the file's, and
//! with everything else as it is written.

use crate::conversation::{Builder, Contents, Fields, Format, Payloads, Problem, Records};
use inferometer_plugin_sdk::types::Result;

/// What an earlier run sent.
#[derive(Default)]
pub(crate) struct InputsJson;

impl Format for InputsJson {
    const NAME: &'static str = "inputs_json";

    fn read(source: &str) -> Result<Contents> {
        let mut records = Records::member(source, "data")?;
        let (mut builder, mut payloads) = (Builder::default(), Payloads::default());
        while let Some((origin, record)) = records.next_record()? {
            let mut take = || -> Result<(), Problem> {
                let fields = Fields::parse(record)?;
                fields.refuse_unknown(&["session_id", "payloads"])?;
                let name = fields.word("session_id")?;
                let session = builder.session(&if name.is_empty() { origin.name() } else { name });
                for (n, body) in fields.items("payloads")?.iter().enumerate() {
                    payloads.push(&mut builder, session, &format!("payloads[{n}]"), &compact(body.get()))?;
                }
                Ok(())
            };
            take().map_err(|problem| origin.error(source, &problem))?;
        }
        Ok(Contents { notes: payloads.notes(), ..Contents::new(builder.finish()) })
    }
}

/// JSON without what is blank between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        let is_quote = *c == '"' && !escaped;
        escaped = in_string && *c == '\\' && !escaped;
        in_string ^= is_quote;
        in_string || !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests;
