//! [`Form`]: a `multipart/form-data` body, as browsers send forms with files (RFC 7578); and [`File`], what a part of a
//! message is as one.
//!
//! The same fields give the same bytes: the boundary is counted up to, not drawn.

use crate::body::read_extras;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use inferometer_plugin_sdk::types::{Error, Outgoing, Part, Request, Result};
use serde_json::Value;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A form that is being written.
#[derive(Default)]
pub(crate) struct Form<'a> {
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    name: String,
    content: Content<'a>,
}

enum Content<'a> {
    Text(String),
    File { name: String, file: File<'a> },
}

impl Content<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::File { file, .. } => &file.bytes,
        }
    }
}

impl<'a> Form<'a> {
    /// A field of text.
    pub(crate) fn text(&mut self, name: &str, text: impl Into<String>) {
        self.fields.push(Field { name: name.to_owned(), content: Content::Text(text.into()) });
    }

    /// A file; a form may hold several under one name.
    pub(crate) fn file(&mut self, name: &str, stem: &str, file: File<'a>) {
        let content = Content::File { name: format!("{stem}.{}", file.extension()), file };
        self.fields.push(Field { name: name.to_owned(), content });
    }

    /// Lays the user's extra fields over the form: each replaces the fields of its name. Of a list each item becomes a
    /// field; `null` leaves a field out; what is no text is written as JSON.
    ///
    /// # Errors
    /// When the extras are no JSON object, or have a key that is `taken` by what the turn gives.
    pub(crate) fn extras(&mut self, extras: &str, taken: &[&str]) -> Result<()> {
        let extras = if extras.is_empty() { Vec::new() } else { read_extras(extras)? };
        if let Some(extra) = extras.iter().find(|extra| taken.contains(&extra.key.as_str())) {
            return Err(Error::config(format!(
                "the extra field `{}` cannot be given: it comes from the data set; leave it out of --extra-inputs",
                extra.key
            )));
        }
        for extra in extras {
            let value: Value = serde_json::from_str(extra.value.get())
                .map_err(|e| Error::config(format!("the extra field `{}` cannot be read: {e}", extra.key)))?;
            // A number stays as the user wrote it.
            let texts = match value {
                Value::Null => Vec::new(),
                Value::Array(items) => items.iter().map(plain).collect(),
                Value::Number(_) => vec![extra.value.get().to_owned()],
                one => vec![plain(&one)],
            };
            let at = self.fields.iter().position(|field| field.name == extra.key).unwrap_or(self.fields.len());
            self.fields.retain(|field| field.name != extra.key);
            let field = |text| Field { name: extra.key.clone(), content: Content::Text(text) };
            self.fields.splice(at..at, texts.into_iter().map(field));
        }
        Ok(())
    }

    /// Puts the form into `out`.
    pub(crate) fn finish(self, out: &mut Outgoing) {
        let boundary = self.boundary();
        let body = &mut out.body;
        body.clear();
        body.reserve(self.fields.iter().map(|field| field.content.bytes().len() + 200).sum());
        for Field { name, content } in &self.fields {
            let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name));
            if let Content::File { name, file } = content {
                head += &format!("; filename=\"{name}\"\r\nContent-Type: {}", file.media_type);
            }
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(content.bytes());
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out.content_type = format!("multipart/form-data; boundary={boundary}").into();
    }

    /// A line that occurs in no field.
    fn boundary(&self) -> String {
        const START: &str = "inferometer-form-";
        // All that follow the common beginning are taken; nearly always there are none.
        let taken: Vec<&[u8]> = self
            .fields
            .iter()
            .flat_map(|field| field.content.bytes().windows(START.len() + 16))
            .filter(|window| window.starts_with(START.as_bytes()))
            .collect();
        let mut number = 0_u64;
        loop {
            let boundary = format!("{START}{number:016x}");
            if !taken.contains(&boundary.as_bytes()) {
                return boundary;
            }
            number += 1;
        }
    }
}

/// A value as a field holds it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A name inside double quotes, with what would end it written as browsers do.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// The error for a whole body where a form has to be made, if `request` has one.
///
/// # Errors
/// That.
pub(crate) fn refuse_raw(request: &Request<'_>, endpoint: &str) -> Result<()> {
    if request.raw_body.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!(
        "`{endpoint}` sends forms with files, so a whole body cannot be sent as it is; use a data set of turns, or the \
         endpoint `raw`"
    )))
}

/// The bytes of an image or a sound, with its media type.
pub(crate) struct File<'a> {
    bytes: Vec<u8>,
    media_type: std::borrow::Cow<'a, str>,
}

/// Where the bytes of a part are.
pub(crate) enum Source<'a> {
    Here(File<'a>),
    /// At this address.
    Elsewhere(&'a str),
}

impl<'a> Source<'a> {
    /// Those of `part`: a URL, a data URI, or base64 whose type the part tells. `family` is the part of a media type
    /// before its slash, for those that are given without.
    ///
    /// # Errors
    /// When it is none of them.
    pub(crate) fn of(part: &Part<'a>, family: &str) -> Result<Self> {
        let (data, mime) = (part.data.as_str(), part.mime.as_str());
        if data.starts_with("http://") || data.starts_with("https://") {
            return Ok(Self::Elsewhere(data));
        }
        let begin: String = data.chars().take(40).collect();
        let refuse = |why: &str| {
            Error::config(format!(
                "an {family} `{begin}` {why}; give data:{family}/…;base64,… or base64 and its format"
            ))
        };
        let (media_type, encoded) = match data.strip_prefix("data:") {
            Some(uri) => uri.split_once(";base64,").ok_or_else(|| refuse("is a data URI that is not in base64"))?,
            None if mime.is_empty() => return Err(refuse("has no media type and is no URL")),
            None => (mime, data),
        };
        // What comes after it are parameters, of which none is of use in a form.
        let media_type = media_type.split(';').next().unwrap_or_default();
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
        let media_type = match media_type.split_once('/') {
            Some((family, kind)) if is_plain(family) && is_plain(kind) => media_type.into(),
            None if is_plain(media_type) => format!("{family}/{media_type}").into(),
            _ => return Err(refuse("is of a type that is no media type")),
        };
        let bytes = BASE64.decode(encoded).map_err(|e| refuse(&format!("is no base64 ({e})")))?;
        Ok(Self::Here(File { bytes, media_type }))
    }
}

impl File<'_> {
    /// The usual end of the names of such files.
    fn extension(&self) -> &str {
        let kind = self.media_type.split_once('/').map_or("", |(_, kind)| kind);
        match kind.strip_prefix("x-").unwrap_or(kind) {
            "mpeg" if self.media_type.starts_with("audio/") => "mp3",
            "wave" => "wav",
            kind => kind.split('+').next().unwrap_or(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::types::PartKind;

    fn finished(form: Form<'_>) -> (String, Vec<u8>) {
        let mut out = Outgoing::default();
        form.finish(&mut out);
        let boundary = out.content_type.strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
        (boundary, out.body.to_vec())
    }

    fn file<'a>(data: &'a str, mime: &'a str, family: &str) -> Result<File<'a>> {
        match Source::of(&Part { kind: PartKind::AUDIO, mime: mime.into(), ..Part::text(data) }, family)? {
            Source::Here(file) => Ok(file),
            Source::Elsewhere(url) => panic!("{url} is taken for an address"),
        }
    }

    #[test]
    fn a_form_is_written_as_the_standard_has_it() {
        let mut form = Form::default();
        form.text("prompt", "a\r\n\"cat\"");
        form.file("image", "image-0", file("data:image/png;base64,AP8NCg==", "", "image").unwrap());
        let (line, body) = finished(form);
        let text = |text: &str| text.replace("LINE", &line).replace('\n', "\r\n").into_bytes();
        let mut expected = text("--LINE\nContent-Disposition: form-data; name=\"prompt\"\n\na\n\"cat\"\n");
        expected.extend(text("--LINE\nContent-Disposition: form-data; name=\"image\"; filename=\"image-0.png\"\n"));
        expected.extend(text("Content-Type: image/png\n\n"));
        expected.extend([0, 255, 13, 10]);
        expected.extend(text("\n--LINE--\n"));
        assert_eq!(body, expected);
    }

    #[test]
    fn the_boundary_occurs_in_no_field_and_a_name_cannot_end_its_header() {
        let (first, _) = finished(Form::default());
        let mut form = Form::default();
        form.text("a\"\r\nb", format!("--{first}"));
        let (second, body) = finished(form);
        assert_ne!(first, second);
        assert!(String::from_utf8(body).unwrap().contains("name=\"a%22%0D%0Ab\"\r\n"));
    }

    #[test]
    fn extras_replace_fields_in_their_place_and_lists_become_several() {
        let mut form = Form::default();
        form.text("n", "1");
        form.text("model", "m");
        form.extras(r#"{"n":null,"model":"o","t[]":["a","b"],"x":1e-3,"y":true,"z":{"k":1}}"#, &["file"]).unwrap();
        let fields: Vec<_> =
            form.fields.iter().map(|f| (f.name.as_str(), std::str::from_utf8(f.content.bytes()).unwrap())).collect();
        assert_eq!(
            fields,
            [("model", "o"), ("t[]", "a"), ("t[]", "b"), ("x", "1e-3"), ("y", "true"), ("z", r#"{"k":1}"#)]
        );
        assert!(form.extras(r#"{"file":"x"}"#, &["file"]).unwrap_err().message.contains("`file`"));
        assert!(form.extras("[1]", &[]).is_err());
    }

    #[test]
    fn bytes_are_found_in_data_uris_and_in_base64_with_a_type() {
        for (data, mime, family, media_type, extension) in [
            ("data:image/jpeg;base64,AP8=", "", "image", "image/jpeg", "jpeg"),
            ("data:image/svg+xml;charset=utf-8;base64,AP8", "", "image", "image/svg+xml", "svg"),
            ("AP8=", "wav", "audio", "audio/wav", "wav"),
            ("AP8", "audio/mpeg", "audio", "audio/mpeg", "mp3"),
            ("AP8", "audio/x-wav", "audio", "audio/x-wav", "wav"),
        ] {
            let file = file(data, mime, family).unwrap();
            assert_eq!((&*file.media_type, file.extension()), (media_type, extension), "{data}");
            assert_eq!(file.bytes, [0, 255], "{data}");
        }
    }

    #[test]
    fn what_has_no_bytes_is_refused_with_the_way_out() {
        for (data, mime, words) in [
            ("data:image/png,AP8=", "", "not in base64"),
            ("data:image/p\r\nng;base64,AP8=", "", "no media type"),
            ("data:;base64,AP8=", "", "no media type"),
            ("data:image/png;base64,A!", "", "no base64"),
            ("AP8=", "", "no media type and is no URL"),
        ] {
            let error = file(data, mime, "image").err().unwrap_or_else(|| panic!("{data} is taken"));
            assert!(error.message.contains(words) && error.message.contains("base64"), "{error}");
        }
    }
}
