//! An endpoint plugin to copy whose requests take several exchanges: the API of the (made-up) Acme film studio.
//!
//! 1. *submit*: `POST /v1/jobs`, a form with the prompt, the model and pictures; the answer names a job:
//!    `{"id": "7", "status": "queued"}`.
//! 2. *poll*: `GET /v1/jobs/7` every so often, until the answer is no longer `queued` or `running` but
//!    `{"status": "done", "result": "/v1/files/7"}` or `{"status": "failed", "error": "…"}`. A server that is busy says in
//!    the header `Retry-After` how many seconds it wants to be left alone.
//! 3. *fetch*: `GET /v1/files/7`; the answer is the film.
//!
//! ```text
//! cargo build --release
//! inferometer profile --plugin target/release/libinferometer_example_polling_endpoint.so --endpoint-type example-polling …
//! ```
//!
//! All of it is one request: its latency runs from the first byte of the submission to the end of the film, and its time
//! limit holds for the whole. The endpoint waits for nothing and remembers nothing: it serves many requests at once. It says
//! what is to be sent next and when, and the host tells it with each answer what was asked: under which path, and as which
//! of the three steps.

mod form;
mod job;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form::Form;
use inferometer_plugin_sdk::{
    Component, RVec,
    api::Endpoint,
    documents::EndpointInfo,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{
        Answer, Delta, Error, ErrorKind, Event, Exchange, Header, Outgoing, Part, PartKind, Reply, Request, Result,
        Span, delta_flags,
    },
};
use job::Job;
use serde_json::{Map, Value};

/// The steps of a request, as states of its exchanges. A submission has none of its own, so it has the state 0.
const SUBMIT: u64 = 0;
const POLL: u64 = 1;
const FETCH: u64 = 2;

/// The endpoint: whatever it keeps, all worker threads share.
pub struct Studio {
    options: Options,
}

/// What a user may set.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct Options {
    /// Time between two looks at a job, in milliseconds. A server that asks for more is given more.
    poll_interval_ms: u64,
    /// Whether the film is fetched. If not, a request ends when its job is done.
    fetch: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { poll_interval_ms: 100, fetch: true }
    }
}

impl Component for Studio {
    type Options = Options;

    fn create(options: Options) -> Result<Self> {
        if options.poll_interval_ms == 0 {
            return Err(Error::config("poll_interval_ms is 0, which would keep the server busy; give 1 or more"));
        }
        Ok(Self { options })
    }
}

impl Endpoint for Studio {
    fn info(&self) -> EndpointInfo {
        EndpointInfo { path: "/v1/jobs".into(), tokenizes_input: true, ..EndpointInfo::default() }
    }

    /// Writes the submission.
    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        if !request.raw_body.is_empty() {
            return Err(Error::config("a whole body cannot be sent: Acme takes forms; give a prompt instead"));
        }
        let parts = || request.messages.iter().flat_map(|message| message.parts.iter());
        let texts: Vec<&str> = parts().filter(|p| p.kind == PartKind::TEXT).map(|p| p.data.as_str()).collect();
        let mut form = Form::default();
        form.text("prompt", &texts.join("\n"));
        form.text("model", &request.model);
        for (number, image) in parts().filter(|p| p.kind == PartKind::IMAGE).enumerate() {
            add_image(&mut form, number, image)?;
        }
        // Fields the user adds to every request, as a JSON object; they override ours.
        if !request.extra_json.is_empty() {
            let extra: Map<String, Value> = serde_json::from_str(&request.extra_json)
                .map_err(|e| Error::config(format!("the extra fields have to be a JSON object: {e}")))?;
            for (name, value) in &extra {
                form.text(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        let (content_type, body) = form.finish();
        out.content_type = content_type.into();
        out.body = body.into();
        Ok(())
    }

    /// Nothing of Acme's is a stream.
    fn on_event(&self, _: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
        Err(ErrorKind::MALFORMED)
    }

    /// An inferometer of interface 1.0 asks this and does not say which exchange it was.
    fn on_body(&self, _: &Answer<'_>, _: &mut Reply) -> Result<()> {
        Err(Error::new(ErrorKind::UNSUPPORTED, "this endpoint needs an inferometer of interface 1.1 or later"))
    }

    /// Says what follows an answer. It is asked after every exchange, whichever that was.
    fn on_answer(&self, answer: &Answer<'_>, exchange: &Exchange<'_>, out: &mut Reply) -> Result<()> {
        if exchange.state == FETCH {
            // There is no text in a film, but it is what was asked for. If it is empty, nothing was.
            let flags = if answer.body.is_empty() { 0 } else { delta_flags::CONTENT };
            out.deltas.push(Delta { flags, ..Delta::EMPTY });
            return Ok(());
        }
        match Job::read(&answer.body)? {
            Job::Waiting(place) => {
                // A job stays where it was asked for before.
                let place = if exchange.state == SUBMIT { place } else { Some(exchange.path.to_string()) };
                let place =
                    place.ok_or_else(|| Error::malformed("a job that was accepted has no id to ask for it by"))?;
                let delay_ns = self.wait_ms(exchange).saturating_mul(1_000_000);
                out.next.push(Outgoing { delay_ns, ..get(&place) }.with_state(POLL));
            }
            Job::Done(place) if self.options.fetch => {
                let accept = Header { name: "Accept".into(), value: "*/*".into() };
                out.next.push(Outgoing { headers: vec![accept].into(), ..get(&place) }.with_state(FETCH));
            }
            Job::Done(_) => out.deltas.push(Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY }),
            // The server has answered as it should and failed all the same: the request has failed.
            Job::Failed(why) => {
                let error = Span { off: 0, len: why.len() as u32 };
                out.scratch.extend_from_slice(why.as_bytes());
                out.deltas.push(Delta { flags: delta_flags::ERROR | delta_flags::SCRATCH, error, ..Delta::EMPTY });
            }
        }
        Ok(())
    }
}

impl Studio {
    /// How long to wait before a job is asked for again: as the user says, or longer if the server does. It may also name a
    /// date instead of seconds, which is passed over: an endpoint has no clock.
    fn wait_ms(&self, exchange: &Exchange<'_>) -> u64 {
        let asked: Option<u64> = exchange.header("Retry-After").and_then(|seconds| seconds.trim().parse().ok());
        self.options.poll_interval_ms.max(asked.map_or(0, |seconds| seconds.saturating_mul(1_000)))
    }
}

fn get(path: &str) -> Outgoing {
    Outgoing { method: "GET".into(), path: path.into(), ..Outgoing::default() }
}

/// A picture that was given with its bytes becomes a file of the form, and one that lies elsewhere a field with its URL.
fn add_image(form: &mut Form, number: usize, image: &Part<'_>) -> Result<()> {
    let Some(uri) = image.data.as_str().strip_prefix("data:") else {
        form.text(&format!("image_url_{number}"), &image.data);
        return Ok(());
    };
    let refuse = |why: &str| Error::config(format!("image {number} of a request {why}; give data:image/…;base64,…"));
    let (media_type, data) = uri.split_once(";base64,").ok_or_else(|| refuse("is not in base64"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let kind = media_type.strip_prefix("image/").filter(|kind| !kind.is_empty() && kind.chars().all(is_plain));
    let kind = kind.ok_or_else(|| refuse("is of no kind of image"))?;
    let bytes = STANDARD.decode(data).map_err(|error| refuse(&format!("is no base64 ({error})")))?;
    form.file("image", &format!("image-{number}.{kind}"), media_type, bytes);
    Ok(())
}

// The name under which users ask for it; and, once in a library, what makes the library a plugin.
inferometer_plugin_sdk::endpoint! {
    name: "example-polling",
    summary: "Example: the films of the made-up Acme studio, submitted, polled and fetched.",
    component: Studio
}
inferometer_plugin_sdk::export_plugin!();

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_plugin_sdk::{
        RSlice,
        types::{Field, Message},
    };

    fn reply(options: Options, exchange: &Exchange<'_>, body: &[u8]) -> Result<Reply> {
        let answer = Answer { status: 200, exchange: 0, flags: 0, content_type: "".into(), body: body.into() };
        let mut reply = Reply::default();
        Studio::create(options).unwrap().on_answer(&answer, exchange, &mut reply).map(|()| reply)
    }

    fn next(every: u64, exchange: &Exchange<'_>, body: &str) -> (String, u64, u64) {
        let options = Options { poll_interval_ms: every, ..Options::default() };
        let reply = reply(options, exchange, body.as_bytes()).unwrap();
        assert!(reply.deltas.is_empty());
        let [next] = reply.next.as_slice() else { panic!("one exchange is to follow: {reply:?}") };
        assert_eq!(next.method.as_str(), "GET");
        (next.path.to_string(), next.state(), next.delay_ns / 1_000_000)
    }

    #[test]
    fn a_job_is_polled_where_it_lies_and_then_fetched() {
        let (submitted, polled) =
            (Exchange::new("/v1/jobs"), Exchange { state: POLL, ..Exchange::new("/v1/jobs/a%2Fb") });
        let poll = ("/v1/jobs/a%2Fb".to_owned(), POLL, 5);
        assert_eq!(next(5, &submitted, r#"{"id":"a/b","status":"queued"}"#), poll);
        assert_eq!(next(5, &polled, r#"{"status":"running"}"#), poll);
        let done = r#"{"status":"done","result":"/v1/files/7"}"#;
        assert_eq!(next(5, &polled, done), ("/v1/files/7".to_owned(), FETCH, 0));
        assert_eq!(next(5, &submitted, done), ("/v1/files/7".to_owned(), FETCH, 0));
        assert!(reply(Options::default(), &submitted, br#"{"status":"queued"}"#).is_err());
    }

    #[test]
    fn a_server_that_wants_to_be_left_alone_for_longer_is() {
        let wait = |every, retry_after: &'static str| {
            let field = [Field { name: "retry-after".into(), value: retry_after.into() }];
            let exchange = Exchange { headers: RSlice::from_slice(&field), ..Exchange::new("/v1/jobs") };
            next(every, &exchange, r#"{"id":"7","status":"queued"}"#).2
        };
        assert_eq!((wait(5, "2"), wait(5_000, "2"), wait(5, "0")), (2_000, 5_000, 5));
        assert_eq!((wait(5, "Wed, 21 Oct 2015 07:28:00 GMT"), wait(5, "-1"), wait(5, "")), (5, 5, 5));
        assert_eq!(wait(5, "18446744073709551615"), u64::MAX / 1_000_000);
    }

    #[test]
    fn the_film_is_the_content_unless_it_is_empty_or_not_wanted() {
        let flags = |reply: Reply| {
            assert!(reply.next.is_empty());
            reply.deltas.iter().map(|delta| delta.flags).collect::<Vec<_>>()
        };
        let fetched = Exchange { state: FETCH, ..Exchange::new("/v1/files/7") };
        let film = |body: &[u8]| flags(reply(Options::default(), &fetched, body).unwrap());
        assert_eq!(film(&[0, 255]), [delta_flags::CONTENT]);
        assert_eq!(film(br#"{"status":"queued"}"#), [delta_flags::CONTENT]);
        assert_eq!(film(b""), [0]);
        let options = Options { fetch: false, ..Options::default() };
        let done = reply(options, &Exchange::new("/v1/jobs"), br#"{"status":"done","result":"/f"}"#).unwrap();
        assert_eq!(flags(done), [delta_flags::CONTENT]);
    }

    #[test]
    fn pictures_go_along_as_files_or_by_their_address_and_what_is_neither_is_refused() {
        let encode = |data: &str| {
            let parts = [Part::text("a cat"), Part { kind: PartKind::IMAGE, ..Part::text(data) }];
            let messages = [Message { role: "user".into(), parts: RSlice::from_slice(&parts), extra_json: "".into() }];
            let request =
                Request { extra_json: r#"{"seconds": 4, "model": "n"}"#.into(), ..Request::new("m", &messages) };
            let mut out = Outgoing::default();
            Studio::create(Options::default()).unwrap().encode(&request, &mut out).map(|()| out.body.to_vec())
        };
        let holds = |body: &[u8], piece: &[u8]| body.windows(piece.len()).any(|window| window == piece);
        let with_file = encode("data:image/png;base64,AP8=").unwrap();
        assert!(holds(&with_file, b"filename=\"image-0.png\"\r\nContent-Type: image/png\r\n\r\n\x00\xff\r\n"));
        assert!(
            holds(&with_file, b"name=\"seconds\"\r\n\r\n4\r\n") && holds(&with_file, b"name=\"model\"\r\n\r\nn\r\n")
        );
        assert!(holds(&encode("http://h/cat.png").unwrap(), b"name=\"image_url_0\"\r\n\r\nhttp://h/cat.png\r\n"));
        for (data, words) in [
            ("data:image/png,AP8=", "not in base64"),
            ("data:image/p\r\nng;base64,AP8=", "no kind of image"),
            ("data:image/png;base64,A!", "no base64"),
        ] {
            assert!(encode(data).unwrap_err().message.contains(words), "{data}");
        }
    }

    #[test]
    fn polling_without_a_pause_is_refused() {
        assert!(Studio::create(Options { poll_interval_ms: 0, ..Options::default() }).is_err());
    }
}
