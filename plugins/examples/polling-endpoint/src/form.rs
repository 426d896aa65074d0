//! [`Form`]: a `multipart/form-data` body, as browsers send forms with files (RFC 7578).

/// A form, written field by field.
#[derive(Default)]
pub(crate) struct Form {
    fields: Vec<Field>,
}

struct Field {
    name: String,
    file: Option<File>,
    content: Vec<u8>,
}

struct File {
    name: String,
    media_type: String,
}

impl Form {
    /// A field of text; one of that name that was there before is replaced.
    pub(crate) fn text(&mut self, name: &str, content: &str) {
        self.fields.retain(|field| field.name != name);
        self.fields.push(Field { name: name.to_owned(), file: None, content: content.as_bytes().to_vec() });
    }

    /// A file; a form may hold several under one name.
    pub(crate) fn file(&mut self, name: &str, file_name: &str, media_type: &str, content: Vec<u8>) {
        let file = File { name: file_name.to_owned(), media_type: media_type.to_owned() };
        self.fields.push(Field { name: name.to_owned(), file: Some(file), content });
    }

    /// The content type and the body. The same fields give the same bytes.
    pub(crate) fn finish(self) -> (String, Vec<u8>) {
        let boundary = self.boundary();
        let mut body = Vec::new();
        for Field { name, file, content } in &self.fields {
            let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name));
            if let Some(File { name, media_type }) = file {
                head += &format!("; filename=\"{}\"\r\nContent-Type: {media_type}", quoted(name));
            }
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// A line that occurs in no field. It is counted up to rather than drawn: a run that is repeated sends the same bytes.
    fn boundary(&self) -> String {
        let occurs = |line: &str| {
            self.fields.iter().any(|field| field.content.windows(line.len()).any(|window| window == line.as_bytes()))
        };
        let mut number = 0_u64;
        loop {
            let boundary = format!("----form-boundary-{number:016x}");
            if !occurs(&boundary) {
                return boundary;
            }
            number += 1;
        }
    }
}

/// A name inside double quotes, with what would end it written as browsers do.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_the_standard_has_it() {
        let mut form = Form::default();
        form.text("prompt", "a\r\n\"cat\"");
        form.text("model", "old");
        form.text("model", "m");
        form.file("image", "image.png", "image/png", vec![0, 255, 13, 10]);
        let (content_type, body) = form.finish();
        let line = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = |text: &str| text.replace("LINE", line).replace('\n', "\r\n").into_bytes();
        let mut expected = text("--LINE\nContent-Disposition: form-data; name=\"prompt\"\n\na\n\"cat\"\n");
        expected.extend(text("--LINE\nContent-Disposition: form-data; name=\"model\"\n\nm\n"));
        expected.extend(text("--LINE\nContent-Disposition: form-data; name=\"image\"; filename=\"image.png\"\n"));
        expected.extend(text("Content-Type: image/png\n\n"));
        expected.extend([0, 255, 13, 10]);
        expected.extend(text("\n--LINE--\n"));
        assert_eq!(body, expected);
    }

    #[test]
    fn the_boundary_occurs_in_no_field_and_a_name_cannot_end_its_header() {
        let (first, _) = Form::default().finish();
        let taken = first.split_once('=').unwrap().1.to_owned();
        let mut form = Form::default();
        form.text("a\"\r\nb", &taken);
        let (content_type, body) = form.finish();
        assert!(!content_type.ends_with(&taken));
        assert!(String::from_utf8(body).unwrap().contains("name=\"a%22%0D%0Ab\"\r\n"));
    }
}
