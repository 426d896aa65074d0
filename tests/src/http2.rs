//! A server that speaks HTTP/2 alone, and streams the same chat to everybody.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};

use crate::relay::{Door, serve};

/// What it streams: a role, three tokens, a finish reason and usage.
const EVENTS: [&str; 6] = [
    r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"one"}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":" two"}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":" three"},"finish_reason":"stop"}]}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
    "[DONE]",
];

/// The tokens of each answer.
pub const TOKENS: u64 = 3;

/// A running server, until the tests are over.
#[derive(Debug)]
pub struct Http2Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Request<Vec<u8>>>>>,
}

impl Http2Server {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(door: Door) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (count, kept) = (Arc::clone(&connections), Arc::clone(&asked));
        let port = serve(door, move |stream| {
            let (count, kept) = (Arc::clone(&count), Arc::clone(&kept));
            async move {
                let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
                count.fetch_add(1, SeqCst);
                while let Some(stream) = connection.accept().await {
                    let (request, response) = stream.map_err(io::Error::other)?;
                    let kept = Arc::clone(&kept);
                    tokio::spawn(async move { answer(request, response, &kept).await });
                }
                Ok(())
            }
        });
        Self { port, connections, asked }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The requests that it got.
    ///
    /// # Panics
    /// Never: nobody panics who has them.
    #[must_use]
    pub fn asked(&self) -> Vec<Request<Vec<u8>>> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

/// Reads the request to its end, and streams.
async fn answer(
    request: Request<RecvStream>,
    mut response: SendResponse<Bytes>,
    asked: &Mutex<Vec<Request<Vec<u8>>>>,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    asked.lock().expect("nobody panics with it").push(Request::from_parts(head, body));
    let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("it is a head");
    let mut answer = response.send_response(head, false)?;
    for (place, event) in EVENTS.iter().enumerate() {
        let is_last = place + 1 == EVENTS.len();
        answer.send_data(format!("data: {event}\n\n").into(), is_last)?;
    }
    Ok(())
}
