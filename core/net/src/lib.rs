//! The measured path: connections, TLS, HTTP/1.1 and 2, framing and stamps.
//!
//! A [`Client`] belongs to one worker thread. It writes a request, stamps what happens to it, cuts the answer into
//! events where it is a stream, and hands each to a [`Receiver`] with the time of the read that completed it. It knows
//! nothing of what events mean, of schedules or of metrics. It does not retry: only where a pooled connection turns out
//! to have been closed while it was idle, or a server of HTTP/2 says that it has not looked at the request, is it sent once
//! more, on another, and the stamps say so.
//!
//! The HTTP/1.1 client is our own because every read has to be stamped and no chunk may cost an allocation. By HTTP/2 the
//! frames are a library's, and what is stamped is the read that each came with.

mod arrival;
mod channel;
mod client;
mod connection;
mod content;
mod decode;
mod destination;
mod dial;
mod framing;
mod http1;
mod http2;
mod limits;
mod proxy;
mod race;
mod request;
mod response;
mod socket;
mod tls;

pub use arrival::{Arrival, Lags};
pub use client::{Client, Delivery, Lane, Receiver, Sending, Stamps, Usage, Whole};
pub use destination::{Destination, Proxy, Route};
pub use dial::check_source;
pub use http1::Fields;
pub use limits::Limits;
pub use race::interleaved;
pub use request::{Head, RequestIds};
pub use response::Response;
pub use socket::Stamping;
pub use tls::{Tls, TlsName};
