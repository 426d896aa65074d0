//! What a request says in this turn: the parts of its last message, by kind and by name.
//!
//! For APIs that know no conversation: of a longer one they are sent its last message.

use inferometer_plugin_sdk::types::{Error, ErrorKind, Part, PartKind, Request, Result};

/// The parts of a turn.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    parts: &'a [Part<'a>],
    endpoint: &'static str,
}

impl<'a> Parts<'a> {
    /// Those of `request`, which `endpoint` is to send.
    pub(crate) fn of(request: &Request<'a>, endpoint: &'static str) -> Self {
        let parts = request.messages.as_slice().last().map_or(&[][..], |message| message.parts.as_slice());
        Self { parts, endpoint }
    }

    /// The same if they are all of `kinds`.
    ///
    /// # Errors
    /// Names the endpoint and what it takes.
    pub(crate) fn only(self, kinds: &[PartKind], takes: &str) -> Result<Self> {
        if self.parts.iter().all(|part| kinds.contains(&part.kind)) {
            return Ok(self);
        }
        let what = format!("`{}` takes {takes} only; leave the rest out of the data set", self.endpoint);
        Err(Error::new(ErrorKind::UNSUPPORTED, what))
    }

    /// The parts of one kind.
    pub(crate) fn of_kind(self, kind: PartKind) -> impl Iterator<Item = &'a Part<'a>> {
        self.parts.iter().filter(move |part| part.kind == kind)
    }

    /// All texts.
    pub(crate) fn texts(self) -> impl Iterator<Item = &'a str> {
        self.of_kind(PartKind::TEXT).map(|part| part.data.as_str())
    }

    /// The texts that go by one of `names`; the empty name is that of texts without one.
    pub(crate) fn named(self, names: &'static [&'static str]) -> impl Iterator<Item = &'a str> {
        let is_named = |part: &&Part<'_>| names.contains(&part.name.as_str());
        self.of_kind(PartKind::TEXT).filter(is_named).map(|part| part.data.as_str())
    }

    /// All texts as one, a line each.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn prompt(self) -> Result<String> {
        let texts: Vec<&str> = self.texts().collect();
        if texts.is_empty() { Err(self.lacks("a text")) } else { Ok(texts.join("\n")) }
    }

    /// The error for a turn without `what`.
    pub(crate) fn lacks(self, what: &str) -> Error {
        let made_up = match what {
            "a sound" => "; --audio-length-mean 5 makes some up",
            "an image" => "; --image-width-mean 512 makes some up",
            _ => "",
        };
        Error::config(format!("a turn has to hold {what} for `{}`, and one holds none{made_up}", self.endpoint))
    }
}
