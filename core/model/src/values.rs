//! Values with units and lists, as flags and files spell them.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::str::FromStr;

/// A count: `200`, `10k`, `2M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
            _ => (text, 1),
        };
        digits
            .replace('_', "")
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a count; write a whole number such as 200, 10k or 2M"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text.parse().map_err(D::Error::custom),
            Scalar::Whole(n) => Ok(Self(n)),
            Scalar::Real(_) => Err(D::Error::custom("a count must be a whole number")),
        }
    }
}

/// A length of time in seconds: `30`, `0.5`, `500ms`, `3m`, `1h`, `inf`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Seconds(pub f64);

impl Seconds {
    /// In nanoseconds; `u64::MAX` when endless.
    pub fn as_ns(self) -> u64 {
        // A float-to-integer cast saturates, which is what an endless time wants.
        (self.0 * 1e9) as u64
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a time; write seconds such as 30 or 0.5, or 500ms, 3m, 1h");
        let seconds = match text.parse::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => humantime::parse_duration(text).map_err(|_| wrong())?.as_secs_f64(),
        };
        if seconds.is_nan() || seconds < 0.0 { Err(wrong()) } else { Ok(Self(seconds)) }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text.parse(),
            Scalar::Whole(n) => Ok(Self(n as f64)),
            Scalar::Real(x) => x.to_string().parse(),
        }
        .map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(u64),
    Real(f64),
    Text(String),
}

/// Reads a list that may also be written as one string.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// Reads a list of pairs that may also be written as a table.
pub(crate) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Pairs {
        One(String),
        Many(Vec<String>),
        Table(serde_json::Map<String, serde_json::Value>),
    }
    Ok(match Pairs::deserialize(deserializer)? {
        Pairs::One(one) => vec![one],
        Pairs::Many(many) => many,
        Pairs::Table(table) => vec![serde_json::Value::Object(table).to_string()],
    })
}

/// Splits pieces such as `key:value,key:value` or `{"key": value}` into pairs, later ones over earlier ones.
///
/// A value is a JSON value where it reads as one (numbers in any notation, `true`, `null`, lists, objects), else text;
/// a comma that no new `key:` follows belongs to the value.
pub(crate) fn key_values(pieces: &[String]) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    let mut out = serde_json::Map::new();
    for piece in pieces {
        if piece.trim_start().starts_with('{') {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(piece).map_err(|e| format!("'{piece}' is not a JSON object: {e}"))?;
            out.extend(object);
            continue;
        }
        for pair in split_pairs(piece) {
            let (key, value) = pair
                .split_once(':')
                .filter(|(key, _)| !key.trim().is_empty())
                .ok_or_else(|| format!("'{pair}' is not a pair; write key:value, or a JSON object"))?;
            let value = value.trim();
            let value = match value {
                "True" => true.into(),
                "False" => false.into(),
                "None" | "none" => serde_json::Value::Null,
                _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            };
            out.insert(key.trim().to_owned(), value);
        }
    }
    Ok(out)
}

/// Cuts at commas outside brackets and quotes that are followed by another `key:`.
fn split_pairs(text: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    let (mut depth, mut quoted, mut start) = (0_i32, false, 0);
    let mut pieces = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    for piece in pieces {
        match pairs.last_mut() {
            Some(last) if !piece.contains(':') => {
                last.push(',');
                last.push_str(piece);
            }
            _ => pairs.push(piece.to_owned()),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_take_a_suffix() {
        assert_eq!("10k".parse(), Ok(Count(10_000)));
        assert_eq!("1_000".parse(), Ok(Count(1_000)));
        assert!("1.5".parse::<Count>().unwrap_err().contains("10k"));
        assert!("99999999999999999M".parse::<Count>().is_err());
    }

    #[test]
    fn times_take_a_unit() {
        assert_eq!("0.5".parse(), Ok(Seconds(0.5)));
        assert_eq!("3m".parse(), Ok(Seconds(180.0)));
        assert_eq!("inf".parse::<Seconds>().unwrap().as_ns(), u64::MAX);
        assert!("-1".parse::<Seconds>().is_err());
        assert!("soon".parse::<Seconds>().unwrap_err().contains("500ms"));
    }

    #[test]
    fn values_keep_their_commas_and_exponents() {
        let map =
            key_values(&["temperature:1e-3,stop:[1,2],name:a,b,on:true".into(), r#"{"top_k": 4}"#.into()]).unwrap();
        assert_eq!(
            serde_json::Value::Object(map),
            json!({"temperature": 1e-3, "stop": [1, 2], "name": "a,b", "on": true, "top_k": 4})
        );
    }

    #[test]
    fn a_piece_without_a_colon_is_refused() {
        assert!(key_values(&["temperature".into()]).unwrap_err().contains("key:value"));
    }
}
