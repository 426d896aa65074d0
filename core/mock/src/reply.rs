//! Turning what is wanted into an answer, and having the exchange give it.

use std::io;

use crate::exchange::{After, Exchange, Whole};
use crate::habits::{Habit, Habits};
use crate::http::Request;
use crate::images::ImageStream;
use crate::outlet::Outlet;
use crate::refusal::{Refusal, Shape};
use crate::routes::{Speaker, Wish};
use crate::server::Voice;
use crate::sse::{Copied, Id};
use crate::tell::{Tale, Told};
use crate::videos::Job;

/// Answers a request: as it wishes and from whom, or with an error.
pub(crate) async fn reply(
    mut exchange: Exchange,
    wanted: Result<(Wish, &Voice), (Refusal, Shape)>,
    request: &Request,
    outlet: Outlet<'_>,
) -> io::Result<After> {
    let (wish, voice) = match wanted {
        Ok(wanted) => wanted,
        Err((refusal, errors)) => return exchange.refuse(&refusal, errors, request, outlet).await,
    };
    let (habits, usage) = (exchange.shared().habits, !exchange.shared().config.ignore_usage);
    let whole = match wish {
        Wish::Text(ask, Speaker { copied: Some(api), .. }) if ask.stream && ask.choices == 1 && habits.is_empty() => {
            let usage = usage && ask.include_usage;
            let copied = Copied { script: voice.script(api), id: Id::new(exchange.id()), ask: &ask, usage };
            return exchange.stream(copied, ask.finish, request, outlet).await;
        }
        Wish::Text(ask, Speaker { dialect, .. }) => {
            let tale = Tale::new(dialect, exchange.id(), &voice.json, &ask, habits, usage);
            if streams(ask.stream, habits) {
                let told = Told::new(dialect, tale, exchange.shared().config.tokens_per_chunk);
                // Boxed, as the other rarer streams are: the usual answers need not carry the room for it about.
                return Box::pin(exchange.stream(told, ask.finish, request, outlet)).await;
            }
            let mut body = Vec::new();
            dialect.whole(&tale, &mut body);
            let content_type = dialect.whole_type(&ask);
            Whole { content_type, tokens: ask.tokens, finish: ask.finish, ..Whole::json(body) }
        }
        Wish::Images(ask) => {
            if streams(ask.stream, habits) {
                let stream = ImageStream::new(&ask, habits, usage);
                return Box::pin(exchange.stream(stream, "stop", request, outlet)).await;
            }
            Whole::json(ask.whole(usage))
        }
        Wish::Video(ask) => {
            // The answer comes at once and the video after the time to a first token.
            let job = Job {
                id: exchange.id(),
                model: voice.json.clone(),
                ask,
                due: exchange.due(1),
                fails: exchange.errs_in_mid_stream(),
            };
            let queued = job.queued();
            exchange.ready_at(job.due);
            exchange.shared().videos.put(job);
            Whole { at_once: true, ..Whole::json(queued) }
        }
        Wish::Embeddings(ask) => Whole::json(ask.whole(&voice.json, usage)),
        Wish::Ranking(ask) => Whole::json(ask.whole(exchange.id(), &voice.json, usage)),
        Wish::Retrieval(ask) => Whole::json(ask.whole(usage)),
    };
    exchange.plain(whole, request, outlet).await
}

/// Whether an answer is streamed that was asked for so.
fn streams(asked: bool, habits: Habits) -> bool {
    (asked || habits.has(Habit::AlwaysStream)) && !habits.has(Habit::NeverStream)
}
