//! HTTP/1.1 responses: the head, and the body's extent. Sans I/O.

use inferometer_model::{Failure, FailureKind};
use std::{mem::MaybeUninit, ops::Range};

/// Most header fields that are read.
const MOST_HEADERS: usize = 256;

/// What is needed of a response's head. Places are within the head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// Its own length in bytes.
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) content_type: Range<usize>,
    /// Whether the connection may serve again once the body is read.
    pub(crate) keep_alive: bool,
    pub(crate) body: Body,
    /// The content coding; empty if there is none.
    pub(crate) encoding: Range<usize>,
}

impl ResponseHead {
    /// Whether it only announces the response proper. A switch of protocols does not: nothing of HTTP follows it.
    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }
}

/// Where the name and the value of a header field are within the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPlace {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Reads a head from the beginning of `input`: what it says, or `None` if it is not whole yet. Its fields' places go into
/// `fields`. Interim responses (1xx) are the caller's to skip.
pub(crate) fn parse_head(input: &[u8], fields: &mut Vec<FieldPlace>) -> Result<Option<ResponseHead>, Failure> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, input, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(e) => return Err(no_http(input, e)),
    };
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - input.as_ptr() as usize;
        start..start + part.len()
    };
    let status = response.code.unwrap_or_default();
    let mut keep_alive = response.version == Some(1);
    let (mut content_length, mut chunked, mut content_type, mut encoding) = (None, false, 0..0, 0..0);
    fields.clear();
    for field in response.headers.iter() {
        let value = field.value.trim_ascii();
        fields.push(FieldPlace { name: place(field.name.as_bytes()), value: place(value) });
        if field.name.eq_ignore_ascii_case("content-length") {
            // One that was sent twice may come as a list.
            for member in options(value) {
                let length = number(member).ok_or_else(|| {
                    malformed(format!("Content-Length '{}' is not a number of bytes", String::from_utf8_lossy(value)))
                })?;
                if content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(malformed("two different Content-Lengths".to_owned()));
                }
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = options(value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
            // A coding of the transfer is undone as one of the content is.
            let coding = options(value).find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"chunked"));
            encoding = coding.map_or(encoding, place);
        } else if field.name.eq_ignore_ascii_case("connection") {
            for option in options(value) {
                if option.eq_ignore_ascii_case(b"close") {
                    keep_alive = false;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    keep_alive = true;
                }
            }
        } else if field.name.eq_ignore_ascii_case("content-type") {
            content_type = place(value);
        } else if field.name.eq_ignore_ascii_case("content-encoding") {
            encoding = place(value);
        }
    }
    let body = match (status, chunked, content_length) {
        (101, ..) => {
            // What follows is no HTTP.
            keep_alive = false;
            Body::Length(0)
        }
        (100..=199 | 204 | 304, ..) => Body::Length(0),
        (_, true, _) => Body::Chunked(Chunk::Size { value: 0, digits: 0 }),
        (_, false, Some(length)) => Body::Length(length),
        (_, false, None) => {
            keep_alive = false;
            Body::UntilClose
        }
    };
    Ok(Some(ResponseHead { length, status, content_type, keep_alive, body, encoding }))
}

/// A number of bytes, if `digits` are nothing else and it can be one.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What it is that came in place of a head, as far as that is known.
#[cold]
fn no_http(input: &[u8], error: httparse::Error) -> Failure {
    let what = match input {
        // The settings that every connection of HTTP/2 begins with.
        [0, 0, _, 4, ..] => "the server speaks HTTP/2 alone: --http-version".to_owned(),
        _ if error == httparse::Error::TooManyHeaders => format!("its head has more than {MOST_HEADERS} fields"),
        _ => {
            let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            let begins = String::from_utf8_lossy(&line[..line.len().min(60)]);
            format!("{error}; it begins with '{}'", begins.escape_debug())
        }
    };
    malformed(format!("the answer is not HTTP/1.1: {what}"))
}

/// The members of a list in a field's value.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The header fields of an answer that is handed over whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    head: &'a [u8],
    places: &'a [FieldPlace],
}

impl<'a> Fields<'a> {
    /// The fields at `places` in `head`, which is put into the form that they are handed over in: names in lower case, `?`
    /// for whatever is not ASCII in a value that is not UTF-8.
    pub(crate) fn of(head: &'a mut [u8], places: &'a [FieldPlace]) -> Self {
        for FieldPlace { name, value } in places {
            head[name.clone()].make_ascii_lowercase();
            let value = &mut head[value.clone()];
            if std::str::from_utf8(value).is_err() {
                value.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
            }
        }
        Self { head, places }
    }

    /// Their names, in lower case, and values, in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let text = |place: &Range<usize>| std::str::from_utf8(&self.head[place.clone()]).unwrap_or_default();
        self.places.iter().map(move |field| (text(&field.name), text(&field.value)))
    }
}

/// How far the body reaches, and how far it has been read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunked transfer coding.
    Chunked(Chunk),
    /// Until the connection is closed.
    UntilClose,
}

/// Where in the chunked coding the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { line_is_empty: bool },
    TrailerLf,
    Done,
}

/// The next thing in the input: so many bytes of framing, then so many of the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) framing: usize,
    pub(crate) data: usize,
}

impl Body {
    /// Whether all of it was read.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Takes the next piece of `input`. Nothing taken means that more input is needed, or that the body is done.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<Piece, Failure> {
        match self {
            Self::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= data as u64;
                Ok(Piece { framing: 0, data })
            }
            Self::UntilClose => Ok(Piece { framing: 0, data: input.len() }),
            Self::Chunked(state) => state.take(input),
        }
    }
}

impl Chunk {
    fn take(&mut self, input: &[u8]) -> Result<Piece, Failure> {
        for (at, &byte) in input.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Data { left }, _) => {
                    let data = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    let left = left - data as u64;
                    *self = if left == 0 { Self::DataCr } else { Self::Data { left } };
                    return Ok(Piece { framing: at, data });
                }
                (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                    if digits == 16 {
                        return Err(malformed("a chunk size of more than 16 digits".to_owned()));
                    }
                    let digit = (byte as char).to_digit(16).unwrap_or_default();
                    Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
                }
                (Self::Size { value, digits: 1.. }, b'\r') | (Self::Extension { value }, b'\r') => {
                    Self::SizeLf { value }
                }
                (Self::Size { value, digits: 1.. } | Self::Extension { value } | Self::SizeLf { value }, b'\n') => {
                    if value == 0 {
                        Self::Trailer { line_is_empty: true }
                    } else {
                        Self::Data { left: value }
                    }
                }
                (Self::Size { value, digits: 1.. }, b';' | b' ' | b'\t') | (Self::Extension { value }, _) => {
                    Self::Extension { value }
                }
                (Self::DataCr, b'\r') => Self::DataLf,
                (Self::DataCr | Self::DataLf, b'\n') => Self::Size { value: 0, digits: 0 },
                (Self::Trailer { line_is_empty: true }, b'\r') => Self::TrailerLf,
                (Self::Trailer { line_is_empty: true } | Self::TrailerLf, b'\n') => {
                    *self = Self::Done;
                    return Ok(Piece { framing: at + 1, data: 0 });
                }
                (Self::Trailer { .. }, b'\n') => Self::Trailer { line_is_empty: true },
                (Self::Trailer { .. }, _) => Self::Trailer { line_is_empty: false },
                (Self::Done, _) => return Ok(Piece { framing: at, data: 0 }),
                (state, byte) => {
                    return Err(malformed(format!("byte 0x{byte:02x} where the chunked coding has {state:?}")));
                }
            };
        }
        Ok(Piece { framing: input.len(), data: 0 })
    }
}

fn malformed(message: String) -> Failure {
    Failure::new(FailureKind::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a body given in `pieces`; its bytes, and whether it was whole.
    fn read(mut body: Body, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Failure> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            loop {
                let taken = body.take(input)?;
                out.extend_from_slice(&input[taken.framing..taken.framing + taken.data]);
                input = &input[taken.framing + taken.data..];
                if input.is_empty() || body.is_done() || (taken.framing, taken.data) == (0, 0) {
                    break;
                }
            }
        }
        Ok((out, body.is_done()))
    }

    fn chunked() -> Body {
        Body::Chunked(Chunk::Size { value: 0, digits: 0 })
    }

    #[test]
    fn a_head_says_how_far_its_body_reaches() {
        let head = |text: &str| parse_head(text.as_bytes(), &mut Vec::new()).unwrap().unwrap();
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain \r\n\r\n";
        let plain = head(text);
        assert_eq!((plain.body, plain.keep_alive, &text[plain.content_type]), (Body::Length(5), true, "text/plain"));
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        let coded = head(text);
        assert_eq!((coded.body, &text[coded.encoding]), (chunked(), "gzip"));
        let close = head("HTTP/1.0 200 OK\r\n\r\n");
        assert_eq!((close.body, close.keep_alive), (Body::UntilClose, false));
        assert!(!head("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n").keep_alive);
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n").body, Body::Length(0));
    }

    #[test]
    fn fields_are_read_in_their_order_with_names_in_lower_case() {
        let mut head =
            b"HTTP/1.1 200 Fine: OK\r\nRetry-AFTER: 3\r\nLocation:http://H/\xc3\xa9:b\r\nX: a\xff\r\nx:\r\n\r\n"
                .to_vec();
        let mut places = Vec::new();
        parse_head(&head, &mut places).unwrap().unwrap();
        let read: Vec<(&str, &str)> = Fields::of(&mut head, &places).iter().collect();
        assert_eq!(read, [("retry-after", "3"), ("location", "http://H/é:b"), ("x", "a?"), ("x", "")]);
    }

    #[test]
    fn a_head_that_is_not_whole_waits_and_one_that_is_not_http_fails() {
        let parse = |input: &[u8]| parse_head(input, &mut Vec::new());
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert!(parse(b"<html>hello</html>\r\n\r\n").unwrap_err().message.contains("not HTTP/1.1"));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n").is_err());
        let twice = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert_eq!(twice.unwrap().body, Body::Length(3));
        assert!(parse(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0").unwrap_err().message.contains("HTTP/2"));
        let fields = "X: 1\r\n".repeat(MOST_HEADERS + 1);
        let many = parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).unwrap_err();
        assert!(many.message.contains("256 fields"), "{many}");
    }

    #[test]
    fn chunk_extensions_and_trailers_are_passed_over() {
        let (data, whole) =
            read(chunked(), &[b"3;name=value\r\nabc\r\nA \r\n0123456789\r\n0\r\nX-Trailer: y\r\n\r\n"]).unwrap();
        assert_eq!((data.as_slice(), whole), (b"abc0123456789".as_slice(), true));
    }

    #[test]
    fn a_body_that_breaks_the_coding_is_malformed() {
        assert!(read(chunked(), &[b"xyz"]).is_err());
        assert!(read(chunked(), &[b"3\r\nabcX"]).is_err());
        assert!(read(chunked(), &[b"11111111111111111\r\n"]).is_err());
    }

    proptest! {
        #[test]
        fn a_chunked_body_does_not_depend_on_where_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
            cuts in prop::collection::vec(0_usize..600, 0..60),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(wire.len())).chain([0, wire.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &wire[w[0]..w[1]]).collect();
            prop_assert_eq!(read(chunked(), &pieces).unwrap(), (chunks.concat(), true));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_head(&bytes, &mut Vec::new());
            let _ = read(chunked(), &[&bytes]);
        }
    }
}
