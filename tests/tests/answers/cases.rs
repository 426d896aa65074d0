//! The odd and broken answers, and what each is to be reported as.

use super::wire::*;

/// An answer, and what it is to be reported as.
pub(crate) struct Case {
    /// As in `docs/errors.md`.
    pub(crate) name: &'static str,
    pub(crate) wire: Vec<u8>,
    /// The connection stays open after it.
    pub(crate) stays: bool,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// An answer of so many output tokens; streamed or not.
    Ok(f64, bool),
    /// A failure of that kind, with these words in its message.
    Failed(&'static str, &'static str),
}
pub(crate) use Expected::{Failed, Ok as Good};

/// So many tokens has the answer `Hello there`.
const TWO: Expected = Good(2.0, true);

fn case(name: &'static str, wire: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { name, wire: wire.into(), stays: false, expected }
}

/// Answers that are no HTTP, or break off.
fn of_the_connection() -> Vec<Case> {
    let whole = stream(hello());
    let with = |lines: &str| format!("HTTP/1.1 200 OK\r\n{EVENTS}{lines}\r\n{}", hello());
    let long = |kib: usize| answer("200 OK", &format!("{EVENTS}X-Long: {}\r\n", "x".repeat(kib << 10)), hello());
    vec![
        case("a connection closed without a byte", "", Failed("reset", "closed before the answer's head")),
        case("a connection closed in the head", &whole[..30], Failed("reset", "closed before the answer's head")),
        case(
            "a status line that is none",
            "HELLO\r\n\r\n",
            Failed("malformed", "not HTTP/1.1: invalid HTTP version; it begins with 'HELLO'"),
        ),
        case("a server that speaks TLS", *b"\x15\x03\x01\0\x02\x02\x46", Failed("tls", "https://")),
        case(
            "a server that speaks HTTP/2 alone",
            *b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0",
            Failed("malformed", "HTTP/2 alone"),
        ),
        case(
            "a header line that is folded",
            with("X: a\r\n b\r\n"),
            Failed("malformed", "not HTTP/1.1: invalid header name"),
        ),
        case(
            "two lengths that differ",
            with("Content-Length: 5\r\nContent-Length: 6\r\n"),
            Failed("malformed", "two different Content-Lengths"),
        ),
        case(
            "a negative length",
            with("Content-Length: -1\r\n"),
            Failed("malformed", "Content-Length '-1' is not a number"),
        ),
        case(
            "a length beyond all numbers",
            with("Content-Length: 99999999999999999999\r\n"),
            Failed("malformed", "is not a number of bytes"),
        ),
        case("a length that is never reached", answer_of_length(1 << 40), Failed("truncated", "closed in mid-answer")),
        case(
            "a chunk size that is none",
            chunked(&[], "xyz\r\n"),
            Failed("malformed", "byte 0x78 where the chunked coding"),
        ),
        case(
            "a chunk that breaks off",
            chunked(&[&piece("Hello")], "ff\r\ndata: "),
            Failed("truncated", "closed in mid-answer"),
        ),
        case("chunks with extensions, and trailers", chunked(&[&hello()], "0\r\nX-Time: 5\r\n\r\n"), TWO),
        case("an end that is the connection's", format!("HTTP/1.0 200 OK\r\n{EVENTS}\r\n{}", hello()), TWO),
        case(
            "an early hint before the answer",
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", &*whole].concat(),
            TWO,
        ),
        case("a header line of 64 KiB", long(64), TWO),
        case("a header line of 300 KiB", long(300), Failed("malformed", "head is longer than 256 KiB")),
        case("300 header lines", with(&"X: y\r\n".repeat(300)), Failed("malformed", "more than 256 fields")),
        case(
            "a switch of protocols",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            Failed("http_status", "101 without a message"),
        ),
    ]
}

/// Answers whose content is coded.
fn of_codings() -> Vec<Case> {
    let whole = gzip(hello().as_bytes());
    let bomb = gzip(&vec![b'\n'; 128 << 20]);
    let mut damaged = whole.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 0x55;
    vec![
        case("a stream in gzip coding", coded("gzip", EVENTS, whole.clone()), TWO),
        case("a stream in deflate coding", coded("deflate", EVENTS, deflate(hello().as_bytes())), TWO),
        case(
            "a stream in gzip coding that breaks off",
            coded("gzip", EVENTS, gzip(piece("Hello").as_bytes())[..30].to_vec()),
            Failed("truncated", "in the middle of its gzip coding"),
        ),
        case(
            "a stream in gzip coding with a wrong checksum",
            coded("gzip", EVENTS, damaged),
            Failed("malformed", "checksum is wrong"),
        ),
        case(
            "a stream that is said to be in gzip coding",
            coded("gzip", EVENTS, hello().into_bytes()),
            Failed("malformed", "gzip coding, and it does not begin as such"),
        ),
        case(
            "a stream that unfolds without measure",
            coded("gzip", EVENTS, bomb),
            Failed("malformed", "unfolds to more than 64 MiB"),
        ),
        case(
            "a stream in another coding",
            coded("br", EVENTS, whole),
            Failed("malformed", "in 'br' coding, which was not asked for"),
        ),
    ]
}

/// Streams.
fn of_streams() -> Vec<Case> {
    let error = |data: &str| stream(format!("{}{data}\n\n", piece("Hello")));
    let usage =
        r#"data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}"#;
    let crs = hello().replace('\n', "\r");
    let typed = |kind: &str, body: &str| answer("200 OK", kind, body);
    let lines = hello().replace("data: [DONE]", "").replace("data: ", "");
    let open = Case { stays: true, ..case("[DONE], and a connection that stays open", chunked(&[&hello()], ""), TWO) };
    vec![
        case("a good stream", stream(hello()), TWO),
        case("lines that end with CR alone", stream(crs), TWO),
        case("a byte order mark", stream(format!("\u{feff}{}", hello())), TWO),
        case(
            "events without data, and comments",
            stream(format!(": hi\n\nevent: ping\n\nid: 1\n\ndata:\n\n{}", hello())),
            TWO,
        ),
        case("comments alone", stream(": keepalive\n\n".repeat(3)), Failed("no_content", "a stream without any event")),
        case("an empty stream", stream(""), Failed("no_content", "a stream without any event")),
        case("a stream without a type", typed("", &hello()), TWO),
        case("lines of JSON", typed("Content-Type: application/x-ndjson\r\n", &lines), TWO),
        case(
            "text that is not UTF-8",
            stream(
                hello()
                    .into_bytes()
                    .into_iter()
                    .flat_map(|b| if b == b'H' { vec![0xff] } else { vec![b] })
                    .collect::<Vec<_>>(),
            ),
            Failed("malformed", "an event that cannot be read"),
        ),
        case("half of a pair of surrogates", stream(hello().replace("Hello", "\\ud83d")), TWO),
        case(
            "an event that is no JSON",
            stream(format!("{}data: {{\"choices\":[\n\n", piece("Hello"))),
            Failed("malformed", "an event that cannot be read: {\"choices\":["),
        ),
        case(
            "an error event with a message",
            error("event: error\ndata: {\"error\":{\"message\":\"out of memory\"}}"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error event with text",
            error("event: error\ndata: out of memory"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error that is a text",
            error("data: {\"error\":\"out of memory\"}"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error that has a message",
            error("data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error that is the whole object",
            error("data: {\"object\":\"error\",\"message\":\"out of memory\"}"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error that has a detail",
            error("data: {\"error\":{\"detail\":\"out of memory\"}}"),
            Failed("stream_error", "out of memory"),
        ),
        case(
            "an error as Anthropic sends it",
            error(
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            ),
            Failed("stream_error", "Overloaded"),
        ),
        case(
            "an error that says the prompt is too long",
            stream("data: {\"error\":{\"message\":\"the request exceeds the available context size\"}}\n\n"),
            Failed("context_overflow", "(fewer tokens fit: --isl, --osl)"),
        ),
        case(
            "JSON in place of events",
            stream("{\"error\": {\n\"message\": \"no worker\"}}"),
            Failed("stream_error", "no worker"),
        ),
        case(
            "a page in place of events",
            stream("<html><title>Login</title></html>"),
            Failed("malformed", "an HTML page (Login) where JSON was expected"),
        ),
        case(
            "usage and no text",
            stream(format!("{usage}\n\n{DONE}")),
            Failed("no_content", "the server counts 7 tokens of it"),
        ),
        case(
            "a role and no text",
            stream(format!("{}{DONE}", choice(r#"{"role":"assistant"}"#, "null"))),
            Failed("no_content", "2 events, and no text in any"),
        ),
        case(
            "a finish reason and no text",
            stream(format!("{}{DONE}", choice("{}", "\"length\""))),
            Failed("no_content", "finish reason 'length'"),
        ),
        case(
            "two finish reasons",
            stream(format!("{}{}{DONE}", piece("Hello"), [stop(), stop()].concat())),
            Good(1.0, true),
        ),
        case("text after [DONE]", stream(format!("{}{}", hello(), piece(" again"))), Good(3.0, true)),
        case("a finish reason and no [DONE]", stream(piece("Hello") + &stop()), Good(1.0, true)),
        case(
            "neither a finish reason nor [DONE]",
            stream(piece("Hello")),
            Failed("truncated", "without its terminator and without a finish reason"),
        ),
        open,
        case("an answer that is no stream", json(&hello_whole()), Good(2.0, false)),
        case("a good stream with status 206", answer("206 Partial Content", EVENTS, hello()), TWO),
    ]
}

/// Statuses that are no success, and bodies of other kinds than were asked for.
fn of_statuses() -> Vec<Case> {
    let moved = answer("301 Moved", "Location: https://example.com/v1/chat/completions\r\n", "");
    let place = r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"missing"}]}"#;
    let page = |title: &str| format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>x</body></html>");
    let long = r#"{"error":{"message":"This model's maximum context length is 4096 tokens","code":400}}"#;
    vec![
        case(
            "204 without a body",
            "HTTP/1.1 204 No Content\r\n\r\n",
            Failed("no_content", "a stream without any event"),
        ),
        case("301 with a place", moved, Failed("http_status", "give --url https://example.com)")),
        case(
            "400 with JSON that is called an event stream",
            answer("400 Bad Request", EVENTS, r#"{"message":"bad temperature"}"#),
            Failed("http_status", "400 bad temperature"),
        ),
        case(
            "400 that says the prompt is too long",
            refusal("400 Bad Request", long),
            Failed("context_overflow", "400 This model's maximum context length"),
        ),
        case(
            "400 of plain text to a TLS port",
            answer("400 Bad Request", HTML, page("400 The plain HTTP request was sent to HTTPS port")),
            Failed("http_status", "begin --url with https://"),
        ),
        case(
            "401",
            refusal("401 Unauthorized", r#"{"error":{"message":"Incorrect API key"}}"#),
            Failed("http_status", "401 Incorrect API key (the key is missing or not the right one: --api-key)"),
        ),
        case(
            "403",
            refusal("403 Forbidden", r#"{"message":"Forbidden"}"#),
            Failed("http_status", "403 Forbidden (the key"),
        ),
        case(
            "404 from another server",
            answer("404 Not Found", HTML, page("404 Not Found")),
            Failed(
                "http_status",
                "404 an HTML page (404 Not Found) (are the path /v1/chat/completions and the model's name right?",
            ),
        ),
        case(
            "404 of a model",
            refusal("404 Not Found", r#"{"error":"model 'x' not found, try pulling it first"}"#),
            Failed("http_status", "404 model 'x' not found"),
        ),
        case(
            "413",
            answer("413 Payload Too Large", HTML, page("413 Request Entity Too Large")),
            Failed("http_status", "--isl"),
        ),
        case(
            "422 with the field's place",
            refusal("422 Unprocessable Entity", place),
            Failed("http_status", "422 body.messages.0.role: field required"),
        ),
        case(
            "429 with Retry-After",
            answer("429 Too Many Requests", "Retry-After: 30\r\n", "slow down"),
            Failed("http_status", "429 slow down (the server asks to try again in 30 s"),
        ),
        case(
            "500 with events",
            answer(
                "500 Internal Server Error",
                EVENTS,
                "data: {\"error\":{\"message\":\"no worker\"}}\n\ndata: [DONE]\n\n",
            ),
            Failed("http_status", "500 no worker"),
        ),
        case(
            "502 with a page",
            answer("502 Bad Gateway", HTML, page("502 Bad Gateway")),
            Failed("http_status", "502 an HTML page (502 Bad Gateway) (a proxy got no answer"),
        ),
        case(
            "503",
            refusal("503 Service Unavailable", r#"{"error":{"message":"Loading model"}}"#),
            Failed("http_status", "503 Loading model (overloaded, or not ready yet: --wait-for-model-timeout"),
        ),
        case(
            "504 without a body",
            answer("504 Gateway Timeout", "", ""),
            Failed("http_status", "504 without a message (a proxy did not wait long enough"),
        ),
        case(
            "503 in a coding that cannot be read",
            answer("503 x", "Content-Encoding: br\r\n", b"\x8b\xff\x00\x80"),
            Failed("http_status", "503 with 4 bytes that are no text"),
        ),
        case(
            "200 with a page",
            answer("200 OK", HTML, page("Welcome")),
            Failed("malformed", "an HTML page (Welcome) where JSON was expected: is --url a web site"),
        ),
        case("200 with an empty body", json(""), Failed("no_content", "an empty body")),
        case("200 with `null`", json("null"), Failed("malformed", "")),
        case("200 with a list", json("[]"), Failed("malformed", "")),
        case("200 with a number", json("17"), Failed("malformed", "")),
        case("200 with JSON that breaks off", json(&hello_whole()[..40]), Failed("malformed", "")),
        case(
            "200 with an error in it",
            json(r#"{"error":{"message":"no worker"}}"#),
            Failed("stream_error", "no worker"),
        ),
        case(
            "200 without any choice",
            json(r#"{"object":"chat.completion","choices":[]}"#),
            Failed("no_content", "a complete answer without any content"),
        ),
    ]
}

/// What is asked where no stream is.
pub(crate) fn of_whole_answers() -> Vec<Case> {
    let bomb = gzip(&vec![b' '; 128 << 20]);
    vec![
        case("not streaming: a good answer", json(&hello_whole()), Good(2.0, false)),
        case(
            "not streaming: an answer in gzip coding",
            coded("gzip", JSON, gzip(hello_whole().as_bytes())),
            Good(2.0, false),
        ),
        case(
            "not streaming: gzip coding that breaks off",
            coded("gzip", JSON, gzip(hello_whole().as_bytes())[..40].to_vec()),
            Failed("truncated", "in the middle of its gzip coding"),
        ),
        case(
            "not streaming: an answer that unfolds without measure",
            coded("gzip", JSON, bomb),
            Failed("malformed", "unfolds to more than 64 MiB"),
        ),
        case("not streaming: a stream", stream(hello()), Good(2.0, false)),
        case(
            "not streaming: a page",
            answer("200 OK", HTML, "<html><title>Hi</title>"),
            Failed("malformed", "an HTML page (Hi)"),
        ),
        case(
            "not streaming: an answer of another shape",
            json(r#"{"generated_text":"Hello there"}"#),
            Failed("malformed", ""),
        ),
    ]
}

/// The answers to requests that ask for streams.
pub(crate) fn streaming() -> Vec<Case> {
    [of_the_connection(), of_codings(), of_streams(), of_statuses()].into_iter().flatten().collect()
}
