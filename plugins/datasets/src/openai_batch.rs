//! Input files of OpenAI's Batch API: one `{"custom_id", "method", "url", "body"}` per line. Bodies are sent as they are.

use crate::conversation::{Builder, Contents, Fields, Format, Payloads, Problem, Records, from_json, shortened};
use inferometer_plugin_sdk::types::Result;
use std::collections::HashSet;

/// One request of a batch per line.
#[derive(Default)]
pub(crate) struct OpenAiBatch;

impl Format for OpenAiBatch {
    const NAME: &'static str = "openai_batch";

    fn read(source: &str) -> Result<Contents> {
        let mut records = Records::lines(source)?;
        let (mut builder, mut payloads) = (Builder::default(), Payloads::default());
        let mut batch = Batch::default();
        while let Some((origin, record)) = records.next_record()? {
            let mut take = || -> Result<(), Problem> {
                let fields = Fields::parse(record)?;
                let name = batch.check(&fields)?;
                let session = builder.session(&name);
                payloads.push(&mut builder, session, "body", fields.needed("body")?)
            };
            take().map_err(|problem| origin.error(source, &problem))?;
        }
        let mut notes = payloads.notes();
        if !batch.url.is_empty() {
            notes.push(format!("the batch is meant for {}; it is sent to the endpoint of the run", batch.url));
        }
        Ok(Contents { notes, ..Contents::new(builder.finish()) })
    }
}

/// What the lines so far say.
#[derive(Default)]
struct Batch {
    url: String,
    names: HashSet<String>,
}

impl Batch {
    /// Checks a line but for its body, and gives its name.
    fn check(&mut self, fields: &Fields<'_>) -> Result<String, Problem> {
        fields.refuse_unknown(&["custom_id", "method", "url", "body"])?;
        let name: String = from_json("custom_id", fields.needed("custom_id")?)?;
        if name.is_empty() {
            return Err(Problem::new("custom_id", "is empty; give each request a name of its own"));
        }
        let method: String = from_json("method", fields.needed("method")?)?;
        if method != "POST" {
            return Err(Problem::new(
                "method",
                format!("`{}` is not what a batch does; give POST", shortened(&method)),
            ));
        }
        let url: String = from_json("url", fields.needed("url")?)?;
        if url.is_empty() {
            return Err(Problem::new("url", "is empty; give the path of the API, such as /v1/chat/completions"));
        }
        if self.url.is_empty() {
            self.url.clone_from(&url);
        }
        if url != self.url {
            let (url, first) = (shortened(&url), shortened(&self.url));
            let reason = format!(
                "`{url}`, but the lines before it are for `{first}`, and a run asks one endpoint; \
                 split the file by url (grep '\"{url}\"') and run each part"
            );
            return Err(Problem::new("url", reason));
        }
        if !self.names.insert(name.clone()) {
            let reason = format!("`{}` is the name of an earlier line too; give each its own", shortened(&name));
            return Err(Problem::new("custom_id", reason));
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests;
