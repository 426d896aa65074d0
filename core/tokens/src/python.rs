//! What chat templates expect of Python: `json.dumps` and `strftime`, to the letter.
//!
//! Templates print tools and arguments by them, so another blank or another form of a number is another count of
//! tokens. The methods of strings, lists and maps are not here: `minijinja-contrib` has them.

use std::fmt::Write as _;
use std::time::SystemTime;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Deeper values than this are refused; JSON that was read is never so deep.
const DEEPEST: usize = 200;

/// The filter `tojson` as `transformers` defines it: `json.dumps` without escapes for HTML, in the order of the keys.
pub(crate) fn tojson(value: &Value, options: &Kwargs) -> Result<Value, Error> {
    let separators: Option<Vec<String>> = options.get("separators")?;
    let indent: Option<usize> = options.get("indent")?;
    let [item, key] = match separators.as_deref() {
        None if indent.is_some() => [",", ": "],
        None => [", ", ": "],
        Some([item, key]) => [item.as_str(), key.as_str()],
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "tojson takes two separators")),
    };
    let style = Style {
        item: item.to_owned(),
        key: key.to_owned(),
        indent,
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut json = String::new();
    style.write(&mut json, value, 0)?;
    Ok(Value::from(json))
}

/// The options of `json.dumps`.
struct Style {
    /// What stands between items.
    item: String,
    /// What stands between a key and its value.
    key: String,
    indent: Option<usize>,
    ascii: bool,
    sorted: bool,
}

impl Style {
    fn write(&self, json: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::new(ErrorKind::BadSerialization, "a value is too deep for tojson"));
        }
        match value.kind() {
            ValueKind::None => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => json.push_str(&value.to_string()),
            ValueKind::Number => write_float(json, f64::try_from(value.clone())?),
            ValueKind::String => self.write_text(json, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item));
                self.write_items(json, ['[', ']'], items, depth)?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    entries.push((Some(key.to_string()), item));
                }
                if self.sorted {
                    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
                }
                self.write_items(json, ['{', '}'], entries.into_iter(), depth)?;
            }
            kind => return Err(Error::new(ErrorKind::BadSerialization, format!("tojson cannot write {kind}"))),
        }
        Ok(())
    }

    fn write_items(
        &self,
        json: &mut String,
        [open, close]: [char; 2],
        items: impl Iterator<Item = (Option<String>, Value)>,
        depth: usize,
    ) -> Result<(), Error> {
        let new_line = |json: &mut String, depth: usize| {
            if let Some(indent) = self.indent {
                json.push('\n');
                json.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        json.push(open);
        let mut first = true;
        for (key, item) in items {
            if !std::mem::take(&mut first) {
                json.push_str(&self.item);
            }
            new_line(json, depth + 1);
            if let Some(key) = key {
                self.write_text(json, &key);
                json.push_str(&self.key);
            }
            self.write(json, &item, depth + 1)?;
        }
        if !first {
            new_line(json, depth);
        }
        json.push(close);
        Ok(())
    }

    fn write_text(&self, json: &mut String, text: &str) {
        json.push('"');
        for c in text.chars() {
            match c {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                c if c < ' ' || (self.ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(json, "\\u{unit:04x}").expect("a String takes all that is written");
                    }
                }
                c => json.push(c),
            }
        }
        json.push('"');
    }
}

/// A float as Python's `repr` has it: the shortest digits that read back the same, and an exponent of at least two
/// digits from 10¹⁶ on and below 10⁻⁴.
fn write_float(json: &mut String, number: f64) {
    if !number.is_finite() {
        let names = [(f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")];
        json.push_str(names.iter().find(|(infinite, _)| *infinite == number).map_or("NaN", |(_, name)| name));
        return;
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("Rust writes an exponent when asked to");
    let exponent: i32 = exponent.parse().expect("Rust writes the exponent as an integer");
    let written = if (-4..16).contains(&exponent) {
        write!(json, "{number:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(json, "{digits}e{sign}{:02}", exponent.unsigned_abs())
    };
    written.expect("a String takes all that is written");
}

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `time` in UTC, in the form that `format` asks for, with the directives that templates use.
pub(crate) fn strftime(time: SystemTime, format: &str) -> Result<String, Error> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // The years that the form below can write; no clock shows another.
    let seconds = seconds.min(253_402_300_799);
    let stamp = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    let stamp = stamp.to_string();
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    let month: usize = stamp[5..7].parse().expect("a month has two digits");
    let month = MONTHS[month - 1];
    let hour: u32 = stamp[11..13].parse().expect("an hour has two digits");
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let directive = rest.next();
        match directive {
            Some('Y') => text.push_str(&stamp[..4]),
            Some('y') => text.push_str(&stamp[2..4]),
            Some('m') => text.push_str(&stamp[5..7]),
            Some('d') => text.push_str(&stamp[8..10]),
            Some('H') => text.push_str(&stamp[11..13]),
            Some('M') => text.push_str(&stamp[14..16]),
            Some('S') => text.push_str(&stamp[17..19]),
            Some('F') => text.push_str(&stamp[..10]),
            Some('T') => text.push_str(&stamp[11..19]),
            Some('I') => text.push_str(&format!("{:02}", (hour + 11) % 12 + 1)),
            Some('p') => text.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('B') => text.push_str(month),
            Some('b') => text.push_str(&month[..3]),
            Some('A') => text.push_str(day),
            Some('a') => text.push_str(&day[..3]),
            Some('%') => text.push('%'),
            _ => {
                let asked = directive.map_or_else(|| "%".to_owned(), |c| format!("%{c}"));
                let problem = format!("strftime_now knows no directive '{asked}'");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn json(source: &str, options: &[(&str, Value)]) -> String {
        let value: Value = serde_json::from_str(source).unwrap();
        tojson(&value, &options.iter().cloned().collect()).unwrap().to_string()
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let source = r#"{"b":[1,-2.0,0.5,1e-7,1e22,1e16,123456789012345.6,0.0001,null,true],"a":{},"é<":"\"\\\n\u0001\u007f😀"}"#;
        assert_eq!(
            json(source, &[]),
            "{\"b\": [1, -2.0, 0.5, 1e-07, 1e+22, 1e+16, 123456789012345.6, 0.0001, null, true], \"a\": {}, \"é<\": \"\\\"\\\\\\n\\u0001\u{7f}😀\"}"
        );
        assert_eq!(
            json(r#"{"b":"é😀","a":1}"#, &[("ensure_ascii", true.into()), ("sort_keys", true.into())]),
            r#"{"a": 1, "b": "\u00e9\ud83d\ude00"}"#
        );
        assert_eq!(
            json(r#"{"a":[1,{}],"b":[]}"#, &[("indent", 2.into())]),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
        assert_eq!(json(r#"{"a":[1,2]}"#, &[("separators", vec![",", ":"].into())]), r#"{"a":[1,2]}"#);
    }

    #[test]
    fn an_option_that_python_does_not_know_is_refused() {
        assert!(tojson(&Value::from(1), &[("width", Value::from(2))].into_iter().collect()).is_err());
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        // 2024-07-26 13:05:09 UTC, a Friday.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_721_999_109);
        let format = "%Y-%m-%d %H:%M:%S %d %b %Y, %A %B %a %I%p 100%% %y %F %T";
        assert_eq!(
            strftime(time, format).unwrap(),
            "2024-07-26 13:05:09 26 Jul 2024, Friday July Fri 01PM 100% 24 2024-07-26 13:05:09"
        );
        assert_eq!(strftime(SystemTime::UNIX_EPOCH, "%A %I%p").unwrap(), "Thursday 12AM");
        for unknown in ["%Q", "%"] {
            assert!(strftime(time, unknown).unwrap_err().to_string().contains(unknown));
        }
    }
}
