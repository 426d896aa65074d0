//! Servers of HTTP/2, and a client to ask them.

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, SendResponse},
};
use http::{Request, Response};
use inferometer_abi::documents::Framing;
use inferometer_model::{Clock, Failure, config::HttpVersion};
use inferometer_net::{
    Arrival, Client, Delivery, Destination, Head, Lane, Limits, Receiver, RequestIds, Sending, Stamps, Usage, Whole,
};
use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{sync::Notify, task::LocalSet};

pub(crate) type Served = Pin<Box<dyn Future<Output = ()>>>;

/// A server that does the same for every request.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each request by `serve`, which is told the number of its connection.
    pub(crate) fn new(
        builder: Builder,
        serve: impl Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> Served + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, builder, serve)
    }

    pub(crate) fn on(
        listener: TcpListener,
        builder: Builder,
        serve: impl Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> Served + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let serve = Rc::new(serve);
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let number = counter.fetch_add(1, SeqCst);
                    let (builder, serve) = (builder.clone(), Rc::clone(&serve));
                    tokio::task::spawn_local(async move {
                        let Ok(mut connection) = builder.handshake(stream).await else { return };
                        while let Some(Ok((request, response))) = connection.accept().await {
                            tokio::task::spawn_local(serve(number, request, response));
                        }
                    });
                }
            });
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// Reads a request's body to its end.
pub(crate) async fn body(request: Request<RecvStream>) -> Vec<u8> {
    let (mut stream, mut body) = (request.into_body(), Vec::new());
    while let Some(Ok(data)) = stream.data().await {
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len()).unwrap();
    }
    body
}

pub(crate) fn head(kind: &str) -> Response<()> {
    Response::builder().header("content-type", kind).body(()).unwrap()
}

/// Answers with `text` at once.
pub(crate) fn say(mut response: SendResponse<Bytes>, kind: &str, text: &'static str) {
    response.send_response(head(kind), false).unwrap().send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}

#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) events: Vec<(Vec<u8>, Arrival)>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Told of each event.
    pub(crate) heard: Option<Arc<Notify>>,
}

impl Keeper {
    pub(crate) fn events(&self) -> Vec<&str> {
        self.events.iter().map(|(data, _)| std::str::from_utf8(data).unwrap()).collect()
    }
}

impl Receiver for Keeper {
    fn head(&mut self, status: u16, content_type: &str) -> Delivery {
        (self.status, self.kind) = (status, content_type.to_owned());
        if content_type == "text/event-stream" { Delivery::Events(Framing::Sse) } else { Delivery::Whole }
    }

    fn event(&mut self, _name: &[u8], data: &[u8], arrival: Arrival) -> Result<(), Failure> {
        self.events.push((data.to_vec(), arrival));
        if let Some(heard) = &self.heard {
            heard.notify_one();
        }
        Ok(())
    }

    fn whole(&mut self, answer: Whole<'_>, _arrival: Arrival) -> Result<(), Failure> {
        self.body = answer.body.to_vec();
        self.fields = answer.fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(())
    }
}

/// A client of one server, and the head of its requests.
pub(crate) struct Asker {
    pub(crate) client: Client,
    pub(crate) head: Head,
}

pub(crate) struct Asked {
    pub(crate) ended: Result<(), Failure>,
    pub(crate) stamps: Stamps,
    pub(crate) keeper: Keeper,
}

impl Asked {
    pub(crate) fn failure(&self) -> &Failure {
        self.ended.as_ref().unwrap_err()
    }
}

impl Asker {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::with(address, true, 100)
    }

    pub(crate) fn with(address: SocketAddr, pooled: bool, streams: usize) -> Self {
        let destination = Destination::direct(address.to_string(), vec![address]);
        let head = Head::new("POST", "/v1/x", &destination, [("Connection", "close"), ("X-Some", "thing")]).unwrap();
        let usage = Usage { pooled, stamped: true, limits: Limits::default() };
        let client = Client::new(Clock::start(), vec![destination], usage).with_http(HttpVersion::Http2, streams);
        Self { client, head }
    }

    pub(crate) async fn ask(&self, body: &[u8]) -> Asked {
        self.ask_by(&mut Lane::shared(), body, None, Keeper::default()).await
    }

    pub(crate) async fn ask_by(
        &self,
        lane: &mut Lane,
        body: &[u8],
        break_off: Option<Duration>,
        mut keeper: Keeper,
    ) -> Asked {
        let mut stamps = Stamps::EMPTY;
        let sending = Sending { to: 0, head: &self.head, ids: RequestIds::default(), body, break_off };
        let ended = self.client.exchange(sending, lane, &mut stamps, &mut keeper).await;
        Asked { ended, stamps, keeper }
    }

    /// So many requests at once.
    pub(crate) async fn ask_at_once(self, count: usize) -> Vec<Asked> {
        let asker = Rc::new(self);
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let asker = Rc::clone(&asker);
                tokio::task::spawn_local(async move { asker.ask(b"{}").await })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    }
}
