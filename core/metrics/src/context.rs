//! [`Context`]: one row seen in one view, with the quantities that several metrics share. Times are in nanoseconds here;
//! the table of definitions turns them into the units that are shown.

use crate::{Options, TokenSource};
use inferometer_abi::types::{ABSENT_NS, NO_COUNT, UsageDetail};
use inferometer_model::Row;

/// One row, and the moment its latencies are counted from.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    row: &'a Row,
    source: TokenSource,
    streaming: bool,
    start: u64,
}

/// A stamp, if it was reached.
fn stamp(ns: u64) -> Option<u64> {
    (ns != ABSENT_NS).then_some(ns)
}

/// A count, if it is known.
pub(crate) fn count(tokens: u32) -> Option<u32> {
    (tokens != NO_COUNT).then_some(tokens)
}

/// From `earlier` to `later`, if both were reached; 0 if they came in the other order.
pub(crate) fn between(earlier: u64, later: u64) -> Option<u64> {
    Some(stamp(later)?.saturating_sub(stamp(earlier)?))
}

/// `part / whole` of `tokens`, rounded half up.
fn share(tokens: u32, part: u32, whole: u32) -> Option<u32> {
    let (tokens, part, whole) = (u128::from(tokens), u128::from(part), u128::from(whole));
    // A part counted as more than its whole is the whole; the result is then never more than `tokens`.
    u32::try_from((2 * tokens * part.min(whole) + whole).checked_div(2 * whole)?).ok()
}

impl<'a> Context<'a> {
    /// The row as the server's user at the slot sees it: latencies start at `permitted`.
    pub(crate) fn service(options: &Options, row: &'a Row) -> Self {
        Self { row, source: options.token_source, streaming: options.streaming, start: row.permitted }
    }

    /// The row as the schedule sees it: latencies start at `intended`.
    pub(crate) fn intended(options: &Options, row: &'a Row) -> Self {
        Self { start: row.intended, ..Self::service(options, row) }
    }

    /// The same row in the schedule's view.
    pub(crate) fn as_intended(&self) -> Self {
        Self { start: self.row.intended, ..*self }
    }

    /// The row itself.
    pub(crate) fn row(&self) -> &'a Row {
        self.row
    }

    /// When the answer was there: the last content of a stream, the last byte of anything else.
    pub(crate) fn finish(&self) -> Option<u64> {
        stamp(if self.streaming { self.row.last } else { self.row.last_byte })
    }

    /// From the start to `stamp`.
    pub(crate) fn until(&self, stamp: u64) -> Option<u64> {
        between(self.start, stamp)
    }

    /// From the start to the whole answer.
    pub(crate) fn latency(&self) -> Option<u64> {
        self.until(self.finish()?)
    }

    /// From the start to the first content.
    pub(crate) fn first(&self) -> Option<u64> {
        self.until(self.row.first)
    }

    /// From the first content to the last.
    pub(crate) fn decode(&self) -> Option<u64> {
        between(self.row.first, self.finish()?)
    }

    /// Tokens of the prompt, by the source that is believed.
    pub(crate) fn input_tokens(&self) -> Option<u32> {
        self.believed(count(self.row.usage_prompt), count(self.row.local_prompt))
    }

    /// Tokens of the answer with its reasoning, by the source that is believed.
    pub(crate) fn output_tokens(&self) -> Option<u32> {
        self.believed(count(self.row.usage_completion), self.local_output())
    }

    /// Tokens of the answer with its reasoning, by the local tokenizer.
    pub(crate) fn local_output(&self) -> Option<u32> {
        match (count(self.row.local_output), count(self.row.local_reasoning)) {
            (None, None) => None,
            (answer, reasoning) => Some(answer.unwrap_or(0).saturating_add(reasoning.unwrap_or(0))),
        }
    }

    /// Tokens spent on reasoning, if that is known. Many servers report the whole but not this part of it; the whole is
    /// then divided as the local tokenizer divides it.
    pub(crate) fn reasoning_tokens(&self) -> Option<u32> {
        let local = count(self.row.local_reasoning);
        let Some(whole) = self.believed(count(self.row.usage_completion), None) else {
            return self.believed(count(self.row.usage_reasoning), local);
        };
        let divided = || share(whole, local?, self.local_output()?);
        self.believed(count(self.row.usage_reasoning), divided()).map(|tokens| tokens.min(whole))
    }

    /// Tokens of the answer without its reasoning.
    pub(crate) fn answer_tokens(&self) -> Option<u32> {
        Some(self.output_tokens()?.saturating_sub(self.reasoning_tokens().unwrap_or(0)))
    }

    /// Tokens that came after the first content event: what the time from first to last content was spent on. Absent if
    /// everything came at once.
    pub(crate) fn tokens_after_first(&self) -> Option<u32> {
        let all = self.output_tokens().filter(|&tokens| tokens >= 2 && self.row.events >= 2)?;
        Some(all - self.first_event_tokens(all))
    }

    /// Tokens in the first content event, of `all` (at least 2). An event a token: one. As the server says, where it said the
    /// usage so far with that event and went on from there. Otherwise as the local tokenizer counts it, in proportion where the server counts differently. Otherwise one, which is what servers that batch
    /// tokens into events send first, since prefill yields one.
    fn first_event_tokens(&self, all: u32) -> u32 {
        if self.row.events == all {
            return 1;
        }
        if let Some(told) = count(self.row.usage_first).filter(|told| (1..all).contains(told)) {
            return told;
        }
        let scaled = || share(all, count(self.row.local_first)?, self.local_output()?);
        self.believed(None, scaled()).unwrap_or(1).clamp(1, all - 1)
    }

    /// Nanoseconds per token after the first event.
    pub(crate) fn token_interval(&self) -> Option<f64> {
        Some(self.decode()? as f64 / f64::from(self.tokens_after_first()?))
    }

    /// Time in which it waited for a connection that was not being made for it: nanoseconds.
    pub(crate) fn blocked(&self) -> Option<u64> {
        let waited = between(self.row.permitted, self.row.connected)?;
        let own = self.dns().saturating_add(self.connecting()).saturating_add(self.tls());
        Some(waited.saturating_sub(own))
    }

    /// Name resolution; none on a connection that had served before.
    pub(crate) fn dns(&self) -> u64 {
        if self.row.reused { 0 } else { self.row.dns_ns }
    }

    /// The connection, TLS apart; none on one that had served before.
    pub(crate) fn connecting(&self) -> u64 {
        if self.row.reused { 0 } else { self.row.connect_ns }
    }

    /// TLS; none on a connection that had served before.
    pub(crate) fn tls(&self) -> u64 {
        if self.row.reused { 0 } else { self.row.tls_ns }
    }

    /// A further count of usage, as the server says.
    pub(crate) fn detail(&self, detail: UsageDetail) -> Option<f64> {
        self.row.usage_details.get(detail).map(f64::from)
    }

    /// Everything before the connection was ready.
    pub(crate) fn connection_overhead(&self) -> Option<u64> {
        let own = self.dns().saturating_add(self.connecting()).saturating_add(self.tls());
        Some(self.blocked()?.saturating_add(own))
    }

    /// Everything after it.
    pub(crate) fn exchange(&self) -> Option<u64> {
        let row = self.row;
        let sending = between(row.connected, row.written)?;
        let waiting = between(row.written, row.first_byte)?;
        Some(sending.saturating_add(waiting).saturating_add(between(row.first_byte, row.last_byte)?))
    }

    /// The count that is believed, of what the server says and what the local tokenizer says.
    fn believed(&self, server: Option<u32>, local: Option<u32>) -> Option<u32> {
        match self.source {
            TokenSource::ServerFirst => server.or(local),
            TokenSource::ServerOnly => server,
            TokenSource::LocalOnly => local,
        }
    }
}

/// How far the server's count is from the local one, in per cent of the local one; absent if that is zero.
pub(crate) fn difference(server: u32, local: Option<u32>) -> Option<f64> {
    let (server, local) = (f64::from(count(server)?), f64::from(local.filter(|&tokens| tokens > 0)?));
    Some((server - local).abs() / local * 100.0)
}

/// How far the answer's length is from the one asked for, in per cent of that, with its sign.
pub(crate) fn length_mismatch(context: &Context<'_>) -> Option<f64> {
    let asked = f64::from(Some(context.row().requested_output).filter(|&tokens| tokens > 0)?);
    Some((f64::from(context.output_tokens()?) - asked) / asked * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn with(token_source: TokenSource) -> Options {
        Options { token_source, ..streaming() }
    }

    #[test]
    fn several_tokens_an_event_do_not_make_the_interval_shorter() {
        // 16 tokens at 5 ms each in events of four: contents at 20, 40, 60 and 80 ms.
        let row = Row { first: 20 * MS, last: 80 * MS, events: 4, usage_completion: 16, ..answered() };
        let interval = |row: &Row| Context::service(&streaming(), row).token_interval();
        // The local tokenizer finds 32 tokens, 8 of them in the first event: a quarter, of 16 that is four.
        let counted = Row { local_output: 32, local_first: 8, ..row };
        assert_eq!(interval(&counted), Some(5e6));
        assert_eq!(interval(&row), Some(4e6), "one token in the first event, if nothing else is known");
        let single = Row { events: 16, local_output: 32, local_first: 8, ..row };
        assert_eq!(interval(&single), Some(4e6), "an event a token");
    }

    #[test]
    fn what_came_at_once_has_no_interval() {
        let interval = |row: Row| Context::service(&streaming(), &row).token_interval();
        assert_eq!(interval(Row { events: 1, ..answered() }), None);
        assert_eq!(interval(Row { usage_completion: 1, ..answered() }), None);
        assert_eq!(interval(Row { usage_completion: NO_COUNT, ..answered() }), None);
        assert_eq!(interval(Row { first: ABSENT_NS, ..answered() }), None);
    }

    #[test]
    fn the_first_event_never_holds_all_tokens_of_several() {
        let row = Row { usage_completion: 3, events: 2, local_output: 3, local_first: 3, ..answered() };
        assert_eq!(Context::service(&streaming(), &row).tokens_after_first(), Some(1));
    }

    #[test]
    fn the_source_decides_which_count_is_believed() {
        let row = Row { local_prompt: 90, local_output: 5, local_reasoning: 2, ..answered() };
        let counts = |source, row: &Row| {
            let options = with(source);
            let context = Context::service(&options, row);
            (context.input_tokens(), context.output_tokens())
        };
        assert_eq!(counts(TokenSource::ServerFirst, &row), (Some(100), Some(4)));
        assert_eq!(counts(TokenSource::LocalOnly, &row), (Some(90), Some(7)));
        let silent = Row { usage_prompt: NO_COUNT, usage_completion: NO_COUNT, ..row };
        assert_eq!(counts(TokenSource::ServerFirst, &silent), (Some(90), Some(7)));
        assert_eq!(counts(TokenSource::ServerOnly, &silent), (None, None));
    }

    #[test]
    fn answer_and_reasoning_add_up_to_the_output() {
        let parts = |row: &Row| {
            let options = streaming();
            let context = Context::service(&options, row);
            (context.reasoning_tokens(), context.answer_tokens())
        };
        let told = Row { usage_completion: 100, usage_reasoning: 60, ..answered() };
        assert_eq!(parts(&told), (Some(60), Some(40)));
        let more_than_all = Row { usage_reasoning: 130, ..told };
        assert_eq!(parts(&more_than_all), (Some(100), Some(0)));
        let not_told = Row { usage_reasoning: NO_COUNT, local_output: 30, local_reasoning: 90, ..told };
        assert_eq!(parts(&not_told), (Some(75), Some(25)), "three quarters, as the local tokenizer finds");
        let unknown = Row { usage_reasoning: NO_COUNT, ..told };
        assert_eq!(parts(&unknown), (None, Some(100)));
    }

    #[test]
    fn the_parts_of_the_exchange_add_up_to_its_whole() {
        // 4 ms to the connection, of which 1 for the name and 2 for connecting; then 1, 30 and 66 ms.
        let (row, options) = (answered(), streaming());
        let context = Context::service(&options, &row);
        assert_eq!(context.blocked(), Some(MS));
        assert_eq!(context.connection_overhead(), Some(4 * MS));
        assert_eq!(context.exchange(), Some(97 * MS));
        let reused = Row { reused: true, ..row };
        let context = Context::service(&options, &reused);
        assert_eq!((context.dns(), context.connecting(), context.blocked()), (0, 0, Some(4 * MS)));
    }

    #[test]
    fn the_schedule_sees_a_request_from_the_time_it_wanted() {
        let (row, options) = (answered(), streaming());
        let (service, intended) = (Context::service(&options, &row), Context::intended(&options, &row));
        assert_eq!((service.first(), service.latency()), (Some(40 * MS), Some(100 * MS)));
        assert_eq!((intended.first(), intended.latency()), (Some(42 * MS), Some(102 * MS)));
        assert_eq!(service.decode(), intended.decode());
    }
}
