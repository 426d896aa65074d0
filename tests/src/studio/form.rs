//! Reads `multipart/form-data`, strictly, and by its boundary alone.

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The file's name, if it is a file.
    pub file_name: Option<String>,
    /// Its media type, if it has one.
    pub content_type: Option<String>,
    /// What it holds.
    pub content: Vec<u8>,
}

impl Field {
    /// A field of text.
    #[must_use]
    pub fn text(name: &str, content: &str) -> Self {
        Self { name: name.to_owned(), file_name: None, content_type: None, content: content.as_bytes().to_vec() }
    }
}

/// The fields of a form, in order.
///
/// # Errors
/// Says where it is none.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Vec<Field>, String> {
    let boundary = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .ok_or_else(|| format!("the content type is {content_type:?}"))?;
    let line = format!("--{boundary}");
    let mut rest = body.strip_prefix(line.as_bytes()).ok_or("it does not begin with its boundary")?;
    let between = format!("\r\n{line}");
    let mut fields = Vec::new();
    while rest != b"--\r\n" {
        let part = rest.strip_prefix(b"\r\n").ok_or("a boundary is not the whole of its line")?;
        let end = find(part, between.as_bytes()).ok_or("a part has no end")?;
        fields.push(field(&part[..end])?);
        rest = &part[end + between.len()..];
    }
    Ok(fields)
}

fn field(part: &[u8]) -> Result<Field, String> {
    let end = find(part, b"\r\n\r\n").ok_or("a part has no head")?;
    let head = std::str::from_utf8(&part[..end]).map_err(|error| format!("a part's head: {error}"))?;
    let (mut name, mut file_name, mut content_type) = (None, None, None);
    for line in head.split("\r\n") {
        if let Some(disposition) = line.strip_prefix("Content-Disposition: form-data; ") {
            for pair in disposition.split("; ") {
                let (key, value) = pair.split_once('=').ok_or_else(|| format!("a part's head has {pair:?}"))?;
                let value = value.trim_matches('"').to_owned();
                match key {
                    "name" => name = Some(value),
                    "filename" => file_name = Some(value),
                    _ => return Err(format!("a part's head has {pair:?}")),
                }
            }
        } else if let Some(value) = line.strip_prefix("Content-Type: ") {
            content_type = Some(value.to_owned());
        } else {
            return Err(format!("a part's head has {line:?}"));
        }
    }
    let name = name.ok_or("a part has no name")?;
    Ok(Field { name, file_name, content_type, content: part[end + 4..].to_vec() })
}

fn find(within: &[u8], piece: &[u8]) -> Option<usize> {
    within.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_and_what_is_none_is_refused() {
        let kind = "multipart/form-data; boundary=B";
        let body = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\r\n--B\r\nContent-Disposition: \
                     form-data; name=\"b\"; filename=\"f\"\r\nContent-Type: x/y\r\n\r\n\0--B\r\n--B--\r\n";
        let file = Field {
            name: "b".to_owned(),
            file_name: Some("f".to_owned()),
            content_type: Some("x/y".to_owned()),
            content: b"\0--B".to_vec(),
        };
        assert_eq!(read(kind, body), Ok(vec![Field::text("a", "1\r\n"), file]));
        assert!(read("application/json", body).is_err());
        assert!(read(kind, &body[..body.len() - 4]).is_err());
        assert!(read(kind, b"--B\r\nX: y\r\n\r\n1\r\n--B--\r\n").is_err());
    }
}
