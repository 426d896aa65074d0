//! Writing a long file in pieces of a good size.

use inferometer_plugin_sdk::{
    api::Output,
    types::{Error, ErrorKind, Result},
};
use serde::Serialize;

/// Bytes after which a piece is handed over.
const PIECE: usize = 64 * 1024;

/// A file that is being written.
#[derive(Default)]
pub(crate) struct Chunked {
    file: String,
    buffer: Vec<u8>,
    begun: bool,
}

impl Chunked {
    /// Begins a file; nothing is written yet.
    pub(crate) fn new(file: String) -> Self {
        Self { file, buffer: Vec::with_capacity(PIECE + PIECE / 4), begun: false }
    }

    /// Where to append to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends `value` as a line of JSON.
    pub(crate) fn line(&mut self, value: &impl Serialize, out: &mut dyn Output) -> Result<()> {
        serde_json::to_writer(&mut self.buffer, value).map_err(|e| {
            Error::new(ErrorKind::OTHER, format!("a line of {} could not be put into JSON: {e}", self.file))
        })?;
        self.buffer.push(b'\n');
        self.flush_full(out)
    }

    /// Hands over what there is, if it makes a piece.
    pub(crate) fn flush_full(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.buffer.len() >= PIECE { self.flush(out) } else { Ok(()) }
    }

    /// Hands over the rest. The file exists afterwards, even if it is empty.
    pub(crate) fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.buffer.is_empty() && self.begun { Ok(()) } else { self.flush(out) }
    }

    fn flush(&mut self, out: &mut dyn Output) -> Result<()> {
        self.begun = true;
        out.write(&self.file, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
