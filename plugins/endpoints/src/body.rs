//! Writing request bodies: JSON objects, member by member, with extra fields of the user's laid over them.
//!
//! Members keep the order in which they are written. Extras go in as the user wrote them, digit for digit. Text is
//! escaped right into the body; without extras nothing else is allocated.

use inferometer_plugin_sdk::{
    RVec,
    serde::{
        Serialize,
        de::{Deserializer as _, MapAccess, Visitor},
    },
    types::{Error, ErrorKind, Outgoing, Request, Result},
};
use serde_json::value::RawValue;

/// Writes the body of a request: an object of what `members` writes, with the user's extras laid over it. A raw body goes out
/// as it is.
///
/// # Errors
/// Those of `members`, and when the extras are no JSON object.
pub(crate) fn encode(
    request: &Request<'_>,
    out: &mut Outgoing,
    members: impl FnOnce(&mut Object<'_>) -> Result<()>,
) -> Result<()> {
    encode_with(request, request.extra_json.as_str(), out, members)
}

/// The same with other `extras` than the request's, which belong elsewhere.
///
/// # Errors
/// Those of `members`, and when the extras are no JSON object.
pub(crate) fn encode_with(
    request: &Request<'_>,
    extras: &str,
    out: &mut Outgoing,
    members: impl FnOnce(&mut Object<'_>) -> Result<()>,
) -> Result<()> {
    out.body.clear();
    if !request.raw_body.is_empty() {
        out.body.extend_from_slice(&request.raw_body);
        return Ok(());
    }
    object(&mut out.body, extras, members)
}

/// Writes an object of what `members` writes, with `extras` laid over it.
///
/// # Errors
/// Those of `members`, and when the extras are no JSON object.
pub(crate) fn object(
    out: &mut RVec<u8>,
    extras: &str,
    members: impl FnOnce(&mut Object<'_>) -> Result<()>,
) -> Result<()> {
    let mut object = Object::open(out, extras)?;
    members(&mut object)?;
    object.extras()?;
    object.close();
    Ok(())
}

/// A JSON object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut RVec<u8>,
    extras: Vec<Extra<'a>>,
    is_empty: bool,
}

/// A member of the user's extra fields.
pub(crate) struct Extra<'a> {
    pub(crate) key: String,
    pub(crate) value: &'a RawValue,
    is_written: bool,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`. `extras` is a JSON object, or empty; its members replace those written
    /// under the same key.
    ///
    /// # Errors
    /// When `extras` is no JSON object.
    pub(crate) fn open(out: &'a mut RVec<u8>, extras: &'a str) -> Result<Self> {
        let extras = if extras.is_empty() { Vec::new() } else { read_extras(extras)? };
        out.push(b'{');
        Ok(Self { out, extras, is_empty: true })
    }

    /// Writes a member: the extras' value for `key` if they have one, which is then returned as text; else what `value`
    /// writes. Once the extras' value has been written, nothing more is.
    ///
    /// # Errors
    /// Those of `value`.
    pub(crate) fn member(
        &mut self,
        key: &str,
        value: impl FnOnce(&mut RVec<u8>) -> Result<()>,
    ) -> Result<Option<&'a str>> {
        let Some(i) = self.extras.iter().position(|extra| extra.key == key) else {
            self.key(key)?;
            value(self.out)?;
            return Ok(None);
        };
        self.extra(i)?;
        Ok(Some(self.extras[i].value.get()))
    }

    /// Writes a member that is an object of what `members` writes, with the extras' object under `key` laid over it; if they
    /// have something else there, that.
    ///
    /// # Errors
    /// Those of `members`.
    pub(crate) fn nested(&mut self, key: &str, members: impl FnOnce(&mut Object<'_>) -> Result<()>) -> Result<()> {
        let extra = self.extras.iter().find(|extra| extra.key == key).map(|extra| extra.value.get());
        if extra.is_some_and(|extra| !extra.starts_with('{')) {
            return self.member(key, |_| Ok(())).map(drop);
        }
        self.key(key)?;
        object(self.out, extra.unwrap_or_default(), members)?;
        self.extras.iter_mut().filter(|extra| extra.key == key).for_each(|extra| extra.is_written = true);
        Ok(())
    }

    /// Writes those extras that have replaced nothing so far.
    ///
    /// # Errors
    /// Of writing, which to memory does not happen.
    pub(crate) fn extras(&mut self) -> Result<()> {
        (0..self.extras.len()).try_for_each(|i| self.extra(i))
    }

    /// Ends the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    fn extra(&mut self, i: usize) -> Result<()> {
        if !std::mem::replace(&mut self.extras[i].is_written, true) {
            let key = std::mem::take(&mut self.extras[i].key);
            self.key(&key)?;
            self.extras[i].key = key;
            self.out.extend_from_slice(self.extras[i].value.get().as_bytes());
        }
        Ok(())
    }

    fn key(&mut self, key: &str) -> Result<()> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        json(key)(self.out)?;
        self.out.push(b':');
        Ok(())
    }
}

/// Writes a list: `item` writes each of `items`.
///
/// # Errors
/// Those of `item`.
pub(crate) fn list<T>(
    out: &mut RVec<u8>,
    items: &[T],
    mut item: impl FnMut(&mut RVec<u8>, &T) -> Result<()>,
) -> Result<()> {
    out.push(b'[');
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, value)?;
    }
    out.push(b']');
    Ok(())
}

/// A value as JSON, for [`Object::member`].
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> impl FnOnce(&mut RVec<u8>) -> Result<()> + '_ {
    move |out| serde_json::to_writer(out, value).map_err(|e| Error::new(ErrorKind::OTHER, e))
}

/// The members of a JSON object in their order; of those that come twice the last counts, in the place of the first.
///
/// # Errors
/// When `text` is no JSON object.
pub(crate) fn read_extras(text: &str) -> Result<Vec<Extra<'_>>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Extra<'de>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut extras: Vec<Extra<'_>> = Vec::new();
            while let Some((key, value)) = map.next_entry()? {
                match extras.iter_mut().find(|extra| extra.key == key) {
                    Some(earlier) => earlier.value = value,
                    None => extras.push(Extra { key, value, is_written: false }),
                }
            }
            Ok(extras)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    (&mut reader).deserialize_map(Members).and_then(|extras| reader.end().map(|()| extras)).map_err(|e| {
        Error::config(format!("the extra fields `{text}` are no JSON object: {e}; write them like {{\"top_k\": 1}}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(extras: &str) -> String {
        let mut out = RVec::new();
        let mut object = Object::open(&mut out, extras).unwrap();
        object.member("a", json(&1)).unwrap();
        object.member("b", json("x\"\n")).unwrap();
        object.extras().unwrap();
        object.member("z", json(&true)).unwrap();
        object.close();
        String::from_utf8(out.into()).unwrap()
    }

    #[test]
    fn members_keep_their_order_and_text_is_escaped() {
        assert_eq!(written(""), r#"{"a":1,"b":"x\"\n","z":true}"#);
        assert_eq!(written("{}"), written(""));
    }

    #[test]
    fn extras_replace_members_in_their_place_and_follow_in_their_own_order() {
        assert_eq!(
            written(r#"{"q": 1e-3, "b": null, "c": {"y": 1, "x": 2}}"#),
            r#"{"a":1,"b":null,"q":1e-3,"c":{"y": 1, "x": 2},"z":true}"#
        );
    }

    #[test]
    fn a_member_written_after_the_extras_yields_to_them() {
        assert_eq!(written(r#"{"z": false}"#), r#"{"a":1,"b":"x\"\n","z":false}"#);
    }

    #[test]
    fn of_extras_given_twice_the_last_counts() {
        assert_eq!(written(r#"{"a": 2, "k": 1, "a": 3}"#), r#"{"a":3,"b":"x\"\n","k":1,"z":true}"#);
    }

    #[test]
    fn extras_are_laid_over_an_object_within_too() {
        let written = |extras: &'static str| {
            let mut out = RVec::new();
            object(&mut out, extras, |object| object.nested("o", |o| o.member("a", json(&1)).map(drop))).unwrap();
            String::from_utf8(out.into()).unwrap()
        };
        assert_eq!(written(""), r#"{"o":{"a":1}}"#);
        assert_eq!(written(r#"{"b":0,"o":{"c":3,"a":2}}"#), r#"{"o":{"a":2,"c":3},"b":0}"#);
        assert_eq!(written(r#"{"o":null}"#), r#"{"o":null}"#);
    }

    #[test]
    fn extras_that_are_no_object_are_refused_with_their_text() {
        for extras in ["[1]", "1", "{\"a\":1", "{\"a\":1} x", "null"] {
            let error = Object::open(&mut RVec::new(), extras).err().unwrap();
            assert_eq!(error.kind, ErrorKind::CONFIG);
            assert!(error.message.contains(extras), "{error}");
        }
    }
}
