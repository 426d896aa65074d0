//! Bodies as a person can read them: what is no text is told by its size and type, and what is long is cut.

/// Most characters of a body, and of a text in it.
const LONGEST_BODY: usize = 2_000;
const LONGEST_TEXT: usize = 1_000;
/// Most bytes before the comma of a data URI.
const LONGEST_TYPE: usize = 100;

/// A body of this type as it is shown.
pub(super) fn shown(content_type: &str, body: &[u8]) -> String {
    let boundary = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
    match boundary.filter(|_| content_type.starts_with("multipart/")) {
        Some(boundary) => parts(body, &format!("--{}", boundary.trim_matches('"'))),
        None => text_or_size(content_type, body),
    }
}

/// The parts of a form, a line each.
fn parts(body: &[u8], boundary: &str) -> String {
    let mut shown = String::new();
    let mut rest = body;
    while let Some(at) = find(rest, boundary.as_bytes()) {
        rest = &rest[at + boundary.len()..];
        let part = &rest[..find(rest, boundary.as_bytes()).unwrap_or(rest.len())];
        let Some(end) = find(part, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&part[..end]);
        let content = part[end + 4..].strip_suffix(b"\r\n").unwrap_or(&part[end + 4..]);
        let lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
        let kind = lines.iter().filter_map(|line| line.split_once(':'));
        let kind =
            kind.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, kind)| kind.trim()).next();
        shown +=
            &format!("\n  {}: {}", visible(&lines.join("; ")), text_or_size(kind.unwrap_or("text/plain"), content));
    }
    shown
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn text_or_size(content_type: &str, body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains('\0') => cut(&visible(&abridged(text)), LONGEST_BODY),
        _ => size(body.len(), content_type),
    }
}

fn size(bytes: usize, kind: &str) -> String {
    format!("<{} bytes, {}>", grouped(bytes), visible(kind))
}

/// JSON whose long texts are cut.
fn abridged(json: &str) -> String {
    let mut shown = String::new();
    let mut rest = json;
    while let Some(at) = rest.find('"') {
        let (before, text) = rest.split_at(at + 1);
        shown.push_str(before);
        let mut is_escaped = false;
        let closes = |byte: u8| {
            let closes = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            closes
        };
        let end = text.bytes().position(closes).unwrap_or(text.len());
        shown.push_str(&short(&text[..end]));
        shown.push_str(text.get(end..=end).unwrap_or_default());
        rest = text.get(end + 1..).unwrap_or_default();
    }
    shown + rest
}

/// A text of a body, its beginning if it is long, and its size and type if it is a file as a data URI.
fn short(text: &str) -> String {
    let file = text.strip_prefix("data:").and_then(|uri| uri.split_once(";base64,"));
    if let Some((kind, content)) = file.filter(|(kind, _)| kind.len() <= LONGEST_TYPE) {
        return size(decoded(content), kind);
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    if text.len() > LONGEST_TEXT && text.bytes().all(is_base64) {
        return size(decoded(text), "base64");
    }
    cut(text, LONGEST_TEXT)
}

/// Bytes that a base64 text stands for.
fn decoded(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// The first `most` characters, and how many are not shown.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => {
            format!("{}… <{} more characters>", &text[..at], grouped(text[at..].chars().count()))
        }
    }
}

/// `text` with nothing that a terminal would obey.
fn visible(text: &str) -> String {
    text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "\u{fffd}")
}

/// `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let comes_first = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    digits.char_indices().flat_map(|(at, digit)| comes_first(at).then_some(',').into_iter().chain([digit])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_body_is_shown_as_it_is() {
        let body = r#"{"model": "m", "messages": [{"content": "a \"b\" \\"}], "n": 1}"#;
        assert_eq!(shown("application/json", body.as_bytes()), body);
        assert_eq!(shown("application/json", b"no \"JSON"), "no \"JSON");
    }

    #[test]
    fn a_file_in_a_body_is_told_by_its_size_and_type() {
        let content = "A".repeat(4_000_000);
        let body = format!(r#"{{"url": "data:image/png;base64,{content}", "data": "{content}"}}"#);
        let expected = r#"{"url": "<3,000,000 bytes, image/png>", "data": "<3,000,000 bytes, base64>"}"#;
        assert_eq!(shown("application/json", body.as_bytes()), expected);
        assert_eq!(shown("application/octet-stream", &[0xff; 1_234]), "<1,234 bytes, application/octet-stream>");
    }

    #[test]
    fn the_parts_of_a_form_are_shown_each_by_its_kind() {
        let mut body = b"--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n".to_vec();
        body.extend(b"--xyz\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: audio/wav\r\n\r\nRIFF");
        body.extend([0xff; 3_240]);
        body.extend(b"\r\n--xyz--\r\n");
        let expected = "\n  Content-Disposition: form-data; name=\"model\": m\
                        \n  Content-Disposition: form-data; name=\"file\"; Content-Type: audio/wav: <3,244 bytes, audio/wav>";
        assert_eq!(shown("multipart/form-data; boundary=xyz", &body), expected);
    }

    #[test]
    fn what_is_long_is_cut_and_says_by_how_much() {
        let body = format!(r#"{{"prompt": "{}", "n": 1}}"#, "a b ".repeat(1_000));
        let said = shown("application/json", body.as_bytes());
        assert!(said.ends_with(r#"… <3,000 more characters>", "n": 1}"#), "{said}");
        let list = format!("[{}]", r#""ab é","#.repeat(1_000));
        let said = shown("application/json", list.as_bytes());
        assert!(said.ends_with("more characters>") && said.chars().count() < 2_100, "{said}");
    }

    #[test]
    fn nothing_in_a_body_takes_hold_of_the_terminal() {
        assert!(!shown("text/plain", b"\x1b[2J\x07").contains(['\u{1b}', '\u{7}']));
    }
}
