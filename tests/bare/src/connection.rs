//! One connection, and one exchange on it.

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::events::Events;
use crate::records;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request asks, made once.
pub(crate) struct Question {
    pub(crate) host: HeaderValue,
    pub(crate) body: Bytes,
    pub(crate) stream: bool,
}

impl Question {
    /// The request with the given number.
    fn request(&self, number: usize) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/v1/chat/completions");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_bytes(&records::id(number)).expect("digits are allowed in a header");
        headers.insert(REQUEST_ID, id);
        request
    }
}

/// When an exchange began and ended. What came between is in the connection's [`Events`].
pub(crate) struct Times {
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
}

/// An open connection. It is driven while an exchange is under way and left alone in between.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    pub(crate) events: Events,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(driver), events: Events::new() })
    }

    /// Sends a request and reads its answer to the end. The connection cannot be used again after an error.
    pub(crate) async fn exchange(&mut self, question: &Question, number: usize) -> Result<Times> {
        let Self { sender, driver, events } = self;
        events.restart();
        let mut reading = pin!(read(sender, events, question, number));
        // Polled side by side in one task: a task of its own for the driver would cost a wake-up for every piece.
        poll_fn(|cx| {
            let driven = driver.as_mut().poll(cx);
            if let Poll::Ready(times) = reading.as_mut().poll(cx) {
                return Poll::Ready(times);
            }
            driven.map(|ended| match ended {
                Ok(()) => bail!("the server closed the connection"),
                Err(error) => Err(error.into()),
            })
        })
        .await
    }
}

async fn read(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    events: &mut Events,
    question: &Question,
    number: usize,
) -> Result<Times> {
    sender.ready().await?;
    let request = question.request(number);
    let sent = Instant::now();
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == StatusCode::OK, "the server answered {}", answer.status());
    let mut body = answer.into_body();
    let mut ended = sent;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        ended = Instant::now();
        if question.stream {
            events.take(&piece, ended);
        }
    }
    ensure!(events.done || !question.stream, "the stream broke off");
    Ok(Times { sent, ended })
}
