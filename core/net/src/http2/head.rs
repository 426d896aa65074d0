//! [`Prepared`]: a request's head as HTTP/2 has it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, uri::Scheme};
use inferometer_model::{Failure, FailureKind};

/// Header fields of HTTP/1 that speak of the connection.
const OF_CONNECTIONS: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"];

/// The part of a request's head that does not change from request to request.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Prepared {
    /// What `rendered`, the beginning of a request of HTTP/1.1, is by HTTP/2; `is_secure`: over TLS.
    pub(crate) fn of(rendered: &str, is_secure: bool) -> Result<Self, Failure> {
        let refuse = |what: &str| Failure::new(FailureKind::Plugin, format!("{what:?} cannot be sent by HTTP/2"));
        let mut lines = rendered.split_terminator("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut authority = "";
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(|| refuse(line))?;
            let lower = name.to_ascii_lowercase();
            if lower == "host" {
                authority = value;
            } else if !OF_CONNECTIONS.contains(&lower.as_str()) && !lower.starts_with("proxy-") {
                let name = HeaderName::try_from(lower).map_err(|_| refuse(line))?;
                headers.append(name, HeaderValue::try_from(value).map_err(|_| refuse(line))?);
            }
        }
        // A proxy that passes requests on is given all of the URL.
        let target = Uri::try_from(target).map_err(|_| refuse(first))?;
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        let scheme = if is_secure { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        let method = Method::try_from(method).map_err(|_| refuse(first))?;
        Ok(Self { method, uri: uri.map_err(|_| refuse(authority))?, headers })
    }

    /// The head of a request with a body of so many bytes, with `ids` in the header fields of those names.
    pub(crate) fn request(&self, ids: [(&str, &[u8]); 2], length: usize) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        for (name, id) in ids {
            if let (Ok(name), Ok(mut id)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(id)) {
                // It will not be sent again: neither side need remember it.
                id.set_sensitive(true);
                headers.insert(name, id);
            }
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_http1_becomes_one_of_http2() {
        let rendered = "POST /v1/x?a=b HTTP/1.1\r\nHost: h:1\r\nAccept: a/b\r\nX-Two: 1\r\nX-Two: 2\r\n\
                        Connection: close\r\nProxy-Authorization: secret\r\n";
        let request = Prepared::of(rendered, true).unwrap().request([("X-Request-ID", b"r"), ("X-Own", b"c")], 3);
        assert_eq!((request.method(), request.uri().to_string()), (&Method::POST, "https://h:1/v1/x?a=b".to_owned()));
        let mut fields: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        fields.sort_unstable();
        let expected = [
            ("accept", "a/b"),
            ("content-length", "3"),
            ("x-own", "c"),
            ("x-request-id", "r"),
            ("x-two", "1"),
            ("x-two", "2"),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_head_for_a_proxy_keeps_the_servers_name_and_path() {
        let request = Prepared::of("GET http://h/a HTTP/1.1\r\nHost: h\r\n", false).unwrap();
        assert_eq!(request.request([("a", b"b"), ("c", b"d")], 0).uri().to_string(), "http://h/a");
    }
}
