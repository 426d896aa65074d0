//! Messages in the form of OpenAI's chat API, and where one turn ends and the next one begins.

use super::{
    Fields, NewMessage, NewPart, Problem, borrowed_from_json, from_json,
    media::{self, MEDIA, Medium},
    object_of, shortened,
};
use inferometer_plugin_sdk::types::PartKind;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads the message that stands at `place` of a record: its role, its content as text, nothing or a list of parts, and
/// whatever else it has, as extras.
///
/// # Errors
/// When it has no role, or its content is of no kind that is known.
pub(crate) fn message(place: &str, json: &str) -> Result<NewMessage, Problem> {
    let fields = Fields::nested(place, json)?;
    read(&fields).map_err(|problem| problem.within(place))
}

fn read(fields: &Fields<'_>) -> Result<NewMessage, Problem> {
    let role: String = from_json("role", fields.needed("role")?)?;
    if role.is_empty() {
        return Err(Problem::new("role", "is empty; give user, assistant, system or tool"));
    }
    let parts = match fields.raw("content") {
        None => Vec::new(),
        Some(list) if list.starts_with('[') => {
            let items: Vec<&RawValue> = borrowed_from_json("content", list)?;
            let part = |(n, item): (usize, &&RawValue)| part(&format!("content[{n}]"), item.get());
            items.iter().enumerate().map(part).collect::<Result<_, _>>()?
        }
        Some(text) => vec![NewPart::text(from_json("content", text)?)],
    };
    // A null content is kept, as some servers tell it from an empty one.
    let extras = fields.iter().filter(|(key, json)| match *key {
        "role" => false,
        "content" => *json == "null",
        _ => true,
    });
    let extra_json = object_of(extras);
    let says_nothing = fields.iter().all(|(key, _)| key == "role");
    if says_nothing {
        fields.needed("content")?;
    }
    Ok(NewMessage { role, parts, extra_json })
}

/// A piece of content.
fn part(place: &str, json: &str) -> Result<NewPart, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sound {
        data: String,
        format: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged, deny_unknown_fields)]
    enum Link {
        Bare(String),
        Object { url: String },
    }
    let fields = Fields::nested(place, json)?;
    let within = |problem: Problem| problem.within(place);
    let kind: String = from_json("type", fields.needed("type").map_err(within)?).map_err(within)?;
    fields.refuse_unknown(&["type", &kind]).map_err(within)?;
    let content = fields.needed(&kind).map_err(within)?;
    let [text, image, audio, video] = &MEDIA;
    let link = |medium: &Medium| {
        let linked = from_json(&kind, content)
            .map_err(|_| Problem::new(&kind, "give a URL, or {\"url\": …} without further fields"));
        let (Link::Bare(url) | Link::Object { url }) = linked?;
        let (mime, data) = media::linked(medium, &url).map_err(|reason| Problem::new(&kind, reason))?;
        Ok(NewPart { kind: medium.kind, name: String::new(), mime, data })
    };
    match kind.as_str() {
        "text" => from_json(text.one, content).map(NewPart::text),
        "image_url" => link(image),
        "audio_url" => link(audio),
        "video_url" => link(video),
        "input_audio" => from_json(&kind, content).map(|Sound { data, format }| NewPart {
            kind: PartKind::AUDIO,
            name: String::new(),
            mime: format,
            data,
        }),
        other => Err(Problem::new(
            "type",
            format!("`{}` is none of text, image_url, audio_url, video_url, input_audio", shortened(other)),
        )),
    }
    .map_err(within)
}

/// Cuts a conversation into turns: what is said up to a reply is one, and the reply leads the messages of the next.
#[derive(Default)]
pub(crate) struct Cutter {
    pending: Vec<NewMessage>,
    has_begun: bool,
    asks: bool,
}

impl Cutter {
    /// Takes the next message. Of what comes before the first user's message only instructions are kept. Gives the turn that
    /// it is the reply to, if it is one.
    pub(crate) fn say(&mut self, message: NewMessage) -> Option<Vec<NewMessage>> {
        let is_instruction = matches!(message.role.as_str(), "system" | "developer");
        self.has_begun |= message.role == "user";
        if !self.has_begun && !is_instruction {
            return None;
        }
        let is_reply = message.role == "assistant";
        let turn = (is_reply && self.asks).then(|| std::mem::take(&mut self.pending));
        self.asks = self.has_begun && !is_reply;
        self.pending.push(message);
        turn
    }

    /// The last turn, if it has no reply; a reply that nothing follows is dropped.
    pub(crate) fn end(self) -> Option<Vec<NewMessage>> {
        self.asks.then_some(self.pending)
    }
}
