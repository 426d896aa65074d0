//! The records of a file: the lines of a JSONL file, or the entries of a JSON array, one at a time.
//!
//! Records are cut apart here, not understood. An array is never held whole: such files grow to many gigabytes.

use super::Problem;
use crate::lines::{self, BYTE_ORDER_MARK, LONGEST_LINE, Lines};
use inferometer_plugin_sdk::types::{Error, Result};
use std::io::BufRead;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    line: u64,
    /// Its number in the array, from 1; none for a line.
    entry: Option<u64>,
}

impl Origin {
    pub(crate) fn of_line(line: u64) -> Self {
        Self { line, entry: None }
    }

    /// What is wrong with the record, with its file and place.
    pub(crate) fn error(self, source: &str, problem: &Problem) -> Error {
        let entry = self.entry.map_or(String::new(), |entry| format!(" (entry {entry})"));
        Error::config(format!("{source}:{}{entry}: {problem}", self.line + problem.lines))
    }

    /// A name for a session that has none.
    pub(crate) fn name(self) -> String {
        self.entry.map_or_else(|| format!("line_{:06}", self.line), |entry| format!("entry_{entry:06}"))
    }
}

/// The records of a file.
pub(crate) enum Records {
    Lines(Lines),
    Array(Array),
}

impl Records {
    /// The lines of a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn lines(source: &str) -> Result<Self> {
        Ok(Self::Lines(Lines::open(source)?))
    }

    /// The lines of a file or, if it begins with a bracket, the entries of the array it holds.
    ///
    /// # Errors
    /// As for [`Records::lines`].
    pub(crate) fn lines_or_array(source: &str) -> Result<Self> {
        let mut array = Array::open(source)?;
        if array.peek()? == Some(b'[') {
            array.bytes.skip(1);
            return Ok(Self::Array(array));
        }
        Self::lines(source)
    }

    /// The entries of the array that is the one member of an object: `{"data": […]}`.
    ///
    /// # Errors
    /// When the file cannot be opened, or begins otherwise.
    pub(crate) fn member(source: &str, key: &str) -> Result<Self> {
        let mut array = Array::open(source)?;
        for token in ["{", &format!("\"{key}\""), ":", "["] {
            array.peek()?;
            let found = array.bytes.take(token.len())?;
            if found != token.as_bytes() {
                let line = array.bytes.line;
                return Err(Error::config(format!("{source}:{line}: does not begin with {{\"{key}\": [")));
            }
        }
        array.closing = b"]}";
        Ok(Self::Array(array))
    }

    /// The next record.
    ///
    /// # Errors
    /// When the file cannot be read further, is no text, or the array is broken.
    pub(crate) fn next_record(&mut self) -> Result<Option<(Origin, &str)>> {
        match self {
            Self::Lines(lines) => Ok(lines.next_line()?.map(|(line, text)| (Origin::of_line(line), text))),
            Self::Array(array) => array.next_entry(),
        }
    }
}

/// A JSON array being cut into its entries.
pub(crate) struct Array {
    bytes: Bytes,
    entry: Vec<u8>,
    entries: u64,
    /// What follows the last entry.
    closing: &'static [u8],
}

impl Array {
    fn open(source: &str) -> Result<Self> {
        let bytes = Bytes { source: source.to_owned(), reader: lines::contents(source)?, line: 1 };
        let mut array = Self { bytes, entry: Vec::new(), entries: 0, closing: b"]" };
        let mark = BYTE_ORDER_MARK.as_bytes();
        if array.bytes.chunk()?.starts_with(mark) {
            array.bytes.skip(mark.len());
        }
        Ok(array)
    }

    /// The next byte that is not blank; it is left where it is.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let chunk = self.bytes.chunk()?;
            let Some(first) = chunk.first() else { return Ok(None) };
            if !first.is_ascii_whitespace() {
                return Ok(Some(*first));
            }
            let blanks = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.bytes.skip(blanks);
        }
    }

    fn next_entry(&mut self) -> Result<Option<(Origin, &str)>> {
        let mut next = self.peek()?;
        if self.entries > 0 && next == Some(b',') {
            self.bytes.skip(1);
            next = self.peek()?;
        } else if next != Some(self.closing[0]) && self.entries > 0 {
            return Err(self.error("is not followed by a comma or the end of the list"));
        }
        if next == Some(self.closing[0]) {
            return self.end().map(|()| None);
        }
        self.entries += 1;
        match next {
            Some(b'{') => {}
            Some(_) => return Err(self.error("is no object; give one in braces")),
            None => return Err(self.error("is missing: the file ends before its list does; is it complete?")),
        }
        let line = self.bytes.line;
        self.read_entry()?;
        let text = lines::text(&self.bytes.source, line, &self.entry)?;
        Ok(Some((Origin { line, entry: Some(self.entries) }, text)))
    }

    /// Reads to the brace that closes the object which is next.
    fn read_entry(&mut self) -> Result<()> {
        self.entry.clear();
        let (mut depth, mut in_string, mut escaped) = (0_u64, false, false);
        loop {
            let chunk = self.bytes.chunk()?;
            if chunk.is_empty() {
                return Err(self.error("has no end: the file ends before it does; is it complete?"));
            }
            let mut end = None;
            for (n, byte) in chunk.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    b'{' | b'[' if !in_string => depth += 1,
                    b'}' | b']' if !in_string => depth -= 1,
                    _ => continue,
                }
                if depth == 0 {
                    end = Some(n + 1);
                    break;
                }
            }
            let length = end.unwrap_or(chunk.len());
            self.entry.extend_from_slice(&chunk[..length]);
            self.bytes.skip(length);
            if end.is_some() {
                return Ok(());
            }
            if self.entry.len() as u64 > LONGEST_LINE {
                let most = LONGEST_LINE >> 20;
                return Err(self.error(&format!("is longer than {most} MiB; split it")));
            }
        }
    }

    /// Reads to the end of the file, which is to hold nothing further.
    fn end(&mut self) -> Result<()> {
        for byte in self.closing {
            if self.peek()? != Some(*byte) {
                return Err(self.error("is the last one, but the list is followed by something else"));
            }
            self.bytes.skip(1);
        }
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.error("is the last one, but the list is followed by something else")),
        }
    }

    fn error(&self, reason: &str) -> Error {
        let Bytes { source, line, .. } = &self.bytes;
        Error::config(format!("{source}:{line}: entry {} {reason}", self.entries))
    }
}

/// The bytes of a file, and the line they are on.
struct Bytes {
    source: String,
    reader: Box<dyn BufRead>,
    line: u64,
}

impl Bytes {
    /// Some of what is next; empty at the end.
    fn chunk(&mut self) -> Result<&[u8]> {
        let Self { source, reader, line } = self;
        reader.fill_buf().map_err(|e| lines::unfinished(&format!("{source}:{line}"), &e))
    }

    /// Passes over bytes of the chunk.
    fn skip(&mut self, count: usize) {
        // The chunk is there already, and so cannot fail.
        let passed = self.reader.fill_buf().unwrap_or_default();
        self.line += passed[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.reader.consume(count);
    }

    /// Takes so many bytes, or as many as there are.
    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let chunk = self.chunk()?;
            let length = chunk.len().min(count - taken.len());
            if length == 0 {
                break;
            }
            taken.extend_from_slice(&chunk[..length]);
            self.skip(length);
        }
        Ok(taken)
    }
}
