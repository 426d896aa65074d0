//! A hop before a server: it speaks TLS, listens on a Unix socket or is a proxy in the server's place, and keeps the heads
//! of the requests that pass through it.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;

/// How a connection comes in.
#[derive(Clone, Debug)]
pub enum Door {
    /// As it is.
    Tcp,
    /// Through TLS.
    Tls(Arc<ServerConfig>),
}

/// A running hop, until the tests are over.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    seen: Arc<Seen>,
}

/// What passed through.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

impl Relay {
    /// Leads from a free port of the loopback interface to the server at `to`.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(door: Door, to: SocketAddr) -> Self {
        let seen = Arc::new(Seen::default());
        let kept = Arc::clone(&seen);
        let port = serve(door, move |stream| {
            let seen = Arc::clone(&kept);
            async move { seen.pass(stream, to).await }
        });
        Self { port, seen }
    }

    /// Leads from a Unix socket at `path` to the server at `to`.
    ///
    /// # Panics
    /// If there can be no such socket.
    #[must_use]
    pub fn on_unix_socket(path: PathBuf, to: SocketAddr) -> Self {
        let seen = Arc::new(Seen::default());
        let kept = Arc::clone(&seen);
        let listener = std::os::unix::net::UnixListener::bind(path).expect("the path is free");
        listener.set_nonblocking(true).expect("a socket need not block");
        run(async move {
            let listener = UnixListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                let seen = Arc::clone(&kept);
                tokio::spawn(async move { seen.pass(stream, to).await });
            }
        });
        Self { port: 0, seen }
    }

    /// Its port; 0 if it listens on a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections came through its door.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// The heads of all requests that passed.
    ///
    /// # Panics
    /// Never: nobody panics who has them.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("nobody panics with it").clone()
    }
}

impl Seen {
    /// Passes on what comes by one connection, until either side ends it.
    async fn pass(&self, stream: impl AsyncRead + AsyncWrite, to: SocketAddr) -> io::Result<()> {
        self.connections.fetch_add(1, SeqCst);
        let (client_reads, mut client_writes) = tokio::io::split(stream);
        let (mut server_reads, mut server_writes) = TcpStream::connect(to).await?.into_split();
        let mut client_reads = BufReader::new(client_reads);
        let requests = async {
            while let Some((head, body)) = read_request(&mut client_reads).await? {
                let origin = origin_form(&head);
                self.heads.lock().expect("nobody panics with it").push(head);
                server_writes.write_all(origin.as_bytes()).await?;
                server_writes.write_all(&body).await?;
            }
            server_writes.shutdown().await
        };
        let answers = async {
            let copied = tokio::io::copy(&mut server_reads, &mut client_writes).await;
            client_writes.shutdown().await?;
            copied.map(|_| ())
        };
        tokio::select! { ended = requests => ended, ended = answers => ended }
    }
}

/// The next request's head and body; nothing at the end of the stream.
async fn read_request(stream: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}

/// The head as a server gets it whose proxy was told the whole URL.
fn origin_form(head: &str) -> String {
    let whole = head.split_once(" http://").and_then(|(method, rest)| Some((method, rest.split_once('/')?.1)));
    match whole {
        Some((method, path)) if !method.contains(['\r', ' ']) => format!("{method} /{path}"),
        _ => head.to_owned(),
    }
}

/// The value of a field of a head, which may be written in any case.
#[must_use]
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A stream of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Listens on a free port and gives what comes through the door to `take`; the port. A handshake that fails ends its
/// connection alone.
pub(crate) fn serve<F>(door: Door, take: impl Fn(Box<dyn Stream>) -> F + Send + Sync + 'static) -> u16
where
    F: Future<Output = io::Result<()>> + Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.set_nonblocking(true).expect("a socket need not block");
    let port = listener.local_addr().expect("it is bound").port();
    let take = Arc::new(take);
    run(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (door, take) = (door.clone(), Arc::clone(&take));
            tokio::spawn(async move {
                let stream: Box<dyn Stream> = match door {
                    Door::Tcp => Box::new(stream),
                    Door::Tls(config) => Box::new(TlsAcceptor::from(config).accept(stream).await?),
                };
                take(stream).await
            });
        }
    });
    port
}

/// Runs it on a thread of its own.
fn run(server: impl Future<Output = io::Result<()>> + Send + 'static) {
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
        runtime.block_on(server)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_url_becomes_a_path_and_anything_else_stays() {
        let whole = "POST http://a.b:1/v1/x?y=http://z/ HTTP/1.1\r\nHost: a.b:1\r\n\r\n";
        assert_eq!(origin_form(whole), "POST /v1/x?y=http://z/ HTTP/1.1\r\nHost: a.b:1\r\n\r\n");
        let path = "GET /v1 HTTP/1.1\r\nReferer: http://a/b\r\n\r\n";
        assert_eq!(origin_form(path), path);
    }

    #[test]
    fn fields_are_found_in_any_case() {
        assert_eq!(field("GET / HTTP/1.1\r\nX-API-Key: a b\r\n\r\n", "x-api-key"), Some("a b"));
        assert_eq!(field("GET / HTTP/1.1\r\n\r\n", "host"), None);
    }
}
