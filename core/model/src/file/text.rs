//! Small files of text that settings name, and what readers of JSON and TOML find wrong with them, in plain words.

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::{
    io::{self, Read as _},
    path::Path,
};

/// The first bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What some editors put before the first character.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// The most bytes that such a file is taken to have; one that unpacks to more was not meant.
const LONGEST: u64 = 256 << 20;

/// The text of a file, unpacked if gzip made it, without a byte order mark.
///
/// # Errors
/// Why it cannot be read, in words.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "that is a folder".to_owned(),
        _ => error.to_string(),
    })?;
    let bytes = if bytes.starts_with(&GZIP) { unpacked(&bytes)? } else { bytes };
    let text = String::from_utf8(bytes).map_err(|_| "is not text; save it as UTF-8".to_owned())?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(LONGEST + 1).read_to_end(&mut unpacked);
    read.map_err(|error| format!("cannot be unpacked: {error}"))?;
    if unpacked.len() as u64 > LONGEST {
        return Err(format!("unpacks to more than {} MiB", LONGEST >> 20));
    }
    Ok(unpacked)
}

/// What a reader of JSON found wrong, in words that name no type of this program.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (reason, place) = match text.rfind(" at line ") {
        Some(at) if error.line() > 0 => text.split_at(at),
        _ => (text.as_str(), ""),
    };
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|start| reason.strip_prefix(start));
    let said = match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            format!("{} stands where {} belongs", found_in_words(found), expected_in_words(expected))
        }
        None => match reason.strip_prefix("EOF while parsing ") {
            Some("a value") => "it ends where a value belongs".to_owned(),
            Some(what) => format!("it ends inside {what}"),
            None => reason.to_owned(),
        },
    };
    format!("{said}{place}")
}

fn found_in_words(found: &str) -> &str {
    match found {
        "map" => "a table",
        "sequence" => "a list",
        "unit value" | "null" => "null",
        value => {
            let value = ["string ", "integer ", "floating point ", "boolean "]
                .iter()
                .find_map(|kind| value.strip_prefix(kind))
                .unwrap_or(value);
            value.trim_matches('`')
        }
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "str" => "text in quotes",
        "a sequence" => "a list",
        "path string" => "a path in quotes",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    }
}

/// A value of a file as messages show it: its beginning.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(60).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    #[test]
    fn text_is_read_without_its_mark_and_unpacked() {
        let marked = file("text", "\u{feff}a");
        assert_eq!(read(marked.path()).unwrap(), "a");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"b").unwrap();
        std::fs::write(marked.path(), gzip.finish().unwrap()).unwrap();
        assert_eq!(read(marked.path()).unwrap(), "b");
    }

    #[test]
    fn what_cannot_be_read_is_said_in_words() {
        let binary = file("binary", "");
        std::fs::write(binary.path(), [0xff, 0xfe, 0x00]).unwrap();
        assert!(read(binary.path()).unwrap_err().contains("is not text"));
        std::fs::write(binary.path(), [0x1f, 0x8b, 0x00]).unwrap();
        assert!(read(binary.path()).unwrap_err().contains("cannot be unpacked"));
        assert_eq!(read(Path::new("/no/such")).unwrap_err(), "there is no such file");
    }

    #[test]
    fn errors_of_readers_name_no_types() {
        let error = |text: &str| plain(&serde_json::from_str::<Vec<u64>>(text).unwrap_err());
        assert!(error("[1.5]").starts_with("1.5 stands where a whole number from 0 on belongs at line 1"));
        assert!(error("{}").starts_with("a table stands where a list belongs"));
        assert!(error("[1,").starts_with("it ends where a value belongs"), "{}", error("[1,"));
        assert!(error("[1").starts_with("it ends inside a list"), "{}", error("[1"));
    }
}
