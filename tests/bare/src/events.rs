//! Events in a streamed body, however it is cut into pieces, and which of them hold content.

use std::time::Instant;

use memchr::memmem::Finder;

/// What is known of a body that is being read.
pub(crate) struct Events {
    end: Finder<'static>,
    content: Finder<'static>,
    /// An event that the last piece left unfinished.
    rest: Vec<u8>,
    /// Events so far.
    pub(crate) count: u64,
    /// Those with content.
    pub(crate) tokens: u64,
    /// When the piece came that finished the first of them.
    pub(crate) first: Option<Instant>,
    /// The same of the last.
    pub(crate) last: Option<Instant>,
    /// Whether the event came that ends a stream.
    pub(crate) done: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            end: Finder::new("\n\n"),
            content: Finder::new("\"content\":\""),
            rest: Vec::new(),
            count: 0,
            tokens: 0,
            first: None,
            last: None,
            done: false,
        }
    }

    /// Forgets the body before, but not the memory that it took.
    pub(crate) fn restart(&mut self) {
        self.rest.clear();
        (self.count, self.tokens, self.first, self.last, self.done) = (0, 0, None, None, false);
    }

    /// Takes the next piece of the body, read at `at`.
    pub(crate) fn take(&mut self, piece: &[u8], at: Instant) {
        if self.rest.is_empty() {
            let left = self.split(piece, at);
            self.rest.extend_from_slice(left);
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(piece);
            let left = self.split(&joined, at).len();
            joined.drain(..joined.len() - left);
            self.rest = joined;
        }
    }

    /// Counts the events of `bytes` and returns what is left after the last.
    fn split<'a>(&mut self, mut bytes: &'a [u8], at: Instant) -> &'a [u8] {
        while let Some(end) = self.end.find(bytes) {
            let event = &bytes[..end];
            bytes = &bytes[end + 2..];
            if !event.starts_with(b"data:") {
                continue;
            }
            self.count += 1;
            match self.content.find(event) {
                // An empty text, as beside the role, is no content.
                Some(found) if event.get(found + self.content.needle().len()) != Some(&b'"') => {
                    self.tokens += 1;
                    self.first.get_or_insert(at);
                    self.last = Some(at);
                }
                Some(_) => {}
                None => self.done |= event == b"data: [DONE]",
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BODY: &[u8] = b"data: {\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}\n\n\
        data: {\"delta\":{\"content\":\" one\"}}\n\ndata: {\"delta\":{\"content\":\" two\"}}\n\n\
        data: {\"delta\":{}}\n\ndata: [DONE]\n\n";

    #[test]
    fn a_body_gives_the_same_counts_however_it_is_cut() {
        for size in 1..=BODY.len() {
            let mut events = Events::new();
            for piece in BODY.chunks(size) {
                events.take(piece, Instant::now());
            }
            assert_eq!((events.count, events.tokens, events.done), (5, 2, true), "pieces of {size}");
        }
    }

    #[test]
    fn the_first_and_the_last_time_are_those_of_content() {
        let start = Instant::now();
        let mut events = Events::new();
        for (event, second) in BODY.split_inclusive(|&byte| byte == b'\n').zip(0..) {
            events.take(event, start + Duration::from_secs(second));
        }
        // Each event takes two lines, and is finished by the second.
        assert_eq!(events.first, Some(start + Duration::from_secs(3)));
        assert_eq!(events.last, Some(start + Duration::from_secs(5)));
    }

    #[test]
    fn a_body_that_breaks_off_is_not_done() {
        let mut events = Events::new();
        events.take(&BODY[..BODY.len() - 3], Instant::now());
        assert!(!events.done);
        events.restart();
        events.take(BODY, Instant::now());
        assert_eq!((events.count, events.done), (5, true), "nothing of the body before is left");
    }
}
