//! Values with units and lists, as flags and files spell them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A count: `200`, `10k`, `2M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        refuse_list(text)?;
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
            .ok_or_else(|| format!("'{}' is not a count; write a whole number such as 200, 10k or 2M", visible(text)))
    }
}

/// Refuses several values where one is asked for.
fn refuse_list(text: &str) -> Result<(), String> {
    if text.contains(',') {
        return Err(format!(
            "'{}' is a list, and sweeps over several values are not there yet; give one, and run once per value",
            visible(text)
        ));
    }
    Ok(())
}

/// The text with characters that a terminal would obey written out.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text.parse().map_err(D::Error::custom),
            Scalar::Whole(n) => Ok(Self(n)),
            Scalar::Real(x) => {
                Err(D::Error::custom(format_args!("{x} is not a count; write a whole number from 0 on")))
            }
        }
    }
}

/// A number, in any notation: `4`, `0.5`, `1e3`; also `inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        refuse_list(text)?;
        text.trim()
            .parse()
            .map(Self)
            .map_err(|_| format!("'{}' is not a number; write one such as 4 or 0.5", visible(text)))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time in seconds: `30`, `0.5`, `500ms`, `3m`, `1h`, `inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        time(text, 1.0).map(Self).ok_or_else(|| {
            format!("'{}' is not a time; write seconds such as 30 or 0.5, or 500ms, 3m, 1h", visible(text))
        })
    }
}

/// A length of time in milliseconds: `30`, `0.5`, `500ms`, `3m`, `1h`, `inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Millis(pub f64);

impl Millis {
    /// In nanoseconds; `u64::MAX` when endless.
    pub fn as_ns(self) -> u64 {
        (self.0 * 1e6) as u64
    }
}

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        time(text, 1e3).map(Self).ok_or_else(|| {
            format!("'{}' is not a time; write milliseconds such as 500 or 0.5, or 3s, 2m", visible(text))
        })
    }
}

/// A time in the unit of which a second has `per_second`, which a bare number is in.
fn time(text: &str, per_second: f64) -> Option<f64> {
    let time = match text.trim().parse::<f64>() {
        Ok(number) => number,
        Err(_) => humantime::parse_duration(text).ok()?.as_secs_f64() * per_second,
    };
    (time >= 0.0).then_some(time)
}

/// Values that are numbers where JSON has the number, and text where it has none, as for `inf`; read from either.
macro_rules! numbers {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Scalar::deserialize(deserializer)?.to_string().parse().map_err(D::Error::custom)
            }
        }
    )*};
}
numbers!(Number, Seconds, Millis);

/// A number or a text.
enum Scalar {
    Whole(u64),
    Real(f64),
    Text(String),
}

impl Scalar {
    /// The scalar that `value` is; anything else is refused with its text.
    fn of<E: serde::de::Error>(value: Value) -> Result<Self, E> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Number(number) => Ok(match number.as_u64() {
                Some(whole) => Self::Whole(whole),
                None => Self::Real(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Value::Array(_) => Err(E::custom(format_args!(
                "{value} is a list, and sweeps over several values are not there yet; give one, and run once per value"
            ))),
            other => Err(E::custom(format_args!("{other} is neither a number nor text; write one of them"))),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(Value::deserialize(deserializer)?)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(x) => x.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Reads text that may also be written as a number, a list or a table; these become JSON.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        value => Some(value.to_string()),
    })
}

/// Reads a list of values that may also be written as one, or as text with commas or blanks between them.
pub(crate) fn list<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let scalars = match Value::deserialize(deserializer)? {
        Value::Array(items) => items.into_iter().map(Scalar::of).collect::<Result<_, _>>()?,
        one => vec![Scalar::of(one)?],
    };
    let texts = scalars.iter().map(Scalar::to_string).collect::<Vec<_>>().join(" ");
    let pieces = texts.split([',', ' ']).filter(|piece| !piece.is_empty());
    pieces.map(str::parse).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Reads a list that may also be written as one string.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    texts(Value::deserialize(deserializer)?)
}

/// Reads a list of pairs that may also be written as a table.
pub(crate) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        table @ Value::Object(_) => Ok(vec![table.to_string()]),
        value => texts(value),
    }
}

/// The texts of a list, or the only one.
fn texts<E: serde::de::Error>(value: Value) -> Result<Vec<String>, E> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        other => Err(E::custom(format_args!("{other} is not text; write it in quotes"))),
    };
    match value {
        Value::Array(items) => items.into_iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    }
}

/// Splits pieces such as `key:value,key:value` or `{"key": value}` into pairs, later ones over earlier ones.
///
/// A value is a JSON value where it reads as one (numbers in any notation, `true`, `null`, lists, objects), else text;
/// a comma that no new `key:` follows belongs to the value.
///
/// # Errors
/// What the first piece that is not written so looks like.
pub fn key_values(pieces: &[String]) -> Result<serde_json::Map<String, Value>, String> {
    let mut out = serde_json::Map::new();
    for piece in pieces {
        if piece.trim_start().starts_with('{') {
            let object: serde_json::Map<String, Value> =
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
                "None" | "none" => Value::Null,
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
    fn a_bare_number_is_in_the_unit_of_its_setting() {
        assert_eq!("250".parse(), Ok(Millis(250.0)));
        assert_eq!("2s".parse(), Ok(Millis(2_000.0)));
        assert_eq!(Millis(1.5).as_ns(), 1_500_000);
        assert!("-1".parse::<Millis>().unwrap_err().contains("milliseconds"));
    }

    #[test]
    fn what_json_has_no_number_for_comes_back_all_the_same() {
        for x in [0.0, 1e300, 0.1, f64::INFINITY] {
            let stored = serde_json::to_string(&(Number(x), Seconds(x), Millis(x))).unwrap();
            assert_eq!(
                serde_json::from_str::<(Number, Seconds, Millis)>(&stored).unwrap(),
                (Number(x), Seconds(x), Millis(x))
            );
        }
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
