//! A data set: a text file with a prompt a line and, after a tab, the most tokens to ask for.
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_dataset.so \
//!     --custom-dataset-type example-dataset --input-file prompts.tsv …
//! ```
//!
//! A data set gives sessions by number, so that any worker can have any of them at any time. It says what is asked; how
//! that is written on the wire is the endpoint's matter, and when it is sent the timing strategy's.

use inferometer_plugin_sdk::{
    Component,
    api::{DatasetLoader, SessionSink, TextTools},
    documents::{DatasetInfo, DatasetRequest},
    schemars::JsonSchema,
    serde::Deserialize,
    types::{Error, ErrorKind, Message, Part, Result, Turn},
};
use std::fs;

/// The data set: all worker threads share it.
pub struct Example {
    options: Options,
    prompts: Vec<Prompt>,
}

/// What a user may set; `inferometer plugins show example-dataset` prints it. Other names are refused before the run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// Lines to skip at the beginning of the file, such as headings.
    pub skip_lines: usize,
}

/// A line of the file.
#[derive(Debug, PartialEq)]
struct Prompt {
    line: usize,
    text: String,
    /// 0: no limit is sent.
    max_tokens: u32,
}

impl Component for Example {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        Ok(Self { options, prompts: Vec::new() })
    }
}

impl DatasetLoader for Example {
    /// Reads and checks the whole file: what is wrong with it is said before the load, with the line it stands on.
    fn open(&mut self, request: &DatasetRequest, _: &dyn TextTools) -> Result<DatasetInfo> {
        let Some(source) = &request.source else {
            return Err(Error::config("no file was given; name one with --input-file"));
        };
        let text = fs::read_to_string(source).map_err(|error| Error::config(format!("{source}: {error}")))?;
        // What the user asks of all requests (--osl), for lines that say nothing.
        let max_tokens = request.output_tokens.map_or(0, |length| length.mean.round() as u32);
        self.prompts = prompts(&text, self.options.skip_lines, max_tokens)
            .map_err(|problem| Error::config(format!("{source}:{problem}")))?;
        if self.prompts.is_empty() {
            return Err(Error::config(format!("{source}: holds no prompts; write one a line")));
        }
        Ok(DatasetInfo { sessions: self.prompts.len() as u64, ..DatasetInfo::default() })
    }

    /// Called by several threads at once, in any order, and again for a session that was given before.
    fn session(&self, index: u64, _: &dyn TextTools, sink: &mut dyn SessionSink) -> Result<()> {
        let prompt = usize::try_from(index).ok().and_then(|index| self.prompts.get(index));
        let Some(Prompt { line, text, max_tokens }) = prompt else {
            return Err(Error::new(ErrorKind::OTHER, format!("there is no session {index}")));
        };
        // A session of one turn, of one message, of one part. Several turns make a conversation.
        let parts = [Part::text(text)];
        let messages = [Message { role: "user".into(), parts: parts.as_slice().into(), extra_json: "".into() }];
        sink.name(&format!("line_{line}"));
        sink.turn(&Turn { max_tokens: *max_tokens, ..Turn::new(&messages) });
        Ok(())
    }
}

/// The prompts of a file. A problem is told as `line: reason`.
fn prompts(text: &str, skip_lines: usize, max_tokens: u32) -> Result<Vec<Prompt>, String> {
    let mut prompts = Vec::new();
    for (line, content) in (1..).zip(text.lines()).skip(skip_lines) {
        let (prompt, max_tokens) = match content.split_once('\t') {
            None => (content, max_tokens),
            Some((prompt, limit)) => {
                let limit = limit.trim().parse().ok().filter(|limit| *limit > 0);
                let wrong = || format!("{line}: after the tab has to be a number of tokens, 1 or more");
                (prompt, limit.ok_or_else(wrong)?)
            }
        };
        if !prompt.trim().is_empty() {
            prompts.push(Prompt { line, text: prompt.to_owned(), max_tokens });
        }
    }
    Ok(prompts)
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::dataset! {
    name: "example-dataset",
    summary: "Example: a text file with a prompt a line and, after a tab, the most tokens to ask for.",
    component: Example
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_prompt_and_may_have_a_limit() {
        let prompt = |line, text: &str, max_tokens| Prompt { line, text: text.into(), max_tokens };
        let found = prompts("prompt\tlimit\nWhy?\n\nTell me more.\t32\r\n", 1, 7);
        assert_eq!(found, Ok(vec![prompt(2, "Why?", 7), prompt(4, "Tell me more.", 32)]));
    }

    #[test]
    fn what_is_no_limit_is_refused_by_its_line() {
        for limit in ["", "0", "-1", "many", "1\t2"] {
            let problem = prompts(&format!("Why?\nHow?\t{limit}"), 0, 0).unwrap_err();
            assert!(problem.starts_with("2: ") && problem.contains("number of tokens"), "{problem}");
        }
    }
}
