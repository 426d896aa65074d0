//! CSV files by the names of their columns, which may come in any order, among others.

use super::fields::number_of_tokens;
use crate::{
    conversation::{Problem, shortened},
    lines::Lines,
};
use csv_core::{ReadRecordResult, Reader};
use inferometer_plugin_sdk::types::{Error, Result};

/// A CSV file being read. A record ends with its line, so that an error always knows its line.
pub(super) struct Columns<const N: usize> {
    source: String,
    lines: Lines,
    record: Record,
    /// Number of columns.
    width: usize,
    names: [&'static str; N],
    /// The column of each name.
    places: [Option<usize>; N],
}

/// The fields of a line.
struct Record {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl<const N: usize> Columns<N> {
    /// Opens the file and finds the columns of `names`, of which the first `needed` have to be there.
    ///
    /// # Errors
    /// When the file cannot be read, or a column is missing or there twice.
    pub(super) fn open(source: &str, names: [&'static str; N], needed: usize) -> Result<Self> {
        let mut lines = Lines::open(source)?;
        let mut record = Record::new();
        let Some((number, line)) = lines.next_line()? else {
            return Err(Error::config(format!("{source}: holds no requests; its first line names the columns")));
        };
        record.read(line);
        let header: Vec<&str> = (0..record.fields).map(|n| record.field(n)).collect();
        let mut places = [None; N];
        for (n, name) in names.iter().enumerate() {
            let mut found = (0..header.len()).filter(|place| header[*place].eq_ignore_ascii_case(name));
            places[n] = found.next();
            let problem = match (places[n], found.next()) {
                (None, _) if n < needed => "is missing",
                (Some(_), Some(_)) => "is there twice",
                _ => continue,
            };
            let header = shortened(&header.join(", "));
            return Err(Error::config(format!(
                "{source}:{number}: column `{name}` {problem}; the columns are: {header}"
            )));
        }
        let width = header.len();
        Ok(Self { source: source.to_owned(), lines, record, width, names, places })
    }

    /// Whether there is a column of the name with this number.
    pub(super) fn has(&self, name: usize) -> bool {
        self.places[name].is_some()
    }

    /// Reads the next line; gives its number.
    ///
    /// # Errors
    /// When it cannot be read, or has another number of columns than the header.
    pub(super) fn next_line(&mut self) -> Result<Option<u64>> {
        let Some((number, line)) = self.lines.next_line()? else { return Ok(None) };
        self.record.read(line);
        let (found, width) = (self.record.fields, self.width);
        if found != width {
            let source = &self.source;
            return Err(Error::config(format!("{source}:{number}: has {found} columns, but the header has {width}")));
        }
        Ok(Some(number))
    }

    /// The field of the name with this number; empty without that column.
    pub(super) fn field(&self, name: usize) -> &str {
        self.places[name].map_or("", |place| self.record.field(place))
    }

    /// A number of tokens that is at least `least`.
    pub(super) fn tokens(&self, name: usize, least: u32) -> Result<u32, Problem> {
        number_of_tokens(self.names[name], self.field(name), least)
    }

    /// A time, by `read`; `expected` says how one looks.
    pub(super) fn time(
        &self,
        name: usize,
        read: impl FnOnce(&str) -> Option<u64>,
        expected: &str,
    ) -> Result<u64, Problem> {
        let text = self.field(name);
        let name = self.names[name];
        read(text).ok_or_else(|| Problem::new(name, format!("expected {expected}, but found `{}`", shortened(text))))
    }
}

impl Record {
    fn new() -> Self {
        Self { reader: Reader::new(), text: Vec::new(), ends: Vec::new(), fields: 0 }
    }

    fn read(&mut self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']).as_bytes();
        // Fields are never longer than the line, and there is at most one more of them than commas.
        self.text.resize(line.len().max(1), 0);
        self.ends.resize(line.iter().filter(|byte| **byte == b',').count() + 2, 0);
        self.reader.reset();
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (text, ends) = (&mut self.text[written..], &mut self.ends[fields..]);
            let (result, r, w, f) = self.reader.read_record(&line[read..], text, ends);
            (read, written, fields) = (read + r, written + w, fields + f);
            // No input left means the end of the file to the reader, which then closes the last field.
            if matches!(result, ReadRecordResult::Record | ReadRecordResult::End) {
                break;
            }
        }
        self.fields = fields;
    }

    /// Field `n`, without the blanks around it. Quotation marks are ASCII, so fields are text as the line is.
    fn field(&self, n: usize) -> &str {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        std::str::from_utf8(&self.text[start..self.ends[n]]).unwrap_or_default().trim()
    }
}
