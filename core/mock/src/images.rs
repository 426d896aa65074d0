//! Made-up pictures: image generation and editing, plain and streamed, and image retrieval.

use serde::Deserialize;

use crate::ask::{Call, named};
use crate::dialects::CREATED;
use crate::fill::{fill, filled};
use crate::form::Form;
use crate::framing::{Framing, Kind};
use crate::habits::{Habit, Habits};
use crate::prompt::Prompt;
use crate::refusal::{Refusal, Shape};
use crate::tell::{Said, Teller};

/// A picture of one pixel, as PNG in base64.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const MAX_IMAGES: usize = 10;
const MAX_PARTIAL_IMAGES: usize = 3;
/// What a picture is said to have taken, in tokens.
const IMAGE_TOKENS: usize = 1056;

/// What a request for images wants.
pub(crate) struct ImageAsk {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: bool,
    /// Whether pictures are given and edited.
    edit: bool,
    images: usize,
    partial_images: usize,
    /// Tell where they are in place of sending them.
    as_url: bool,
}

impl ImageAsk {
    pub(crate) fn read(call: &Call<'_>, edit: bool) -> Result<Self, Refusal> {
        let form = Form::read(call)?;
        let prompt = form.text("prompt").ok_or_else(|| Refusal::of("prompt", "a prompt is required"))?;
        if edit && !["image", "images", "url"].iter().any(|name| form.has(name)) {
            return Err(Refusal::of("image", "an image to edit is required"));
        }
        Ok(Self {
            model: named(form.text("model"))?,
            prompt_tokens: call.counter.count(&Prompt::of_text(prompt)),
            stream: form.flag("stream")?,
            edit,
            images: form.count("n", 1, 1..=MAX_IMAGES)?,
            partial_images: form.count("partial_images", 1, 0..=MAX_PARTIAL_IMAGES)?,
            as_url: form.text("response_format").as_deref() == Some("url"),
        })
    }

    /// The plain answer.
    pub(crate) fn whole(&self, with_usage: bool) -> Vec<u8> {
        let images: Vec<String> = (0..self.images)
            .map(|index| {
                if self.as_url {
                    filled(r#"{"url":"http://mock.invalid/@.png"}"#, &[&index])
                } else {
                    filled(r#"{"b64_json":"@"}"#, &[&PIXEL])
                }
            })
            .collect();
        let usage = if with_usage { self.usage(self.images) } else { String::new() };
        let mut out = Vec::new();
        fill(
            &mut out,
            r#"{"created":@,"output_format":"png","quality":"low","size":"1x1","data":[@]@}"#,
            &[&CREATED, &images.join(","), &usage],
        );
        out
    }

    fn usage(&self, images: usize) -> String {
        let output = images * IMAGE_TOKENS;
        filled(
            r#","usage":{"input_tokens":@,"input_tokens_details":{"text_tokens":@,"image_tokens":0},"output_tokens":@,"total_tokens":@}"#,
            &[&self.prompt_tokens, &self.prompt_tokens, &output, &(self.prompt_tokens + output as u64)],
        )
    }
}

/// A stream of one picture that becomes clearer.
pub(crate) struct ImageStream<'a> {
    ask: &'a ImageAsk,
    framing: Framing,
    habits: Habits,
    usage: bool,
}

impl<'a> ImageStream<'a> {
    pub(crate) fn new(ask: &'a ImageAsk, habits: Habits, usage: bool) -> Self {
        Self { ask, framing: Framing::new(Kind::Events, habits), habits, usage }
    }
}

impl Teller for ImageStream<'_> {
    fn content_type(&self) -> &'static str {
        self.framing.content_type()
    }

    fn steps(&self) -> usize {
        self.ask.partial_images + 1
    }

    fn weight(&self, step: usize) -> usize {
        usize::from(step < self.steps())
    }

    fn open(&mut self, _out: &mut Vec<u8>) {}

    fn say(&mut self, step: usize, out: &mut Vec<u8>) -> Said {
        let kind = if self.ask.edit { "image_edit" } else { "image_generation" };
        let complete = step == self.ask.partial_images;
        let name = format!("{kind}.{}", if complete { "completed" } else { "partial_image" });
        let tail = if !complete {
            filled(r#","partial_image_index":@"#, &[&step])
        } else if self.usage {
            self.ask.usage(1)
        } else {
            String::new()
        };
        self.framing.events(out).named(
            &name,
            r#"{"type":"@","created_at":@,"b64_json":"@","output_format":"png","quality":"low","size":"1x1"@}"#,
            &[&name, &CREATED, &PIXEL, &tail],
        );
        Said { chunks: 1, tokens: 0 }
    }

    fn broken(&mut self, _step: usize, out: &mut Vec<u8>) {
        self.framing.break_next();
        self.say(0, out);
    }

    fn error(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        self.framing.events(out).body(Some("error"), &refusal.body(Shape::OpenAi));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.habits.has(Habit::ExtraDone) {
            self.framing.events(out).done();
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.framing.end(out);
    }
}

/// Image retrieval: for each picture the boxes of what is to be seen in it.
pub(crate) struct Retrieval {
    pub(crate) model: String,
    images: usize,
}

#[derive(Deserialize)]
struct RetrievalBody {
    model: Option<String>,
    input: Option<Vec<RetrievalInput>>,
}

#[derive(Deserialize)]
struct RetrievalInput {
    url: String,
}

impl Retrieval {
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let body: RetrievalBody = call.json()?;
        let input = body.input.filter(|input| !input.is_empty() && input.iter().all(|image| !image.url.is_empty()));
        let input =
            input.ok_or_else(|| Refusal::of("input", "input must be a list of at least one image with a url"))?;
        Ok(Self { model: body.model.unwrap_or_else(|| call.default_model.to_owned()), images: input.len() })
    }

    pub(crate) fn whole(&self, with_usage: bool) -> Vec<u8> {
        let sample = r#"{"index":@,"bounding_boxes":{"table":[{"x_min":0.1,"y_min":0.1,"x_max":0.9,"y_max":0.5,"confidence":0.9}]}}"#;
        let data: Vec<String> = (0..self.images).map(|index| filled(sample, &[&index])).collect();
        let usage = if with_usage { filled(r#","usage":{"images":@}"#, &[&self.images]) } else { String::new() };
        let mut out = Vec::new();
        fill(&mut out, r#"{"data":[@]@}"#, &[&data.join(","), &usage]);
        out
    }
}
