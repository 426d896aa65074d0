//! The `video-generation` endpoint: OpenAI's videos, which are made in the background.
//!
//! A request is several exchanges: the prompt is submitted, the answer names a job, and the job is asked for every so often
//! until it is completed or has failed; where that is wanted, the video is then fetched. All of it is one request, and its
//! time limit holds for the whole.

use crate::{
    body::{self, json},
    multipart::{Form, Source, refuse_raw},
    openai::append,
    parts::Parts,
    reading::unexpected,
    speaks,
};
use inferometer_plugin_sdk::{
    Component, RVec,
    api::Endpoint,
    documents::EndpointInfo,
    schemars::JsonSchema,
    serde::Deserialize,
    types::{
        Answer, Delta, Error, ErrorKind, Event, Exchange, Header, Outgoing, PartKind, Reply, Request, Result,
        delta_flags,
    },
};
use serde_json::Value;

/// The steps of a request, as states of its exchanges; a submission has none of its own.
const SUBMIT: u64 = 0;
const POLL: u64 = 1;
const FETCH: u64 = 2;

const PATH: &str = "/v1/videos";

/// Speaks `/v1/videos`: the texts of a turn are the prompt, and an image is what the video begins with.
pub struct VideoGeneration {
    options: VideoOptions,
}

inferometer_plugin_sdk::endpoint! {
    name: "video-generation",
    summary: "OpenAI's videos made from a prompt: submitted, polled and, if wanted, fetched (/v1/videos).",
    component: VideoGeneration
}

/// What a user may set.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub struct VideoOptions {
    /// Time between two looks at a job, in milliseconds. A server that asks for more is given more.
    poll_interval_ms: u64,
    /// Whether the video is fetched. If not, a request ends when its job is completed.
    download_video_content: bool,
    /// What a submission is sent as.
    request_content_type: ContentType,
}

/// What a submission is sent as.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(crate = "inferometer_plugin_sdk::serde")]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
pub(crate) enum ContentType {
    /// A form, which may hold an image.
    #[default]
    #[serde(rename = "multipart/form-data")]
    Form,
    /// A JSON object.
    #[serde(rename = "application/json")]
    Json,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self { poll_interval_ms: 100, download_video_content: false, request_content_type: ContentType::Form }
    }
}

impl Component for VideoGeneration {
    type Options = VideoOptions;

    fn create(options: VideoOptions) -> Result<Self> {
        if options.poll_interval_ms == 0 {
            return Err(Error::config("poll_interval_ms is 0, which would keep the server busy; give 1 or more"));
        }
        Ok(Self { options })
    }
}

impl Endpoint for VideoGeneration {
    fn info(&self) -> EndpointInfo {
        speaks::whole(PATH)
    }

    fn encode(&self, request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
        match self.options.request_content_type {
            ContentType::Json => body::encode(request, out, |body| {
                let prompt =
                    Parts::of(request, "video-generation").only(&[PartKind::TEXT], "text as JSON")?.prompt()?;
                body.member("prompt", json(&prompt))?;
                body.member("model", json(request.model.as_str())).map(drop)
            }),
            ContentType::Form => encode_form(request, out),
        }
    }

    /// Nothing of this API's is a stream.
    fn on_event(&self, _: &Event<'_>, _: &mut Delta, _: &mut RVec<u8>) -> Result<(), ErrorKind> {
        Err(ErrorKind::MALFORMED)
    }

    fn on_body(&self, answer: &Answer<'_>, out: &mut Reply) -> Result<()> {
        self.on_answer(answer, &Exchange::new(PATH), out)
    }

    fn on_answer(&self, answer: &Answer<'_>, exchange: &Exchange<'_>, out: &mut Reply) -> Result<()> {
        let body = answer.body.as_slice();
        if exchange.state == FETCH {
            // There is no text in a video, but it is what was asked for. If it is empty, nothing was.
            let flags = if body.is_empty() { 0 } else { delta_flags::CONTENT };
            out.deltas.push(Delta { flags, ..Delta::EMPTY });
            return Ok(());
        }
        let job: Job =
            serde_json::from_slice(body).map_err(|e| unexpected("the state of a video", &e.to_string(), body))?;
        match job.status.as_str() {
            "completed" | "succeeded" if self.options.download_video_content => {
                let path = format!("{}/content", job.place(exchange, body)?);
                let accept = Header { name: "Accept".into(), value: "*/*".into() };
                out.next.push(Outgoing { headers: vec![accept].into(), ..get(&path) }.with_state(FETCH));
            }
            "completed" | "succeeded" => out.deltas.push(Delta { flags: delta_flags::CONTENT, ..Delta::EMPTY }),
            "queued" | "pending" | "in_progress" | "processing" | "running" | "generating" => {
                let path = job.place(exchange, body)?;
                let delay_ns = self.wait_ms(exchange).saturating_mul(1_000_000);
                out.next.push(Outgoing { delay_ns, ..get(&path) }.with_state(POLL));
            }
            "" if job.error.is_null() => return Err(unexpected("the state of a video", "no `status`", body)),
            "" | "failed" | "cancelled" | "canceled" | "expired" => {
                let message = job.failure();
                let error = append(&mut out.scratch, |out| out.extend_from_slice(message.as_bytes()));
                let flags = delta_flags::ERROR | delta_flags::SCRATCH;
                out.deltas.push(Delta { flags, error: error.unwrap_or_default(), ..Delta::EMPTY });
            }
            // Waiting on would be waiting for ever, should it mean that the job is over.
            other => {
                return Err(unexpected("the state of a video", &format!("the unknown status `{other}`"), body));
            }
        }
        Ok(())
    }
}

fn encode_form(request: &Request<'_>, out: &mut Outgoing) -> Result<()> {
    refuse_raw(request, "video-generation")?;
    let kinds = [PartKind::TEXT, PartKind::IMAGE];
    let parts = Parts::of(request, "video-generation").only(&kinds, "text and an image")?;
    let mut form = Form::default();
    form.text("prompt", parts.prompt()?);
    form.text("model", request.model.as_str());
    let mut images = parts.of_kind(PartKind::IMAGE);
    if let Some(image) = images.next() {
        match Source::of(image, "image")? {
            Source::Here(file) => form.file("input_reference", "image", file),
            Source::Elsewhere(url) => {
                return Err(Error::config(format!(
                    "`video-generation` sends an image as a file, and `{url}` is an address; give data:image/…;base64,…"
                )));
            }
        }
    }
    if images.next().is_some() {
        return Err(Error::config("`video-generation` sends one image with a prompt, and a turn holds several"));
    }
    form.extras(&request.extra_json, &["prompt", "input_reference"])?;
    form.finish(out);
    Ok(())
}

fn get(path: &str) -> Outgoing {
    Outgoing { method: "GET".into(), path: path.into(), ..Outgoing::default() }
}

impl VideoGeneration {
    /// How long to wait before the next look at a job: as long as the user or the server asks, whichever is longer.
    fn wait_ms(&self, exchange: &Exchange<'_>) -> u64 {
        let asked = exchange.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        self.options.poll_interval_ms.max(asked.map_or(0, |seconds| seconds.saturating_mul(1_000)))
    }
}

/// What the server says of a job, in answer to the submission and to every look at it.
#[derive(Default, Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde", default)]
struct Job {
    id: String,
    status: String,
    error: Value,
}

impl Job {
    /// Where it is asked for: where it was before, or under its id.
    fn place(&self, exchange: &Exchange<'_>, body: &[u8]) -> Result<String> {
        if exchange.state != SUBMIT {
            return Ok(exchange.path.to_string());
        }
        if self.id.is_empty() {
            return Err(unexpected("the state of a video", "no `id` to ask for it by", body));
        }
        // What an id may hold is the server's own business, so all but letters, digits and three signs is escaped: also
        // dots, which alone would mean a folder.
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        // Below where the submission went, which a user may have moved.
        let path = exchange.path.split('?').next().unwrap_or_default();
        Ok(format!("{}/{}", path.trim_end_matches('/'), self.id.bytes().map(byte).collect::<String>()))
    }

    /// Why it failed, in the server's words.
    fn failure(&self) -> String {
        let message = self.error["message"].as_str().or(self.error.as_str()).filter(|message| !message.is_empty());
        match message {
            Some(message) => message.to_owned(),
            None if self.error.is_null() => format!("the video is {}, and the server does not say why", self.status),
            None => self.error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{body, sent, texts};
    use inferometer_plugin_sdk::{
        RSlice,
        types::{Field, Part},
    };

    fn endpoint(options: &str) -> VideoGeneration {
        VideoGeneration::create(serde_json::from_str(options).unwrap()).unwrap()
    }

    fn reply(options: &str, exchange: &Exchange<'_>, body: &str) -> Result<Reply> {
        let answer =
            Answer { status: 200, exchange: 0, flags: 0, content_type: "".into(), body: body.as_bytes().into() };
        let mut reply = Reply::default();
        endpoint(options).on_answer(&answer, exchange, &mut reply).map(|()| reply)
    }

    /// Path, state and wait of what follows.
    fn next(options: &str, exchange: &Exchange<'_>, body: &str) -> (String, u64, u64) {
        let reply = reply(options, exchange, body).unwrap();
        assert!(reply.deltas.is_empty());
        let [next] = reply.next.as_slice() else { panic!("one exchange is to follow: {reply:?}") };
        assert_eq!(next.method.as_str(), "GET");
        (next.path.to_string(), next.state(), next.delay_ns / 1_000_000)
    }

    const FETCHING: &str = r#"{"download_video_content":true}"#;

    #[test]
    fn a_video_is_polled_under_its_id_and_fetched_where_that_is_wanted() {
        let (submitted, polled) = (Exchange::new(PATH), Exchange { state: POLL, ..Exchange::new("/v1/videos/v-1") });
        let poll = ("/v1/videos/v-1".to_owned(), POLL, 100);
        assert_eq!(next("{}", &submitted, r#"{"id":"v-1","object":"video","status":"queued","error":null}"#), poll);
        assert_eq!(next("{}", &polled, r#"{"id":"v-1","status":"in_progress","progress":4}"#), poll);
        let done = r#"{"id":"v-1","status":"completed"}"#;
        assert_eq!(next(FETCHING, &polled, done), ("/v1/videos/v-1/content".to_owned(), FETCH, 0));
        let reply = reply("{}", &polled, done).unwrap();
        assert!(reply.next.is_empty() && reply.deltas[0].has_content());
    }

    #[test]
    fn an_id_stays_one_segment_below_the_path_of_the_submission() {
        let submitted = Exchange::new("/api/videos?key=1");
        let found = next("{}", &submitted, r#"{"id":"../a b","status":"queued"}"#);
        assert_eq!(found.0, "/api/videos/%2E%2E%2Fa%20b");
    }

    #[test]
    fn the_wait_is_the_users_or_the_servers_whichever_is_longer() {
        let field = [Field { name: "retry-after".into(), value: "2".into() }];
        let exchange = Exchange { headers: RSlice::from_slice(&field), ..Exchange::new(PATH) };
        let queued = r#"{"id":"v","status":"queued"}"#;
        assert_eq!(next("{}", &exchange, queued).2, 2_000);
        assert_eq!(next(r#"{"poll_interval_ms":5000}"#, &exchange, queued).2, 5_000);
        assert!(VideoGeneration::create(VideoOptions { poll_interval_ms: 0, ..VideoOptions::default() }).is_err());
    }

    #[test]
    fn a_video_that_failed_is_an_error_in_the_servers_words() {
        for (answer, message) in [
            (r#"{"id":"v","status":"failed","error":{"code":"moderation","message":"not that"}}"#, "not that"),
            (r#"{"id":"v","status":"failed","error":"too dark"}"#, "too dark"),
            (r#"{"id":"v","status":"cancelled"}"#, "the video is cancelled, and the server does not say why"),
            (r#"{"error":{"code":7}}"#, r#"{"code":7}"#),
        ] {
            let reply = reply("{}", &Exchange::new(PATH), answer).unwrap();
            let [.., error] = texts(&reply.deltas[0], b"", &reply.scratch);
            assert_eq!((error.as_str(), reply.next.len()), (message, 0));
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_in_words() {
        for (answer, words) in [
            ("<html>", "the state of a video"),
            (r#"{"id":"v","status":"lost"}"#, "`lost`"),
            (r#"{"status":"queued"}"#, "no `id`"),
            (r#"{"id":"v"}"#, "no `status`"),
        ] {
            let error = reply("{}", &Exchange::new(PATH), answer).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn the_bytes_of_a_video_are_the_content_unless_there_are_none() {
        let fetched = Exchange { state: FETCH, ..Exchange::new("/v1/videos/v/content") };
        assert!(reply(FETCHING, &fetched, r#"{"status":"queued"}"#).unwrap().deltas[0].has_content());
        assert!(!reply(FETCHING, &fetched, "").unwrap().deltas[0].has_content());
    }

    #[test]
    fn a_submission_is_a_form_or_json() {
        let image = Part { kind: PartKind::IMAGE, ..Part::text("data:image/png;base64,AP8=") };
        let parts = [Part::text("a cat"), image];
        let out = sent(&endpoint("{}"), &parts, r#"{"seconds":4}"#, 0).unwrap();
        let form = String::from_utf8_lossy(&out.body).into_owned();
        assert!(out.content_type.starts_with("multipart/form-data"));
        assert!(form.contains("name=\"input_reference\"; filename=\"image.png\"") && form.contains("\r\n\r\n4\r\n"));
        let json = endpoint(r#"{"request_content_type":"application/json"}"#);
        let expected = r#"{"prompt":"a cat","model":"m","seconds":4}"#;
        assert_eq!(body(&json, &parts[..1], r#"{"seconds":4}"#).unwrap(), expected);
        assert!(body(&json, &parts, "").is_err());
        let away = Part { kind: PartKind::IMAGE, ..Part::text("http://h/cat.png") };
        for parts in [&[parts[0], away][..], &[parts[0], image, image], &[image]] {
            assert!(body(&endpoint("{}"), parts, "").is_err());
        }
    }
}
