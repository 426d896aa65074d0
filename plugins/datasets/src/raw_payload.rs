//! Request bodies as they are: JSONL files with one body per line, which is sent byte for byte.
//!
//! A line of a file is a session of its own; a folder holds one session per file, whose lines are its turns.

use crate::{
    conversation::{Builder, Contents, Format, Origin, Payloads, Problem, nothing_in},
    lines::{self, Lines},
};
use inferometer_plugin_sdk::types::Result;

/// One request body per line.
#[derive(Default)]
pub(crate) struct RawPayload;

impl Format for RawPayload {
    const NAME: &'static str = "raw_payload";

    fn read(source: &str) -> Result<Contents> {
        let (mut builder, mut payloads) = (Builder::default(), Payloads::default());
        match lines::files_of(source)? {
            None => each_line(source, |origin, body| {
                let session = builder.session(&origin.name());
                payloads.push(&mut builder, session, "", body)
            })?,
            Some(files) => {
                for file in &files {
                    let session = builder.session(lines::stem(file));
                    if each_line(file, |_, body| payloads.push(&mut builder, session, "", body))? == 0 {
                        return Err(nothing_in(file, &[]));
                    }
                }
                0
            }
        };
        Ok(Contents { notes: payloads.notes(), ..Contents::new(builder.finish()) })
    }
}

/// Calls `take` with each line of a file, and says how many there are.
fn each_line(source: &str, mut take: impl FnMut(Origin, &str) -> Result<(), Problem>) -> Result<u64> {
    let (mut lines, mut count) = (Lines::open(source)?, 0);
    while let Some((number, line)) = lines.next_line()? {
        let origin = Origin::of_line(number);
        take(origin, line).map_err(|problem| origin.error(source, &problem))?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
