//! Answers that are no load: the server's own pages, and what can be asked about videos. They have no fate, and are
//! neither counted nor logged.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::dialects::models;
use crate::exchange::After;
use crate::habits::{Habit, Habits};
use crate::http::{Head, JSON, Length, METRICS, Request, VIDEO};
use crate::refusal::{Refusal, Shape};
use crate::server::Shared;

/// Where videos are asked after.
const VIDEOS: &str = "/v1/videos/";

/// Such an answer.
pub(crate) struct Page {
    status: u16,
    content_type: &'static str,
    /// Where the client is sent on to, as a header line.
    location: String,
    body: Vec<u8>,
}

impl Page {
    fn new(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status: 200, content_type, location: String::new(), body }
    }

    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self { status: refusal.status, ..Self::new(JSON, refusal.body(Shape::OpenAi)) }
    }

    pub(crate) async fn write(
        &self,
        stream: &mut TcpStream,
        out: &mut Vec<u8>,
        request: &Request,
    ) -> io::Result<After> {
        out.clear();
        let head = Head {
            status: self.status,
            content_type: self.content_type,
            length: Length::Known(self.body.len()),
            request_id: request.request_id.as_deref(),
            close: request.close,
            extra: &self.location,
        };
        head.write(Habits::default(), out);
        out.extend_from_slice(&self.body);
        stream.write_all(out).await?;
        Ok(if request.close { After::Close } else { After::Keep })
    }
}

/// The page that a request asks for; none if it is load.
pub(crate) fn find(request: &Request, shared: &Shared) -> Option<Page> {
    if request.method != "GET" {
        return redirect(request, shared.habits);
    }
    let page = match request.path.as_str() {
        "/health" => Page::new(JSON, b"{\"status\":\"ok\"}".to_vec()),
        "/metrics" => Page::new(METRICS, shared.telemetry.render()),
        "/dcgm/metrics" => match &shared.gpus {
            Some(gpus) => Page::new(METRICS, gpus.render()),
            // Whoever looks for GPUs where there are none is no load either.
            None => {
                let refusal = Refusal::new(404, "this server has no GPUs: start it with --gpus to make some up");
                Page::refusal(&refusal)
            }
        },
        "/v1/models" if authorize(request, shared).is_ok() => Page::new(JSON, models(&shared.config.models)),
        path => {
            let video = path.strip_prefix(VIDEOS)?;
            let found = authorize(request, shared).and_then(|()| shared.videos.get(video));
            match found {
                Ok((body, content)) => Page::new(if content { VIDEO } else { JSON }, body),
                Err(refusal) => Page::refusal(&refusal),
            }
        }
    };
    Some(page)
}

/// Sends a client on to where it is answered, if that is the habit.
fn redirect(request: &Request, habits: Habits) -> Option<Page> {
    const DONE: &str = "redirected";
    if !habits.has(Habit::Redirect) || request.query.split('&').any(|pair| pair == DONE) {
        return None;
    }
    let Request { path, query, .. } = request;
    let between = if query.is_empty() { "" } else { "&" };
    let location = format!("location: {path}?{query}{between}{DONE}\r\n");
    Some(Page { status: 307, location, ..Page::new(JSON, Vec::new()) })
}

/// Refuses requests without this server's key, in whichever place the API has for it.
pub(crate) fn authorize(request: &Request, shared: &Shared) -> Result<(), Refusal> {
    let Some(key) = &shared.config.api_key else {
        return Ok(());
    };
    let bearer = request.authorization.as_deref().and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, given)| given);
    let mut given = bearer
        .into_iter()
        .chain(request.keys.iter().map(String::as_str))
        .chain(request.query.split('&').filter_map(|pair| pair.strip_prefix("key=")));
    if given.any(|given| given.trim() == key) {
        Ok(())
    } else {
        Err(Refusal::new(401, "neither the Authorization header nor any other carries this server's key"))
    }
}
