//! The lines of a text file, plain or compressed by gzip, with their numbers.

use flate2::bufread::MultiGzDecoder;
use inferometer_plugin_sdk::types::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
};

/// The first bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What some editors put before the first character.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The longest line that is taken for one request; one with a long video in it stays well below.
const LONGEST_LINE: u64 = 256 << 20;

/// A file being read line by line.
pub(crate) struct Lines {
    source: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens the file; that it is compressed is seen by how it begins.
    ///
    /// # Errors
    /// When there is no such file, when it may not be read, or when it is a folder.
    pub(crate) fn open(source: &str) -> Result<Self> {
        let unreadable = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Error::config(format!("{source}: there is no such file; check the path")),
            _ => Error::config(format!("{source}: cannot be opened: {e}")),
        };
        if fs::metadata(source).map_err(unreadable)?.is_dir() {
            return Err(Error::config(format!("{source}: is a folder; give the file of requests itself")));
        }
        let mut file = BufReader::with_capacity(1 << 16, File::open(source).map_err(unreadable)?);
        let compressed = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
        let reader: Box<dyn BufRead> =
            if compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        Ok(Self { source: source.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// The next line that is not blank, and its number, from 1.
    ///
    /// # Errors
    /// When the file cannot be read further, or the line is not text.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &str)>> {
        loop {
            self.line.clear();
            self.number += 1;
            let here = || format!("{}:{}", self.source, self.number);
            let read = (&mut self.reader).take(LONGEST_LINE + 1).read_until(b'\n', &mut self.line);
            match read {
                Ok(0) => return Ok(None),
                Ok(length) if length as u64 > LONGEST_LINE => {
                    let most = LONGEST_LINE >> 20;
                    return Err(Error::config(format!("{}: longer than {most} MiB; put one request a line", here())));
                }
                Ok(_) if self.line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => break,
                Err(e) => return Err(Error::new(ErrorKind::IO, format!("{}: cannot be read further: {e}", here()))),
            }
        }
        let line = std::str::from_utf8(&self.line).map_err(|e| {
            let column = e.valid_up_to() + 1;
            let (source, number) = (&self.source, self.number);
            Error::config(format!("{source}:{number}: not UTF-8 from byte {column} on; save the file as UTF-8"))
        })?;
        let line = if self.number == 1 { line.trim_start_matches(BYTE_ORDER_MARK) } else { line };
        Ok(Some((self.number, line)))
    }
}
