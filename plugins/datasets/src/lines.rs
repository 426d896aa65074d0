//! Files and folders of data sets: text that is plain or compressed by gzip, line by line with the lines' numbers.

use flate2::bufread::MultiGzDecoder;
use inferometer_plugin_sdk::types::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The first bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What some editors put before the first character.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The longest line or record that is taken for one request; one with a long video in it stays well below.
pub(crate) const LONGEST_LINE: u64 = 256 << 20;

/// The contents of a file; that it is compressed is seen by how it begins.
///
/// # Errors
/// When there is no such file, when it may not be read, when it is a folder, or when it is empty.
pub(crate) fn contents(source: &str) -> Result<Box<dyn BufRead>> {
    if metadata(source)?.is_dir() {
        return Err(Error::config(format!("{source}: is a folder; give the file of requests itself")));
    }
    let unreadable = |e: io::Error| unreadable(source, &e);
    let mut file = BufReader::with_capacity(1 << 16, File::open(source).map_err(unreadable)?);
    let beginning = file.fill_buf().map_err(unreadable)?;
    if beginning.is_empty() {
        return Err(Error::config(format!("{source}: is empty: it holds no requests")));
    }
    let compressed = beginning.starts_with(&GZIP);
    Ok(if compressed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// The files of a folder by name, those whose name begins with a dot left out; nothing if `source` is a file.
///
/// # Errors
/// When there is no such folder, when it may not be read, when it holds no files, and when it holds further folders.
pub(crate) fn files_of(source: &str) -> Result<Option<Vec<String>>> {
    if !metadata(source)?.is_dir() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(source).map_err(|e| unreadable(source, &e))? {
        let path = entry.map_err(|e| unreadable(source, &e))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::config(format!("{}: the name is not UTF-8; rename it", path.display())));
        };
        if name.starts_with('.') {
            continue;
        }
        let path = path.to_str().map(str::to_owned);
        let path = path.ok_or_else(|| Error::config(format!("{source}: the path is not UTF-8; rename the folder")))?;
        if metadata(&path)?.is_dir() {
            return Err(Error::config(format!("{path}: is a folder inside a folder; give one that holds files alone")));
        }
        files.push(path);
    }
    if files.is_empty() {
        return Err(Error::config(format!("{source}: the folder holds no files; give one that does")));
    }
    files.sort_unstable();
    Ok(Some(files))
}

/// What a file is called without its folder and without its endings.
pub(crate) fn stem(path: &str) -> &str {
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path);
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

fn metadata(source: &str) -> Result<fs::Metadata> {
    fs::metadata(source).map_err(|e| unreadable(source, &e))
}

fn unreadable(source: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::config(format!("{source}: there is no such file; check the path")),
        _ => Error::config(format!("{source}: cannot be opened: {error}")),
    }
}

/// A file being read line by line.
pub(crate) struct Lines {
    source: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens the file.
    ///
    /// # Errors
    /// As for [`contents`].
    pub(crate) fn open(source: &str) -> Result<Self> {
        Ok(Self { source: source.to_owned(), reader: contents(source)?, line: Vec::new(), number: 0 })
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
                Err(e) => return Err(unfinished(&here(), &e)),
            }
        }
        let line = text(&self.source, self.number, &self.line)?;
        let line = if self.number == 1 { line.trim_start_matches(BYTE_ORDER_MARK) } else { line };
        Ok(Some((self.number, line)))
    }
}

/// A file that breaks off, or that its disk or its compression does not give back.
pub(crate) fn unfinished(place: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::IO, format!("{place}: cannot be read further: {error}"))
}

/// The text of a line or record.
///
/// # Errors
/// Names its first byte that is none.
pub(crate) fn text<'a>(source: &str, line: u64, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let column = e.valid_up_to() + 1;
        Error::config(format!(
            "{source}:{line}: is not text from byte {column} on; give a file of JSON or CSV, saved as UTF-8"
        ))
    })
}
