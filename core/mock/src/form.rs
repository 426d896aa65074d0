//! Requests that may come as a form: the same fields in `multipart/form-data` or in a JSON object.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::{Map, Value};

use crate::ask::{Call, parse};
use crate::refusal::Refusal;

/// The fields of a request.
pub(crate) enum Form<'a> {
    Parts(Vec<Part<'a>>),
    Object(Map<String, Value>),
}

/// A part of a multipart body.
pub(crate) struct Part<'a> {
    name: String,
    value: &'a [u8],
}

impl<'a> Form<'a> {
    /// Reads a body: multipart if its type says so, JSON otherwise.
    pub(crate) fn read(call: &Call<'a>) -> Result<Self, Refusal> {
        match &call.request.boundary {
            Some(boundary) => parts(call.body, boundary).map(Self::Parts),
            None => parse(call.body).map(Self::Object),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Parts(parts) => parts.iter().any(|part| part.matches(name)),
            Self::Object(object) => object.get(name).is_some_and(|value| !value.is_null()),
        }
    }

    /// A field as text; numbers and truths as they are written.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::Parts(parts) => {
                let part = parts.iter().find(|part| part.matches(name))?;
                Some(String::from_utf8_lossy(part.value).into_owned())
            }
            Self::Object(object) => match object.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
        }
    }

    /// A count from `range`; `default` if it is not there.
    pub(crate) fn count(
        &self,
        name: &'static str,
        default: usize,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let count = text.trim().parse().ok().filter(|count| range.contains(count));
        count.ok_or_else(|| {
            let message = format!("{name} must be a number from {} to {}, not {text}", range.start(), range.end());
            Refusal::of(name, message)
        })
    }

    /// A truth; false if it is not there.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        match self.text(name).as_deref().map(str::trim) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(false),
            Some(text) => Err(Refusal::of(name, format!("{name} must be true or false, not {text}"))),
        }
    }
}

impl Part<'_> {
    /// Whether it is this field, or an element of a list of that name.
    fn matches(&self, name: &str) -> bool {
        self.name.strip_suffix("[]").unwrap_or(&self.name) == name
    }
}

/// Parts the body at its boundary.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let unusable = |why: &str| Refusal::new(400, format!("the multipart body cannot be used: {why}"));
    let opening = format!("--{boundary}");
    // Every further delimiter begins with the line end before it.
    let delimiter = format!("\r\n--{boundary}");
    let start = memmem::find(body, opening.as_bytes()).ok_or_else(|| unusable("its boundary is not in it"))?;
    let mut rest = &body[start + opening.len()..];
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let head_end = memmem::find(rest, b"\r\n\r\n").ok_or_else(|| unusable("a part has no end of its head"))?;
        let (head, content) = (&rest[..head_end], &rest[head_end + 4..]);
        let end = memmem::find(content, delimiter.as_bytes()).ok_or_else(|| unusable("it does not end"))?;
        let name = name(&String::from_utf8_lossy(head)).ok_or_else(|| unusable("a part has no name"))?;
        parts.push(Part { name, value: &content[..end] });
        rest = &content[end + delimiter.len()..];
    }
}

/// The name in the head of a part.
fn name(head: &str) -> Option<String> {
    let line = head.lines().find(|line| {
        let name = line.split(':').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("content-disposition")
    })?;
    let value = line.split(';').find_map(|field| field.trim().strip_prefix("name="))?;
    Some(unquoted(value).into_owned())
}

/// A parameter of a header's value, with the quotes taken away.
pub(crate) fn unquoted(value: &str) -> Cow<'_, str> {
    match value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(inside) if inside.contains('\\') => Cow::Owned(inside.replace("\\\"", "\"")),
        Some(inside) => Cow::Borrowed(inside),
        None => Cow::Borrowed(value.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--b\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\n2\r\n\
        --b\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
        \x89PNG\r\n--x\r\n--b--\r\n";

    #[test]
    fn parts_are_found_by_name_with_their_bytes_untouched() {
        let form = Form::Parts(parts(BODY, "b").unwrap());
        assert_eq!(form.text("n").unwrap(), "2");
        assert_eq!(form.count("n", 1, 1..=9).unwrap(), 2);
        assert!(form.has("image") && !form.has("mask"));
        let Form::Parts(parts) = &form else { unreachable!() };
        assert_eq!(parts[1].value, b"\x89PNG\r\n--x");
    }

    #[test]
    fn bodies_that_are_cut_or_have_another_boundary_are_refused() {
        for cut in 0..BODY.len() - 5 {
            assert!(parts(&BODY[..cut], "b").is_err(), "{cut}");
        }
        assert!(parts(BODY, "other").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parted_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..200_usize) {
            let whole = [&BODY[..cut.min(BODY.len())], &bytes].concat();
            if let Ok(parts) = parts(&whole, "b") {
                proptest::prop_assert!(parts.iter().map(|part| part.value.len()).sum::<usize>() <= whole.len());
            }
        }
    }

    #[test]
    fn json_objects_give_the_same_fields() {
        let object = serde_json::from_str(r#"{"n":2,"stream":true,"prompt":"a","none":null}"#).unwrap();
        let form = Form::Object(object);
        assert_eq!(form.count("n", 1, 1..=9).unwrap(), 2);
        assert!(form.flag("stream").unwrap() && !form.flag("other").unwrap());
        assert_eq!(form.text("prompt").unwrap(), "a");
        assert!(!form.has("none"));
        assert_eq!(form.count("n", 1, 1..=1).unwrap_err().status, 400);
        assert_eq!(form.flag("prompt").unwrap_err().status, 400);
    }
}
