//! [`Listener`]: hears the answer to one request outside the load as it is read. It hands on what was said at once, and
//! keeps what tells a wrong server from a wrong request. What the answer means is [`crate::reading`]'s.

use super::{Piece, voice::Voice};
use crate::{
    reading::{Content, Ear},
    refusal::message,
};
use inferometer_model::Failure;
use inferometer_net::{Arrival, Delivery, Receiver, Whole};

/// Most bytes of an answer that are kept to be quoted or looked into.
const KEPT: usize = 64 << 10;
/// Longest beginning of an answer that is quoted, in characters.
const LONGEST: usize = 300;

/// An answer as it came, whatever it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// HTTP status; 0: none was received.
    pub(crate) status: u16,
    /// Its beginning.
    pub(crate) body: Vec<u8>,
    /// Where the server says that the answer is to be found.
    pub(crate) location: Option<String>,
}

impl Page {
    fn of(whole: &Whole<'_>) -> Self {
        let location = whole.fields.iter().find(|(name, _)| *name == "location").map(|(_, value)| value.to_owned());
        Self { status: 0, body: whole.body[..whole.body.len().min(KEPT)].to_vec(), location }
    }

    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The server's own words, on one line.
    pub(crate) fn words(&self) -> String {
        quoted(message("", &self.body).words.as_bytes())
    }
}

/// Takes the answer to a request without an endpoint's help.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) page: Page,
}

impl Receiver for Reader {
    fn head(&mut self, status: u16, _content_type: &str) -> Delivery {
        self.page.status = status;
        Delivery::Whole
    }

    fn event(&mut self, _name: &[u8], _data: &[u8], _arrival: Arrival) -> Result<(), Failure> {
        Ok(())
    }

    fn whole(&mut self, whole: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        self.page = Page { status: self.page.status, ..Page::of(&whole) };
        Ok(())
    }
}

/// What has come of an answer so far.
#[derive(Default)]
pub(crate) struct Heard {
    pub(super) text: Voice,
    pub(super) reasoning: Voice,
    /// How much of the two the first content brought, in bytes.
    pub(super) first: Option<(usize, usize)>,
    /// Content that is no text came.
    pub(super) other: bool,
    /// A terminator or a finish reason was seen.
    pub(crate) ended: bool,
    /// The answer as it came, where it was not read as content: a refusal, or the beginning of what cannot be read.
    pub(crate) page: Page,
}

/// Hears the answer to one request.
pub(super) struct Listener<'a> {
    pub(super) heard: &'a mut Heard,
    pub(super) hear: &'a mut dyn FnMut(Piece<'_>),
}

impl Ear for Listener<'_> {
    fn event(&mut self, data: &[u8]) {
        self.heard.page.body = data[..data.len().min(KEPT)].to_vec();
    }

    fn whole(&mut self, whole: &Whole<'_>) {
        self.heard.page = Page::of(whole);
    }

    fn content(&mut self, Content { text, reasoning, tool, escaped }: Content<'_>) {
        let heard = &mut *self.heard;
        heard.other |= text.is_empty() && tool.is_empty() && reasoning.is_empty();
        let mut say = |piece: Piece<'_>| {
            if !piece.is_empty() {
                (self.hear)(piece);
            }
        };
        say(Piece::Reasoning(heard.reasoning.push(reasoning, escaped)));
        say(Piece::Text(heard.text.push(text, escaped)));
        say(Piece::Tool(heard.text.push(tool, escaped)));
        heard.first.get_or_insert((heard.text.said().len(), heard.reasoning.said().len()));
    }
}

/// The beginning of what a server said, on one line and fit for a terminal.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let is_binary = |text: &str| text.chars().any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        _ if line.is_empty() => "nothing".to_owned(),
        // The cut may have gone through a character.
        _ if is_binary(line.trim_end_matches('\u{fffd}')) => format!("{} bytes that are no text", bytes.len()),
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_of_content_is_heard_as_what_it_is_and_the_first_is_told_from_the_rest() {
        let (mut heard, mut said) = (Heard::default(), Vec::new());
        let mut hear = |piece: Piece<'_>| said.push(format!("{piece:?}"));
        let mut listener = Listener { heard: &mut heard, hear: &mut hear };
        let nothing = Content { text: b"", reasoning: b"", tool: b"", escaped: true };
        listener.content(Content { reasoning: br"\u00e9", ..nothing });
        listener.content(Content { text: b"a", tool: b"{}", ..nothing });
        assert!(!listener.heard.other);
        listener.content(nothing);
        assert!(heard.other, "an image, say");
        assert_eq!(said, ["Reasoning(\"é\")", "Text(\"a\")", "Tool(\"{}\")"]);
        assert_eq!((heard.text.said(), heard.reasoning.said()), ("a{}", "é"));
        assert_eq!(heard.first, Some((0, 2)));
    }

    fn words(body: &[u8]) -> String {
        Page { status: 400, body: body.to_vec(), location: None }.words()
    }

    #[test]
    fn a_refusal_yields_the_servers_words_on_one_line() {
        assert_eq!(words(br#"{"error":{"message":"no such\nmodel"}}"#), "no such model");
        assert_eq!(words(br#"{"detail":[{"msg":"field required"}]}"#), "field required");
        assert_eq!(words(b"<h1>Bad\r\n Gateway</h1>"), "an HTML page (Bad Gateway)");
        assert_eq!(words(b"Bad\r\n Gateway"), "Bad Gateway");
        assert_eq!(words(b""), "without a message");
        assert_eq!(words(b"\x1b[2Jx"), "with 5 bytes that are no text");
    }
}
