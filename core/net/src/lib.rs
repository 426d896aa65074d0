//! The measured path: connections, HTTP/1.1, framing and stamps.
//!
//! A [`Client`] belongs to one worker thread. It writes a request, stamps what happens to it, cuts the answer into
//! events where it is a stream, and hands each to a [`Receiver`] with the time of the read that completed it. It knows
//! nothing of what events mean, of schedules or of metrics. It does not retry: only where a pooled connection turns out
//! to have been closed while it was idle is the request sent once more, on a fresh one, and the stamps say so.
//!
//! The HTTP/1.1 client is our own because every read has to be stamped and no chunk may cost an allocation.

mod arrival;
mod client;
mod connection;
mod dial;
mod framing;
mod http1;
mod request;
mod response;
mod socket;

pub use arrival::{Arrival, Lags};
pub use client::{Client, Delivery, Lane, Receiver, Sending, Stamps, Usage, Whole};
pub use dial::check_source;
pub use http1::Fields;
pub use request::{Destination, Head, RequestIds};
pub use response::Response;
