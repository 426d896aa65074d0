//! What real servers do differently from one another without being broken: each a habit that can be put on.
//!
//! A habit that an API has no place for (reasoning in text completions, `[DONE]` in JSON lines) changes nothing there.

use clap::ValueEnum;

/// A way in which some servers answer. Any number can be put on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Habit {
    /// Chat streams: the role comes in the same chunk as the first token
    RoleWithFirstToken,
    /// Chat streams: beside the role, the content is null in place of empty
    NullContent,
    /// Chat streams: the role is never said
    NoRole,
    /// Chat and text streams: the finish reason comes in the chunk of the last token
    FinishWithLastToken,
    /// Streams end without the event `[DONE]`
    NoDone,
    /// Streams end with the event `[DONE]`, also in APIs that have none
    ExtraDone,
    /// Chat and text streams tell their usage also when they are not asked to
    UsageUnasked,
    /// Streams tell their usage so far in every chunk
    UsageEveryChunk,
    /// Chat and text streams tell their usage in the chunk with the finish reason
    UsageWithFinish,
    /// Chat and text streams: every chunk that tells no usage says "usage":null
    NullUsage,
    /// The first half of the answer is reasoning, in the field `reasoning` or what the API has for it
    Reasoning,
    /// The same in the field `reasoning_content`
    ReasoningContent,
    /// The second half of the rest is a tool call: a JSON object that holds the words; only they count as tokens
    ToolCalls,
    /// Responses streams end with response.incomplete in place of response.completed when the maximum is reached
    IncompleteEvent,
    /// Answer with one plain body although a stream was asked for
    NeverStream,
    /// Answer with a stream although a plain body was asked for
    AlwaysStream,
    /// Gather the tokens of four chunks for each write
    Coalesce,
    /// Send the head of a stream together with its first token, not before
    LateHead,
    /// Lines of streams end with CR LF
    Crlf,
    /// Lines of streams end with CR alone
    Cr,
    /// No blank behind the colon of stream lines
    NoSpace,
    /// Events carry the fields `id` and `retry`
    EventIds,
    /// A comment, `: keepalive`, before every event
    Comments,
    /// Streams are announced as text/plain
    PlainContentType,
    /// Answers speak HTTP/1.0 and end with the connection
    Http10,
    /// Answers tell no length, and end with the connection
    CloseDelimited,
    /// Bodies are compressed with gzip, asked or not; streams are flushed at every event
    Gzip,
    /// Every chunk of a chunked body carries an extension
    ChunkExtensions,
    /// Bodies are chunked and followed by a trailer
    Trailers,
    /// 100 Continue goes before every answer, asked or not
    Continue,
    /// 103 Early Hints goes before every answer
    EarlyHints,
    /// Send clients on with 307 to the same path and ?redirected
    Redirect,
    /// Errors come as HTML pages, as from a proxy
    HtmlErrors,
}

/// Those that contradict each other.
const EXCLUSIVE: [(Habit, Habit); 7] = [
    (Habit::RoleWithFirstToken, Habit::NoRole),
    (Habit::NoDone, Habit::ExtraDone),
    (Habit::Reasoning, Habit::ReasoningContent),
    (Habit::NeverStream, Habit::AlwaysStream),
    (Habit::Crlf, Habit::Cr),
    (Habit::Http10, Habit::Trailers),
    (Habit::CloseDelimited, Habit::Trailers),
];

impl Habit {
    fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits(u64);

impl Habits {
    pub(crate) fn has(self, habit: Habit) -> bool {
        self.0 & habit.bit() != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether bodies end with the connection.
    pub(crate) fn until_close(self) -> bool {
        self.has(Habit::Http10) || self.has(Habit::CloseDelimited)
    }

    /// Whether bodies whose length is known are chunked all the same.
    pub(crate) fn always_chunked(self) -> bool {
        self.has(Habit::ChunkExtensions) || self.has(Habit::Trailers)
    }

    pub(crate) fn reasons(self) -> bool {
        self.has(Habit::Reasoning) || self.has(Habit::ReasoningContent)
    }

    /// Two of them that contradict each other, if any do.
    pub(crate) fn contradiction(self) -> Option<(Habit, Habit)> {
        EXCLUSIVE.into_iter().find(|&(one, other)| self.has(one) && self.has(other))
    }
}

impl FromIterator<Habit> for Habits {
    fn from_iter<I: IntoIterator<Item = Habit>>(habits: I) -> Self {
        Self(habits.into_iter().fold(0, |set, habit| set | habit.bit()))
    }
}

/// A habit's name on the command line.
pub(crate) fn name(habit: Habit) -> String {
    habit.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let set: Habits = [Habit::RoleWithFirstToken, Habit::HtmlErrors].into_iter().collect();
        let has: Vec<Habit> = Habit::value_variants().iter().copied().filter(|&habit| set.has(habit)).collect();
        assert_eq!(has, [Habit::RoleWithFirstToken, Habit::HtmlErrors]);
        assert!(Habits::default().is_empty() && !set.is_empty());
    }

    #[test]
    fn habits_are_named_on_the_command_line_and_contradictions_are_found() {
        assert_eq!(name(Habit::Http10), "http10");
        assert_eq!(name(Habit::UsageEveryChunk), "usage-every-chunk");
        let set: Habits = [Habit::Cr, Habit::NoDone, Habit::Crlf].into_iter().collect();
        assert_eq!(set.contradiction(), Some((Habit::Crlf, Habit::Cr)));
        assert_eq!(Habits::default().contradiction(), None);
    }
}
