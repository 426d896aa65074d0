//! The request's head: everything that stays the same is rendered once per destination.

use crate::{destination::Destination, http2::Prepared};
use inferometer_model::{Failure, FailureKind};
use std::sync::OnceLock;

/// The header that takes a session's identifier, unless the user names another.
const SESSION_HEADER: &str = "X-Correlation-ID";

/// The identifiers that join a request with the server's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// `X-Request-ID`.
    pub request: [u8; 16],
    /// The session's, the same for all its requests: `X-Correlation-ID`, or what the user calls it.
    pub correlation: [u8; 16],
}

/// The part of a request's head that does not change from request to request.
#[derive(Clone, Debug)]
pub struct Head {
    rendered: Vec<u8>,
    session_header: String,
    /// The same for HTTP/2, from the first time it is asked for.
    prepared: OnceLock<Result<Prepared, Failure>>,
}

impl Head {
    /// Renders the head of requests with `method` and `path` to `destination`.
    ///
    /// # Errors
    /// When a part holds what would end its line, or its place in it: it names the part.
    pub fn new<'a>(
        method: &str,
        path: &str,
        destination: &Destination,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Failure> {
        let refuse = |what: String| Err(Failure::new(FailureKind::Plugin, format!("{what} cannot be sent")));
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return refuse(format!("the method {method:?}"));
        }
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(format!("the path {path:?}"));
        }
        let authority = &destination.authority;
        let mut rendered = match destination.forwarder() {
            None => format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n"),
            Some(proxy) => {
                let to_proxy = proxy.authorization.as_ref();
                let to_proxy = to_proxy.map(|value| format!("Proxy-Authorization: {}\r\n", value.reveal()));
                let to_proxy = to_proxy.unwrap_or_default();
                format!("{method} http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{to_proxy}")
            }
        };
        for (name, value) in headers {
            let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(|byte| byte.is_ascii_control()) {
                return refuse(format!("the header {name:?}"));
            }
            rendered.push_str(name);
            rendered.push_str(": ");
            rendered.push_str(value);
            rendered.push_str("\r\n");
        }
        Ok(Self {
            rendered: rendered.into_bytes(),
            session_header: SESSION_HEADER.to_owned(),
            prepared: OnceLock::new(),
        })
    }

    /// The same head, with the session's identifier in the header called `name`.
    pub fn with_session_header(self, name: &str) -> Self {
        Self { session_header: name.to_owned(), ..self }
    }

    /// The head of a request with a body of so many bytes by HTTP/2; `is_secure`: over TLS, which is the same each time.
    pub(crate) fn http2(&self, ids: RequestIds, length: usize, is_secure: bool) -> Result<http::Request<()>, Failure> {
        let prepared = self.prepared.get_or_init(|| Prepared::of(&String::from_utf8_lossy(&self.rendered), is_secure));
        let prepared = prepared.as_ref().map_err(Clone::clone)?;
        let (mut request, mut correlation) = (Vec::with_capacity(36), Vec::with_capacity(36));
        push_uuid(ids.request, &mut request);
        push_uuid(ids.correlation, &mut correlation);
        Ok(prepared.request([("X-Request-ID", &request), (&self.session_header, &correlation)], length))
    }

    /// Writes the whole request into `out`, in place of what it holds.
    pub fn write(&self, ids: RequestIds, body: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.rendered);
        out.extend_from_slice(b"X-Request-ID: ");
        push_uuid(ids.request, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.session_header.as_bytes());
        out.extend_from_slice(b": ");
        push_uuid(ids.correlation, out);
        out.extend_from_slice(b"\r\nContent-Length: ");
        push_decimal(body.len(), out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }
}

/// The 128 bits in the usual form of 8-4-4-4-12 hexadecimal digits.
fn push_uuid(id: [u8; 16], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, byte) in id.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn push_decimal(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_whole() {
        let destination = Destination::direct("h:1", Vec::new());
        let mut out = Vec::new();
        let ids = RequestIds { request: [0xab; 16], correlation: [1; 16] };
        Head::new("POST", "/v1/x", &destination, [("Accept", "a/b")]).unwrap().write(ids, b"{}", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /v1/x HTTP/1.1\r\nHost: h:1\r\nAccept: a/b\r\nX-Request-ID: abababab-abab-abab-abab-abababababab\r\n\
             X-Correlation-ID: 01010101-0101-0101-0101-010101010101\r\nContent-Length: 2\r\n\r\n{}"
        );
    }

    #[test]
    fn a_sessions_identifier_goes_by_the_name_that_was_given() {
        let mut out = Vec::new();
        let head = Head::new("POST", "/", &Destination::direct("h", Vec::new()), []).unwrap();
        head.with_session_header("X-Session").write(
            RequestIds { request: [0; 16], correlation: [1; 16] },
            b"",
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\r\nX-Session: 01010101-") && !text.contains("X-Correlation-ID"), "{text}");
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_head() {
        let destination = Destination::direct("h:1", Vec::new());
        let head = |method, path, name, value| Head::new(method, path, &destination, [(name, value)]);
        assert!(head("POST", "/v1", "X-A", "b c").is_ok());
        for (method, path, name, value) in [
            ("POST", "/ HTTP/1.1", "X-A", "b"),
            ("POST", "/v1\r\nX: y", "X-A", "b"),
            ("POST", "v1", "X-A", "b"),
            ("PO ST", "/v1", "X-A", "b"),
            ("POST", "/v1", "X-A: b\r\nX-B", "b"),
            ("POST", "/v1", "X-A", "b\r\nX-B: c"),
        ] {
            assert!(head(method, path, name, value).is_err(), "{method} {path} {name} {value}");
        }
    }
}
