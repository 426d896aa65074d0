//! Pictures, sounds and films that the rows of a data set name as files beside it.

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// The keys under which rows name files.
const KEYS: [&str; 6] = ["image", "images", "audio", "audios", "video", "videos"];
/// A longer text is no path.
const LONGEST_PATH: usize = 4_096;
/// The first bytes of what gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What the rows of `file` name that is a file on this machine, as it is written there, with the file that is meant:
/// beside the data, else in the working directory.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn named_in(file: &Path) -> io::Result<BTreeSet<(String, PathBuf)>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut plain = BufReader::with_capacity(1 << 16, File::open(file)?);
    let mut lines: Box<dyn BufRead> = match plain.fill_buf()?.starts_with(&GZIP) {
        true => Box::new(BufReader::new(MultiGzDecoder::new(plain))),
        false => Box::new(plain),
    };
    let (mut found, mut line) = (BTreeSet::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let Ok(text) = str::from_utf8(&line) else { continue };
        // Most data sets have none, and then nothing is parsed.
        if !["\"image", "\"audio", "\"video"].iter().any(|key| text.contains(key)) {
            continue;
        }
        if let Ok(row) = serde_json::from_str(text) {
            gather(&row, false, &mut |content| {
                let is_path = content.len() < LONGEST_PATH && !content.starts_with("data:") && !content.contains("://");
                let places = [folder.join(content), PathBuf::from(content)];
                let file = places.into_iter().find(|path| is_path && path.is_file());
                found.extend(file.map(|file| (content.to_owned(), file)));
            });
        }
    }
}

/// Hands every text below one of the keys to `take`.
fn gather(value: &Value, below: bool, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if below => take(text),
        Value::Array(items) => items.iter().for_each(|item| gather(item, below, take)),
        Value::Object(members) => {
            for (key, member) in members {
                gather(member, below || KEYS.contains(&key.as_str()), take);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_rows_name_are_found_and_texts_that_look_alike_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.wav", "c.png"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let rows = r#"{"text": "c.png", "image": "a.png"}
not JSON, with an "image"
{"turns": [{"audios": [{"name": "n", "contents": ["b.wav", "data:audio/wav;base64,eA=="]}], "images": ["http://h/c.png"]}]}
{"image": "gone.png"}"#;
        let file = folder.path().join("rows.jsonl");
        std::fs::write(&file, rows).unwrap();
        let found: Vec<_> = named_in(&file).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["a.png", "b.wav"]);
    }
}
